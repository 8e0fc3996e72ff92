// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"time"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

const (
	// settling is how long nobody has to have joined before the first round, so that it finds everybody there, and
	// mostSettling how long that is waited for, in parts of the interval.
	settling, mostSettling = 100, 10

	maxSettling = 5 * time.Second

	// hurry is how soon a call follows that nobody had reckoned with, in parts of the interval: it asks for somebody
	// whom the census did not show, and who may be gone.
	hurry = 20
)

// Settles returns how long the first round waits on for those who are still to join, when the first member joined and
// when the last; 0 means that it waits no longer.
func Settles(first, last, now time.Time, interval time.Duration) time.Duration {
	quiet := min(interval/settling, maxSettling)
	end := last.Add(quiet)
	if latest := first.Add(interval / mostSettling); end.After(latest) {
		end = latest
	}
	return max(0, end.Sub(now))
}

// Step returns the time between two calls of a round that takes so many.
func Step(interval time.Duration, calls int) time.Duration {
	return interval / time.Duration(max(calls, 1))
}

// Wait returns the time from one call of a round to the next, or to the next round, when left calls are left in this
// one. The calls are spread evenly over the interval, but for those that come on top of the planned ones, which come
// soon. A round that is late catches up, and goes no faster than twice its pace.
func Wait(began, now time.Time, interval time.Duration, done, left, planned int) time.Duration {
	remains := began.Add(interval).Sub(now)
	if left == 0 {
		return max(0, remains)
	}
	wait := max(remains/time.Duration(left+1), Step(interval, done+left)/2)
	if done >= planned {
		wait = min(wait, interval/hurry)
	}
	return wait
}

// Planned returns how many calls a round takes as a rule that looks at so many users.
func Planned(users int) int { return max(1, (users+calcom.MaxListed-1)/calcom.MaxListed) }
