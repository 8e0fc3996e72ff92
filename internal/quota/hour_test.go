// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"container/heap"
	"fmt"
	"net/http"
	"testing"
	"time"
)

// server counts calls as Cal.com does, in windows that begin with the first call after the last one.
type server struct {
	limit, hits, refused int
	window               time.Duration
	ends, blocked        time.Time
}

// reset is a time as the headers give it, in seconds and rounded up.
func reset(d time.Duration) time.Duration { return (d + time.Second - 1).Truncate(time.Second) }

func (s *server) call(b *Budget, now time.Time) {
	if !now.Before(s.ends) {
		s.hits, s.ends = 0, now.Add(s.window)
	}
	s.hits++
	if now.Before(s.blocked) || s.hits > s.limit {
		s.refused++
		if !now.Before(s.blocked) {
			s.blocked = now.Add(s.window)
		}
		b.Observe(http.StatusTooManyRequests, headers(s.limit, 0, reset(s.blocked.Sub(now))))
		return
	}
	b.Observe(http.StatusCreated, headers(s.limit, s.limit-s.hits, reset(s.ends.Sub(now))))
}

// hour is the operator's queue with its workers, for one hour in which there is always somebody to create.
type hour struct {
	*world

	server                     server
	free                       int           // Workers.
	look                       time.Duration // What it costs to find out that one has to wait.
	visits, created, vanishing int
	scale                      time.Duration
	ready                      []asker
}

// jobs run one after the other in the order of their time.
func (h *hour) run(until time.Time) {
	for h.now.Before(until) {
		for len(h.askers) > 0 && !h.askers[0].at.After(h.now) {
			if one, ok := heap.Pop(&h.askers).(asker); ok {
				if one.done != nil {
					one.done()
					continue
				}
				h.ready = append(h.ready, one)
			}
		}
		for h.free > 0 && len(h.ready) > 0 {
			h.visit(h.ready[0])
			h.ready = h.ready[1:]
		}
		if len(h.askers) == 0 {
			return
		}
		h.now = maxTime(h.now, h.askers[0].at)
	}
}

// visit keeps a worker busy: for a moment when there is a wait, else for the call.
func (h *hour) visit(one asker) {
	h.free--
	h.visits++
	promise := h.budget.Take(one.request)
	busy := h.look + time.Duration(h.random.Int64N(int64(h.look)))
	if promise.IsZero() {
		busy += (30*time.Millisecond + time.Duration(h.random.IntN(400))*time.Millisecond) / h.scale
		arrives := h.now.Add(busy / 2)
		h.later(arrives, func() {
			h.budget.Use()
			h.server.call(h.budget, arrives)
		})
	}
	h.later(h.now.Add(busy), func() {
		h.free++
		if promise.IsZero() {
			h.created++
			return
		}
		if h.vanishing == 0 || h.random.IntN(h.vanishing) > 0 {
			one.at = maxTime(promise, h.now)
			heap.Push(&h.askers, one)
		}
	})
}

func (h *hour) later(at time.Time, do func()) {
	h.keys++
	heap.Push(&h.askers, asker{at: at, request: Request{Key: fmt.Sprint(h.keys)}, done: do})
}

// Saturated creation uses what it may, without one refusal and without asking much more often than it is served.
func TestAnHourOfCreation(t *testing.T) {
	cases := map[string]struct {
		limit, users, vanishing int
		scale                   time.Duration // A second of the server is this part of ours.
		least                   float64       // Of the allowed calls.
	}{
		"Default":         {limit: 500, users: 30_000, least: 0.95},
		"SomeNeverReturn": {limit: 500, users: 40_000, vanishing: 20, least: 0.90}, // A tenth of all.
		"Small":           {limit: 120, users: 8_000, least: 0.95},
		"Scaled":          {limit: 500, users: 30_000, scale: 60, least: 0.95},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			scale := max(1, tc.scale)
			h := &hour{
				world: newWorld(t, 7, tc.limit), free: 8, look: time.Millisecond / scale, scale: scale, vanishing: tc.vanishing,
				server: server{limit: tc.limit, window: time.Minute / scale},
			}
			h.budget = New(Options{Share: 0.8, Window: h.server.window, Now: h.Now}) // One that has heard nothing yet.
			for i := range tc.users {
				h.add(Create, fmt.Sprint(i%20), 1, 0)
			}
			h.run(h.now.Add(time.Hour / scale))
			allowed := tc.limit * 4 / 5 * 60
			used := float64(h.created) / float64(allowed)
			t.Logf("created %d of %d allowed (%.1f %%), visits %d, refused %d", h.created, allowed, 100*used, h.visits, h.server.refused)
			if used < tc.least || used > 1 {
				t.Errorf("used %.1f %% of the share, want %.0f %% at least", 100*used, 100*tc.least)
			}
			if h.server.refused > 0 {
				t.Errorf("the server refused %d calls", h.server.refused)
			}
			if most := 2*tc.users + h.created; h.visits > most {
				t.Errorf("%d visits for %d users, want %d at most", h.visits, tc.users, most)
			}
		})
	}
}

// Ten thousand that come at once are told when their turn is, and it is.
func TestTenThousandPromises(t *testing.T) {
	w := newWorld(t, 1, 500)
	var first, last time.Time
	perMinute := map[int]int{}
	began := w.now
	w.refused = func(a asker, promise time.Time) {
		if a.promised {
			t.Fatalf("a promise was put off to %v", promise)
		}
		if first.IsZero() {
			first = promise
		}
		last = maxTime(last, promise)
		perMinute[int(promise.Sub(began)/time.Minute)]++
	}
	for range 10_000 {
		w.add(Create, "a", 1, 0)
	}
	w.run(began)
	if got := first.Sub(began); got != pace {
		t.Errorf("the first has to wait %v, want %v", got, pace)
	}
	if got, want := last.Sub(began), 9990*pace; got != want {
		t.Errorf("the last has to wait %v, want %v", got, want)
	}
	for minute := range 25 {
		if n := perMinute[minute]; n < 389 || n > 391 {
			t.Errorf("%d promises for minute %d, want 390", n, minute)
		}
	}
	w.run(began.Add(time.Hour))
	if got := w.served["create"]; got != 10_000 {
		t.Errorf("%d were served within an hour", got)
	}
}
