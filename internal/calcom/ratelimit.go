// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"cmp"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// RateLimit is what an answer said of the quota: X-RateLimit-Limit, -Remaining and -Reset, each followed by
// the name of the limit ("Default" for OAuth clients). The zero value means that the answer said nothing.
type RateLimit struct {
	// Known reports whether the answer carried the headers.
	Known bool
	// Limit is the number of calls that the window allows.
	Limit int
	// Remaining is how many of them are left.
	Remaining int
	// Reset is the time until the window, or after a 429 the block, ends. The header counts seconds; it is no
	// point in time.
	Reset time.Duration
}

const (
	limitPrefix     = "X-Ratelimit-Limit" // In the canonical form of net/http.
	remainingPrefix = "X-Ratelimit-Remaining"
	resetPrefix     = "X-Ratelimit-Reset"

	// maxReset is the longest time until a reset that is believed. The server's window is a minute; a larger
	// value is a mistake of somebody in between and must not stop the operator for long.
	maxReset = 10 * time.Minute
)

// parseRateLimit reads the headers. With several named limits the one with the fewest calls left counts, since
// that is the first to refuse.
func parseRateLimit(h http.Header) RateLimit {
	var tightest RateLimit
	for name := range h {
		suffix, ok := strings.CutPrefix(name, remainingPrefix)
		if !ok {
			continue
		}
		limit, errLimit := strconv.Atoi(h.Get(limitPrefix + suffix))
		remaining, errRemaining := strconv.Atoi(h.Get(name))
		if errLimit != nil || errRemaining != nil || limit <= 0 || remaining < 0 {
			continue
		}
		found := RateLimit{Known: true, Limit: limit, Remaining: remaining, Reset: parseReset(h.Get(resetPrefix + suffix))}
		if !tightest.Known || tighter(found, tightest) {
			tightest = found
		}
	}
	return tightest
}

// tighter orders limits in full, since a map of headers has no order of its own.
func tighter(a, b RateLimit) bool {
	return cmp.Or(
		cmp.Compare(a.Remaining, b.Remaining), cmp.Compare(b.Reset, a.Reset), cmp.Compare(a.Limit, b.Limit),
	) < 0
}

func parseReset(s string) time.Duration {
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || !(seconds > 0) { // NaN is not greater than zero either.
		return 0
	}
	if seconds > maxReset.Seconds() {
		return maxReset
	}
	return time.Duration(seconds * float64(time.Second))
}
