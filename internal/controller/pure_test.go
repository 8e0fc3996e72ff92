// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

func TestParseURLPrefixes(t *testing.T) {
	cases := map[string]struct {
		list string
		want string // Nothing for a refusal.
	}{
		"Scheme":          {"https://", "https://"},
		"BothSchemes":     {"https://,http://", "https://,http://"},
		"Host":            {"https://api.cal.com", "https://api.cal.com/"},
		"HostAndSlash":    {"https://api.cal.com/", "https://api.cal.com/"},
		"UpperCaseHost":   {"https://API.Cal.com", "https://api.cal.com/"},
		"Port":            {"http://127.0.0.1:5555", "http://127.0.0.1:5555/"},
		"Path":            {"https://x.example.com/API/v2/", "https://x.example.com/API/v2/"},
		"Blanks":          {" https://a.b , https://c.d", "https://a.b/,https://c.d/"},
		"Empty":           {"", ""},
		"TrailingComma":   {"https://a.b,", ""},
		"NoScheme":        {"api.cal.com", ""},
		"OtherScheme":     {"ftp://api.cal.com", ""},
		"UpperCaseScheme": {"HTTPS://api.cal.com", "https://api.cal.com/"},
		"NoHost":          {"https:///x", ""},
		"IPv6":            {"http://[::1]", "http://[::1]/"},
		"User":            {"https://u@api.cal.com", ""},
		"Query":           {"https://api.cal.com?x", ""},
		"Fragment":        {"https://api.cal.com#x", ""},
		"BlankInside":     {"https://api cal.com", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := ParseURLPrefixes(tc.list)
			if (err == nil) != (tc.want != "") {
				t.Fatalf("got %v, %v; want %q", got, err, tc.want)
			}
			if d := cmp.Diff(tc.want, got.String()); d != "" {
				t.Errorf("prefixes (-want +got):\n%s", d)
			}
		})
	}
}

