// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// clock is a time that only moves when told to.
type clock struct{ now time.Time }

func (c *clock) Now() time.Time { return c.now }

func (c *clock) pass(d time.Duration) { c.now = c.now.Add(d) }

func newBudget(share float64, window time.Duration) (*Budget, *clock) {
	c := &clock{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	return New(Options{Share: share, Window: window, Now: c.Now}), c
}

// known returns a budget that has heard of a limit and had a window of rest, so that its bucket is full.
func known(limit int) (*Budget, *clock) {
	b, c := newBudget(0.8, 0)
	b.Observe(http.StatusOK, headers(limit, limit-1, time.Minute))
	c.pass(time.Minute)
	return b, c
}

func headers(limit, remaining int, reset time.Duration) calcom.RateLimit {
	return calcom.RateLimit{Known: true, Limit: limit, Remaining: remaining, Reset: reset}
}

// ask makes a request, and its calls if it is admitted. Otherwise it returns the time to wait.
func ask(b *Budget, c *clock, r Request) time.Duration {
	promise := b.Take(r)
	if promise.IsZero() {
		for range r.Calls {
			b.Use()
		}
		return 0
	}
	return promise.Sub(c.now)
}

// take lets one after the other ask for a call until one has to wait. It returns how many got through, and that wait.
func take(b *Budget, c *clock, most int) (int, time.Duration) {
	for n := range most {
		key := strconv.Itoa(n)
		if wait := ask(b, c, Request{Class: Create, Namespace: "a", Key: key, Calls: 1}); wait > 0 {
			b.Forget(key)
			return n, wait
		}
	}
	return most, 0
}

// The pace of 400 calls per minute is 390, and the burst the other 10; each call of the pace is 153.8 ms from the next.
const pace = 153846154 * time.Nanosecond

func TestBudget(t *testing.T) {
	cases := map[string]struct {
		share    float64
		window   time.Duration
		observe  func(*Budget, *clock)
		admitted int
		wait     time.Duration
	}{
		"BeginsWithLittleAndLooksInAgainSoon": {share: 0.8, admitted: firstCalls, wait: 250 * time.Millisecond},
		"HasABurstOnceAnAnswerShowsAnUnspentWindow": {
			share:    0.8,
			observe:  func(b *Budget, _ *clock) { b.Observe(http.StatusOK, headers(500, 499, time.Minute)) },
			admitted: 10, wait: pace,
		},
		"HasNoBurstWhenTheProcessBeforeSpentTheWindow": {
			share:    0.8,
			observe:  func(b *Budget, _ *clock) { b.Observe(http.StatusOK, headers(500, 101, time.Minute)) },
			admitted: firstCalls, wait: pace,
		},
		"TakesTheLimitThatAnAnswerNames": {
			share:    0.8,
			observe:  func(b *Budget, _ *clock) { b.Observe(http.StatusOK, headers(5000, 4999, time.Minute)) },
			admitted: 100, wait: 15384616 * time.Nanosecond,
		},
		"CountsInAnotherWindow": {
			share: 0.8, window: time.Second,
			observe:  func(b *Budget, _ *clock) { b.Observe(http.StatusOK, headers(500, 499, time.Second)) },
			admitted: 10, wait: 2564103 * time.Nanosecond,
		},
		"WaitsOutABlockAndBeginsSlowly": {
			share:   0.8,
			observe: func(b *Budget, _ *clock) { b.Observe(http.StatusTooManyRequests, headers(500, 0, 42*time.Second)) },
			wait:    42*time.Second + 2*pace,
		},
		"WaitsAWindowWhenARefusalNamesNoTime": {
			share:   0.8,
			observe: func(b *Budget, _ *clock) { b.Observe(http.StatusTooManyRequests, calcom.RateLimit{}) },
			wait:    time.Minute + 2*pace,
		},
		"KeepsTheLongerOfTwoBlocks": {
			share: 0.8,
			observe: func(b *Budget, c *clock) {
				b.Observe(http.StatusTooManyRequests, headers(500, 0, time.Minute))
				c.pass(time.Second)
				b.Observe(http.StatusTooManyRequests, headers(500, 0, 10*time.Second))
			},
			wait: 59*time.Second + 2*pace,
		},
		"LeavesTheRestToOthersWhenTheyUseMuch": {
			share:   0.8,
			observe: func(b *Budget, _ *clock) { b.Observe(http.StatusOK, headers(500, 99, 30*time.Second)) },
			wait:    30*time.Second + pace,
		},
		"WaitsForOthersNoLongerThanAWindow": {
			share: 0.8, window: time.Second,
			observe: func(b *Budget, _ *clock) { b.Observe(http.StatusOK, headers(500, 99, 30*time.Second)) },
			wait:    time.Second + 2564103*time.Nanosecond,
		},
		"CountsNothingOnAServerWithoutLimits": {
			share:    0.8,
			observe:  func(b *Budget, _ *clock) { b.Observe(http.StatusOK, calcom.RateLimit{}) },
			admitted: 1000,
		},
		"LearnsNothingFromAProxyThatAnswersWithoutHeaders": {
			share:    0.8,
			observe:  func(b *Budget, _ *clock) { b.Observe(http.StatusBadGateway, calcom.RateLimit{}) },
			admitted: firstCalls, wait: 250 * time.Millisecond,
		},
		"CountsAgainWhenAServerWithoutHeadersRefuses": {
			share: 0.8,
			observe: func(b *Budget, _ *clock) {
				b.Observe(http.StatusOK, calcom.RateLimit{})
				b.Observe(http.StatusTooManyRequests, calcom.RateLimit{})
				b.Observe(http.StatusOK, calcom.RateLimit{})
			},
			wait: time.Minute + 2*pace,
		},
		"TakesTheLimitThatARefusalNames": {
			share: 0.8,
			observe: func(b *Budget, c *clock) {
				b.Observe(http.StatusTooManyRequests, headers(5000, 0, time.Second))
				c.pass(10 * time.Minute)
			},
			admitted: 100, wait: 15384616 * time.Nanosecond,
		},
		"AdmitsOneCallHoweverSmallTheShare": {
			share: 0.001,
			observe: func(b *Budget, c *clock) {
				b.Observe(http.StatusOK, headers(500, 499, time.Minute))
				c.pass(time.Hour)
			},
			admitted: 1, wait: 63157894737 * time.Nanosecond,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b, c := newBudget(tc.share, tc.window)
			if tc.observe != nil {
				tc.observe(b, c)
			}
			admitted, wait := take(b, c, 1000)
			if admitted != tc.admitted || wait != tc.wait {
				t.Errorf("admitted %d calls and then a wait of %v, want %d and %v", admitted, wait, tc.admitted, tc.wait)
			}
		})
	}
}

