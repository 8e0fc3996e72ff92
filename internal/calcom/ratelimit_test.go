// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseRateLimit(t *testing.T) {
	limits := func(pairs ...string) http.Header {
		h := http.Header{}
		for i := 0; i < len(pairs); i += 2 {
			h.Add("x-ratelimit-"+pairs[i], pairs[i+1])
		}
		return h
	}
	cases := map[string]struct {
		header http.Header
		want   RateLimit
	}{
		"Default":      {limits("limit-default", "500", "remaining-default", "499", "reset-default", "60"), RateLimit{true, 500, 499, time.Minute}},
		"WithoutAName": {limits("limit", "500", "remaining", "0", "reset", "7"), RateLimit{true, 500, 0, 7 * time.Second}},
		"Tightest": {
			limits("limit-a", "500", "remaining-a", "499", "reset-a", "60", "limit-b", "10", "remaining-b", "2", "reset-b", "5", "limit-c", "9", "remaining-c", "3", "reset-c", "1"),
			RateLimit{true, 10, 2, 5 * time.Second},
		},
		"SameRemainderLongerReset": {
			limits("limit-a", "10", "remaining-a", "2", "reset-a", "5", "limit-b", "10", "remaining-b", "2", "reset-b", "50", "limit-c", "10", "remaining-c", "2", "reset-c", "9"),
			RateLimit{true, 10, 2, 50 * time.Second},
		},
		"OneOfTwoIsNonsense": {
			limits("limit-a", "500", "remaining-a", "x", "limit-b", "10", "remaining-b", "9", "reset-b", "5"), RateLimit{true, 10, 9, 5 * time.Second},
		},
		"None":              {http.Header{}, RateLimit{}},
		"Nil":               {nil, RateLimit{}},
		"NoLimit":           {limits("remaining-default", "499", "reset-default", "60"), RateLimit{}},
		"NoRemainder":       {limits("limit-default", "500", "reset-default", "60"), RateLimit{}},
		"NoReset":           {limits("limit-default", "500", "remaining-default", "4"), RateLimit{true, 500, 4, 0}},
		"OtherNames":        {limits("limit-a", "500", "remaining-b", "4"), RateLimit{}},
		"ZeroLimit":         {limits("limit-a", "0", "remaining-a", "0"), RateLimit{}},
		"NegativeLimit":     {limits("limit-a", "-1", "remaining-a", "0"), RateLimit{}},
		"NegativeRemainder": {limits("limit-a", "500", "remaining-a", "-1"), RateLimit{}},
		"HugeLimit":         {limits("limit-a", "99999999999999999999", "remaining-a", "1"), RateLimit{}},
		"JoinedByAProxy":    {limits("limit-a", "500, 500", "remaining-a", "1, 1"), RateLimit{}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for range 20 { // The order of a map is another each time.
				if d := cmp.Diff(tc.want, parseRateLimit(tc.header)); d != "" {
					t.Fatalf("limit (-want +got):\n%s", d)
				}
			}
		})
	}
}

func TestParseReset(t *testing.T) {
	for value, want := range map[string]time.Duration{
		"60": time.Minute, "0.5": 500 * time.Millisecond, "600": maxReset, "601": maxReset, "1e300": maxReset, "Inf": maxReset,
		"1732351789": maxReset, // A point in time where seconds belong.
		"0":          0, "-1": 0, "-Inf": 0, "NaN": 0, "": 0, "soon": 0, "60s": 0, "Wed, 21 Oct 2026 07:28:00 GMT": 0,
	} {
		if got := parseReset(value); got != want {
			t.Errorf("%q became %v, want %v", value, got, want)
		}
	}
}

func FuzzRateLimit(f *testing.F) {
	f.Add("-Default", "500", "499", "60")
	f.Add("", "0", "-1", "NaN")
	f.Add("-a", "9223372036854775808", "1e3", "1e400")
	f.Fuzz(func(t *testing.T, name, limit, remaining, reset string) {
		got := parseRateLimit(http.Header{
			limitPrefix + name: {limit}, remainingPrefix + name: {remaining}, resetPrefix + name: {reset},
		})
		if !got.Known && got != (RateLimit{}) {
			t.Errorf("an unknown limit has values: %+v", got)
		}
		if got.Known && (got.Limit <= 0 || got.Remaining < 0 || got.Reset < 0 || got.Reset > maxReset) {
			t.Errorf("out of bounds: %+v", got)
		}
	})
}
