// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// crowd returns a budget that is used up, and a minute's row of creations in front of everybody.
func crowd(tb testing.TB) (*Budget, *clock) {
	tb.Helper()
	b, c := known(500)
	take(b, c, 10)
	for i := range 390 {
		ask(b, c, Request{Class: Create, Namespace: "a", Key: fmt.Sprint("crowd ", i), Calls: 1})
	}
	return b, c
}

func TestTicket(t *testing.T) {
	one := Request{Class: Create, Namespace: "a", Key: "one", Calls: 1}
	cases := map[string]struct {
		meanwhile func(*testing.T, *Budget, *clock)
		ask       Request
		wait      time.Duration
	}{
		"KeepsItsPlace": {ask: one, wait: 391 * pace},
		"KeepsItsPlaceWhenOthersCome": {
			meanwhile: func(_ *testing.T, b *Budget, c *clock) {
				for i := range 100 {
					ask(b, c, Request{Class: Create, Namespace: "a", Key: fmt.Sprint("later ", i), Calls: 1})
				}
			},
			ask: one, wait: 391 * pace,
		},
		"GoesBehindThoseThatCameMeanwhileOnceForgotten": {
			meanwhile: func(_ *testing.T, b *Budget, c *clock) {
				ask(b, c, Request{Class: Create, Namespace: "a", Key: "later", Calls: 1})
				b.Forget("one")
				b.Forget("nobody")
			},
			ask: one, wait: 392 * pace,
		},
		"MovesUpWhenOthersAreForgotten": {
			meanwhile: func(_ *testing.T, b *Budget, _ *clock) {
				for i := range 100 {
					b.Forget(fmt.Sprint("crowd ", i))
				}
			},
			ask: one, wait: 291 * pace,
		},
		"MovesToTheClassOfItsOwnersNewNeed": {
			ask: Request{Class: Delete, Namespace: "a", Key: "one", Calls: 2}, wait: 2 * pace,
		},
		"GoesBehindAnotherNamespacesFirst": {
			ask: Request{Class: Create, Namespace: "b", Key: "other", Calls: 1}, wait: 2 * pace,
		},
		"GoesBehindAnotherNamespacesFirstAlthoughSomebodyInTheBackHasLeft": {
			meanwhile: func(_ *testing.T, b *Budget, _ *clock) { b.Forget("crowd 389") },
			ask:       Request{Class: Create, Namespace: "b", Key: "other", Calls: 1}, wait: 2 * pace,
		},
		"GoesWhenTheOthersDoNotCome": {
			meanwhile: func(_ *testing.T, _ *Budget, c *clock) { c.pass(391*pace + 6*time.Second) },
			ask:       one,
		},
		"IsStillInPlaceWhenItsOwnerIsLate": {
			meanwhile: func(t *testing.T, b *Budget, c *clock) {
				t.Helper()
				c.pass(391*pace + 6*time.Second)
				var waiting int
				for i := range 500 {
					if ask(b, c, Request{Class: Create, Namespace: "a", Key: fmt.Sprint("later ", i), Calls: 1}) > 0 {
						waiting++
					}
				}
				if waiting != 490 {
					t.Errorf("%d wait, want all but a burst", waiting)
				}
			},
			ask: one, wait: pace,
		},
		"LosesItsPlaceInTheEnd": {
			meanwhile: func(t *testing.T, b *Budget, c *clock) {
				t.Helper()
				c.pass(391*pace + 6*time.Second)
				b.Snapshot() // Somebody looks.
				c.pass(2 * time.Minute)
				b.Snapshot()
				if len(b.tickets) != 0 || len(b.lapsed) != 0 {
					t.Errorf("%d tickets and %d lapsed ones are left", len(b.tickets), len(b.lapsed))
				}
				for i := range 20 {
					ask(b, c, Request{Class: Create, Namespace: "a", Key: fmt.Sprint("later ", i), Calls: 1})
				}
			},
			ask: one, wait: 11 * pace,
		},
		"IsNotNeededOnceNothingIsCounted": {
			meanwhile: func(t *testing.T, b *Budget, _ *clock) {
				t.Helper()
				b.counted = false // As on a budget that has heard nothing yet.
				b.Observe(200, calcom.RateLimit{})
				if got := b.Snapshot().Waiting; got != [Classes]int{} {
					t.Errorf("waiting: %v", got)
				}
			},
			ask: one,
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			b, c := crowd(t)
			ask(b, c, one)
			if tc.meanwhile != nil {
				tc.meanwhile(t, b, c)
			}
			if wait := ask(b, c, tc.ask); wait != tc.wait {
				t.Errorf("the wait is %v (%.2f calls), want %v (%d calls)", wait, float64(wait)/float64(pace), tc.wait, tc.wait/pace)
			}
		})
	}
}