// While nothing was heard, a promise cannot be far off: there may be no limit at all. A server that never answers is
// looked in on less and less often.
func TestBudgetLooksInLessAndLessOftenWhileNothingIsHeard(t *testing.T) {
	b, c := newBudget(0.8, 0)
	take(b, c, firstCalls)
	for i := range 1000 { // A crowd, so that the real promise is far away.
		ask(b, c, Request{Class: Create, Key: strconv.Itoa(i), Calls: 1})
	}
	last := Request{Class: Create, Key: "last", Calls: 1}
	var waits []time.Duration
	for range 6 {
		wait := ask(b, c, last)
		waits = append(waits, wait)
		c.pass(wait)
	}
	if d := cmp.Diff([]time.Duration{
		250 * time.Millisecond, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second,
	}, waits); d != "" {
		t.Errorf("waits (-want +got):\n%s", d)
	}
}

// After a block, the first window is used by half.
func TestBudgetBeginsSlowlyAfterABlock(t *testing.T) {
	b, c := known(500)
	b.Observe(http.StatusTooManyRequests, headers(500, 0, time.Minute))
	c.pass(time.Minute)
	for _, want := range []int{195, 390} {
		admitted := 0
		for end := c.now.Add(time.Minute); c.now.Before(end); {
			wait := ask(b, c, Request{Class: Create, Key: "a", Calls: 1})
			if wait == 0 {
				admitted++
			}
			c.pass(wait)
		}
		if admitted < want-1 || admitted > want+1 {
			t.Errorf("%d calls in a window, want %d", admitted, want)
		}
	}
}

func TestBudgetAShrunkLimitWaitsForEnoughCallsToLeave(t *testing.T) {
	b, c := known(5000)
	for range 100 {
		if wait := ask(b, c, Request{Class: Create, Key: "a", Calls: 1}); wait != 0 {
			t.Fatalf("a wait of %v below the limit", wait)
		}
		c.pass(100 * time.Millisecond)
	}
	b.Observe(http.StatusOK, headers(50, 49, time.Minute))
	// 40 are allowed and 100 spent, so 61 have to leave: the 61st left at 6.0 s, and 10 s have passed.
	r := Request{Class: Create, Key: "a", Calls: 1}
	if wait, want := ask(b, c, r), 56*time.Second; wait != want {
		t.Errorf("wait is %v, want %v", wait, want)
	}
	c.pass(56*time.Second - 1)
	if wait := ask(b, c, r); wait != 1 {
		t.Errorf("a wait of %v a nanosecond before the time", wait)
	}
	c.pass(1)
	if wait := ask(b, c, r); wait != 0 {
		t.Errorf("a wait of %v after the one that was promised", wait)
	}
}

func TestBudgetTakesSeveralCallsOrNone(t *testing.T) {
	b, c := newBudget(0.01, 0) // Five calls of 500.
	b.Observe(http.StatusOK, headers(500, 499, time.Minute))
	c.pass(time.Minute)
	three := Request{Class: Create, Key: "three", Calls: 3}
	for range 2 { // The bucket holds one and goes into debt.
		if wait := ask(b, c, three); wait != 0 {
			t.Fatalf("a wait of %v with calls left", wait)
		}
		if wait := ask(b, c, three); wait == 0 {
			t.Fatal("six calls of five")
		}
		c.pass(10 * time.Minute)
	}
	nine := Request{Class: Create, Key: "nine", Calls: 9}
	if wait := ask(b, c, nine); wait != 0 {
		t.Errorf("a wait of %v for more calls than there ever are, in an empty window", wait)
	}
	if wait := ask(b, c, nine); wait < time.Minute {
		t.Errorf("a wait of %v after more calls than there ever are, want a window at least", wait)
	}
}