func TestURLPrefixesAllow(t *testing.T) {
	cases := map[string]struct {
		list, url string
		want      bool
	}{
		"AnyHTTPS":               {"https://", "https://api.cal.com/v2", true},
		"HTTPIsNotHTTPS":         {"https://", "http://api.cal.com/v2", false},
		"UpperCaseScheme":        {"https://", "HTTPS://api.cal.com", true},
		"OtherScheme":            {"https://", "ftp://api.cal.com", false},
		"NoScheme":               {"https://", "api.cal.com", false},
		"NoHost":                 {"https://", "https:///v2", false},
		"Opaque":                 {"https://", "https:api.cal.com", false},
		"Empty":                  {"https://", "", false},
		"Unparsable":             {"https://", "https://%zz", false},
		"UserOnAnyHost":          {"https://", "https://u:p@api.cal.com", false},
		"SameHost":               {"https://api.cal.com", "https://api.cal.com/v2", true},
		"SameHostBare":           {"https://api.cal.com", "https://api.cal.com", true},
		"UpperCaseHost":          {"https://api.cal.com", "https://API.CAL.com/v2", true},
		"UpperCasePrefix":        {"https://API.CAL.com", "https://api.cal.com/v2", true},
		"LongerHost":             {"https://api.cal.com", "https://api.cal.com.evil.org/v2", false},
		"LongerTopLevel":         {"https://api.cal.com", "https://api.cal.community/v2", false},
		"SubDomain":              {"https://api.cal.com", "https://x.api.cal.com/v2", false},
		"HostAsUser":             {"https://api.cal.com", "https://api.cal.com@evil.org/", false},
		"HostAsUserWithPort":     {"https://api.cal.com", "https://api.cal.com:443@evil.org/", false},
		"BackslashTrick":         {"https://api.cal.com", `https://evil.org\@api.cal.com/`, false},
		"HostInPath":             {"https://api.cal.com", "https://evil.org/https://api.cal.com/", false},
		"HostInFragment":         {"https://api.cal.com", "https://evil.org#https://api.cal.com/", false},
		"AnyPort":                {"http://127.0.0.1", "http://127.0.0.1:5555/v2", true},
		"AnyPortOfAnotherHost":   {"http://127.0.0.1", "http://127.0.0.10:5555/v2", false},
		"SamePort":               {"http://127.0.0.1:5555", "http://127.0.0.1:5555/v2", true},
		"LongerPort":             {"http://127.0.0.1:555", "http://127.0.0.1:5555/v2", false},
		"PortMissing":            {"http://127.0.0.1:5555", "http://127.0.0.1/v2", false},
		"HTTPForTheHost":         {"https://api.cal.com", "http://api.cal.com/v2", false},
		"SamePath":               {"https://x.org/api", "https://x.org/api", true},
		"BelowThePath":           {"https://x.org/api", "https://x.org/api/v2", true},
		"LongerPathElement":      {"https://x.org/api", "https://x.org/api-evil/v2", false},
		"AboveThePath":           {"https://x.org/api", "https://x.org/", false},
		"PathInOtherCase":        {"https://x.org/api", "https://x.org/API", false},
		"DotsOutOfThePath":       {"https://x.org/api", "https://x.org/api/../evil", false},
		"EscapedDots":            {"https://x.org/api", "https://x.org/api/%2e%2e/evil", false},
		"EscapedSlash":           {"https://x.org/api/a", "https://x.org/api%2Fa/", false},
		"SecondOfTwo":            {"https://a.b,https://x.org/api", "https://x.org/api/v2", true},
		"NeitherOfTwo":           {"https://a.b,https://x.org/api", "https://x.org/v2", false},
		"DotAtTheEndOfTheHost":   {"https://api.cal.com", "https://api.cal.com./v2", true},
		"ManySlashes":            {"https://x.org/api", "https://x.org//api/v2", true},
		"IPv6":                   {"http://[::1]:5555", "http://[::1]:5555/v2", true},
		"LocalAddressUnderHTTPS": {"https://api.cal.com", "https://127.0.0.1/v2", false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			prefixes, err := ParseURLPrefixes(tc.list)
			if err != nil {
				t.Fatal(err)
			}
			if got := prefixes.allow(tc.url); got != tc.want {
				t.Errorf("%s allows %s: %t, want %t", prefixes, tc.url, got, tc.want)
			}
		})
	}
	if (URLPrefixes{}).allow("https://api.cal.com") {
		t.Error("an empty list allows a URL")
	}
}

func TestParseMark(t *testing.T) {
	good := mark{ownerID: "c", namespace: "n", name: "m", uid: "u"}
	for raw, want := range map[string]*mark{
		`"c/n/m/u"`:   &good,
		`"c\/n/m/u"`:  &good,
		`"///"`:       nil,
		`"c/n/m"`:     nil,
		`"c/n/m/u/x"`: nil,
		`""`:          nil,
		`null`:        nil,
		`7`:           nil,
		`{"c":1}`:     nil,
		`["c/n/m/u"]`: nil,
		`c/n/m/u`:     nil,
		``:            nil,
	} {
		got, ok := parseMark(json.RawMessage(raw))
		if ok != (want != nil) || ok && got != *want {
			t.Errorf("%s was read as %+v, %t", raw, got, ok)
		}
	}
	if got, ok := parseMark(quoted(good.String())); !ok || got != good {
		t.Errorf("what was written was read as %+v, %t", got, ok)
	}
}

