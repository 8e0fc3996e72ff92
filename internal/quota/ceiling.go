// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package quota

import "time"

// tokensPart is the part of the allowed calls, one of so many, that the renewal of tokens uses at most, whoever else
// waits or does not: ten thousand users who ask for tokens must not be all that the operator does.
const tokensPart = 2

// ceiling is what bounds the class Tokens beside the meter of all classes. It counts a call from its admission on,
// since it guards no promise to the server.
type ceiling struct{ *meter }

func newCeiling(window time.Duration, allowed int) *ceiling {
	c := &ceiling{newMeter(window, underCeiling(allowed))}
	c.fill(c.burst, 0) // What a process may do at first is the meter's to say.
	return c
}

func underCeiling(allowed int) int { return max(1, allowed/tokensPart) }

func (c *ceiling) resize(allowed int, now time.Duration) { c.meter.resize(underCeiling(allowed), now) }

func (c *ceiling) take(n int, now time.Duration) {
	c.settle(now)
	c.hold(n)
	for range n {
		c.spend(now)
	}
}

// giveBack takes back the last n calls.
func (c *ceiling) giveBack(n int) {
	n = min(n, len(c.spent))
	c.spent = c.spent[:len(c.spent)-n]
	c.empty = c.before(c.empty, time.Duration(n)*c.interval)
}

// until returns how many calls can have been admitted by a moment, if all are as early as they may.
func (c *ceiling) until(at time.Duration) int {
	return int(max(0, c.earned(c.empty, at)) / c.interval)
}

// TokensAllowed returns how many calls of class Tokens are admitted in a window at most; 0 while the server counts
// none.
func (b *Budget) TokensAllowed() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.limit == 0 {
		return 0
	}
	return b.ceiling.allowed
}
