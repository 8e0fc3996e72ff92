// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// spellings are ways to write one API URL, by its canonical form. Those of different forms are near misses of each
// other.
var spellings = map[string][]string{
	"https://api.cal.com/v2": {
		"https://api.cal.com", "https://api.cal.com/", "https://api.cal.com/v2", "https://api.cal.com/v2/", "https://api.cal.com/v2///",
		"HTTPS://API.CAL.COM/v2", "hTTps://Api.cal.Com", "https://api.cal.com:443/v2", "https://api.cal.com:/v2", "https://api.cal.com:0443",
		"https://api.cal.com:000000443/v2/", "https://api.cal.com./v2", "https://API.CAL.COM.:443", "https://api.cal.com/%76%32",
		"https://api.cal.com/%762", "https://api.cal.com//v2", "https://api.cal.com///", "https://api.cal.com/./v2", "https://api.cal.com/v2/.",
		"https://api.cal.com/a/../v2", "https://api.cal.com/../v2", "https://api.cal.com/v2/a/..", "https://api.cal.com/%2e/v2",
		"https://api.cal.com/a/%2E%2e/v2", "https://api.cal.com/a/.%2E/v2", "https://api.cal.com/v2#",
	},
	"http://api.cal.com/v2":             {"http://api.cal.com", "http://api.cal.com:80", "http://API.cal.com.:080/v2/"},
	"https://api.cal.com:80/v2":         {"https://api.cal.com:80", "https://api.cal.com:0080/v2"},
	"http://api.cal.com:443/v2":         {"http://api.cal.com:443"},
	"https://api.cal.com:4430/v2":       {"https://api.cal.com:4430"},
	"https://api.cal.com:8443/v2":       {"https://api.cal.com:8443", "https://api.cal.com:08443/"},
	"https://api.cal.com/V2/v2":         {"https://api.cal.com/V2", "https://api.cal.com/%562/"},
	"https://api.cal.com/v2/v2":         {"https://api.cal.com/v2/v2"},
	"https://api.cal.com/v1/v2":         {"https://api.cal.com/v1"},
	"https://api.cal.com/apiv2/v2":      {"https://api.cal.com/apiv2"},
	"https://api.cal.com/a/v2":          {"https://api.cal.com/a", "https://api.cal.com/%61/v2", "https://api.cal.com/b/../a", "https://api.cal.com//a//v2"},
	"https://api.cal.com/A/v2":          {"https://api.cal.com/A", "https://api.cal.com/%41"},
	"https://api.cal.com/a%2Fv2/v2":     {"https://api.cal.com/a%2Fv2", "https://api.cal.com/a%2fv2/v2", "https://api.cal.com/%61%2fv2"},
	"https://api.cal.com/a%2Fb/v2":      {"https://api.cal.com/a%2Fb", "https://api.cal.com/a%2fb/"},
	"https://api.cal.com/a/b/v2":        {"https://api.cal.com/a/b", "https://api.cal.com/a/./b/", "https://api.cal.com/a//b"},
	"https://api.cal.com/a..b/v2":       {"https://api.cal.com/a..b", "https://api.cal.com/a%2e%2Eb"},
	"https://api.cal.com/.../v2":        {"https://api.cal.com/...", "https://api.cal.com/%2e../v2"},
	"https://api.cal.com/a%2520/v2":     {"https://api.cal.com/a%2520"},
	"https://api.cal.com/a%20/v2":       {"https://api.cal.com/a%20", "https://api.cal.com/a "},
	"https://api.cal.com/a+/v2":         {"https://api.cal.com/a+"},
	"https://api.cal.com/a%2B/v2":       {"https://api.cal.com/a%2B", "https://api.cal.com/a%2b/"},
	"https://api.cal.com/!a/v2":         {"https://api.cal.com/!a"},
	"https://api.cal.com/%21a/v2":       {"https://api.cal.com/%21a"},
	"https://api.cal.com/%C3%A9/v2":     {"https://api.cal.com/é", "https://api.cal.com/%c3%a9/v2"},
	"https://api.cal.com/%C3%A9%2Fx/v2": {"https://api.cal.com/é%2Fx", "https://api.cal.com/%c3%a9%2fx"},
	"https://api.cal.com/~a/v2":         {"https://api.cal.com/~a", "https://api.cal.com/%7ea", "https://api.cal.com/%7Ea/"},
	"https://api.cal.com/%5Ba%5D/v2":    {"https://api.cal.com/[a]", "https://api.cal.com/%5ba%5d/v2"},
	"https://api.cal.community/v2":      {"https://api.cal.community"},
	"https://cal.com/v2":                {"https://cal.com", "https://CAL.com."},
	"http://localhost:5555/v2":          {"http://localhost:5555", "http://LOCALHOST:5555/v2", "http://localhost:05555", "http://localhost.:5555/v2/"},
	"http://127.0.0.1:5555/v2":          {"http://127.0.0.1:5555", "http://127.0.0.1.:5555/v2", "http://[::ffff:127.0.0.1]:5555", "http://[::FFFF:7f00:1]:5555"},
	"http://[::1]:5555/v2": {
		"http://[::1]:5555/v2", "http://[0:0:0:0:0:0:0:1]:5555", "http://[0000::0001]:05555", "http://[::0.0.0.1]:5555/v2",
	},
	"https://[2001:db8::a]/v2":         {"https://[2001:DB8::A]", "https://[2001:0db8:0:0::000a]:443/v2"},
	"https://[2001:db8::a:1]/v2":       {"https://[2001:db8::a:1]"},
	"http://[fe80::1%25eth0]/v2":       {"http://[fe80::1%25eth0]", "http://[FE80:0::1%25eth0]:80/"},
	"http://[fe80::1%25ETH0]/v2":       {"http://[fe80::1%25ETH0]"},
	"https://b%C3%BCcher.example/v2":   {"https://bücher.example", "https://BÜCHER.example/", "https://b%c3%bccher.example.:443/v2"},
	"https://xn--bcher-kva.example/v2": {"https://xn--bcher-kva.example", "https://XN--BCHER-KVA.example"},
	"https://my_host/v2":               {"https://my_host", "https://MY_HOST."},
}