func TestOwnershipOf(t *testing.T) {
	cases := map[string]struct {
		metadata calcom.Hidden[calcom.Metadata]
		want     ownership
	}{
		"NoMetadata":      {noMetadata, unowned},
		"NoMark":          {metadataOf("k", `"cluster/ns/alice/u1"`), unowned},
		"Ours":            {withMark(), ours},
		"Predecessor":     {metadataOf(v1alpha1.OwnerMetadataKey, `"cluster/ns/alice/u0"`), ours},
		"WithoutUID":      {metadataOf(v1alpha1.OwnerMetadataKey, `"cluster/ns/alice/"`), ours},
		"OtherCluster":    {metadataOf(v1alpha1.OwnerMetadataKey, `"other/ns/alice/u1"`), foreign},
		"OtherNamespace":  {metadataOf(v1alpha1.OwnerMetadataKey, `"cluster/other/alice/u1"`), foreign},
		"OtherName":       {metadataOf(v1alpha1.OwnerMetadataKey, `"cluster/ns/bob/u1"`), foreign},
		"OtherCase":       {metadataOf(v1alpha1.OwnerMetadataKey, `"Cluster/ns/alice/u1"`), foreign},
		"ShiftedSlashes":  {metadataOf(v1alpha1.OwnerMetadataKey, `"cluster/ns/alice/u1/"`), foreign},
		"Unreadable":      {metadataOf(v1alpha1.OwnerMetadataKey, `{"a":1}`), foreign},
		"EmptyString":     {metadataOf(v1alpha1.OwnerMetadataKey, `""`), foreign},
		"KeyInOtherCase":  {metadataOf("KubernetesOwner", pureMarkJSON), unowned},
		"MarkAmongOthers": {withMark("a", `1`, "z", `{"b":2}`), ours},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := pureMark.ownershipOf(calcom.User{Metadata: tc.metadata}); got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

var noMetadata calcom.Hidden[calcom.Metadata]

// revealed compares what is hidden by its value.
var revealed = cmp.Transformer("Reveal", calcom.Hidden[string].Reveal)

// pureNow is a time with nothing special about it.
var pureNow = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// standsFor gives an object the finalizer and the user in its status.
func standsFor(mu *v1alpha1.ManagedUser, id int64) {
	mu.Finalizers = []string{v1alpha1.ManagedUserFinalizer}
	mu.Status.OAuthClientID = pureClientID
	mu.Status.User = &v1alpha1.CalcomUser{ID: id, Email: "alice+cid@example.com"}
}

func TestIntent(t *testing.T) {
	minuteAgo := intent{Time: pureNow.Add(-time.Minute), Email: calcom.Hide("old@example.com")}
	careful := intent{Time: pureNow, Email: calcom.Hide("alice@example.com")}
	cases := map[string]struct {
		annotation string
		object     func(*v1alpha1.ManagedUser)
		want       intent
		counts     time.Duration
	}{
		"None":                  {"", nil, intent{}, 0},
		"MinuteAgo":             {`{"time":"2026-11-23T07:59:00Z","email":"old@example.com"}`, nil, minuteAgo, time.Minute},
		"OtherZone":             {`{"time":"2026-11-23T08:59:00+01:00","email":"old@example.com"}`, nil, minuteAgo, time.Minute},
		"JustOver":              {`{"time":"2026-11-23T07:58:00Z","email":"old@example.com"}`, nil, intent{Time: pureNow.Add(-2 * time.Minute), Email: calcom.Hide("old@example.com")}, 0},
		"LongAgo":               {`{"time":"2020-01-01T00:00:00Z","email":"old@example.com"}`, nil, intent{Time: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Email: calcom.Hide("old@example.com")}, 0},
		"InTheFuture":           {`{"time":"2026-11-23T09:00:00Z","email":"old@example.com"}`, nil, intent{Time: pureNow, Email: calcom.Hide("old@example.com")}, 2 * time.Minute},
		"NoTime":                {`{"email":"old@example.com"}`, nil, intent{Time: pureNow, Email: calcom.Hide("old@example.com")}, 2 * time.Minute},
		"NoJSON":                {"yesterday", nil, careful, 2 * time.Minute},
		"OtherJSON":             {`[1]`, nil, careful, 2 * time.Minute},
		"NoEmail":               {`{"time":"2026-11-23T07:59:00Z"}`, nil, careful, 2 * time.Minute},
		"BrokenTime":            {`{"time":"soon","email":"old@example.com"}`, nil, careful, 2 * time.Minute},
		"BrokenReplaces":        {`{"time":"2020-01-01T00:00:00Z","email":"old@example.com","replaces":"7"}`, nil, careful, 2 * time.Minute},
		"Null":                  {`null`, nil, careful, 2 * time.Minute},
		"Settled":               {`{"time":"2026-11-23T07:59:55Z","email":"old@example.com"}`, func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7) }, intent{Time: pureNow.Add(-5 * time.Second), Email: calcom.Hide("old@example.com")}, 5 * time.Second},
		"SettledAndOver":        {`{"time":"2026-11-23T07:59:50Z","email":"old@example.com"}`, func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7) }, intent{Time: pureNow.Add(-10 * time.Second), Email: calcom.Hide("old@example.com")}, 0},
		"ReplacedStillInStatus": {`{"time":"2026-11-23T07:59:00Z","email":"old@example.com","replaces":7}`, func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7) }, intent{Time: pureNow.Add(-time.Minute), Email: calcom.Hide("old@example.com"), Replaces: 7}, time.Minute},
		"ReplacedBySuccessor":   {`{"time":"2026-11-23T07:59:55Z","email":"old@example.com","replaces":7}`, func(mu *v1alpha1.ManagedUser) { standsFor(mu, 8) }, intent{Time: pureNow.Add(-5 * time.Second), Email: calcom.Hide("old@example.com"), Replaces: 7}, 5 * time.Second},
		"StatusOfAnotherClient": {
			`{"time":"2026-11-23T07:59:00Z","email":"old@example.com"}`,
			func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7); mu.Status.OAuthClientID = "another" }, minuteAgo, time.Minute,
		},
		"StatusWithoutFinalizer": {
			`{"time":"2026-11-23T07:59:00Z","email":"old@example.com"}`,
			func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7); mu.Finalizers = nil }, minuteAgo, time.Minute,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mu := pureUser()
			if tc.annotation != "" {
				setAnnotation(mu, v1alpha1.CreateIntentAnnotation, tc.annotation)
			}
			if tc.object != nil {
				tc.object(mu)
			}
			got, ok := intentOf(mu, pureNow)
			if ok != (tc.annotation != "") {
				t.Errorf("there is an intent: %t", ok)
			}
			if d := cmp.Diff(tc.want, got, revealed); d != "" {
				t.Errorf("intent (-want +got):\n%s", d)
			}
			if counts := absenceCountsIn(mu, UnknownOutcomeGrace, pureNow); counts != tc.counts {
				t.Errorf("absence counts in %v, want %v", counts, tc.counts)
			}
		})
	}
}

