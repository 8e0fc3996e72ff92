// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import (
	"cmp"
	"container/heap"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// asker is somebody who wants calls, and comes back as told.
type asker struct {
	request  Request
	at       time.Time
	promised bool // at is a promise.
	promises int
	done     func() // Instead of a request: something that ends.
}

// world is many askers at one budget. It moves from one of them to the next, and checks at each admission that the
// window behind it holds no more than the share.
type world struct {
	*testing.T

	*clock
	budget *Budget
	random *rand.Rand
	limit  int
	// made are the calls of the last window, oldest first, and held those that were admitted and are not made yet.
	made   []time.Time
	held   []Class
	askers agenda
	keys   int
	// served are the calls by class and namespace.
	served map[string]int

	// late returns how late somebody comes, and a negative time for one who never does.
	late func(asker) time.Duration
	// admitted and refused, when set, are told of each outcome.
	admitted func(asker)
	refused  func(asker, time.Time)
	// slow leaves the calls of who was admitted to be made or given back later.
	slow bool
}

func newWorld(t *testing.T, seed uint64, limit int) *world {
	t.Helper()
	w := &world{
		T: t, random: rand.New(rand.NewPCG(seed, 1)), //nolint:gosec // A reproducible schedule is wanted.
		limit: limit, served: make(map[string]int),
		late: func(asker) time.Duration { return 0 },
	}
	w.budget, w.clock = known(limit)
	return w
}

// add lets somebody new ask at a time from now.
func (w *world) add(class Class, namespace string, calls int, in time.Duration) {
	w.keys++
	a := asker{request: Request{Class: class, Namespace: namespace, Key: fmt.Sprint(w.keys), Calls: calls}, at: w.now.Add(in)}
	if class == Tokens { // Who comes later need not be in less of a hurry.
		a.request.Deadline = a.at.Add(time.Duration(w.random.IntN(20)) * time.Minute)
	}
	heap.Push(&w.askers, a)
}

// run lets the askers ask until a time, or until there is nobody left.
func (w *world) run(until time.Time) {
	for len(w.askers) > 0 && !w.askers[0].at.After(until) {
		next, ok := heap.Pop(&w.askers).(asker)
		if !ok {
			w.Fatal("the agenda holds something else")
		}
		w.now = maxTime(w.now, next.at)
		w.ask(next)
	}
	w.now = maxTime(w.now, until)
}

func (w *world) ask(a asker) {
	promise := w.budget.Take(a.request)
	if promise.IsZero() {
		w.served[a.request.Class.String()] += a.request.Calls
		w.served[a.request.Class.String()+"/"+a.request.Namespace] += a.request.Calls
		w.check(a)
		if w.admitted != nil {
			w.admitted(a)
		}
		return
	}
	if !promise.After(w.now) {
		w.Fatalf("a promise for %v at %v", promise, w.now)
	}
	if w.refused != nil {
		w.refused(a, promise)
	}
	a.at, a.promised = promise, true
	a.promises++
	if late := w.late(a); late >= 0 {
		a.at = a.at.Add(late)
		a.promised = late == 0
		heap.Push(&w.askers, a)
	}
}

// check counts the calls of the window that ends with an admission, with those to come.
func (w *world) check(a asker) {
	for range a.request.Calls {
		w.held = append(w.held, a.request.Class)
	}
	for len(w.made) > 0 && w.now.Sub(w.made[0]) >= DefaultWindow {
		w.made = w.made[1:]
	}
	sum := len(w.made) + len(w.held)
	if allowed := max(1, w.limit*4/5); sum > max(allowed, a.request.Calls) {
		w.Fatalf("%d calls in the window before %v, %d are allowed", sum, w.now, allowed)
	}
	for !w.slow && len(w.held) > 0 {
		w.use()
	}
}

// use makes one of the calls that were admitted, and giveBack returns one.
func (w *world) use() {
	w.held = w.held[1:]
	w.made = append(w.made, w.now)
	w.budget.Use()
}

func (w *world) giveBack() {
	w.budget.Return(w.held[0], 1)
	w.held = w.held[1:]
}

// agenda is a heap of askers by time, then by who came first.
type agenda []asker

func (a *agenda) Len() int { return len(*a) }

func (a *agenda) Less(i, j int) bool {
	x, y := (*a)[i], (*a)[j]
	return cmp.Or(
		x.at.Compare(y.at), cmp.Compare(len(x.request.Key), len(y.request.Key)), cmp.Compare(x.request.Key, y.request.Key),
	) < 0
}

func (a *agenda) Swap(i, j int) { (*a)[i], (*a)[j] = (*a)[j], (*a)[i] }

func (a *agenda) Push(x any) {
	if one, ok := x.(asker); ok {
		*a = append(*a, one)
	}
}

func (a *agenda) Pop() any {
	last := (*a)[len(*a)-1]
	*a = (*a)[:len(*a)-1]
	return last
}

func maxTime(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
