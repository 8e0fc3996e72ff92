// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package sweep is what there is to the drift sweep without Kubernetes: which calls a round makes and when, and what it
// has found out so far.
//
// Once in an interval, a round looks at all users of an OAuth client. It begins with a census: the list without a
// filter, which shows up to 500 users, in no certain order, whoever made them. Whoever was not among them is asked for
// by address, up to 250 in a call.
package sweep

import (
	"slices"
	"time"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// pages is how many pages the server lists.
const pages = 1 + calcom.MaxOffset/calcom.MaxListed

// mostAttempts is how often a page of the census is asked for that comes unreadable. One user with megabytes of text
// must not keep the others from being looked at.
const mostAttempts = 3

// Round is one round under way. K names an object.
type Round[K comparable] struct {
	// Began is when the round's first call was due.
	Began time.Time
	// Planned is how many calls the round should take, and Calls how many were made.
	Planned, Calls int
	// Drifted and Missing are how many users were found to differ, and not found.
	Drifted, Missing int
	// Most is how many users the next call asks for at most.
	Most int

	page, attempts int
	partial        bool           // The census cannot have shown everybody.
	seen           map[int64]bool // The users of the census; true for those that nobody here marked.
	suspects       map[int64]K    // Users with a mark of ours, and the object that it names.
}

// NewRound returns a round that has made no call. It is planned when the first one is due.
func NewRound[K comparable](began time.Time) *Round[K] {
	return &Round[K]{Began: began, Most: calcom.MaxListed, seen: make(map[int64]bool), suspects: make(map[int64]K)}
}

// Page returns the offset of the page that the census needs next, if it needs one.
func (r *Round[K]) Page() (offset int, ok bool) { return r.page * calcom.MaxListed, r.page < pages }

// Listed takes in a page of the census, which shows so many users. See takes in each of them.
func (r *Round[K]) Listed(users int) {
	r.attempts = 0
	r.page++
	switch full := users >= calcom.MaxListed; {
	case !full:
		r.page = pages
	case r.page == pages:
		r.partial = true // There is no knowing what comes after it.
	}
}

// See takes in a user of the census.
func (r *Round[K]) See(id int64, stranger bool) {
	if _, twice := r.seen[id]; twice {
		r.partial = true // In a list without an order, somebody else was left out then.
	}
	r.seen[id] = stranger
}

// Unreadable notes that a page came as it cannot be used. After some attempts the round does without the rest of the
// census.
func (r *Round[K]) Unreadable() {
	r.attempts++
	if r.attempts >= mostAttempts {
		r.page, r.partial = pages, true
	}
}

// Refused notes that a call for n users by their addresses was refused, or its answer unreadable. It reports whether
// that was a single one's doing; else the next calls ask for fewer, until it is found.
func (r *Round[K]) Refused(n int) (alone bool) {
	r.Most = max(n/2, 1)
	return n <= 1
}

// Answered notes that a call by addresses succeeded.
func (r *Round[K]) Answered() { r.Most = min(2*r.Most, calcom.MaxListed) }

// Suspect notes a user that carries the mark of an object that does not seem to exist.
func (r *Round[K]) Suspect(id int64, named K) { r.suspects[id] = named }

// Suspects returns the users whose objects do not seem to exist.
func (r *Round[K]) Suspects() map[int64]K { return r.suspects }

// Strangers returns how many users the census showed that nobody here marked.
func (r *Round[K]) Strangers() int {
	n := 0
	for _, stranger := range r.seen {
		if stranger {
			n++
		}
	}
	return n
}

// Complete reports whether the census has shown every user of the client.
func (r *Round[K]) Complete() bool { return r.page >= pages && !r.partial }

// Left returns how many calls the round is likely to take from here on, when the users of these addresses have not been
// looked at.
func (r *Round[K]) Left(addresses []string, room int) int {
	if r.page >= pages {
		return Batches(addresses, r.Most, room)
	}
	// What the next pages will show is not known; as a rule it is those who are looked for.
	shown := min(len(addresses), (pages-r.page)*calcom.MaxListed)
	return Planned(shown) + Batches(addresses[shown:], r.Most, room)
}

// Persisting returns, in order, the users that are suspects in both of two rounds and stand for the same object in
// both.
func Persisting[K comparable](before, now map[int64]K) []int64 {
	var ids []int64
	for id, named := range now {
		if was, ok := before[id]; ok && was == named {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
