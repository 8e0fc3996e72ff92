// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import "time"

// deadline returns the deadline of a request in the budget's own time, if those of its class have one.
func (b *Budget) deadline(r Request) time.Duration {
	if r.Class != Tokens {
		return 0
	}
	return r.Deadline.Sub(b.began)
}

// mayGo reports whether a ticket's calls can be admitted without breaking the promise to anybody who goes before it.
func (b *Budget) mayGo(t *ticket, now time.Duration) bool {
	mark, throughIt := b.queue.roadmark(t)
	if t.class == Tokens {
		b.ceiling.settle(now)
		before := func(other *ticket) bool { return other.class == Tokens && b.queue.isBefore(other, t, mark) }
		turn := b.ceiling.moment(throughIt-t.calls, t.calls, now)
		if !b.isHarmless(b.ceiling.meter, t, turn, now, before) {
			return false
		}
	}
	return b.isHarmless(b.meter, t, b.turn(t, now), now, func(other *ticket) bool { return b.queue.isBefore(other, t, mark) })
}

// isHarmless reports whether a meter has the calls of a ticket, and it is the ticket's turn, or there still will be
// enough for everybody who goes before it. It goes through those who are expected next. Once the bucket will have flown
// over, what is taken now cannot matter; a row of others so dense that it does not needs all there is.
func (b *Budget) isHarmless(m *meter, t *ticket, turn, now time.Duration, isBefore func(*ticket) bool) bool {
	if !m.fits(t.calls, now) {
		return false
	}
	if turn <= now {
		return true
	}
	horizon := m.after(now, 2*time.Duration(m.burst+t.calls)*m.interval)
	taken, harmless := t.calls, true
	b.queue.byPromise.ascend(func(other *ticket) bool {
		switch {
		case other == t || !isBefore(other):
			return true
		case m.isFull(taken, other.promise):
			return false
		case other.promise > horizon:
			harmless = false
			return false
		}
		harmless = m.moment(taken, other.calls, now) <= max(now, other.promise)
		taken += other.calls
		return harmless
	})
	return harmless
}

// promise returns when a ticket's calls can be made if everybody who goes before it comes in time.
func (b *Budget) promise(t *ticket, now time.Duration) time.Duration {
	at := b.turn(t, now)
	if next := b.queue.byPromise.first(); next != nil && next != t {
		at = b.meter.after(at, b.meter.spill(next.calls, next.promise, now))
	}
	if t.class == Tokens {
		_, throughIt := b.queue.roadmark(t)
		at = max(at, b.ceiling.moment(throughIt-t.calls, t.calls, now))
	}
	if !b.heard && now >= b.meter.blocked {
		// The first answer may show that there is no limit. Until then, and if it never comes less and less often, who
		// waits looks in.
		at = min(at, now+max(now, b.window/240))
	}
	return max(at, now+1)
}

// turn returns when a ticket's calls can be made if everybody who goes before it makes theirs as early as possible.
// Tokens are held up by their ceiling: no more of these go before than it lets through until then.
func (b *Budget) turn(t *ticket, now time.Duration) time.Duration {
	ahead, tokens := b.queue.ahead(t)
	at := b.meter.moment(ahead, t.calls, now)
	for tokens > 0 {
		most := b.ceiling.until(at)
		if most >= tokens {
			break
		}
		ahead, tokens = ahead-(tokens-most), most
		at = b.meter.moment(ahead, t.calls, now)
	}
	return at
}
