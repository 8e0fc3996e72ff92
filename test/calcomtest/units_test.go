// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // The names must be those of Go's own copy of the database.
)

// respelled are the 50 names that were recorded to come back changed.
const respelled = `Africa/Dar_es_Salaam>Africa/Dar_Es_Salaam Africa/Porto-Novo>Africa/Porto-novo
America/Argentina/ComodRivadavia>America/Argentina/Comodrivadavia America/Blanc-Sablon>America/Blanc-sablon
America/Knox_IN>America/Knox_In America/Port-au-Prince>America/Port-au-prince America/Port_of_Spain>America/Port_Of_Spain
Antarctica/DumontDUrville>Antarctica/Dumontdurville Antarctica/McMurdo>Antarctica/Mcmurdo Asia/Ust-Nera>Asia/Ust-nera
Australia/ACT>Australia/Act Australia/LHI>Australia/Lhi Australia/NSW>Australia/Nsw Brazil/DeNoronha>Brazil/Denoronha
CET>Cet CST6CDT>Cst6cdt Chile/EasterIsland>Chile/Easterisland EET>Eet EST5EDT>EST5edt Etc/UCT>Etc/Uct
Europe/Isle_of_Man>Europe/Isle_Of_Man GB>Gb GB-Eire>Gb-eire HST>Hst MET>Met MST>Mst MST7MDT>Mst7mdt
Mexico/BajaNorte>Mexico/Bajanorte Mexico/BajaSur>Mexico/Bajasur NZ>Nz NZ-CHAT>Nz-chat PRC>Prc PST8PDT>Pst8pdt ROC>Roc
ROK>Rok UCT>Uct US/Alaska>Us/Alaska US/Aleutian>Us/Aleutian US/Arizona>Us/Arizona US/Central>Us/Central
US/East-Indiana>Us/East-indiana US/Eastern>Us/Eastern US/Hawaii>Us/Hawaii US/Indiana-Starke>Us/Indiana-starke
US/Michigan>Us/Michigan US/Mountain>Us/Mountain US/Pacific>Us/Pacific US/Samoa>Us/Samoa W-SU>W-su WET>Wet`

// TestZones: all 597 names are taken, and exactly the recorded ones change.
func TestZones(t *testing.T) {
	want := map[string]string{}
	for pair := range strings.FieldsSeq(respelled) {
		from, to, _ := strings.Cut(pair, ">")
		want[from] = to
	}
	if len(want) != 50 {
		t.Fatalf("%d names in the table, want 50", len(want))
	}
	names := strings.Fields(zoneNames)
	if len(names) != 597 {
		t.Errorf("%d names, want 597", len(names))
	}
	for _, name := range names {
		if _, err := time.LoadLocation(name); err != nil {
			t.Errorf("no zone of Go's: %v", err)
		}
		got := capitalZone(name)
		if expected, changed := want[name]; changed && got != expected || !changed && got != name {
			t.Errorf("%s comes back as %s", name, got)
		}
		if !isTimeZone(got) {
			t.Errorf("%s is refused", got)
		}
		delete(want, name)
	}
	if len(want) != 0 {
		t.Errorf("not in the list: %v", want)
	}
	for _, v := range []any{"Mars/Phobos", "", nil, 1.0, "localtime"} {
		if isTimeZone(capitalZone(v)) {
			t.Errorf("%v is taken", v)
		}
	}
}

