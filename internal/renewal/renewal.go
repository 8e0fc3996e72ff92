// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package renewal says when tokens are renewed, so that none ever ends and the calls for them come evenly.
//
// A token is renewed when 70 to 75 % of its life are over, at a moment of its user's own. Thousands of users that were
// created together have tokens that end together; so a Calendar gives each moment to no more renewals than there are
// calls for, and moves the others to where there is room: earlier, from 40 % of their life on, or else a little later.
// What finds no room comes at its own moment all the same, and there the quota lets those go first whose tokens end
// first.
package renewal

import (
	"hash/fnv"
	"time"
)

// The parts of a token's life.
const (
	earliest  = 0.40        // Before, a renewal would waste what is left.
	wanted    = 0.70        // From here on it is renewed,
	spread    = 0.05        // each user at a moment of its own within this part.
	latest    = 5.0 / 6     // Ten minutes of an hour are left. Whoever is not renewed by now is late.
	leastLife = time.Second // A life that is shorter, or over when it begins, is a mistake of some clock.
)

// Life of a token.
type Life struct {
	Issued, Expires time.Time
}

func (l Life) at(part float64) time.Time {
	return l.Issued.Add(time.Duration(part * float64(max(leastLife, l.Expires.Sub(l.Issued)))))
}

// Wanted returns when the token is best renewed, with a phase from 0 up to 1.
func (l Life) Wanted(phase float64) time.Time { return l.at(wanted + spread*phase) }

// IsLate reports whether the token should have been renewed: a sixth of its life is left, or less.
func (l Life) IsLate(now time.Time) bool { return !now.Before(l.at(latest)) }

// Half is half of the token's life.
func (l Life) Half() time.Duration { return max(leastLife, l.Expires.Sub(l.Issued)) / 2 }

// Phase returns a number from 0 up to 1 that belongs to an id and is spread evenly over ids.
func Phase(id string) float64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id)) // It never fails.
	// The upper bits of FNV follow short ids only a little; this is the finalizer of SplitMix64.
	x := h.Sum64()
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return float64(x>>11) / (1 << 53)
}
