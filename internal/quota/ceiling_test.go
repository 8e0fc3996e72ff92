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

// The renewal of tokens has half of the allowed calls at most, in any window, although nobody else wants the others;
// and it has nearly that much. The limit changes meanwhile, calls are given back, and askers come late.
func TestTokensHaveHalfAtMost(t *testing.T) {
	for seed := range uint64(12) {
		w := newWorld(t, seed, []int{10, 60, 500, 2000}[seed%4])
		w.late = func(asker) time.Duration { return time.Duration(w.random.IntN(300)) * time.Millisecond }
		var made []time.Time
		w.admitted = func(a asker) {
			for len(made) > 0 && w.now.Sub(made[0]) >= DefaultWindow {
				made = made[1:]
			}
			for range a.request.Calls {
				made = append(made, w.now)
			}
			if most := max(a.request.Calls, w.limit*4/5/2); len(made) > most {
				t.Fatalf("seed %d: %d calls for tokens in the window before %v, want at most %d", seed, len(made), w.now, most)
			}
			w.add(Tokens, a.request.Namespace, a.request.Calls, 0)
		}
		for i := range 300 {
			w.add(Tokens, fmt.Sprint(i%5), 1, 0)
		}
		w.run(w.now.Add(2 * time.Minute))
		clear(w.served)
		w.run(w.now.Add(10 * time.Minute))
		if got, want := w.served["tokens"], 10*w.limit*4/5/2; got < want*85/100 {
			t.Errorf("seed %d: %d calls for tokens in ten minutes, want nearly %d", seed, got, want)
		}
		w.limit *= 2
		w.budget.Observe(http.StatusOK, headers(w.limit, w.limit-1, time.Minute))
		if got := w.budget.TokensAllowed(); got != w.limit*4/5/2 {
			t.Errorf("seed %d: %d calls are allowed after the limit changed", seed, got)
		}
		w.run(w.now.Add(10 * time.Minute))
	}
}

// Of tokens that wait, those go first that end first, whoever came first and in whichever namespace.
func TestTokensGoByDeadline(t *testing.T) {
	w := newWorld(t, 1, 500)
	w.run(w.now.Add(time.Minute))
	began := w.now
	for i := range 400 { // The later somebody comes, the sooner the end.
		w.add(Tokens, fmt.Sprint(i%7), 1, time.Duration(i)*time.Millisecond)
		w.askers[len(w.askers)-1].request.Deadline = began.Add(time.Hour - time.Duration(i)*time.Second)
	}
	for i := range w.askers { // The heap has moved them.
		a := &w.askers[i]
		a.request.Deadline = began.Add(time.Hour - a.at.Sub(began)*1000)
	}
	w.run(began.Add(time.Second))
	var last time.Time
	out := 0
	w.admitted = func(a asker) {
		if a.request.Deadline.Before(last) {
			out++
		}
		last = a.request.Deadline
	}
	w.run(began.Add(10 * time.Minute))
	if len(w.askers) > 0 || last.IsZero() {
		t.Fatalf("%d still wait", len(w.askers))
	}
	if out > 0 {
		t.Errorf("%d went before somebody whose tokens end earlier", out)
	}
}

func TestCeilingGivesBack(t *testing.T) {
	b, c := known(500)
	c.pass(time.Minute)
	taken := 0
	for b.Take(Request{Class: Tokens, Key: "a", Calls: 1, Deadline: c.now}).IsZero() {
		taken++
	}
	b.Return(Tokens, taken)
	again := 0
	for b.Take(Request{Class: Tokens, Key: "a", Calls: 1, Deadline: c.now}).IsZero() {
		again++
	}
	if taken == 0 || again != taken {
		t.Errorf("%d calls at once, and %d after these were given back", taken, again)
	}
	b.Return(Tokens, 1000) // More than there were: nothing breaks.
}

func TestNoCeilingWithoutALimit(t *testing.T) {
	b, c := newBudget(0.8, DefaultWindow)
	b.Observe(http.StatusOK, calcom.RateLimit{})
	if got := b.TokensAllowed(); got != 0 {
		t.Errorf("%d calls are allowed where nobody counts", got)
	}
	for range 1000 {
		if promise := b.Take(Request{Class: Tokens, Key: "a", Calls: 1, Deadline: c.now}); !promise.IsZero() {
			t.Fatal("a call has to wait where nobody counts")
		}
	}
}
