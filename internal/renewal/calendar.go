// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package renewal

import "time"

// slotsPerWindow is into how many slots the calendar divides the time over which calls are counted.
const slotsPerWindow = 4

// Calendar gives every token that is to be renewed a moment, and no moment to more of them than there are calls for. It
// is kept in memory: whoever starts afresh plans all tokens anew, from what is known of their lives. It is not safe for
// concurrent use.
type Calendar[K comparable] struct {
	slot    time.Duration
	taken   map[int64]int
	entries map[K]entry
}

// entry is what is planned for one token.
type entry struct {
	slot int64
	at   time.Time
	life Life
}

// NewCalendar returns an empty calendar. window is the time over which calls are counted.
func NewCalendar[K comparable](window time.Duration) *Calendar[K] {
	return &Calendar[K]{slot: window / slotsPerWindow, taken: make(map[int64]int), entries: make(map[K]entry)}
}

// Plan returns the moment at which a token is to be renewed, and keeps its place; a plan that was made for it before is
// dropped. most is how many calls for tokens there are in a window, 0 when there is no limit.
func (c *Calendar[K]) Plan(key K, life Life, phase float64, most int, now time.Time) time.Time {
	c.Drop(key)
	at := life.Wanted(phase)
	if slot, ok := c.room(life, at, most, now); ok && slot != c.slotOf(at) {
		at = time.Unix(0, 0).Add(time.Duration(slot)*c.slot + time.Duration(phase*float64(c.slot)))
	}
	if at.Before(now) {
		at = now
	}
	e := entry{slot: c.slotOf(at), at: at, life: life}
	c.taken[e.slot]++
	c.entries[key] = e
	return at
}

// room returns the slot for a token: the one that is wanted or, of those that have room, one in the part of life in
// which all are wanted, or the first one before, or the first one after. Those that are displaced fill the slots from
// the first one on, since a slot that passes empty is lost: when thousands of users were created faster than their
// tokens can be renewed, it takes all of them.
func (c *Calendar[K]) room(life Life, at time.Time, most int, now time.Time) (int64, bool) {
	want, first, last := c.slotOf(at), max(c.slotOf(life.at(earliest)), c.slotOf(now))+1, c.slotOf(life.at(latest))-1
	if want < first {
		return 0, false // It is as good as due.
	}
	for slot := want; slot <= c.slotOf(life.at(wanted+spread)); slot++ {
		if c.hasRoom(slot, most) {
			return slot, true
		}
	}
	for slot := first; slot <= last; slot++ {
		if c.hasRoom(slot, most) {
			return slot, true
		}
	}
	return 0, false
}

// hasRoom divides the calls of a window among its slots without a remainder.
func (c *Calendar[K]) hasRoom(slot int64, most int) bool {
	calls := int64(most)
	return most == 0 || int64(c.taken[slot]) < (slot+1)*calls/slotsPerWindow-slot*calls/slotsPerWindow
}

func (c *Calendar[K]) slotOf(at time.Time) int64 { return int64(at.Sub(time.Unix(0, 0)) / c.slot) }

// At returns the moment that is planned for a token.
func (c *Calendar[K]) At(key K) (time.Time, bool) {
	e, ok := c.entries[key]
	return e.at, ok
}

// Drop forgets a token.
func (c *Calendar[K]) Drop(key K) {
	e, ok := c.entries[key]
	if !ok {
		return
	}
	delete(c.entries, key)
	c.taken[e.slot]--
	if c.taken[e.slot] == 0 {
		delete(c.taken, e.slot)
	}
}

// Len returns how many tokens are planned.
func (c *Calendar[K]) Len() int { return len(c.entries) }

// Late returns how many tokens should have been renewed and are not.
func (c *Calendar[K]) Late(now time.Time) int {
	late := 0
	for _, e := range c.entries {
		if e.life.IsLate(now) {
			late++
		}
	}
	return late
}

// LifeOf returns the life that a token was planned with.
func (c *Calendar[K]) LifeOf(key K) Life { return c.entries[key].life }

// First returns when the first token ends.
func (c *Calendar[K]) First() (first time.Time, exists bool) {
	for _, e := range c.entries {
		if !exists || e.life.Expires.Before(first) {
			first, exists = e.life.Expires, true
		}
	}
	return first, exists
}
