// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"fmt"
	"testing"
	"time"
)

// endless makes everybody who is served ask again, as somebody else of the same kind.
func (w *world) endless() {
	w.admitted = func(a asker) { w.add(a.request.Class, a.request.Namespace, a.request.Calls, 0) }
}

// wantShare checks the part, in per mille, that somebody had of the calls served.
func (w *world) wantShare(who string, least, most int) {
	w.Helper()
	sum := 0
	for class := range Class(Classes) {
		sum += w.served[class.String()]
	}
	if got := w.served[who] * 1000 / sum; got < least || got > most {
		w.Errorf("%s had %d ‰ of %d calls, want %d to %d", who, got, sum, least, most)
	}
}

// One namespace with 5,000 new users does not keep another with one of them waiting.
func TestNamespaceWithOneUserIsNotStarved(t *testing.T) {
	w := newWorld(t, 1, 500)
	for range 5000 {
		w.add(Create, "big", 1, 0)
	}
	w.run(w.now.Add(time.Minute))
	came := w.now
	w.add(Create, "small", 1, 0)
	var served time.Time
	w.admitted = func(a asker) {
		if a.request.Namespace == "small" {
			served = w.now
		}
	}
	w.run(w.now.Add(time.Minute))
	if wait := served.Sub(came); served.IsZero() || wait > 3*pace {
		t.Errorf("the one user had to wait %v, want about the time of one call", wait)
	}
}

func TestNamespacesShareEvenly(t *testing.T) {
	w := newWorld(t, 1, 500)
	for range 1000 {
		w.add(Create, "many", 1, 0)
	}
	for range 8 {
		w.add(Create, "several", 2, 0) // At a time.
	}
	for range 4 {
		w.add(Create, "few", 1, 0)
	}
	w.add(Create, "single", 1, 0)
	w.endless()
	w.run(w.now.Add(10 * time.Minute))
	for _, namespace := range []string{"many", "several", "few", "single"} {
		w.wantShare("create/"+namespace, 240, 260)
	}
}

// Each class has four times the calls of the one below, however many namespaces either has, and none is left with
// nothing.
func TestClassesHaveTheirShares(t *testing.T) {
	cases := map[string]struct {
		waiting []Class
		want    map[Class]int // Per mille.
	}{
		"All":               {[]Class{Delete, Create, Change, Tokens, Drift}, map[Class]int{Delete: 751, Create: 188, Change: 47, Tokens: 12, Drift: 3}},
		"DeletionsAndDrift": {[]Class{Delete, Drift}, map[Class]int{Delete: 996, Drift: 4}},
		"ChangeAndDrift":    {[]Class{Change, Drift}, map[Class]int{Change: 941, Drift: 59}},
		"TokensAndDrift":    {[]Class{Tokens, Drift}, map[Class]int{Tokens: 500, Drift: 500}}, // Tokens have half at most.
		"CreateAndChange":   {[]Class{Create, Change}, map[Class]int{Create: 800, Change: 200}},
		"DriftAlone":        {[]Class{Drift}, map[Class]int{Drift: 1000}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, 500)
			for _, class := range tc.waiting {
				for i := range 100 {
					w.add(class, fmt.Sprint(i%(5+5*int(class))), 1+i%2, 0)
				}
			}
			w.endless()
			w.run(w.now.Add(10 * time.Minute))
			for class, share := range tc.want {
				w.wantShare(class.String(), share-8, share+8)
			}
		})
	}
}

// Drift alone may use everything. From the moment that somebody else waits, it gets a quarter at most, in any window;
// while only tokens wait, what these may not use.
func TestDriftMakesWay(t *testing.T) {
	for seed := range uint64(4) {
		w := newWorld(t, seed, 500)
		w.late = func(asker) time.Duration { return time.Duration(w.random.IntN(300)) * time.Millisecond }
		for i := range 300 {
			w.add(Drift, fmt.Sprint(i%7), 1, 0)
		}
		w.endless()
		w.run(w.now.Add(2 * time.Minute))
		other := Class(seed % 4)
		for range 30 {
			w.add(other, "a", 1+w.random.IntN(2), 0)
		}
		most, least := 100, 750
		if other == Tokens {
			most, least = 206, 490
		}
		for range 5 {
			clear(w.served)
			w.run(w.now.Add(time.Minute))
			if drift := w.served["drift"]; drift > most || drift == 0 {
				t.Errorf("seed %d: drift had %d calls of a minute while %v waited, want some and at most %d", seed, drift, other, most)
			}
			w.wantShare(other.String(), least, 999)
		}
	}
}

// A deletion waits for about one call, whoever else is in line.
func TestDeletionGoesNext(t *testing.T) {
	for seed := range uint64(8) {
		w := newWorld(t, seed, 500)
		for i := range 2000 {
			w.add(Class(1+i%4), fmt.Sprint(i%7), 1+i%2, 0)
		}
		w.run(w.now.Add(time.Minute + time.Duration(w.random.IntN(5000))*time.Millisecond))
		came := w.now
		w.add(Delete, "a", 2, 0)
		var served time.Time
		w.admitted = func(a asker) {
			if a.request.Class == Delete {
				served = w.now
			}
		}
		w.run(w.now.Add(time.Minute))
		if wait := served.Sub(came); served.IsZero() || wait > 4*pace {
			t.Errorf("seed %d: a deletion had to wait %v, want about the time of its two calls", seed, wait)
		}
	}
}
