// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package limits slows accidents down until a person can have noticed them. Of the users of one OAuth client, no more
// than a number are deleted in any ten minutes (Limiter). And when more than a number turn out to be gone in ten
// minutes, none is created anew and no object is released (Absences).
//
// The numbers hold across restarts and for two processes at once, so what is allowed is recorded before it is used. A
// write for each user would be slow; so a few are allowed together, for a short time, and count until the end of that
// time as if they were used then. The caller does the writing.
package limits

import (
	"slices"
	"time"
)

const (
	// Window is the time over which users are counted.
	Window = 10 * time.Minute

	// validity is how long a grant may be used.
	validity = 15 * time.Second

	// grants is into how many the limit is divided, as far as it goes.
	grants = 10

	// mostGrants is how many grants are kept. The operator never has as many: each is either used up, which at most
	// 2*grants can be within the limit, or lapsed after validity, which at most Window/validity+1 can be within Window.
	mostGrants = 2*grants + int(Window/validity) + 2
)

// Grant is a number of users that were allowed together.
type Grant struct {
	// Until is when the last of them can begin.
	Until time.Time `json:"until"`
	// Count is how many they are.
	Count int `json:"count"`
}

// counts reports whether a grant reduces what is allowed now.
func (g Grant) counts(now time.Time) bool { return g.Count > 0 && now.Before(g.Until.Add(Window)) }

// Limiter counts the users of one OAuth client. It is not safe for concurrent use.
type Limiter struct {
	limit int
	// given are the grants that still count, oldest first.
	given []Grant
	// left is how many of the newest grant are not used yet.
	left int
	// waiting is when each object that waits may go.
	waiting map[string]time.Time
}

// New returns a limiter that allows a number of users in any Window, after the grants that were recorded before. A
// record can have been edited: whatever it says, it takes little memory, and never allows more than the limit.
func New(limit int, given []Grant, now time.Time) *Limiter {
	return &Limiter{limit: limit, given: Sound(limit, given, now), waiting: make(map[string]time.Time)}
}

// Sound returns the grants of a record that still count, oldest first: no more than mostGrants, none of more than the
// limit, and none that counts for longer than two Windows. Where there are too many, the oldest are joined into one
// that counts for all of them.
func Sound(limit int, given []Grant, now time.Time) []Grant {
	var counting []Grant
	latest := now.Add(Window)
	for _, g := range given {
		if !g.counts(now) {
			continue
		}
		if g.Until.After(latest) {
			g.Until = latest
		}
		g.Count = min(g.Count, limit)
		counting = append(counting, g)
	}
	slices.SortFunc(counting, func(a, b Grant) int { return a.Until.Compare(b.Until) })
	if extra := len(counting) - mostGrants; extra > 0 {
		joined := counting[extra]
		for _, g := range counting[:extra] {
			joined.Count = min(limit, joined.Count+g.Count)
		}
		counting[extra] = joined
		counting = slices.Clone(counting[extra:])
	}
	return counting
}

// Take uses one of a grant that is still good, and returns that grant; or false when there is none.
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

// GiveBack returns one that was taken and did not begin. One of an older grant is lost: used now, it would count for
// an earlier time.
func (l *Limiter) GiveBack(of Grant) {
	if len(l.given) > 0 && l.given[len(l.given)-1] == of {
		l.left++
	}
}

// Next returns the grants as they would be with a new one, to be recorded and then given to Renew; or false when the
// limit is reached.
func (l *Limiter) Next(now time.Time) ([]Grant, bool) {
	next, room := l.recorded(now), l.limit
	for _, g := range next {
		room -= g.Count
	}
	if room <= 0 {
		return nil, false
	}
	return append(next, Grant{Until: now.Add(validity), Count: min(room, max(1, l.limit/grants))}), true
}

// recorded returns the grants that still count. What was not used of the newest lapses.
func (l *Limiter) recorded(now time.Time) []Grant {
	kept := make([]Grant, 0, len(l.given)+1)
	for i, g := range l.given {
		if i == len(l.given)-1 {
			g.Count -= l.left
		}
		if g.counts(now) {
			kept = append(kept, g)
		}
	}
	return kept
}

// Renew takes over the grants of Next, which were recorded.
func (l *Limiter) Renew(written []Grant) {
	l.given = written
	l.left = written[len(written)-1].Count
}

// Wait returns when an object that was refused may go, given those that wait already. It stays the same as long as
// nobody else's deletions come in between.
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
	at := l.slot(ahead%l.limit, now).Add(time.Duration(ahead/l.limit) * (Window + validity))
	l.waiting[key] = at
	return at
}

// slot returns when the n-th next user is possible, from 0 up to the limit.
func (l *Limiter) slot(n int, now time.Time) time.Time {
	used := 0
	for _, g := range l.given {
		if g.counts(now) {
			used += g.Count
		}
	}
	n -= l.limit - used // After a change of the limit more can be used than it allows.
	for _, g := range l.given {
		if !g.counts(now) {
			continue
		}
		if n < 0 {
			break
		}
		if n < g.Count {
			return g.Until.Add(Window)
		}
		n -= g.Count
	}
	return now
}

// Forget drops an object that waits no longer.
func (l *Limiter) Forget(key string) { delete(l.waiting, key) }

// Idle reports whether nothing is lost when the limiter is dropped and made anew later.
func (l *Limiter) Idle(now time.Time) bool {
	return len(l.waiting) == 0 && !slices.ContainsFunc(l.given, func(g Grant) bool { return g.counts(now) })
}
