// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

const hold = 30 * time.Minute

// admit asks as the operator does, recording what is to be recorded.
func admit(a *Absences, key string, now time.Time, written *AbsenceRecord) bool {
	a.Missing(now, key)
	if a.Held(now) {
		if a.NeedsWrite() {
			*written = a.Record(now)
			a.Wrote(*written)
		}
		return false
	}
	if a.Take(key, now) {
		return true
	}
	next, ok := a.Next(key, now)
	if !ok {
		return false
	}
	*written = next
	a.Renew(next)
	return a.Take(key, now)
}

func TestAbsencesAreHeld(t *testing.T) {
	for _, limit := range []int{1, 2, 10, 25, 100} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			var written AbsenceRecord
			a := NewAbsences(limit, hold)
			allowed := 0
			for i := range 3 * limit {
				if admit(a, fmt.Sprint(i), begin, &written) {
					allowed++
				}
			}
			if allowed != limit {
				t.Errorf("%d were allowed, want %d", allowed, limit)
			}
			// As long as they are missing, none is allowed, however long that is.
			for now := begin; now.Before(begin.Add(5 * hold)); now = now.Add(Window) {
				for i := limit; i < 3*limit; i++ {
					if admit(a, fmt.Sprint(i), now, &written) {
						t.Fatalf("%d is allowed %v later", i, now.Sub(begin))
					}
				}
			}
			// The others show again: after a hold, the last one may go.
			for i := range 3*limit - 1 {
				a.Shown(fmt.Sprint(i))
			}
			if last := fmt.Sprint(3*limit - 1); admit(a, last, begin.Add(5*hold), &written) || !admit(a, last, begin.Add(6*hold+Window), &written) {
				t.Error("the hold has another end than one length after the last time that too many were missing")
			}
		})
	}
}

// When many are seen to be missing at once, not even the first is allowed.
func TestAbsencesSeenTogether(t *testing.T) {
	var written AbsenceRecord
	a := NewAbsences(2, hold)
	a.Missing(begin, "1", "2", "3")
	if admit(a, "1", begin, &written) {
		t.Error("the first of three is allowed, the limit is 2")
	}
	after := NewAbsences(2, hold)
	after.Load(written, begin)
	if admit(after, "4", begin, &written) {
		t.Error("a restart ends the hold")
	}
}

// An object that comes again counts once.
func TestAbsenceCountsOnce(t *testing.T) {
	var written AbsenceRecord
	a := NewAbsences(2, hold)
	for i := range 10 {
		if !admit(a, "one", begin.Add(time.Duration(i)*time.Minute), &written) {
			t.Fatalf("the object is refused the %d-th time", i+1)
		}
	}
	if !admit(a, "two", begin.Add(10*time.Minute), &written) || admit(a, "three", begin.Add(10*time.Minute), &written) {
		t.Error("one object that came often is not one")
	}
}

// Whatever the order of absences, returns and restarts, no ten minutes see more users than the limit, and a few are
// never refused for ever.
func TestNeverMoreAbsencesThanTheLimit(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 2)) //nolint:gosec // A run has to be reproducible.
		limit := 1 + random.IntN(20)
		var written AbsenceRecord
		a := NewAbsences(limit, hold)
		now := begin
		last := map[string]time.Time{}
		for range 1000 {
			key := fmt.Sprint(random.IntN(3 * limit))
			switch choice := random.IntN(100); {
			case choice < 60:
				if admit(a, key, now, &written) {
					last[key] = now
				}
			case choice < 75:
				a.Shown(key)
			case choice < 78:
				a = NewAbsences(limit, hold)
				a.Load(written, now)
			default:
				now = now.Add(time.Duration(random.Int64N(int64(2 * time.Minute))))
			}
			within := 0
			for _, at := range last {
				if now.Sub(at) < Window {
					within++
				}
			}
			if within > limit {
				t.Fatalf("seed %d: %d users within ten minutes, the limit is %d", seed, within, limit)
			}
		}
		if now = now.Add(hold); !admit(NewAbsences(limit, hold), "x", now, &written) {
			t.Fatalf("seed %d: the first is refused", seed)
		}
	}
}

func TestAbsencesForgetEverything(t *testing.T) {
	var written AbsenceRecord
	a := NewAbsences(3, hold)
	for i := range 10 {
		admit(a, fmt.Sprint(i), begin, &written)
	}
	for i := range 10 {
		a.Shown(fmt.Sprint(i))
	}
	if a.Idle(begin.Add(Window)) {
		t.Error("it is idle during a hold")
	}
	later := begin.Add(2 * hold)
	if !a.Idle(later) || !written.Sound(3, hold, later).IsZero() {
		t.Error("it is not idle after it")
	}
	edited := AbsenceRecord{HeldUntil: begin.AddDate(100, 0, 0)}
	if s := edited.Sound(3, hold, begin); s.HeldUntil.After(begin.Add(hold)) {
		t.Errorf("an edited record holds until %v", s.HeldUntil)
	}
}