func TestAddresses(t *testing.T) {
	record := func(email string) func(*v1alpha1.ManagedUser) {
		return func(mu *v1alpha1.ManagedUser) {
			setAnnotation(mu, v1alpha1.CreateIntentAnnotation, `{"time":"2026-11-23T07:59:00Z","email":"`+email+`"}`)
		}
	}
	cases := map[string]struct {
		change []func(*v1alpha1.ManagedUser)
		want   []string
	}{
		"SpecAlone":      {nil, []string{"alice@example.com"}},
		"AllTheSame":     {[]func(*v1alpha1.ManagedUser){func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7) }, record("alice@example.com")}, []string{"alice@example.com"}},
		"IntentOfAnEdit": {[]func(*v1alpha1.ManagedUser){record("old@example.com")}, []string{"old@example.com", "alice@example.com"}},
		"AllDifferent": {[]func(*v1alpha1.ManagedUser){
			func(mu *v1alpha1.ManagedUser) { standsFor(mu, 7); mu.Status.User.Email = "bob+cid@example.com" }, record("old@example.com"),
		}, []string{"bob@example.com", "old@example.com", "alice@example.com"}},
		"EmptyStatusEmail": {[]func(*v1alpha1.ManagedUser){func(mu *v1alpha1.ManagedUser) { mu.Status.User = &v1alpha1.CalcomUser{} }}, []string{"alice@example.com"}},
		"UnreadableIntent": {[]func(*v1alpha1.ManagedUser){func(mu *v1alpha1.ManagedUser) { setAnnotation(mu, v1alpha1.CreateIntentAnnotation, "x") }}, []string{"alice@example.com"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mu := pureUser()
			for _, change := range tc.change {
				change(mu)
			}
			if d := cmp.Diff(tc.want, addresses(mu, pureNow)); d != "" {
				t.Errorf("addresses (-want +got):\n%s", d)
			}
		})
	}
}