// One server has one canonical form, which is its own, and which different servers do not share.
func TestCanonicalForm(t *testing.T) {
	for want, all := range spellings {
		for _, s := range append([]string{want}, all...) {
			have, err := BaseURL(s)
			if have != want || err != nil {
				t.Errorf("%s becomes %s, %v, want %s", s, have, err, want)
			}
			if !SameURL(s, want) || !SameURL(want, s) {
				t.Errorf("%s and %s are not the same", s, want)
			}
		}
		for other := range spellings {
			if other != want && SameURL(other, all[0]) {
				t.Errorf("%s and %s are the same", other, all[0])
			}
		}
	}
}

// The URL of a call begins with the canonical form, byte by byte.
func TestCallsUseTheCanonicalForm(t *testing.T) {
	for want, all := range spellings {
		c := newClient(t, all[0])
		request, err := c.request(t.Context(), call{method: http.MethodGet, path: c.userPath(7)})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want+"/oauth-clients/"+testClientID+"/users/7", request.URL.String()); d != "" {
			t.Errorf("URL (-want +got):\n%s", d)
		}
		if c.apiURL != want {
			t.Errorf("users of %s are said to be at %s", all[0], c.apiURL)
		}
	}
}

// What servers or resolvers read in different ways is refused, and the reason does not show it.
func TestURLWithoutACanonicalForm(t *testing.T) {
	for s, want := range map[string]string{
		"https://canary/a%2f..":          "no dot segment",
		"https://canary/..%2Fa":          "no dot segment",
		"https://canary/%2e%2e%2fa/v2":   "no dot segment",
		"https://canary/a%2f.%2fb":       "no dot segment",
		`https://canary/..\a`:            "no dot segment",
		"https://canary/a%5c%2e%2e":      "no dot segment",
		"https://canary:0/":              "port from 1 to 65535",
		"https://canary:65536/":          "port from 1 to 65535",
		"https://canary:99999999999/":    "port from 1 to 65535",
		"https://canary..":               "empty label",
		"https://./v2":                   "empty label",
		"https://127.1/canary":           "four decimal numbers",
		"https://0x7f000001/canary":      "four decimal numbers",
		"https://0x7f.0.0.0x1/canary":    "four decimal numbers",
		"https://2130706433/canary":      "four decimal numbers",
		"https://127.0.0.01/canary":      "four decimal numbers",
		"https://0177.0.0.1./canary":     "four decimal numbers",
		"https://127.0.0.256/canary":     "four decimal numbers",
		"https://%63anary.example.com":   "cannot be parsed",
		"https://[canary]/":              "",
		"http://[::%25canary%a1]/":       "",
		"http://[::%25\xa1]/":            "IPv6 address",
		"http://canary%a1/":              "in UTF-8",
		"https://[v1.canary]/":           "",
		"https://canary.example.com/v2?": "no user",
	} {
		have, err := BaseURL(s)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s becomes %s, %v, want an error with %q", s, have, err, want)
		}
		if SameURL(s, "https://api.cal.com") || !SameURL(s, s) {
			t.Errorf("%s is not the same as itself alone", s)
		}
	}
}

// FuzzBaseURL has any URL. Its canonical form is its own, needs no correction by net/url, and leads to the same scheme.
func FuzzBaseURL(f *testing.F) {
	for canonical, all := range spellings {
		f.Add(canonical)
		for _, s := range all {
			f.Add(s)
		}
	}
	f.Fuzz(func(t *testing.T, s string) {
		base, err := BaseURL(s)
		if err != nil {
			return
		}
		if again, err := BaseURL(base); err != nil || again != base {
			t.Errorf("%q becomes %q, which becomes %q, %v", s, base, again, err)
		}
		u, err := url.Parse(base)
		if err != nil {
			t.Fatalf("%q becomes %q: %v", s, base, err)
		}
		if u.String() != base || !strings.HasSuffix(u.EscapedPath(), "/v2") || strings.Contains("/"+u.Path+"/", "/../") {
			t.Errorf("%q becomes %q, which is read as %q", s, base, u)
		}
		was, err := url.Parse(s)
		if err != nil || was.Scheme != u.Scheme {
			t.Errorf("%q becomes %q", s, base)
		}
	})
}