func TestReturn(t *testing.T) {
	b, c := known(500)
	ten := Request{Class: Change, Key: "a", Calls: 10}
	if promise := b.Take(ten); !promise.IsZero() {
		t.Fatal("a burst has to wait")
	}
	if got := b.Take(ten).Sub(c.now); got != 10*pace {
		t.Fatalf("a wait of %v for another burst, want %v", got, 10*pace)
	}
	b.Return(Change, 10)
	if wait := ask(b, c, ten); wait != 0 {
		t.Errorf("a wait of %v for calls that were given back", wait)
	}
	if got := b.Snapshot(); got.Admitted[Change] != 20 || got.Returned[Change] != 10 || got.Used != 10 {
		t.Errorf("snapshot is %+v", got)
	}
}

func TestReturnDuringABlockDoesNotEndIt(t *testing.T) {
	b, c := known(500)
	b.Take(Request{Class: Change, Key: "a", Calls: 10})
	b.Observe(http.StatusTooManyRequests, headers(500, 0, time.Minute))
	b.Return(Change, 10)
	if wait, want := ask(b, c, Request{Class: Delete, Key: "b", Calls: 1}), time.Minute+2*pace; wait != want {
		t.Errorf("the wait is %v, want %v", wait, want)
	}
}

// A call counts from when it is made, and until then it is held: the server knows only of the call.
func TestACallCountsFromWhenItIsMade(t *testing.T) {
	b, c := newBudget(0.002, 0) // One call of 500.
	b.Observe(http.StatusOK, headers(500, 499, time.Minute))
	c.pass(2 * time.Minute)
	b.Take(Request{Class: Create, Key: "a", Calls: 1})
	c.pass(2 * time.Minute)
	other := Request{Class: Create, Key: "b", Calls: 1}
	if wait := ask(b, c, other); wait != time.Minute {
		t.Errorf("a wait of %v while a call is about to be made, want a minute", wait)
	}
	b.Use()
	c.pass(time.Minute - 1)
	if wait := ask(b, c, other); wait != 1 {
		t.Errorf("a wait of %v a nanosecond before the call leaves the window", wait)
	}
	c.pass(1)
	if wait := ask(b, c, other); wait != 0 {
		t.Errorf("a wait of %v after the call has left the window", wait)
	}
}

func TestContinuesGoesFirst(t *testing.T) {
	b, c := known(500)
	take(b, c, 10)
	for i := range 50 {
		ask(b, c, Request{Class: Delete, Key: "waiting" + strconv.Itoa(i), Calls: 1})
	}
	r := Request{Class: Drift, Key: "a", Calls: 1}
	if wait := ask(b, c, r); wait == 0 {
		t.Error("drift was admitted before deletions")
	}
	r.Continues = true
	if wait := ask(b, c, r); wait != 0 {
		t.Errorf("a wait of %v in the middle of a visit", wait)
	}
	b.Observe(http.StatusTooManyRequests, headers(500, 0, time.Minute))
	if wait := ask(b, c, r); wait < time.Minute {
		t.Errorf("a wait of %v during a block", wait)
	}
}

func TestSnapshot(t *testing.T) {
	b, c := known(500)
	take(b, c, 10)
	for i, class := range []Class{Delete, Create, Create, Tokens, Drift} {
		ask(b, c, Request{Class: class, Namespace: "a", Key: "w" + strconv.Itoa(i), Calls: 2})
	}
	b.Observe(http.StatusTooManyRequests, headers(500, 0, 42*time.Second))
	want := Snapshot{
		Known: true, Limit: 500, Allowed: 400, Used: 10, Waiting: [Classes]int{Delete: 1, Create: 2, Tokens: 1, Drift: 1},
		Admitted: [Classes]int{Create: 10}, BlockedUntil: c.now.Add(42 * time.Second),
	}
	if d := cmp.Diff(want, b.Snapshot()); d != "" {
		t.Errorf("snapshot (-want +got):\n%s", d)
	}
	c.pass(10 * time.Minute) // Nobody came.
	want.Waiting, want.Used = [Classes]int{}, 0
	if d := cmp.Diff(want, b.Snapshot()); d != "" {
		t.Errorf("snapshot after ten minutes (-want +got):\n%s", d)
	}
	b2, _ := newBudget(0.8, 0)
	b2.Observe(http.StatusOK, calcom.RateLimit{})
	if d := cmp.Diff(Snapshot{Known: true}, b2.Snapshot()); d != "" {
		t.Errorf("snapshot without a limit (-want +got):\n%s", d)
	}
}

func TestClassString(t *testing.T) {
	var names []string
	for class := range Class(Classes) {
		names = append(names, class.String())
	}
	if d := cmp.Diff([]string{"delete", "create", "change", "tokens", "drift"}, names); d != "" {
		t.Errorf("names (-want +got):\n%s", d)
	}
}
