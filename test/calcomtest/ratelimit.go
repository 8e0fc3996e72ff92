// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"cmp"
	"math"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// limitWindow is the length of a window and of a block.
	limitWindow = time.Minute
	// addressLimit is the real server's limit per address, which counts the
	// calls that name no client.
	addressLimit = 120
	// unlimited is what the answers show where the limit is off: the real
	// server's is raised by configuration and never leaves out the headers.
	unlimited = 1_000_000
)

var errTooMany = &problem{
	status:  http.StatusTooManyRequests,
	Code:    "ThrottlerException",
	Message: tooMany,
	Details: tooMany,
}

const tooMany = "CustomThrottlerGuard - Too many requests. Please try again later."

// bucket counts the calls of one tracker. Windows are fixed: one starts with
// the first call after the last one ended, blocked or not.
type bucket struct {
	hits                     int
	windowEnds, blockedUntil time.Time
}

// limits is what the headers of an answer show.
type limits struct {
	limit, remaining int
	reset            time.Duration
}

// seconds rounds up, as the real server does.
func (l *limits) seconds() int { return int(math.Ceil(l.reset.Seconds())) }

// tracker finds out whose bucket a call counts in. The real server looks at
// headers only, before it authenticates.
func tracker(r *http.Request) (key string, perAddress bool) {
	if auth := r.Header.Get("Authorization"); auth != "" {
		return "token " + auth, false
	}
	if id := r.Header.Get("X-Cal-Client-Id"); id != "" {
		return "client " + id, false
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return "address " + cmp.Or(r.Header.Get("Cf-Connecting-Ip"), host), true
}

// hasAPIKey tells whether the bearer is an API key. The server knows none.
func hasAPIKey(r *http.Request) bool {
	return strings.HasPrefix(bearer(r), "cal_")
}

// freshLimits are those of a bucket that saw one call.
func (s *Server) freshLimits(r *http.Request) *limits {
	limit := s.opts.RateLimit
	if limit <= 0 {
		limit = unlimited
	} else if _, perAddress := tracker(r); perAddress {
		limit = addressLimit
	}
	return &limits{limit: limit, remaining: limit - 1, reset: s.opts.scaled(limitWindow)}
}

// throttle counts a call and tells whether it is refused. The lock must be held.
func (s *Server) throttle(r *http.Request, now time.Time) (l *limits, refused bool) {
	if s.opts.RateLimit <= 0 {
		return s.freshLimits(r), false
	}
	key, perAddress := tracker(r)
	limit := s.opts.RateLimit
	if perAddress {
		limit = addressLimit
	}
	b, ok := s.buckets[key]
	if !ok {
		b = &bucket{}
		s.buckets[key] = b
	}
	return b.hit(limit, now, s.opts.scaled(limitWindow))
}

// hit counts one call. Calls that come while blocked count too, in the window
// that runs then, and do not prolong the block.
func (b *bucket) hit(limit int, now time.Time, window time.Duration) (*limits, bool) {
	if !now.Before(b.windowEnds) {
		b.hits, b.windowEnds = 0, now.Add(window)
	}
	b.hits++
	blocked := now.Before(b.blockedUntil)
	if !blocked && b.hits > limit {
		blocked, b.blockedUntil = true, now.Add(window)
	}
	if blocked {
		return &limits{limit: limit, reset: b.blockedUntil.Sub(now)}, true
	}
	return &limits{limit: limit, remaining: max(limit-b.hits, 0), reset: b.windowEnds.Sub(now)}, false
}