func TestStoredEmail(t *testing.T) {
	tests := []struct{ email, want, username string }{
		{"rec-a@example.com", "rec-a+c1@example.com", "rec-a-c1-example-com"},
		{"rec-a+c1@example.com", "rec-a+c1@example.com", "rec-a-c1-example-com"},
		{"rec+tag@example.com", "rec+tag+c1@example.com", "rec-tag-c1-example-com"},
		{"Rec.Mixed@Example.COM", "Rec.Mixed+c1@Example.COM", "rec.mixed-c1-example-com"},
		{"rec-a@example-com.org", "rec-a+c1@example-com.org", "rec-a-c1-example-com-org"},
		{"rec_c@example.com", "rec_c+c1@example.com", "rec-c-c1-example-com"},
		{"zoë@exämple.com", "zoë+c1@exämple.com", "zoe-c1-example-com"},
		{"coll@mail.example.com", "coll+c1@mail.example.com", "coll-c1-mail-example"},
		{"coll+x@mail.example.net", "coll+x+c1@mail.example.net", "coll-x-c1-mail-example"},
		{"shared+c2@example.com", "shared+c2+c1@example.com", "shared-c2-c1-example-com"},
		{"noat", "noat+c1@undefined", "noat-c1-undefined-undefined"},
		{"a@b@c.com", "a+c1@b", "a-c1-b-undefined"},
		{"", "+c1@undefined", "c1-undefined-undefined"},
		{"..ÅÉî..x!#_ y-@example.com", "..ÅÉî..x!#_ y-+c1@example.com", "aei.x-y-c1-example-com"},
		{"e\u0301@example.com", "e\u0301+c1@example.com", "e-c1-example-com"},
	}
	for _, tt := range tests {
		if got := storedEmail(tt.email, "c1"); got != tt.want {
			t.Errorf("%q is stored as %q, want %q", tt.email, got, tt.want)
		}
		if got := usernameOf(tt.want); got != tt.username {
			t.Errorf("%q gives user name %q, want %q", tt.want, got, tt.username)
		}
	}
}

func TestIsURL(t *testing.T) {
	tests := map[string]bool{
		"https://cal.com/api/avatar/x.png":          true,
		"https://x.example.com/a.png?x=1&y=2":       true,
		"http://x.example.com:8080/a":               true,
		"x.example.com/a.png":                       true,
		"ftp://x.example.com/a":                     true,
		"https://192.0.2.1/a.png":                   true,
		"https://[2001:db8::1]:80/a.png":            true,
		"https://exämple.com/ä.png":                 true,
		"https://x.internal/a.png":                  true,
		"https://user:pass@x.example.com/a@b":       true,
		"//x.example.com/a":                         false,
		"data:image/png;base64,AAAA":                false,
		"https://host-without-dot/a.png":            false,
		"http://localhost/x.png":                    false,
		"javascript://x.example.com/a":              false,
		"https://x.example.com:port/a":              false,
		"https://-x.example.com/a":                  false,
		"https://x..com/a":                          false,
		"https://x.example.com/a b":                 false,
		"nope":                                      false,
		"":                                          false,
		"https://x.io/" + strings.Repeat("a", 2083): false,
	}
	for url, want := range tests {
		if got := isURL(url); got != want {
			t.Errorf("%.60q: %v, want %v", url, got, want)
		}
	}
}

func TestLocales(t *testing.T) {
	if len(locales) != 43 {
		t.Errorf("%d locales, want 43", len(locales))
	}
}

// TestObjectOrder: JavaScript puts array indexes first and keeps the rest.
func TestObjectOrder(t *testing.T) {
	tests := map[string]string{
		`{"b": 1, "a": {"z": 1, "y": [1.50, "<", null, 1e2]}, "b": 2}`: `{"b":2,"a":{"z":1,"y":[1.5,"<",null,100]}}`,
		`{"x": 1, "10": 1, "9": 1, "01": 1, "-1": 1}`:                  `{"9":1,"10":1,"x":1,"01":1,"-1":1}`,
		`{"n": 12345678901234567890}`:                                  `{"n":12345678901234567000}`,
	}
	for in, want := range tests {
		v, message := parseJS([]byte(in))
		if message != "" {
			t.Fatal(message)
		}
		if got := string(encode(v)); got != want {
			t.Errorf("%s is read as %s, want %s", in, got, want)
		}
	}
}
