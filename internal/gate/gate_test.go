// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// entrance is a gate, its clock, and whom it woke.
type entrance struct {
	*testing.T
	*Gate[string]

	clock time.Time
	woken []string
}

func newEntrance(t *testing.T, workers int) *entrance {
	t.Helper()
	e := &entrance{T: t, clock: time.Unix(1_000_000_000, 0)}
	e.Gate = New(LimitsFor(workers), func() time.Time { return e.clock }, func(key string) { e.woken = append(e.woken, key) })
	return e
}

// enter asks for places for some objects, and checks who gets one.
func (e *entrance) enter(kind Kind, class quota.Class, keys []string, want ...string) {
	e.Helper()
	var got []string
	for _, key := range keys {
		if e.Enter(key, kind, class) {
			got = append(got, key)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		e.Errorf("in (-want +got):\n%s", d)
	}
}

// wantWoken checks who was woken since the last time.
func (e *entrance) wantWoken(want ...string) {
	e.Helper()
	if d := cmp.Diff(want, e.woken); d != "" {
		e.Errorf("woken (-want +got):\n%s", d)
	}
	e.woken = nil
}

// names returns n names, the first of which has a number.
func names(first, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("u%d", first+i)
	}
	return all
}

func TestLimitsFor(t *testing.T) {
	for workers, want := range map[int]Limits{
		1: {1, 2, 1, 1}, 2: {1, 2, 1, 1}, 4: {1, 2, 1, 1}, 8: {2, 4, 1, 1}, 16: {4, 8, 2, 2}, 32: {4, 8, 6, 6}, 64: {4, 8, 14, 14},
	} {
		if got := LimitsFor(workers); got != want {
			t.Errorf("%d workers: %v, want %v", workers, got, want)
		}
	}
	for workers := 8; workers < 200; workers++ {
		if l := LimitsFor(workers); l[Create]+l[Delete]+l[Other] > workers/2 {
			t.Errorf("of %d workers, one client can hold %v", workers, l)
		}
	}
}

// At most four of five create, and the fifth goes on as soon as one of them has ended.
func TestFourCreate(t *testing.T) {
	e := newEntrance(t, 64)
	e.enter(Create, quota.Create, names(1, 7), names(1, 4)...)
	e.enter(Other, quota.Change, []string{"edited"}, "edited")
	e.enter(Delete, quota.Delete, []string{"deleted"}, "deleted")
	e.wantWoken()
	e.Leave("u2", false)
	e.wantWoken("u5")
	e.enter(Create, quota.Create, []string{"u6", "u8"}) // The place is kept for the first in line.
	e.Leave("u3", false)
	e.wantWoken("u6")
	e.enter(Create, quota.Create, []string{"u5", "u6"}, "u5", "u6")
	e.enter(Create, quota.Create, []string{"u5"}, "u5")
	e.Leave("u1", false)
	e.wantWoken("u7")
	e.Leave("u7", false) // It was deleted, or edited so that it needs no call.
	e.wantWoken("u8")
}

// Twice as many prepare a create call as may send one. Who waits to send it keeps its place among those who prepare, so
// that few records grow old in line.
func TestPreparedWaitToSend(t *testing.T) {
	e := newEntrance(t, 64)
	e.enter(Prepare, quota.Create, names(1, 12), names(1, 8)...)
	e.enter(Create, quota.Create, names(1, 6), names(1, 4)...)
	e.wantWoken("u9", "u10", "u11", "u12") // The four that send gave up their places among those who prepare.
	e.Leave("u5", true)
	e.Leave("u6", true)
	e.enter(Prepare, quota.Create, names(9, 4), names(9, 4)...)
	e.enter(Prepare, quota.Create, []string{"u13"})
	e.Leave("u1", false)
	e.wantWoken("u5")
	e.enter(Other, quota.Create, []string{"u5", "u6"}, "u5", "u6")
	e.enter(Prepare, quota.Create, []string{"u5", "u6"}, "u5", "u6")
	e.enter(Create, quota.Create, []string{"u6", "u5"}, "u5")
	e.wantWoken("u13")
	e.Leave("u6", false) // It was deleted, or has no call to send any more.
	e.wantWoken()
	e.Leave("u2", false)
	e.wantWoken()
	e.enter(Create, quota.Create, []string{"u7"}, "u7")
}

// After a create call without a clear answer, one is made at a time until one succeeds.
func TestOneAfterAFailure(t *testing.T) {
	e := newEntrance(t, 64)
	e.enter(Create, quota.Create, names(1, 9), names(1, 4)...)
	e.Leave("u1", false)
	e.wantWoken("u5")
	e.Created(false)
	e.enter(Create, quota.Create, []string{"u5"}) // It was woken before, and three are under way.
	for _, key := range names(2, 2) {
		e.Leave(key, false)
	}
	e.wantWoken()
	e.Leave("u4", false)
	e.wantWoken("u5")
	e.enter(Create, quota.Create, names(5, 2), "u5")
	e.Created(false)
	e.Leave("u5", false)
	e.wantWoken("u6")
	e.enter(Create, quota.Create, []string{"u6"}, "u6")
	e.Created(true)
	e.wantWoken("u7", "u8", "u9")
}

