// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package massdelete slows a mass deletion down until somebody can have noticed it: of the users of one OAuth client no
// more than a number are deleted in any ten minutes.
//
// The number holds across restarts and for two processes at once, so what is allowed is written down before it is used.
// A write for each deletion would be dear; so a few are allowed together, for a short time, and count until the end of
// that time as if they were used then. The caller does the writing.
package massdelete

import (
	"slices"
	"time"
)

const (
	// Window is the time over which deletions are counted.
	Window = 10 * time.Minute

	// validity is how long a grant may be used.
	validity = 15 * time.Second

	// grants is into how many the limit is divided, as far as it goes.
	grants = 10
)

// Grant is a number of deletions that were allowed together.
type Grant struct {
	// Until is when the last of them can begin.
	Until time.Time `json:"until"`
	// Count is how many they are.
	Count int `json:"count"`
}

// Limiter counts the deletions of one OAuth client. It is not safe for concurrent use.
type Limiter struct {
	limit int
	// given are the grants that still count, oldest first.
	given []Grant
	// left is how many of the newest grant are not used yet.
	left int
	// waiting is when each object that waits may go.
	waiting map[string]time.Time
}

// New returns a limiter that allows a number of deletions in any Window, after the grants that were written down before.
func New(limit int, given []Grant) *Limiter {
	given = slices.Clone(given)
	slices.SortFunc(given, func(a, b Grant) int { return a.Until.Compare(b.Until) })
	return &Limiter{limit: limit, given: given, waiting: make(map[string]time.Time)}
}

// Take uses one deletion of a grant that is still good, and returns that one; or false when there is none.
func (l *Limiter) Take(key string, now time.Time) (Grant, bool) {
	if l.left == 0 {
		return Grant{}, false
	}
	newest := l.given[len(l.given)-1]
	if !now.Before(newest.Until) {
		return Grant{}, false
	}
	l.left--
	delete(l.waiting, key)
	return newest, true
}

// GiveBack returns a deletion that was taken and did not begin. One of an older grant is lost: used now, it would count for
// an earlier time.
func (l *Limiter) GiveBack(of Grant) {
	if len(l.given) > 0 && l.given[len(l.given)-1] == of {
		l.left++
	}
}

// Next returns the grants as they would be with a new one, to be written down and then given to Renew; or false when the limit
// is reached.
func (l *Limiter) Next(now time.Time) ([]Grant, bool) {
	next := make([]Grant, 0, len(l.given)+1)
	room := l.limit
	for i, g := range l.given {
		if i == len(l.given)-1 {
			g.Count -= l.left // What was not used of it lapses.
		}
		if g.Count > 0 && now.Before(g.Until.Add(Window)) {
			next = append(next, g)
			room -= g.Count
		}
	}
	if room <= 0 {
		return nil, false
	}
	return append(next, Grant{Until: now.Add(validity), Count: min(room, max(1, l.limit/grants))}), true
}

// Renew takes over the grants of Next, which were written down.
func (l *Limiter) Renew(written []Grant) {
	l.given = written
	l.left = written[len(written)-1].Count
}

// Wait returns when an object that was refused may go, given those that wait already. It stays the same as long as nobody
// else's deletions come in between.
func (l *Limiter) Wait(key string, now time.Time) time.Time {
	promised, waits := l.waiting[key]
	if waits && promised.After(now) {
		return promised
	}
	ahead := 0
	for other, at := range l.waiting {
		if other != key && (!waits || at.Before(promised)) {
			ahead++
		}
	}
	slots := l.slots(now)
	at := slots[ahead%l.limit].Add(time.Duration(ahead/l.limit) * (Window + validity))
	l.waiting[key] = at
	return at
}

// slots returns when each of the limit's deletions is possible next, in order.
func (l *Limiter) slots(now time.Time) []time.Time {
	var slots []time.Time
	for _, g := range l.given {
		for range g.Count {
			slots = append(slots, g.Until.Add(Window))
		}
	}
	for len(slots) < l.limit {
		slots = append(slots, now)
	}
	slices.SortFunc(slots, time.Time.Compare)
	return slots[len(slots)-l.limit:] // After a change of the limit there can be more.
}

// Forget drops an object that waits no longer.
func (l *Limiter) Forget(key string) { delete(l.waiting, key) }
