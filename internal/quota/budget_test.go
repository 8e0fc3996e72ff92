// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// clock is a time that only moves when told to.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func newBudget(share float64) (*Budget, *clock) {
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	return NewBudget(share, c.Now), c
}

// use makes n calls if they are admitted, and returns the wait if not.
func use(b *Budget, n int) time.Duration {
	wait := b.Take(n)
	if wait == 0 {
		for range n {
			b.Use()
		}
	}
	return wait
}

// take makes calls until one has to wait and returns how many got through, and that wait.
func take(b *Budget, most int) (int, time.Duration) {
	for n := range most {
		if wait := use(b, 1); wait > 0 {
			return n, wait
		}
	}
	return most, 0
}

func TestBudget(t *testing.T) {
	headers := func(limit, remaining int, reset time.Duration) calcom.RateLimit {
		return calcom.RateLimit{Known: true, Limit: limit, Remaining: remaining, Reset: reset}
	}
	cases := map[string]struct {
		share    float64
		observe  func(*Budget)
		admitted int
		wait     time.Duration
	}{
		"ShareOfTheDefaultLimitBeforeAnyAnswer": {share: 0.8, admitted: 400, wait: Window},
		"ShareOfTheLimitThatAnAnswerNames": {
			share:    0.8,
			observe:  func(b *Budget) { b.Observe(http.StatusOK, headers(120, 119, 60*time.Second)) },
			admitted: 96, wait: Window,
		},
		"WaitsOutABlockAfterTooManyRequests": {
			share: 0.8,
			observe: func(b *Budget) {
				b.Observe(http.StatusTooManyRequests, headers(500, 0, 42*time.Second))
			},
			wait: 42 * time.Second,
		},
		"WaitsAWindowWhenARefusalNamesNoTime": {
			share:   0.8,
			observe: func(b *Budget) { b.Observe(http.StatusTooManyRequests, calcom.RateLimit{}) },
			wait:    Window,
		},
		"LeavesTheRestToOthersWhenTheyUseMuch": {
			share:   0.8,
			observe: func(b *Budget) { b.Observe(http.StatusOK, headers(500, 99, 30*time.Second)) },
			wait:    30 * time.Second,
		},
		"GoesOnWhileOthersLeaveEnough": {
			share:    0.8,
			observe:  func(b *Budget) { b.Observe(http.StatusOK, headers(500, 100, 30*time.Second)) },
			admitted: 400, wait: Window,
		},
		"CountsNothingOnAServerWithoutLimits": {
			share:    0.8,
			observe:  func(b *Budget) { b.Observe(http.StatusOK, calcom.RateLimit{}) },
			admitted: 1000,
		},
		"KeepsTheLimitWhenAProxyAnswersWithoutHeaders": {
			share:    0.8,
			observe:  func(b *Budget) { b.Observe(http.StatusBadGateway, calcom.RateLimit{}) },
			admitted: 400, wait: Window,
		},
		"CountsAgainWhenAServerWithoutHeadersRefuses": {
			share: 0.8,
			observe: func(b *Budget) {
				b.Observe(http.StatusOK, calcom.RateLimit{})
				b.Observe(http.StatusTooManyRequests, calcom.RateLimit{})
				b.Observe(http.StatusOK, calcom.RateLimit{})
			},
			wait: Window,
		},
		"AdmitsOneCallHoweverSmallTheShare": {
			share:    0.001,
			admitted: 1, wait: Window,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b, _ := newBudget(tc.share)
			if tc.observe != nil {
				tc.observe(b)
			}
			admitted, wait := take(b, 1000)
			if admitted != tc.admitted || wait != tc.wait {
				t.Errorf("admitted %d calls and then a wait of %v, want %d and %v", admitted, wait, tc.admitted, tc.wait)
			}
		})
	}
}