func TestClip(t *testing.T) {
	cases := map[string]struct{ message, want string }{
		"Empty":          {"", ""},
		"Short":          {"Short", "Short"},
		"ExactlyFits":    {strings.Repeat("a", maxMessage), strings.Repeat("a", maxMessage)},
		"OneTooMany":     {strings.Repeat("a", maxMessage+1), strings.Repeat("a", maxMessage-3) + "…"},
		"RunesThatFit":   {strings.Repeat("ä", maxMessage/2), strings.Repeat("ä", maxMessage/2)},
		"CutInARune":     {strings.Repeat("ä", maxMessage), strings.Repeat("ä", (maxMessage-3)/2) + "…"},
		"CutAtARune":     {"a" + strings.Repeat("ä", maxMessage), "a" + strings.Repeat("ä", (maxMessage-4)/2) + "…"},
		"CutInFourBytes": {strings.Repeat("😀", maxMessage), strings.Repeat("😀", (maxMessage-3)/4) + "…"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := clip(tc.message, maxMessage)
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("message (-want +got):\n%s", d)
			}
			if len(got) > maxMessage || !utf8.ValidString(got) {
				t.Errorf("%d bytes, valid %t", len(got), utf8.ValidString(got))
			}
		})
	}
}

func TestMirror(t *testing.T) {
	cases := map[string]struct {
		was  string // The metadata in the status, as the API server spells it.
		now  calcom.Hidden[calcom.Metadata]
		want string
	}{
		"First":            {"", metadataOf("b", `1`, "a", `"x"`), `{"a":"x","b":1}`},
		"None":             {"", noMetadata, ""},
		"GoneNow":          {`{"a":"x"}`, noMetadata, ""},
		"EmptyIsNotNone":   {"", metadataOf(), `{}`},
		"SameOtherwise":    {`{"b": 1.0, "a":"\u0078"}`, metadataOf("b", `1`, "a", `"x"`), `{"b": 1.0, "a":"\u0078"}`},
		"Changed":          {`{"b": 1, "a":"x"}`, metadataOf("b", `2`, "a", `"x"`), `{"a":"x","b":2}`},
		"OtherType":        {`{"b":"1"}`, metadataOf("b", `1`), `{"b":1}`},
		"BrokenInStatus":   {`{"b":`, metadataOf("b", `1`), `{"b":1}`},
		"NestedInAnyOrder": {`{"o":{"x":1,"y":[true,null]}}`, metadataOf("o", `{"y":[true,null],"x":1}`), `{"o":{"x":1,"y":[true,null]}}`},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mu := pureUser()
			if tc.was != "" {
				mu.Status.User = &v1alpha1.CalcomUser{ID: 6, Metadata: &runtime.RawExtension{Raw: []byte(tc.was)}}
			}
			user := everything()
			user.Metadata = tc.now
			mirror(mu, user)
			got := ""
			if mu.Status.User.Metadata != nil {
				got = string(mu.Status.User.Metadata.Raw)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("metadata (-want +got):\n%s", d)
			}
			mu.Status.User.Metadata = nil
			want := v1alpha1.ManagedUserStatus{OAuthClientID: pureClientID, User: &v1alpha1.CalcomUser{
				ID: 7, Email: "alice+cid@example.com", Username: new("u"), Name: new("N"), Bio: new("B"), TimeZone: "UTC", WeekStart: "Friday",
				TimeFormat: new(int32(12)), DefaultScheduleID: new(int64(1)), Locale: new("en"), AvatarURL: new("https://x.y"),
			}}
			if d := cmp.Diff(want, mu.Status); d != "" {
				t.Errorf("status (-want +got):\n%s", d)
			}
		})
	}
}

// An object that is older than the rule of the CRD makes no call.
func TestCheckSpecOfInheritedKeys(t *testing.T) {
	mu := pureUser()
	mu.Spec.Metadata = map[string]string{"plan": "gold", "toString": "v"}
	if p := checkSpec(mu); p == nil || p.reason != v1alpha1.ReasonInvalidSpec || !strings.Contains(p.message, "metadata key toString") {
		t.Errorf("got %v", p)
	}
	delete(mu.Spec.Metadata, "toString")
	if p := checkSpec(mu); p != nil {
		t.Error(p)
	}
}
