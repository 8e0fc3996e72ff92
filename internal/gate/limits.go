// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package gate limits how many objects of one OAuth client have calls to Cal.com under way at a time, keeps those that
// wait in line, and knows whether the client is slow. An object holds a place from before its first call until after
// its last one.
//
// Nothing here blocks. An object that finds no place free stands in line and is woken when it is its turn.
package gate

import (
	"time"

	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// Kind is what a place is for. Each kind has its own number of places, so none can take those of another.
type Kind int

// The kinds.
const (
	// Create is for an object that sends a create call.
	Create Kind = iota
	// Prepare is for an object that records its create intent, before it asks for a place of kind Create. It keeps this
	// place while it waits for that one, so that few records grow old in line.
	Prepare
	// Delete is for an object that is being deleted.
	Delete
	// Other is for everything else: edits, tokens, look-ups and drift checks.
	Other

	// Kinds is how many there are.
	Kinds = iota
)

const (
	// mostCreates is how many create calls of one OAuth client are in flight at a time. A create call is several writes
	// to the database of Cal.com, whose pool for writes has seven connections: eight at once on a cold server fail with
	// status 500.
	mostCreates = 4

	// SlowCall is how long a call may take until its OAuth client counts as slow. A condition is due five seconds after
	// an object's creation, and one call may end just before this limit and the next one begin.
	SlowCall = 2 * time.Second
)

// Limits are the places of one OAuth client, by kind.
type Limits [Kinds]int

// LimitsFor divides half of the workers among the kinds. Another client, and the deletions of the same one, find a
// worker even while no call of a kind is answered. An object that prepares has no call under way. Each kind has at
// least one place, whatever the number of workers.
func LimitsFor(workers int) Limits {
	half := max(1, workers/2)
	creates := min(mostCreates, max(1, half/2))
	deletes := max(1, (half-creates)/2)
	return Limits{Create: creates, Prepare: 2 * creates, Delete: deletes, Other: max(1, half-creates-deletes)}
}

// KindOf returns the kind of place that a call of a class needs. A create call itself asks for a place of its own kind.
func KindOf(class quota.Class) Kind {
	if class == quota.Delete {
		return Delete
	}
	return Other
}
