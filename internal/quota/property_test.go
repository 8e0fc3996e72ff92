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

// Whatever happens, no window has more calls than the share: classes and namespaces come and go, come late or never,
// make their calls late or give them back, are forgotten and continue, while the limit changes and the server refuses.
// world.check looks at every admission.
func TestNoWindowHasMoreThanTheShare(t *testing.T) {
	for seed := range uint64(30) {
		newWorld(t, seed, []int{4, 15, 60, 500, 2000}[seed%5]).live(1500)
	}
}

// live lets many things happen to a budget.
func (w *world) live(steps int) {
	w.Helper()
	w.late = func(asker) time.Duration {
		return []time.Duration{0, 0, time.Duration(w.random.IntN(8000)) * time.Millisecond, 3 * time.Minute, -1}[w.random.IntN(5)]
	}
	admitted := 0
	w.admitted = func(asker) { admitted++ }
	w.slow = true
	for range steps {
		w.misfortune()
		for range min(len(w.held), w.random.IntN(8)) {
			w.use()
		}
		w.run(w.now.Add(time.Duration(w.random.IntN(600)) * time.Millisecond))
	}
	if admitted < 10 {
		w.Errorf("only %d admissions with a limit of %d, the test sees nothing", admitted, w.limit)
	}
}

// misfortune does one thing that can happen to a budget.
func (w *world) misfortune() {
	class, namespace := Class(w.random.IntN(Classes)), fmt.Sprint(w.random.IntN(6))
	switch w.random.IntN(200) {
	case 0:
		w.limit = []int{4, 15, 60, 120, 500, 2000}[w.random.IntN(6)]
		w.budget.Observe(http.StatusOK, headers(w.limit, w.limit-1, time.Minute))
	case 1:
		w.budget.Observe(http.StatusTooManyRequests, headers(w.limit, 0, time.Duration(w.random.IntN(60))*time.Second))
	case 2:
		w.budget.Observe(http.StatusOK, headers(w.limit, w.limit/8, time.Duration(w.random.IntN(60))*time.Second))
	case 3:
		w.budget.Observe(http.StatusBadGateway, calcom.RateLimit{})
	case 4: // Nobody comes for a while.
		w.pass(time.Duration(w.random.IntN(200)) * time.Second)
	case 5, 6, 7, 8, 9, 10, 11, 12:
		if len(w.askers) > 0 {
			w.budget.Forget(w.askers[w.random.IntN(len(w.askers))].request.Key)
		}
	case 13, 14, 15, 16, 17, 18, 19, 20:
		for range min(len(w.held), w.random.IntN(4)) {
			w.giveBack()
		}
	case 25, 26, 27, 28:
		w.keys++
		w.ask(asker{request: Request{Class: class, Namespace: namespace, Key: "c", Calls: 1, Continues: true}})
	default:
		for range w.random.IntN(8) {
			w.add(class, namespace, 1+w.random.IntN(3), time.Duration(w.random.IntN(300))*time.Millisecond)
		}
	}
}

// In one namespace and class nobody goes before anybody who came earlier, so a promise is kept to the nanosecond, while
// others give back and new ones join.
func TestPromisesAreKept(t *testing.T) {
	for seed := range uint64(24) {
		w := newWorld(t, seed, []int{120, 500, 3000}[seed%3])
		kept := 0
		w.slow = true
		w.admitted = func(a asker) {
			for len(w.held) > 1 || len(w.held) > 0 && w.random.IntN(20) > 0 {
				w.use()
			}
			if a.promised {
				kept++
			}
		}
		w.refused = func(a asker, promise time.Time) {
			if a.promised {
				t.Fatalf("seed %d: %s came back at %v as promised, and is told to come at %v", seed, a.request.Key, w.now, promise)
			}
		}
		w.queueUp(func() {
			for len(w.held) > 0 {
				w.giveBack()
			}
		})
		if kept < 100 {
			t.Errorf("seed %d: only %d promises, the test sees nothing", seed, kept)
		}
	}
}

// queueUp lets askers come for five minutes, a bit more than there are calls for, and does something at each second.
func (w *world) queueUp(each func()) {
	pace := w.budget.meter.interval
	for range 300 {
		for range w.random.IntN(1 + int(2*time.Second/pace)) {
			w.add(Create, "a", 1+w.random.IntN(2), time.Duration(w.random.IntN(1000))*time.Millisecond)
		}
		each()
		w.run(w.now.Add(time.Second))
	}
}

// Who never comes back keeps its calls from the others for a while and is then no longer counted. What it left behind
// may be lost or not, so a promise can be put off, by that much and no more.
func TestPromisesAreAlmostKeptWhenOthersDoNotCome(t *testing.T) {
	allKept, allBroken := 0, 0
	for seed := range uint64(12) {
		w := newWorld(t, seed, []int{500, 3000}[seed%2])
		gone, kept, broken := 0, 0, 0
		w.late = func(asker) time.Duration {
			if w.random.IntN(20) == 0 {
				gone++
				return -1
			}
			return 0
		}
		w.admitted = func(a asker) {
			if a.promised {
				kept++
			}
		}
		w.refused = func(a asker, promise time.Time) {
			if !a.promised {
				return
			}
			broken++
			if off, most := promise.Sub(w.now), time.Duration(2*gone)*w.budget.meter.interval; off > most {
				t.Fatalf("seed %d: a promise is off by %v, and %d did not come, which are %v", seed, off, gone, most)
			}
		}
		w.queueUp(func() {
			if w.random.IntN(5) == 0 && len(w.askers) > 0 {
				one := w.askers[len(w.askers)-1]
				if one.promised {
					gone++
					w.budget.Forget(one.request.Key)
					w.askers = w.askers[:len(w.askers)-1] // The last one of a heap can be taken off.
				}
			}
		})
		allKept, allBroken = allKept+kept, allBroken+broken
	}
	if allKept < 5_000 || allBroken > allKept/20 {
		t.Errorf("%d promises were kept and %d put off, want one of twenty at most", allKept, allBroken)
	}
}

// With many classes and namespaces a promise is put off by who comes later and goes first. When nobody comes any more,
// each is put off about once, and everybody is through as soon as the pace allows: nothing free is left lying.
func TestNothingFreeIsLeftLying(t *testing.T) {
	for seed := range uint64(30) {
		w := newWorld(t, seed, []int{120, 500, 3000}[seed%3])
		const askers = 400
		calls := 0
		began, end := w.now, w.now
		for range askers {
			n := 1 + w.random.IntN(3)
			calls += n
			class := []Class{Delete, Create, Change, Drift}[w.random.IntN(4)] // Tokens may not use everything.
			w.add(class, fmt.Sprint(w.random.IntN(9)), n, time.Duration(w.random.IntN(3000))*time.Millisecond)
		}
		w.run(began.Add(3 * time.Second))
		putOff := 0
		w.refused = func(asker, time.Time) { putOff++ }
		w.admitted = func(asker) { end = w.now }
		w.run(began.Add(time.Hour))
		if len(w.askers) > 0 {
			t.Fatalf("seed %d: %d wait after an hour", seed, len(w.askers))
		}
		m := w.budget.meter
		// A hundredth or so is lost where the bucket is small and three calls together have to wait until it is nearly
		// full.
		want := time.Duration(calls-m.burst) * m.interval * 104 / 100
		if took := end.Sub(began); took > want+100*time.Millisecond {
			t.Errorf("seed %d: %d calls took %v, want %v", seed, calls, took, want)
		}
		if putOff > 2*askers {
			t.Errorf("seed %d: %d promises were put off, of %d", seed, putOff, askers)
		}
	}
}
