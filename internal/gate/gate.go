// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package gate

import (
	"container/list"
	"sync"
	"time"

	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// Gate is the places of one OAuth client at one API URL. It is safe for concurrent use.
type Gate[K comparable] struct {
	limits Limits
	now    func() time.Time
	wake   func(K)

	mu      sync.Mutex
	held    map[K]Kind
	count   [Kinds]int
	lines   [Kinds]line[K]
	waiting map[K]*list.Element
	calls   map[K]*call
	// hidden are the objects that wait and whose conditions do not say so, because the client was not slow.
	hidden map[K]struct{}
	// cautious is set from a create call without a clear answer until one succeeds, and late while the call that ended
	// last took longer than SlowCall.
	cautious, late bool
	// checking is set while a check of the calls under way is due.
	checking bool
}

// call is one call under way.
type call struct {
	began time.Time
	// shown is set once the call is known to take long.
	shown bool
	note  any
}

// New returns a gate. wake is called with each object that can have its place now; it must not call the gate.
func New[K comparable](limits Limits, now func() time.Time, wake func(K)) *Gate[K] {
	return &Gate[K]{
		limits: limits, now: now, wake: wake,
		held: make(map[K]Kind), waiting: make(map[K]*list.Element), calls: make(map[K]*call), hidden: make(map[K]struct{}),
	}
}

// Enter takes a place of a kind for an object and returns true, or puts the object in line and returns false. A place
// of any kind serves where Other is asked for. An object that stands in line for a create call takes the place for that
// at once: what it would find out before, it would have to find out again.
func (g *Gate[K]) Enter(key K, kind Kind, class quota.Class) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	holds, isHolder := g.held[key]
	if isHolder && (holds == kind || kind == Other) {
		return true
	}
	e := g.entryFor(key, kind, class)
	element, waits := g.waiting[key]
	free := g.free(e.kind)
	if waits && !g.lines[e.kind].isAmong(free, e) || !waits && g.lines[e.kind].behind(e.class) >= free {
		e.woken = false
		if !waits {
			g.waiting[key] = g.lines[e.kind].push(e)
		}
		return false
	}
	if waits {
		g.removeFromLine(key, element)
	}
	if isHolder {
		g.giveUp(key, holds)
	}
	g.held[key] = e.kind
	g.count[e.kind]++
	return true
}

// entryFor returns the object's entry in the line that it needs, or a new one that is in no line yet.
func (g *Gate[K]) entryFor(key K, kind Kind, class quota.Class) *entry[K] {
	if kind != Other {
		class = 0
	}
	element, waits := g.waiting[key]
	if waits {
		e := entryOf[K](element)
		if e.kind == kind && e.class == class || (e.kind == Prepare || e.kind == Create) && kind == Other {
			return e
		}
		g.removeFromLine(key, element)
		g.wakeNext(e.kind)
	}
	return &entry[K]{key: key, kind: kind, class: class}
}

// free returns how many places of a kind can be taken now.
func (g *Gate[K]) free(kind Kind) int {
	limit := g.limits[kind]
	if (kind == Create || kind == Prepare) && g.cautious {
		limit = 1
	}
	return limit - g.count[kind]
}

func (g *Gate[K]) removeFromLine(key K, element *list.Element) {
	g.lines[entryOf[K](element).kind].remove(element)
	delete(g.waiting, key)
}

func (g *Gate[K]) giveUp(key K, kind Kind) {
	delete(g.held, key)
	g.count[kind]--
	g.wakeNext(kind)
}

// wakeNext wakes the objects for which there are places, unless they were woken before and did not come yet.
func (g *Gate[K]) wakeNext(kind Kind) {
	g.lines[kind].first(g.free(kind), func(e *entry[K]) bool {
		if !e.woken {
			e.woken = true
			g.wake(e.key)
		}
		return true
	})
}

// Leave gives back the place of an object, and takes it out of the line unless it is to stay there. One that stays in
// line for a create call keeps the place in which it prepared it.
func (g *Gate[K]) Leave(key K, stays bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.calls, key)
	delete(g.hidden, key)
	element, waits := g.waiting[key]
	kind, isHolder := g.held[key]
	waitsPrepared := stays && waits && kind == Prepare && entryOf[K](element).kind == Create
	if isHolder && !waitsPrepared {
		g.giveUp(key, kind)
	}
	if waits && !stays {
		kind := entryOf[K](element).kind
		g.removeFromLine(key, element)
		g.wakeNext(kind)
	}
}

// Waits reports whether an object stands in line.
func (g *Gate[K]) Waits(key K) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	_, waits := g.waiting[key]
	return waits
}

// Created notes how a create call ended. After one without a clear answer, one is made at a time until one succeeds.
func (g *Gate[K]) Created(succeeded bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cautious = !succeeded
	g.wakeNext(Create)
	g.wakeNext(Prepare)
}
