// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import "time"

// Snapshot is the state of a budget at one moment.
type Snapshot struct {
	// Known is set once Cal.com has told whether it counts, and how far.
	Known bool
	// Limit that the server named last, in calls per window; 0 while it seems to count none.
	Limit int
	// Allowed is the operator's share of it, and Used how much of that was made in the last window, or
	// is about to be.
	Allowed, Used int
	// Waiting is the number of tickets whose owners are expected back, by class.
	Waiting [Classes]int
	// Admitted and Returned count calls since the start, by class: those that were let through, and those of them that
	// turned out not to be needed.
	Admitted, Returned [Classes]int
	// BlockedUntil is when the server, or who else uses the quota, lets calls through again. It is in the past, or
	// zero, when nothing is blocked.
	BlockedUntil time.Time
}

// Idle reports whether nothing that was done so far matters to what may be done from now on: no call counts any more,
// none is held, no request waits and nothing is blocked.
func (b *Budget) Idle() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	b.expire(now)
	b.meter.settle(now)
	return len(b.meter.spent)+b.meter.held == 0 && now >= b.meter.blocked && b.queue.byPromise.count == 0
}

// Snapshot returns the state of the budget, for metrics.
func (b *Budget) Snapshot() Snapshot {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	b.expire(now)
	s := Snapshot{Known: b.heard, Limit: b.limit, Admitted: b.admitted, Returned: b.returned}
	if b.limit > 0 {
		b.meter.settle(now)
		s.Allowed, s.Used = b.meter.allowed, len(b.meter.spent)+b.meter.held
	}
	for class := range s.Waiting {
		s.Waiting[class] = b.queue.lines[class].count
	}
	if b.meter.blocked > 0 {
		s.BlockedUntil = b.began.Add(b.meter.blocked)
	}
	return s
}