func TestTree(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1)) //nolint:gosec // A reproducible schedule is wanted.
	type entry struct {
		key    int64
		ticket *ticket
	}
	var (
		tr      tree
		entries []entry
	)
	order := func(a, b entry) int {
		return cmp.Or(cmp.Compare(a.key, b.key), cmp.Compare(a.ticket.number, b.ticket.number))
	}
	for number := range uint64(3000) {
		if len(entries) > 0 && random.IntN(5) < 2 {
			i := random.IntN(len(entries))
			tr.remove(entries[i].key, entries[i].ticket)
			entries = slices.Delete(entries, i, i+1)
		} else {
			e := entry{key: random.Int64N(50), ticket: &ticket{number: number + 1, calls: 1 + random.IntN(3)}}
			tr.insert(e.key, e.ticket)
			entries = append(entries, e)
		}
		slices.SortFunc(entries, order)
		sum, i := 0, 0
		at := random.IntN(len(entries) + 1)
		tr.ascend(func(got *ticket) bool {
			if i == at {
				return false
			}
			if got != entries[i].ticket {
				t.Fatalf("ticket %d stands in place %d, want %d", got.number, i, entries[i].ticket.number)
			}
			sum += got.calls
			if through := tr.through(entries[i].key, got.number); through != sum {
				t.Fatalf("%d calls stand up to place %d, want %d", through, i, sum)
			}
			i++
			return true
		})
		if i != at || tr.count != len(entries) {
			t.Fatalf("visited %d of %d tickets, the tree counts %d of %d", i, at, tr.count, len(entries))
		}
		if first := tr.first(); len(entries) > 0 && first != entries[0].ticket || len(entries) == 0 && first != nil {
			t.Fatalf("the first ticket is %v", first)
		}
	}
}

// BenchmarkWait is what one more look costs while many wait.
func BenchmarkWait(b *testing.B) {
	for _, waiting := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			budget, c := known(500)
			requests := make([]Request, waiting)
			for i := range requests {
				requests[i] = Request{Class: Class(i % Classes), Namespace: fmt.Sprint(i % 97), Key: fmt.Sprint(i), Calls: 1 + i%2}
				ask(budget, c, requests[i])
			}
			for i := 0; b.Loop(); i++ {
				ask(budget, c, requests[i*7919%waiting])
			}
		})
	}
}

// BenchmarkTurn is what it costs that somebody comes in time, is served, and somebody new gets in line.
func BenchmarkTurn(b *testing.B) {
	for _, waiting := range []int{100, 10_000, 100_000} {
		b.Run(fmt.Sprint(waiting), func(b *testing.B) {
			budget, c := known(500)
			for i := range waiting {
				ask(budget, c, Request{Class: Class(i % Classes), Namespace: fmt.Sprint(i % 97), Key: fmt.Sprint(i), Calls: 1})
			}
			for i := waiting; b.Loop(); i++ {
				next := budget.queue.byPromise.first()
				c.now = maxTime(c.now, budget.began.Add(next.promise))
				ask(budget, c, Request{Class: next.class, Namespace: next.namespace, Key: next.key, Calls: next.calls})
				ask(budget, c, Request{Class: Class(i % Classes), Namespace: fmt.Sprint(i % 97), Key: fmt.Sprint(i), Calls: 1})
			}
		})
	}
}
