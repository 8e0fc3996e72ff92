// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

const clientID = "cltestclient0000000000001"

func TestBatch(t *testing.T) {
	const eight = "a@bc.d" // Eight bytes with its escaped @.
	cases := map[string]struct {
		addresses  []string
		most, room int
		want       int
	}{
		"Nobody":           {nil, 250, 100, 0},
		"One":              {[]string{eight}, 250, 8, 1},
		"OneTooLong":       {[]string{eight}, 250, 7, 1}, // Nobody is passed over.
		"TwoThatFit":       {[]string{eight, eight, eight}, 250, 8 + 3 + 8, 2},
		"TheSecondTooLong": {[]string{eight, eight}, 250, 8 + 3 + 7, 1},
		"PlusIsThree":      {[]string{"a+@bc.d", "a+@bc.d"}, 250, 11 + 3 + 10, 1},
		"Most":             {slices.Repeat([]string{eight}, 251), 250, 1 << 20, 250},
		"JustMost":         {slices.Repeat([]string{eight}, 250), 250, 1 << 20, 250},
		"MostIsOne":        {slices.Repeat([]string{eight}, 3), 1, 1 << 20, 1},
		"MostIsNone":       {slices.Repeat([]string{eight}, 3), 0, 1 << 20, 1},
		"NoRoom":           {slices.Repeat([]string{eight}, 3), 250, -5, 1},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Batch(tc.addresses, tc.most, tc.room); got != tc.want {
				t.Errorf("Batch takes %d, want %d", got, tc.want)
			}
		})
	}
}

func TestBatches(t *testing.T) {
	for users, want := range map[int]int{0: 0, 1: 1, 250: 1, 251: 2, 500: 2, 10_000: 40} {
		if got := Batches(slices.Repeat([]string{"user@example.com"}, users), calcom.MaxListed, Room("https://api.cal.com/v2", clientID)); got != want {
			t.Errorf("%d users take %d calls, want %d", users, got, want)
		}
	}
	long := slices.Repeat([]string{strings.Repeat("x", 38) + "@" + strings.Repeat("y", 60) + ".example.com"}, 250)
	if got := Batches(long, calcom.MaxListed, Room("https://api.cal.com/v2", clientID)); got != 5 {
		t.Errorf("250 users with long addresses take %d calls, want 5", got)
	}
}

// urlOf is the whole URL of a call, as package calcom makes it.
func urlOf(apiURL string, addresses []string) string {
	query := url.Values{"emails": {strings.Join(addresses, ",")}, "limit": {strconv.Itoa(calcom.MaxListed)}}
	return apiURL + "/oauth-clients/" + clientID + "/users?" + query.Encode()
}

// A batch is as long as may be, to the byte.
func TestRoomIsUsedUp(t *testing.T) {
	const apiURL = "https://calcom.example.com/prefix/v2"
	for extra := range 40 {
		var addresses []string
		for i := range calcom.MaxListed {
			addresses = append(addresses, fmt.Sprintf("user+%d%s@mail.example.com", i, strings.Repeat("x", extra)))
		}
		n := Batch(addresses, calcom.MaxListed, Room(apiURL, clientID))
		if length := len(urlOf(apiURL, addresses[:n])); length > MaxURL {
			t.Errorf("the URL of %d addresses has %d bytes", n, length)
		}
		if n < len(addresses) {
			if length := len(urlOf(apiURL, addresses[:n+1])); length <= MaxURL {
				t.Errorf("one more than %d would have fitted, into %d bytes", n, length)
			}
		}
	}
}

func TestAskable(t *testing.T) {
	local := strings.Repeat("l", maxLocal)
	domain := strings.Repeat(strings.Repeat("d", maxLabel)+".", 3) + strings.Repeat("d", maxDomain-3*(maxLabel+1)-3) + ".de"
	for address, want := range map[string]bool{
		"alice@example.com":                             true,
		"a.b+c_d-e!#$%&'*/=?^`{|}~@x.org":               true,
		"alice@xn--bcher-kva.xn--p1ai":                  true,
		local + "@example.com":                          true,
		local + "l@example.com":                         false,
		"a@" + domain:                                   true,
		"a@d" + domain:                                  false,
		"a@" + strings.Repeat("d", maxLabel) + ".com":   true,
		"a@" + strings.Repeat("d", maxLabel+1) + ".com": false,
		"":                               false,
		"alice":                          false,
		"@example.com":                   false,
		"alice@":                         false,
		"alice@localhost":                false,
		"alice@example.c":                false,
		"alice@example.c0m":              false,
		"alice@example.xn--":             false,
		"alice@127.0.0.1":                false,
		"alice@exa_mple.com":             false,
		"alice@-example.com":             false,
		"alice@example-.com":             false,
		"alice@.com":                     false,
		"alice@example.com.":             false,
		".alice@example.com":             false,
		"ali..ce@example.com":            false,
		"alice.@example.com":             false,
		"a,b@example.com":                false,
		"a b@example.com":                false,
		" a@example.com":                 false,
		"a@b@example.com":                false,
		`"a"@example.com`:                false,
		"ü@example.com":                  false,
		"a@exämple.com":                  false,
		"a+" + clientID + "@example.com": false,
		"a@" + clientID + ".example.com": false,
		"a\x00@example.com":              false,
	} {
		if got := Askable(address, clientID); got != want {
			t.Errorf("Askable(%q) = %t, want %t", address, got, want)
		}
	}
}

// FuzzBatch packs what somebody may have put into a status.
func FuzzBatch(f *testing.F) {
	f.Add("alice@example.com\nbob+tag@example.org\n\nü@example.com", 2, 60)
	f.Add(strings.Repeat("a+b@c.de\n", 300), 250, MaxURL)
	f.Fuzz(func(t *testing.T, text string, most, room int) {
		addresses := strings.Split(text, "\n")
		asked := 0
		for rest := addresses; len(rest) > 0; {
			n := Batch(rest, most, room)
			if n < 1 || n > len(rest) || n > max(most, 1) {
				t.Fatalf("a batch of %d, of %d and at most %d", n, len(rest), most)
			}
			length := func(n int) int { return len(url.QueryEscape(strings.Join(rest[:n], ","))) }
			if n > 1 && length(n) > room {
				t.Fatalf("%d addresses take %d bytes of %d", n, length(n), room)
			}
			if n < len(rest) && n < max(most, 1) && length(n+1) <= room {
				t.Fatalf("%d addresses would have fitted into %d bytes, not just %d", n+1, room, n)
			}
			for _, address := range rest[:n] {
				if Askable(address, clientID) && strings.ContainsAny(address, ", \n\"") {
					t.Fatalf("%q would be taken for several", address)
				}
			}
			rest = rest[n:]
			asked += n
		}
		if asked != len(addresses) {
			t.Fatalf("%d of %d are asked for", asked, len(addresses))
		}
	})
}