func TestBudgetAShrunkLimitWaitsForEnoughCallsToLeave(t *testing.T) {
	b, c := newBudget(0.8)
	for range 100 {
		use(b, 1)
		c.now = c.now.Add(100 * time.Millisecond)
	}
	b.Observe(http.StatusOK, calcom.RateLimit{Known: true, Limit: 50, Remaining: 49})
	// 40 are allowed and 100 spent, so 61 have to leave: the 61st left at 6.0 s, and 10 s have passed.
	if wait, want := b.Take(1), 56*time.Second; wait != want {
		t.Errorf("wait is %v, want %v", wait, want)
	}
}

// In any 60 s, however they lie, no more calls than the share are made; and who waits as told is admitted.
func TestBudgetNeverExceedsTheShareInAnyWindow(t *testing.T) {
	for seed := range uint64(50) {
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // A reproducible schedule is wanted.
		b, c := newBudget(0.8)
		var made []time.Time
		for taken := 0; len(made) < 3000; {
			c.now = c.now.Add(time.Duration(random.IntN(150)) * time.Millisecond)
			switch choice := random.IntN(10); {
			case choice < 4 && taken > 0: // What was admitted is made seconds later, or never.
				taken--
				b.Use()
				made = append(made, c.now)
			case choice < 5 && taken > 0:
				taken--
				b.Return(1)
			case taken > 10:
			default:
				n := 1 + random.IntN(3)
				wait := b.Take(n)
				if wait > soon {
					c.now = c.now.Add(wait)
					if b.Take(n) != 0 {
						t.Fatalf("seed %d: refused again after waiting the %v that were asked for", seed, wait)
					}
				}
				if wait != soon {
					taken += n
				}
			}
		}
		for i := 400; i < len(made); i++ {
			if span := made[i].Sub(made[i-400]); span < Window {
				t.Fatalf("seed %d: 401 calls within %v", seed, span)
			}
		}
	}
}

// More calls than the share allows are admitted together, and each of them is accounted for.
func TestBudgetKeepsAccountOfMoreCallsThanAllowed(t *testing.T) {
	b, _ := newBudget(0.002) // One call of 500.
	if wait := b.Take(3); wait != 0 {
		t.Fatalf("a wait of %v with an empty window", wait)
	}
	b.Return(2)
	if wait := b.Take(1); wait != soon {
		t.Errorf("wait with one call about to be made is %v, want %v", wait, soon)
	}
	b.Use()
	if wait := b.Take(1); wait != Window {
		t.Errorf("wait after the call is %v, want %v", wait, Window)
	}
}

// A call counts from when it is made, and not from when it was admitted.
func TestBudgetCountsFromTheCall(t *testing.T) {
	b, c := newBudget(0.002) // One call of 500.
	b.Take(1)
	if wait := b.Take(1); wait != soon {
		t.Errorf("wait for a call that is about to be made is %v, want %v", wait, soon)
	}
	c.now = c.now.Add(20 * time.Second)
	b.Use()
	if wait := b.Take(1); wait != Window {
		t.Errorf("wait after the call is %v, want %v", wait, Window)
	}
}

func TestBudgetTakesSeveralCallsOrNone(t *testing.T) {
	b, c := newBudget(0.01) // Five calls of 500.
	for range 2 {
		if wait := use(b, 2); wait != 0 {
			t.Fatalf("a wait of %v with calls left", wait)
		}
		c.now = c.now.Add(time.Second)
	}
	if wait, want := b.Take(2), 58*time.Second; wait != want {
		t.Errorf("wait for two calls with one left is %v, want %v", wait, want)
	}
	if wait := b.Take(1); wait != 0 {
		t.Errorf("the call that was left is refused: %v", wait)
	}
	b.Return(1)
	if wait := use(b, 1); wait != 0 {
		t.Errorf("a call that was given back is refused: %v", wait)
	}
	if wait, want := b.Take(9), 60*time.Second; wait != want {
		t.Errorf("wait for more calls than there ever are is %v, want %v", wait, want)
	}
}
