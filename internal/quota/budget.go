// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package quota keeps the calls to Cal.com below the limit of an OAuth client, so that the customer's own backend,
// which shares that limit, always has room.
//
// Cal.com counts the calls of a client in windows of 60 s and refuses the rest; the first refusal blocks the
// client for 60 s, backend included. Both numbers, and the default limit of 500, come from the server's source
// (lib/throttler-guard.ts) and from recorded answers.
package quota

import (
	"math"
	"net/http"
	"sync"
	"time"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

const (
	// Window is the time over which the server counts.
	Window = 60 * time.Second

	// defaultLimit is believed until the first answer names the real one.
	defaultLimit = 500

	// soon is the wait for calls that were admitted and are about to be made or given back.
	soon = time.Second
)

// Budget admits the calls of one OAuth client at one API URL. It is safe for concurrent use.
type Budget struct {
	now   func() time.Time
	share float64

	mu      sync.Mutex
	limit   int         // Calls per window that the server allows; 0 while it seems to count none.
	counted bool        // The server has shown that it counts.
	spent   []time.Time // When the calls of the last window were made, oldest first.
	taken   int         // Calls that were admitted and neither made nor given back yet.
	blocked time.Time   // Nothing is admitted before.
}

// NewBudget returns a budget that uses at most a share, above 0 and up to 1, of the limit.
func NewBudget(share float64, now func() time.Time) *Budget {
	return &Budget{now: now, share: share, limit: defaultLimit}
}

// Take admits n calls now and returns 0, or admits none and returns the time to wait. Whatever the calls' timing, no
// more than the share of the limit is admitted in any 60 s. Who needs several calls to get anywhere takes them together:
// with a call here and a call there, of many who wait nobody would.
func (b *Budget) Take(n int) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.now()
	if wait := b.blocked.Sub(now); wait > 0 {
		return wait
	}
	if b.limit == 0 {
		b.taken += n
		return 0
	}
	for len(b.spent) > 0 && now.Sub(b.spent[0]) >= Window {
		b.spent = b.spent[1:]
	}
	// More calls than are ever allowed wait for an empty window. The limit may have shrunk: what counts is when enough of the
	// spent calls will have left the window.
	switch excess := len(b.spent) + b.taken + min(n, b.allowed()) - b.allowed(); {
	case excess > len(b.spent):
		return soon
	case excess > 0:
		return b.spent[excess-1].Add(Window).Sub(now)
	}
	b.taken += n
	return 0
}

// Use notes that one of the admitted calls is made now. It counts from here: between the admission and the call there may be
// seconds, and the server knows only of the call.
func (b *Budget) Use() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = max(0, b.taken-1)
	if b.limit > 0 {
		b.spent = append(b.spent, b.now())
	}
}

// Return gives back n admitted calls that will not be made.
func (b *Budget) Return(n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.taken = max(0, b.taken-n)
}

// Observe takes in what an answer said of the quota.
func (b *Budget) Observe(status int, seen calcom.RateLimit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case status == http.StatusTooManyRequests:
		b.counted = true
		if b.limit == 0 {
			b.limit = defaultLimit
		}
		wait := seen.Reset
		if wait <= 0 {
			wait = Window
		}
		b.block(wait)
	case seen.Known:
		b.counted = true
		b.limit = seen.Limit
		// Somebody else uses the quota too. What is left below the reserve is theirs.
		if reserve := seen.Limit - b.allowed(); seen.Remaining < reserve && seen.Reset > 0 {
			b.block(min(seen.Reset, Window))
		}
	case status/100 == 2 && !b.counted:
		// Every answer of a server that counts carries the headers; only a proxy's own would not, and that is no
		// success.
		b.limit = 0
	}
}

func (b *Budget) block(wait time.Duration) {
	if until := b.now().Add(wait); until.After(b.blocked) {
		b.blocked = until
	}
}

// allowed is the number of calls in a window, at least one so that a tiny share does not mean none for ever.
func (b *Budget) allowed() int {
	return max(1, int(math.Floor(float64(b.limit)*b.share)))
}
