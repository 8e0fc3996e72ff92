// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"net/http"
	"reflect"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// shown are status, limit, remaining and reset of an answer.
func (r *reply) shown() [4]string {
	return [4]string{
		http.StatusText(r.status),
		r.header.Get("X-Ratelimit-Limit-Default"),
		r.header.Get("X-Ratelimit-Remaining-Default"),
		r.header.Get("X-Ratelimit-Reset-Default"),
	}
}

func (a *api) wantShown(want ...string) {
	a.tb.Helper()
	if got := a.call("GET", "./1", "").shown(); !reflect.DeepEqual(got[:], want) {
		a.tb.Errorf("got %q, want %q", got, want)
	}
}

// TestRateLimit follows the recorded run: blocked for 60 s from the first
// refused call, and what is refused meanwhile counts in the next window.
func TestRateLimit(t *testing.T) {
	clock := newClock()
	a := newAPI(t, recordedState(t, calcomtest.Options{Now: clock.Now, RateLimit: 10}))
	a.wantShown("OK", "10", "9", "60")
	clock.advance(25500 * time.Millisecond)
	for range 9 {
		a.call("GET", "./1", "").want(t, http.StatusOK)
	}
	a.wantShown("Too Many Requests", "10", "0", "60")
	clock.advance(5 * time.Second) // 30.5 s after the first call
	a.wantShown("Too Many Requests", "10", "0", "55")
	clock.advance(35 * time.Second) // 65.5 s: a new window starts
	for range 3 {
		a.wantShown("Too Many Requests", "10", "0", "20")
	}
	a.as("x-cal-client-id", cid1, "x-cal-secret-key", "wrong").wantShown("Too Many Requests", "10", "0", "20")
	clock.advance(19999 * time.Millisecond)
	a.wantShown("Too Many Requests", "10", "0", "1")
	clock.advance(time.Millisecond) // 85.5 s: the block ends, after 5 refused calls
	a.wantShown("OK", "10", "4", "40")
	clock.advance(40 * time.Second)
	a.wantShown("OK", "10", "9", "60")
}

// TestRateLimitBody: details are a text here, and there is no Retry-After.
func TestRateLimitBody(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{Now: newClock().Now, RateLimit: 1}))
	a.call("GET", "./1", "").want(t, 200)
	r := a.call("GET", "./1?a=b", "")
	r.want(t, 429)
	want := `{"status":"error","timestamp":"2026-11-23T08:49:59.791Z","path":"/v2/oauth-clients/` + cid1 + `/users/1?a=b","error":{"code":"ThrottlerException","message":"CustomThrottlerGuard - Too many requests. Please try again later.","details":"CustomThrottlerGuard - Too many requests. Please try again later."}}`
	if string(r.body) != want {
		t.Errorf("got  %s\nwant %s", r.body, want)
	}
	if got := r.header.Get("Retry-After"); got != "" {
		t.Errorf("Retry-After %q, want none", got)
	}
}

// TestRateLimitBuckets: headers decide whose bucket a call counts in.
func TestRateLimitBuckets(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{Now: newClock().Now, RateLimit: 2}))
	_, token, _ := a.created(`{"email": "t@example.com", "name": "T"}`)
	a.wantShown("OK", "2", "0", "60")
	a.wantShown("Too Many Requests", "2", "0", "60")
	a.as("x-cal-secret-key", "test-secret-1").wantShown("OK", "120", "119", "60")
	a.as("x-cal-secret-key", "test-secret-1", "x-cal-client-id", "other").wantShown("OK", "2", "1", "60")
	a.as("x-cal-secret-key", "wrong", "x-cal-client-id", "other").wantShown("Unauthorized", "2", "0", "60")
	a.as("Authorization", "Bearer "+token).wantShown("Forbidden", "2", "1", "60")
	a.as("x-cal-secret-key", "test-secret-1", "cf-connecting-ip", "192.0.2.1").wantShown("OK", "120", "119", "60")
	other := a.as("x-cal-secret-key", "test-secret-1")
	for range 119 {
		other.call("GET", "./1", "").want(t, 200)
	}
	other.wantShown("Too Many Requests", "120", "0", "60")
}

// TestRateLimitOff shows a limit that nobody reaches.
func TestRateLimitOff(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{}))
	for range 3 {
		a.wantShown("OK", "1000000", "999999", "60")
	}
	a.as("x-cal-secret-key", "test-secret-1").wantShown("OK", "1000000", "999999", "60")
}

// TestRateLimitScaled: the window is shorter by the factor.
func TestRateLimitScaled(t *testing.T) {
	clock := newClock()
	a := newAPI(t, recordedState(t, calcomtest.Options{Now: clock.Now, RateLimit: 1, TimeScale: 60}))
	a.wantShown("OK", "1", "0", "1")
	a.wantShown("Too Many Requests", "1", "0", "1")
	clock.advance(time.Second)
	a.wantShown("OK", "1", "0", "1")
}
