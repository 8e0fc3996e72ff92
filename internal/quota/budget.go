// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package quota keeps the calls to Cal.com below the limit of an OAuth client, so that the customer's own backend,
// which shares that limit, always has room; and it divides what there is among those who wait.
//
// Cal.com counts the calls of a client in windows of 60 s and refuses the rest; the first refusal blocks the
// client for 60 s, backend included. Both numbers, and the default limit of 500, come from the server's source
// (lib/throttler-guard.ts) and from recorded answers.
//
// Nobody sleeps here. Who cannot have its calls now gets a ticket and is told when to come back; the ticket keeps its
// place until then. golang.org/x/time/rate has the bucket and neither the log behind the guarantee nor the order:
// its reservations are first come, first served, and one cannot be moved once it was made.
package quota

import (
	"net/http"
	"sync"
	"time"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

const (
	// DefaultWindow is the time over which the server counts.
	DefaultWindow = 60 * time.Second

	// defaultLimit is believed until the first answer names the real one.
	defaultLimit = 500

	// firstCalls are admitted at once by a process that has just begun: enough for one who looks a user up, asks
	// again and creates it.
	firstCalls = 3
)

// Options are what a budget is made with.
type Options struct {
	// Share of the limit that is used at most, above 0 and up to 1.
	Share float64
	// Window over which the server counts; DefaultWindow when zero.
	Window time.Duration
	// Now tells the time.
	Now func() time.Time
	// OnAdmit, if set, is told how long admitted calls were waited for, 0 when not at all. It is called under the
	// budget's lock and must not call the budget.
	OnAdmit func(class Class, waited time.Duration)
}

// Request is a wish for some calls.
type Request struct {
	Class Class
	// Namespace among which the calls of a class are shared out evenly.
	Namespace string
	// Key of who asks. A ticket is found again by it.
	Key string
	// Calls that are of use only together, at least one.
	Calls int
	// Deadline by which the calls of class Tokens are needed: among these, the earliest goes first, whatever the
	// namespace and whoever came first. Other classes have none.
	Deadline time.Time
	// Continues says that calls which were admitted before come to nothing without these. Such a request waits for no
	// other.
	Continues bool
}

// Budget admits the calls of one OAuth client at one API URL. It is safe for concurrent use.
type Budget struct {
	now     func() time.Time
	share   float64
	window  time.Duration
	began   time.Time
	onAdmit func(Class, time.Duration)

	mu      sync.Mutex
	meter   *meter
	ceiling *ceiling
	limit   int  // Calls per window that the server allows; 0 while it seems to count none.
	counted bool // The server has shown that it counts.
	heard   bool // There was an answer that told whether it does.
	queue   *queue
	tickets map[string]*ticket // By key, lapsed ones too.
	lapsed  []*ticket          // In the order of their end.

	admitted, returned [Classes]int
}

// New returns a budget.
func New(options Options) *Budget {
	if options.Window == 0 {
		options.Window = DefaultWindow
	}
	b := &Budget{
		now: options.Now, share: options.Share, window: options.Window, began: options.Now(), onAdmit: options.OnAdmit,
		limit: defaultLimit, queue: newQueue(), tickets: make(map[string]*ticket),
	}
	b.meter, b.ceiling = newMeter(b.window, b.allowed()), newCeiling(b.window, b.allowed())
	// The process before may have spent the window.
	b.meter.slow = b.window
	b.meter.fill(firstCalls, 0)
	return b
}

// allowed is the number of calls in a window, at least one so that a tiny share does not mean none for ever.
func (b *Budget) allowed() int { return max(1, int(float64(b.limit)*b.share)) }

func (b *Budget) clock() time.Duration { return b.now().Sub(b.began) }

// Take admits all calls of a request and returns a zero time, or admits none and returns the time to come back. No more
// than the share of the limit is admitted in any window, whatever happens. Who comes back as told is admitted, unless
// somebody who goes first came meanwhile, or the limit shrank, or the server refused; then there is a new promise. Who
// asks for more calls than the share allows at all waits for an empty window.
//
// What is admitted is held until it is used or given back.
func (b *Budget) Take(r Request) (promise time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	b.expire(now)
	b.meter.settle(now)
	if b.limit == 0 {
		b.admit(r)
		return time.Time{}
	}
	if r.Continues && now >= b.meter.blocked && b.meter.fitsWindow(r.Calls) {
		b.admit(r)
		return time.Time{}
	}
	t := b.ticketOf(r)
	if b.mayGo(t, now) {
		b.admit(r)
		return time.Time{}
	}
	b.queue.promised(t, b.promise(t, now))
	return b.began.Add(t.promise)
}

func (b *Budget) admit(r Request) {
	if b.onAdmit != nil && !r.Continues { // What continues waits for nobody.
		b.onAdmit(r.Class, b.waited(r.Key))
	}
	b.queue.serve(r.Class, r.Calls)
	b.forget(r.Key)
	b.meter.hold(r.Calls)
	if r.Class == Tokens {
		b.ceiling.take(r.Calls, b.clock())
	}
	b.admitted[r.Class] += r.Calls
}

// waited returns for how long the owner of a ticket has waited.
func (b *Budget) waited(key string) time.Duration {
	t, ok := b.tickets[key]
	if !ok {
		return 0
	}
	return b.clock() - t.since
}

// ticketOf returns the ticket of who asks, standing in its line.
func (b *Budget) ticketOf(r Request) *ticket {
	t, ok := b.tickets[r.Key]
	deadline := b.deadline(r)
	if ok && (t.class != r.Class || t.namespace != r.Namespace || t.calls != r.Calls || t.deadline != deadline) {
		b.forget(r.Key)
		ok = false
	}
	if !ok {
		t = &ticket{class: r.Class, namespace: r.Namespace, key: r.Key, calls: r.Calls, since: b.clock(), deadline: deadline}
		b.tickets[r.Key] = t
		b.queue.enter(t, true)
	} else if t.lapsed {
		t.lapsed = false
		b.queue.enter(t, false)
	}
	return t
}

// Use notes that one of the admitted calls is made now.
func (b *Budget) Use() {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	b.meter.settle(now)
	b.meter.spend(now)
}

// Return gives back n admitted calls of a class, which will not be made.
func (b *Budget) Return(class Class, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.returned[class] += n
	b.meter.release(n, b.clock())
	if class == Tokens {
		b.ceiling.giveBack(n)
	}
}

// Forget drops the ticket of somebody who has nothing to wait for any more.
func (b *Budget) Forget(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forget(key)
}

func (b *Budget) forget(key string) {
	t, ok := b.tickets[key]
	if !ok {
		return
	}
	delete(b.tickets, key)
	if !t.lapsed {
		b.queue.leave(t)
	}
}

// expire lets the tickets lapse whose owners did not come: they keep nothing from anybody. For some windows they keep
// their place, since the owner may only be late, and its place was worth a long wait.
func (b *Budget) expire(now time.Duration) {
	grace, keep := b.window/12, 2*b.window
	for t := b.queue.byPromise.first(); t != nil && now-t.promise > grace; t = b.queue.byPromise.first() {
		b.queue.leave(t)
		t.lapsed, t.expires = true, now+keep
		b.lapsed = append(b.lapsed, t)
	}
	for len(b.lapsed) > 0 && b.lapsed[0].expires <= now {
		t := b.lapsed[0]
		b.lapsed = b.lapsed[1:]
		if t.lapsed && t.expires <= now && b.tickets[t.key] == t {
			delete(b.tickets, t.key)
		}
	}
}

// Observe takes in what an answer said of the quota.
func (b *Budget) Observe(status int, seen calcom.RateLimit) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := b.clock()
	b.meter.settle(now)
	switch {
	case status == http.StatusTooManyRequests:
		switch {
		case seen.Known:
			b.setLimit(seen.Limit, seen.Limit, now)
		case b.limit == 0:
			b.setLimit(defaultLimit, defaultLimit, now)
		}
		b.counted, b.heard = true, true
		wait := seen.Reset
		if wait <= 0 {
			wait = b.window
		}
		b.meter.block(now + wait)
		b.meter.slow = b.meter.blocked + b.window
	case seen.Known:
		b.see(seen, now)
	case status/100 == 2 && !b.counted:
		// Every answer of a server that counts carries the headers; only a proxy's own would not, and that is no
		// success.
		b.limit, b.heard = 0, true
		b.queue, b.tickets, b.lapsed = newQueue(), make(map[string]*ticket), nil
	}
}

// see takes in the headers of an answer that was no refusal.
func (b *Budget) see(seen calcom.RateLimit, now time.Duration) {
	b.setLimit(seen.Limit, seen.Limit-seen.Remaining, now)
	if !b.heard {
		// The server has told what was spent in this window before this process began.
		b.meter.slow = now
		b.meter.fill(b.allowed()-(seen.Limit-seen.Remaining), now)
	}
	b.counted, b.heard = true, true
	// Somebody else uses the quota too. What is left below the reserve is theirs.
	if reserve := seen.Limit - b.allowed(); seen.Remaining < reserve && seen.Reset > 0 {
		b.meter.block(now + min(seen.Reset, b.window))
	}
}

// setLimit takes over the server's limit. counted is how many calls of this window the server has counted.
func (b *Budget) setLimit(limit, counted int, now time.Duration) {
	if limit == b.limit {
		return
	}
	unlimited := b.limit == 0
	b.limit = limit
	if unlimited {
		b.meter.forgive(counted, now)
		b.ceiling.forgive(counted, now)
	}
	b.meter.resize(b.allowed(), now)
	b.ceiling.resize(b.allowed(), now)
}
