// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"slices"
	"time"
)

// AbsenceRecord is what is recorded of the users of one OAuth client that turned out to be gone.
type AbsenceRecord struct {
	// Grants are the users that were allowed to be created anew, or whose objects were allowed to be released.
	Grants []Grant `json:"grants,omitempty"`
	// HeldUntil is until when no other one is allowed to.
	HeldUntil time.Time `json:"heldUntil,omitzero"`
}

// Absences counts the users of one OAuth client that turned out to be gone, and says when there are so many that an
// accident is more likely than their removal: then a hold begins, in which none is allowed to be created anew. It is
// not safe for concurrent use.
//
// A hold ends when for its whole length no more users than the limit were missing. So it lasts for as long as the cause
// does, and needs no person where the users are shown again.
type Absences struct {
	limit   int
	length  time.Duration
	limiter *Limiter
	// heldUntil is the end of the hold, and written the end that is on record.
	heldUntil, written time.Time
	// missing are the objects whose users are not there, by key, with the time at which that was seen last.
	missing map[string]time.Time
	// through are the objects among them that were allowed to go on, with the end of their grant.
	through map[string]time.Time
}

// NewAbsences returns a count that allows a number of users in any Window. length is that of a hold. It must be longer
// than the time after which an object that is held is checked again.
func NewAbsences(limit int, length time.Duration) *Absences {
	return &Absences{
		limit: limit, length: length, limiter: New(limit, nil, time.Time{}),
		missing: make(map[string]time.Time), through: make(map[string]time.Time),
	}
}

// Load takes over a record. What is known of missing users stays, and so does a hold.
func (a *Absences) Load(record AbsenceRecord, now time.Time) {
	record = record.Sound(a.limit, a.length, now)
	a.limiter = New(a.limit, record.Grants, now)
	a.written = record.HeldUntil
	if record.HeldUntil.After(a.heldUntil) {
		a.heldUntil = record.HeldUntil
	}
}

// Sound returns what still counts of a record, however it was edited; it is zero when the record can be dropped.
func (r AbsenceRecord) Sound(limit int, length time.Duration, now time.Time) AbsenceRecord {
	r.Grants = Sound(limit, r.Grants, now)
	if latest := now.Add(length); r.HeldUntil.After(latest) {
		r.HeldUntil = latest
	}
	if !now.Before(r.HeldUntil) {
		r.HeldUntil = time.Time{}
	}
	return r
}

// IsZero reports whether nothing is on record.
func (r AbsenceRecord) IsZero() bool { return len(r.Grants) == 0 && r.HeldUntil.IsZero() }

// Missing notes that the users of some objects are not there.
func (a *Absences) Missing(now time.Time, keys ...string) {
	for _, key := range keys {
		a.missing[key] = now
	}
}

// Shown notes that an object's user is there, or that the object no longer counts.
func (a *Absences) Shown(key string) {
	delete(a.missing, key)
	delete(a.through, key)
}

// Held reports whether too many users are missing for any to be created anew. It begins a hold, or extends it, when
// they are.
func (a *Absences) Held(now time.Time) bool {
	for key, until := range a.through {
		if !now.Before(until.Add(Window)) {
			delete(a.through, key)
		}
	}
	gone := 0
	for _, grant := range a.limiter.recorded(now) {
		gone += grant.Count
	}
	for key, at := range a.missing {
		if now.Sub(at) >= a.length {
			delete(a.missing, key)
		} else if _, counted := a.through[key]; !counted {
			gone++
		}
	}
	if gone > a.limit {
		a.heldUntil = now.Add(a.length)
	}
	return now.Before(a.heldUntil)
}

// NeedsWrite reports whether a hold should be recorded: it is new, or half over according to the record.
func (a *Absences) NeedsWrite() bool { return a.heldUntil.Sub(a.written) > a.length/2 }

// Record returns what is to be recorded now.
func (a *Absences) Record(now time.Time) AbsenceRecord {
	return AbsenceRecord{Grants: a.limiter.recorded(now), HeldUntil: a.heldUntil}.Sound(a.limit, a.length, now)
}

// Wrote notes that Record is stored. What was not used of the newest grant has lapsed with it.
func (a *Absences) Wrote(record AbsenceRecord) {
	a.limiter.given, a.limiter.left, a.written = record.Grants, 0, record.HeldUntil
}

// Take allows an object to go on by a grant that is still good; false when there is none.
func (a *Absences) Take(key string, now time.Time) bool {
	if until, ok := a.through[key]; ok && now.Before(until) {
		return true
	}
	grant, ok := a.limiter.Take(key, now)
	if ok {
		a.through[key] = grant.Until
	}
	return ok
}

// Next returns the record as it is to be stored, and then given to Renew, before an object can Take a new grant; or
// false when the limit is reached. An object that was allowed to go on before, and comes again, counts once.
func (a *Absences) Next(key string, now time.Time) (AbsenceRecord, bool) {
	limiter := Limiter{limit: a.limiter.limit, given: slices.Clone(a.limiter.given), left: a.limiter.left}
	if until, ok := a.through[key]; ok {
		for i := range limiter.given {
			if limiter.given[i].Until.Equal(until) {
				limiter.given[i].Count--
				break
			}
		}
	}
	next, ok := limiter.Next(now)
	return AbsenceRecord{Grants: next, HeldUntil: a.heldUntil}, ok
}

// Renew takes over the record of Next, which was stored.
func (a *Absences) Renew(record AbsenceRecord) {
	a.limiter.Renew(record.Grants)
	a.written = record.HeldUntil
}

// Idle reports whether nothing is lost when the count is dropped and made anew later.
func (a *Absences) Idle(now time.Time) bool {
	return !a.Held(now) && len(a.missing) == 0 && len(a.through) == 0 && a.limiter.Idle(now)
}
