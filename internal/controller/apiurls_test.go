// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

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
			if d := gocmp.Diff(tc.want, got.String()); d != "" {
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

// FuzzURLPrefixes has any list and any URL. A URL that is allowed leads to a host that is on the list, the host that
// net/http would connect to, and to no other scheme or port.
func FuzzURLPrefixes(f *testing.F) {
	for _, seed := range []string{
		"https://api.cal.com/v2", "https://api.cal.com@evil.org/", `https://evil.org\@api.cal.com/`, "https://api.cal.com.evil.org", "https://API.cal.com.",
		"https://api.cal.com:443", "https://x.org/api/../evil", "https://x.org/api/%2e%2e/evil", "https://x.org/api%2f..", "http://[::1%25eth0]:80/",
		"https://xn--80ak6aa92e.com", "https://аpi.cal.com", "https://api.cal.com%00.evil.org", "//api.cal.com", "https:api.cal.com",
	} {
		f.Add("https://api.cal.com,https://x.org/api,http://[::1]:5555", seed)
		f.Add(seed, seed)
	}
	f.Add("https://", "http://x")
	f.Fuzz(func(t *testing.T, list, apiURL string) {
		prefixes, err := ParseURLPrefixes(list)
		if err != nil {
			return
		}
		if again, err := ParseURLPrefixes(prefixes.String()); err != nil || !slices.Equal(again, prefixes) {
			t.Errorf("%q is printed as %q, which is read as %q, %v", list, prefixes, again, err)
		}
		base, err := calcom.BaseURL(apiURL)
		if err != nil || !prefixes.allow(base) {
			return
		}
		request, err := http.NewRequest(http.MethodGet, base+"/oauth-clients", http.NoBody)
		if err != nil {
			return // Then nothing is sent either.
		}
		to := request.URL
		if to.User != nil || strings.Contains(to.Path, "..") {
			t.Errorf("%q is allowed", apiURL)
		}
		for item := range strings.SplitSeq(list, ",") {
			prefix, err := url.Parse(strings.TrimSpace(item))
			if err != nil {
				t.Fatalf("%q was taken: %v", item, err)
			}
			port := cmp.Or(to.Port(), map[string]string{"https": "443", "http": "80"}[to.Scheme])
			onList := prefix.Hostname() == "" || sameHost(prefix.Hostname(), to.Hostname())
			onPort := prefix.Port() == "" || strings.TrimLeft(prefix.Port(), "0") == port
			if prefix.Scheme == to.Scheme && onList && onPort && isBelow(to.Path, prefix.Path) {
				return
			}
		}
		t.Errorf("%q leads to %s, which %q does not hold", apiURL, to, list)
	})
}

// sameHost reports whether two hosts are one address, or one name.
func sameHost(a, b string) bool {
	addressA, errA := netip.ParseAddr(strings.TrimSuffix(a, "."))
	addressB, errB := netip.ParseAddr(b)
	if errA == nil && errB == nil {
		return addressA.Unmap() == addressB.Unmap()
	}
	return strings.TrimSuffix(strings.ToLower(a), ".") == b
}

// isBelow reports whether a path begins with another one, slashes and dots aside.
func isBelow(p, prefix string) bool {
	clean := func(p string) string { return strings.TrimSuffix(path.Clean("/"+p), "/") + "/" }
	return strings.HasPrefix(clean(p), clean(prefix))
}
