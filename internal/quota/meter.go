// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import "time"

const (
	// slack is the part of the allowed calls, one of so many, that is burst and not pace. It is what makes good a
	// caller that comes late: the rest of the calls is spread evenly over the window.
	slack = 40
	// together is how many calls at once are usual. The burst is twice that, so that those with several do not
	// stand in each other's way, unless it would take more than one of leastPace calls away from the pace.
	together  = 3
	leastPace = 20
)

// meter says when a number of calls may be made. It is two things: a log of the calls of the last window, which keeps
// the promise that no window has more than the allowed ones whatever happens to the limit; and a bucket that fills
// with one call at each interval, so that the calls of a window are not all made in its first second. All times
// are counted from the start of the budget, in whole nanoseconds: sums are exact, and so is a promise.
type meter struct {
	window   time.Duration
	allowed  int           // Calls per window.
	interval time.Duration // Of one call to the next.
	burst    int           // Calls that the bucket holds.

	empty   time.Duration   // When the bucket was, or will be, empty.
	slow    time.Duration   // Until then the bucket fills at half the pace.
	blocked time.Duration   // Nothing is admitted before.
	spent   []time.Duration // When the calls of the last window were made, oldest first.
	held    int             // Calls that were admitted and neither made nor given back yet.
}

func newMeter(window time.Duration, allowed int) *meter {
	m := &meter{window: window}
	m.divide(allowed)
	return m
}

// divide sets pace and burst for a number of calls per window. From 20 calls on, burst and pace together are the
// allowed calls, and the log never has to hold anybody back. Below, a burst of one call is too much for that.
func (m *meter) divide(allowed int) {
	m.allowed = allowed
	m.burst = max(1, allowed/slack, min(2*together, allowed/leastPace))
	paced := time.Duration(max((allowed-m.burst)*leastPace, allowed*(leastPace-1)))
	m.interval = max(1, (m.window*leastPace+paced-1)/paced) // Rounded up.
}

// resize changes the number of calls per window. What is in the bucket stays in it.
func (m *meter) resize(allowed int, now time.Duration) {
	m.settle(now)
	before, at := m.interval, max(now, m.blocked)
	m.divide(allowed)
	scaled := func(d time.Duration) time.Duration {
		return time.Duration(float64(d) / float64(before) * float64(m.interval))
	}
	if m.empty <= at {
		m.empty = m.before(at, scaled(m.earned(m.empty, at)))
	} else {
		m.empty = m.after(at, scaled(m.earned(at, m.empty)))
	}
	m.settle(now)
}

// fill puts calls into the bucket, as far as there is room.
func (m *meter) fill(calls int, now time.Duration) {
	m.empty = min(m.empty, m.before(now, time.Duration(min(calls, m.burst))*m.interval))
}

// forgive forgets the calls that were made while there was no limit, but for the latest ones that the server has
// counted: those stay in the log. Calls that are held stay held. The bucket begins anew, and is empty.
func (m *meter) forgive(counted int, now time.Duration) {
	m.settle(now)
	m.spent = m.spent[max(0, len(m.spent)-max(0, counted)):]
	m.empty = max(now, m.blocked)
}

// block admits nothing before a moment, and begins there with an empty bucket.
func (m *meter) block(until time.Duration) {
	m.blocked = max(m.blocked, until)
	m.empty = max(m.empty, until)
}

// settle forgets what has left the window and lets the bucket flow over.
func (m *meter) settle(now time.Duration) {
	left := 0
	for left < len(m.spent) && now-m.spent[left] >= m.window {
		left++
	}
	m.spent = m.spent[left:]
	m.empty = max(m.empty, m.before(now, time.Duration(m.burst)*m.interval))
}

// fits reports whether n calls can be made now. More calls than the bucket holds leave it in debt; more than are ever
// allowed wait for an empty window, since otherwise they would wait for ever.
func (m *meter) fits(n int, now time.Duration) bool {
	return now >= m.blocked && m.fitsWindow(n) && m.earned(m.empty, now) >= time.Duration(min(n, m.burst))*m.interval
}

func (m *meter) fitsWindow(n int) bool {
	return len(m.spent)+m.held+min(n, m.allowed) <= m.allowed
}

// moment returns the earliest time for n calls that go after others, if all are made as early as they may.
func (m *meter) moment(others, n int, now time.Duration) time.Duration {
	at := max(now, m.blocked, m.after(m.empty, time.Duration(others+min(n, m.burst))*m.interval))
	// A call can be made a window after the one that is the allowed number before it. For a call so far ahead that this
	// one is not made yet either, the same holds for that one.
	calls := others + min(n, m.allowed)
	windows := (calls - 1) / m.allowed
	if i := len(m.spent) + m.held + calls - windows*m.allowed - m.allowed; i > 0 {
		made := now // As what is held is about to be.
		if i <= len(m.spent) {
			made = m.spent[i-1]
		}
		at = max(at, made+time.Duration(1+windows)*m.window)
	}
	return at
}

// isFull reports whether the bucket will be full at a moment although a number of calls was taken out of it before.
func (m *meter) isFull(taken int, at time.Duration) bool {
	return m.earned(m.empty, at) >= time.Duration(taken+m.burst)*m.interval
}

// spill returns how much of what is in the bucket, in time, will have flown over when the next calls are taken out of
// it. That much was given back and cannot be promised again.
func (m *meter) spill(n int, at, now time.Duration) time.Duration {
	if horizon := m.after(now, 2*time.Duration(m.burst)*m.interval); at > horizon {
		return 0
	}
	return max(0, m.earned(m.empty, max(at, now))-time.Duration(n+max(0, m.burst-together))*m.interval)
}

// hold admits n calls.
func (m *meter) hold(n int) {
	m.held += n
	m.empty = m.after(m.empty, time.Duration(n)*m.interval)
}

// spend counts one of the held calls from here: between its admission and the call there may be seconds, and the server
// knows only of the call.
func (m *meter) spend(now time.Duration) {
	m.held = max(0, m.held-1)
	m.spent = append(m.spent, now)
}

// release takes back n of the held calls.
func (m *meter) release(n int, now time.Duration) {
	m.held = max(0, m.held-n)
	m.empty = m.before(m.empty, time.Duration(n)*m.interval)
	if m.blocked > now {
		m.empty = max(m.empty, m.blocked)
	}
}

// after returns when the bucket will have filled for a while at full pace, counted from a moment.
func (m *meter) after(from, while time.Duration) time.Duration {
	if from >= m.slow {
		return from + while
	}
	if half := (m.slow - from) / 2; while > half {
		return m.slow + while - half
	}
	return from + 2*while
}

// before returns from when on the bucket has filled for a while at full pace, at a moment.
func (m *meter) before(to, while time.Duration) time.Duration {
	if to <= m.slow {
		return to - 2*while
	}
	if full := to - m.slow; while > full {
		return m.slow - 2*(while-full)
	}
	return to - while
}

// earned returns for how long, at full pace, the bucket has filled from one moment to another.
func (m *meter) earned(from, to time.Duration) time.Duration {
	switch {
	case from > to:
		return -1
	case from >= m.slow:
		return to - from
	case to <= m.slow:
		return (to - from) / 2
	}
	return (m.slow-from)/2 + to - m.slow
}