// Within the other calls, the more urgent class goes first.
func TestClassesInLine(t *testing.T) {
	e := newEntrance(t, 8)
	e.enter(Other, quota.Drift, names(1, 3), "u1")
	e.enter(Other, quota.Change, []string{"edited"})
	e.Leave("u1", false)
	e.wantWoken("edited")
	e.enter(Other, quota.Drift, []string{"u2"})
	e.enter(Other, quota.Change, []string{"edited"}, "edited")
}

// An object that looks its user up before it creates one gives the place of the look-up for that of the create call,
// and one that had to wait for the latter looks up only when it has it.
func TestLookUpBeforeCreate(t *testing.T) {
	e := newEntrance(t, 8)
	e.enter(Create, quota.Create, names(1, 2), "u1", "u2")
	e.enter(Other, quota.Create, []string{"u3"}, "u3")
	e.enter(Create, quota.Create, []string{"u3"})
	e.Leave("u3", true)
	e.enter(Other, quota.Create, []string{"u3"})
	e.enter(Other, quota.Create, []string{"u4"}, "u4")
	e.Leave("u1", false)
	e.wantWoken("u3")
	e.enter(Other, quota.Create, []string{"u3"}, "u3")
	e.enter(Create, quota.Create, []string{"u3"}, "u3")
	e.Leave("u2", false)
	e.enter(Other, quota.Change, []string{"u5"}) // u4 has the only other place.
	e.enter(Create, quota.Create, []string{"u4"}, "u4")
	e.wantWoken("u5")
	e.enter(Delete, quota.Delete, []string{"u5"}, "u5") // It was deleted meanwhile.
	e.enter(Other, quota.Change, []string{"u6"}, "u6")
}

// A slow client has the objects woken that wait without a condition, and names those whose own call takes long, once.
func TestSlow(t *testing.T) {
	e := newEntrance(t, 64)
	if !e.Begin("u1") || e.Begin("u2") {
		t.Error("want one check for all calls")
	}
	e.Hide("u3")
	e.clock = e.clock.Add(SlowCall - time.Second)
	e.Begin("u4")
	e.wantCheck(time.Second)
	e.clock = e.clock.Add(time.Second)
	e.wantCheck(SlowCall-time.Second, "u1", "u2")
	e.wantWoken("u3")
	e.Hide("u5") // The client became slow in between.
	e.wantWoken("u5")
	e.Note("u1", "note")
	if note := e.End("u1"); note != "note" || e.End("u1") != nil {
		t.Errorf("note is %v", note)
	}
	if !e.Again("u2") || e.Again("u1") {
		t.Error("want only the call under way checked again")
	}
	e.wantCheck(SlowCall-time.Second, "u2")
	e.End("u2")
	e.End("u4")
	e.wantCheck(0)
	if e.IsSlow() {
		t.Error("the client is slow after a call that took a second")
	}
	e.Created(false)
	if !e.IsSlow() {
		t.Error("the client is not slow after a create call without a clear answer")
	}
	e.Created(true)
	if !e.Begin("u1") || e.IsSlow() {
		t.Error("want a check for the first call since the last check")
	}
}

func (e *entrance) wantCheck(wantNext time.Duration, want ...string) {
	e.Helper()
	long, next := e.Check()
	slices.Sort(long)
	if d := cmp.Diff(want, long); d != "" || next != wantNext {
		e.Errorf("next check in %v, want %v; long calls (-want +got):\n%s", next, wantNext, d)
	}
}

// Whatever objects do, the limits hold, no object that is woken by the rules waits for ever, and nothing is left in the
// end.
func TestEveryObjectGetsItsPlace(t *testing.T) {
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // A run has to be reproducible.
		e := newEntrance(t, []int{1, 2, 8, 16, 64}[random.IntN(5)])
		todo, comes := map[string]Kind{}, map[string]bool{}
		for _, name := range names(0, 40) {
			todo[name], comes[name] = Kind(random.IntN(Kinds)), true
		}
		inside := map[string]bool{}
		for step := 0; len(todo) > 0; step++ {
			if step > 10_000 {
				t.Fatalf("seed %d: %v wait for ever", seed, todo)
			}
			if len(inside) > 0 && random.IntN(3) == 0 {
				e.step(random, inside, todo)
			} else if ready := slices.Sorted(maps.Keys(comes)); len(ready) > 0 {
				name := ready[random.IntN(len(ready))]
				delete(comes, name)
				if kind, ok := todo[name]; ok && random.IntN(10) == 0 { // It turns out to need no call.
					delete(todo, name)
					e.Leave(name, false)
				} else if ok && e.Enter(name, kind, quota.Class(random.IntN(quota.Classes))) {
					inside[name] = true
				}
			}
			for _, name := range e.woken {
				comes[name] = true
			}
			e.woken = nil
			for kind, n := range e.count {
				if n > e.limits[kind] {
					t.Fatalf("seed %d: %d places of kind %d, %d allowed", seed, n, kind, e.limits[kind])
				}
			}
		}
		if len(e.held)+len(e.waiting)+len(e.calls)+len(e.hidden) > 0 {
			t.Errorf("seed %d: left over: %v, %v", seed, e.held, e.waiting)
		}
	}
}

// step lets one of those inside end its work.
func (e *entrance) step(random *rand.Rand, inside map[string]bool, todo map[string]Kind) {
	all := slices.Sorted(maps.Keys(inside))
	name := all[random.IntN(len(all))]
	if todo[name] == Create {
		e.Created(random.IntN(3) > 0)
	}
	delete(inside, name)
	delete(todo, name)
	e.Leave(name, false)
}
