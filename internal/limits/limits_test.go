// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package limits

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var begin = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

// grant asks for one deletion as the operator does, writing down what Next wants written.
func grant(l *Limiter, key string, now time.Time, written *[]Grant) (Grant, bool) {
	if g, ok := l.Take(key, now); ok {
		return g, true
	}
	next, ok := l.Next(now)
	if !ok {
		return Grant{}, false
	}
	*written = next
	l.Renew(next)
	return l.Take(key, now)
}

func take(l *Limiter, key string, now time.Time, written *[]Grant) bool {
	_, ok := grant(l, key, now, written)
	return ok
}

func TestLimit(t *testing.T) {
	for _, limit := range []int{1, 3, 10, 25, 100} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			var written []Grant
			l := New(limit, nil, begin)
			taken := 0
			for i := range 3 * limit {
				if take(l, fmt.Sprint(i), begin, &written) {
					taken++
				}
			}
			if taken != limit {
				t.Errorf("%d deletions at once, want %d", taken, limit)
			}
			if take(l, "x", begin.Add(Window), &written) {
				t.Error("a deletion within the window of the last grant's end")
			}
			if !take(l, "x", begin.Add(Window+validity), &written) {
				t.Error("no deletion after the window")
			}
		})
	}
}

// Whatever the order of deletions, returns, restarts and changes of leader, no ten minutes see more than the limit.
func TestNeverMoreThanTheLimit(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // A run has to be reproducible.
		limit := 1 + random.IntN(40)
		var written []Grant
		l := New(limit, nil, begin)
		now := begin
		var begun []time.Time
		var unused []Grant
		for i := range 2000 {
			switch choice := random.IntN(100); {
			case choice < 70:
				g, ok := grant(l, fmt.Sprint(i), now, &written)
				switch {
				case !ok:
					l.Wait(fmt.Sprint(i), now)
				case random.IntN(5) == 0:
					unused = append(unused, g)
				default:
					begun = append(begun, now)
				}
			case choice < 75 && len(unused) > 0: // It turns out only later that there was nobody to delete.
				l.GiveBack(unused[0])
				unused = unused[1:]
			case choice < 77:
				l, unused = New(limit, written, now), nil
			default:
				now = now.Add(time.Duration(random.Int64N(int64(40 * time.Second))))
			}
		}
		if len(begun) < limit {
			t.Fatalf("seed %d: only %d deletions", seed, len(begun))
		}
		for i := range begun[:len(begun)-limit] {
			if apart := begun[i+limit].Sub(begun[i]); apart < Window {
				t.Fatalf("seed %d: %d deletions within %v, the limit is %d", seed, limit+1, apart, limit)
			}
		}
	}
}

// Those who wait are told different times, the limit's number for each window, and can go then.
func TestPromises(t *testing.T) {
	const limit = 3
	var written []Grant
	l := New(limit, nil, begin)
	for i := range limit {
		take(l, fmt.Sprint("first", i), begin, &written)
	}
	var promised []time.Duration
	at := map[string]time.Time{}
	for i := range 7 {
		key := fmt.Sprint(i)
		at[key] = l.Wait(key, begin)
		promised = append(promised, at[key].Sub(begin))
	}
	first, second, third := Window+validity, 2*(Window+validity), 3*(Window+validity)
	if d := cmp.Diff([]time.Duration{first, first, first, second, second, second, third}, promised); d != "" {
		t.Errorf("promises (-want +got):\n%s", d)
	}
	if again := l.Wait("4", begin.Add(time.Minute)); again != at["4"] {
		t.Errorf("the promise changed from %v to %v", at["4"], again)
	}
	for i := range 7 {
		key := fmt.Sprint(i)
		if !take(l, key, at[key], &written) {
			t.Errorf("%s comes at its time and may not go", key)
		}
	}
}

// What nobody wants any more, somebody else gets.
func TestForgetAndGiveBack(t *testing.T) {
	var written []Grant
	l := New(1, nil, begin)
	l.GiveBack(Grant{})
	first, ok := grant(l, "a", begin, &written)
	if !ok {
		t.Fatal("the first deletion is refused")
	}
	l.GiveBack(first)
	if !take(l, "b", begin, &written) || take(l, "c", begin, &written) {
		t.Error("one given back is not one more")
	}
	one := l.Wait("one", begin)
	l.Wait("two", begin)
	l.Forget("one")
	if three := l.Wait("three", begin); three.Sub(one) != Window+validity {
		t.Errorf("with one in front, three waits %v longer than the first", three.Sub(one))
	}
}

// A grant that was written down and not used is given up by whoever wrote it, and by nobody else.
func TestRestart(t *testing.T) {
	var written []Grant
	l := New(100, nil, begin)
	for range 91 {
		take(l, "a", begin, &written)
	}
	if l = New(100, written, begin); take(l, "b", begin, &written) {
		t.Error("a restart forgets what was allowed before")
	}
	lowered := New(5, written, begin)
	if at := lowered.Wait("b", begin); at != begin.Add(Window+validity) {
		t.Errorf("under a lower limit the wait ends at %v", at)
	}
}

// A record can have been edited: it takes little memory, and never allows more than the limit.
func TestEditedRecord(t *testing.T) {
	many := make([]Grant, 100_000)
	for i := range many {
		many[i] = Grant{Until: begin.Add(time.Duration(i) * time.Millisecond), Count: 1 << 40}
	}
	for name, given := range map[string][]Grant{
		"Negative": {{Until: begin, Count: -100}},
		"Huge":     {{Until: begin, Count: 20_000_000}},
		"Far":      {{Until: begin.AddDate(1000, 0, 0), Count: 3}},
		"Many":     many,
	} {
		t.Run(name, func(t *testing.T) {
			if n := len(Sound(3, given, begin)); n > mostGrants {
				t.Errorf("%d grants are kept", n)
			}
			l := New(3, given, begin)
			allocated := testing.AllocsPerRun(10, func() { l.Wait("x", begin) })
			if allocated > 100 {
				t.Errorf("a wait allocates %v times", allocated)
			}
			var written []Grant
			taken := 0
			for i := range 10 {
				if take(l, fmt.Sprint(i), begin, &written) {
					taken++
				}
			}
			if taken > 3 {
				t.Errorf("%d were allowed, the limit is 3", taken)
			}
			l.Forget("x")
			if later := begin.Add(2*Window + validity); !l.Idle(later) || len(Sound(3, given, later)) != 0 && name != "Far" {
				t.Error("the record counts for ever")
			}
		})
	}
}
