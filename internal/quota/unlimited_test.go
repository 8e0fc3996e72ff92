// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// spree makes calls, evenly over a time, at a server that shows no limit.
func spree(t *testing.T, b *Budget, c *clock, class Class, calls int, over time.Duration) {
	t.Helper()
	b.Observe(http.StatusOK, calcom.RateLimit{})
	for i := range calls {
		if wait := ask(b, c, Request{Class: class, Namespace: "a", Key: fmt.Sprint(i), Calls: 1}); wait > 0 {
			t.Fatalf("call %d waits %v without a limit", i, wait)
		}
		c.pass(over / time.Duration(calls))
	}
}

// What was sent while no limit was known is no debt once there is one: only what the server has counted of it counts.
func TestCallsBeforeTheLimitAreNoDebt(t *testing.T) {
	const limit, allowed = 500, 400
	cases := map[string]struct {
		class     Class
		status    int
		remaining int
		longest   time.Duration // Of the wait for the first call.
		first     int           // Calls that may follow while those before are in the window.
	}{
		"NothingCounted":   {Delete, http.StatusOK, limit - 1, time.Second, allowed - 1},
		"SomeCounted":      {Delete, http.StatusOK, limit - 100, time.Second, allowed - 100},
		"AlmostAllCounted": {Delete, http.StatusOK, limit - allowed + 1, time.Second, 1},
		"AllCounted":       {Delete, http.StatusOK, 0, DefaultWindow + time.Second, allowed},
		"Refused":          {Delete, http.StatusTooManyRequests, 0, DefaultWindow + time.Second, allowed},
		"Tokens":           {Tokens, http.StatusOK, limit - 1, time.Second, allowed / tokensPart},
		"TokensRefused":    {Tokens, http.StatusTooManyRequests, 0, DefaultWindow + time.Second, allowed / tokensPart},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b, c := newBudget(0.8, 0)
			spree(t, b, c, tc.class, 10_000, 150*time.Second)
			b.Observe(tc.status, headers(limit, tc.remaining, DefaultWindow))
			began, made, r := c.now, 0, Request{Class: tc.class, Namespace: "a", Key: "next", Calls: 1}
			for c.now.Sub(began) < 2*DefaultWindow {
				wait := ask(b, c, r)
				if wait == 0 {
					made++
				}
				if first := c.now.Sub(began); made == 1 && wait == 0 && first > tc.longest {
					t.Fatalf("the first call waits %v", first)
				}
				if made > tc.first && c.now.Sub(began) < 50*time.Second {
					t.Fatalf("%d calls %v after the limit was known, %d may be", made, c.now.Sub(began), tc.first)
				}
				c.pass(max(wait, time.Millisecond))
			}
			if made < allowed/4 {
				t.Errorf("%d calls in two windows", made)
			}
		})
	}
}

// The guarantee holds from the moment on at which the limit is known: of the calls before, those count that the server
// has counted.
func TestNoWindowHasMoreThanTheShareAfterNoLimit(t *testing.T) {
	for seed := range uint64(12) {
		w := newWorld(t, seed, []int{15, 60, 500, 2000}[seed%4])
		w.budget, w.clock = newBudget(0.8, 0)
		const calls = 3000
		took := time.Duration(1+w.random.IntN(200)) * time.Second
		spree(t, w.budget, w.clock, Class(seed%Classes), calls, took)
		counted := w.random.IntN(w.limit)
		for i := counted; i > 0; i-- {
			w.made = append(w.made, w.now.Add(-time.Duration(i)*(took/calls)))
		}
		w.budget.Observe(http.StatusOK, headers(w.limit, w.limit-counted, DefaultWindow))
		w.live(1500)
	}
}

// Calls that were admitted without a limit, and are made or given back when there is one, are not forgotten.
func TestHeldCallsSurviveTheLimit(t *testing.T) {
	b, c := newBudget(0.8, 0)
	b.Observe(http.StatusOK, calcom.RateLimit{})
	for i := range 400 {
		b.Take(Request{Class: Create, Namespace: "a", Key: fmt.Sprint(i), Calls: 1})
	}
	b.Observe(http.StatusOK, headers(500, 499, DefaultWindow))
	c.pass(time.Second)
	if wait := ask(b, c, Request{Class: Delete, Namespace: "a", Key: "next", Calls: 1}); wait == 0 {
		t.Error("401 calls are admitted together, and 400 are allowed")
	}
	b.Return(Create, 1)
	c.pass(time.Second)
	if wait := ask(b, c, Request{Class: Delete, Namespace: "a", Key: "next", Calls: 1}); wait > 0 {
		t.Errorf("after one was given back, the next waits %v", wait)
	}
}
