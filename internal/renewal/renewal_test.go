// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package renewal

import (
	"fmt"
	"testing"
	"time"
)

var began = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)

func hour(issued time.Time) Life { return Life{Issued: issued, Expires: issued.Add(time.Hour)} }

func TestLife(t *testing.T) {
	backwards := Life{Issued: began, Expires: began.Add(-time.Minute)}
	for name, tc := range map[string]struct {
		got, want any
	}{
		"WantedFirst":       {hour(began).Wanted(0), began.Add(42 * time.Minute)},
		"WantedLast":        {hour(began).Wanted(1), began.Add(45 * time.Minute)},
		"InTime":            {hour(began).IsLate(began.Add(50*time.Minute - 1)), false},
		"Late":              {hour(began).IsLate(began.Add(50 * time.Minute)), true},
		"Half":              {hour(began).Half(), 30 * time.Minute},
		"BackwardsIsNoLoop": {backwards.Wanted(0), began.Add(700 * time.Millisecond)},
		"BackwardsHalf":     {backwards.Half(), 500 * time.Millisecond},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %v, want %v", name, tc.got, tc.want)
		}
	}
}

// Uids, names and numbers in a row are all spread evenly.
func TestPhaseIsEven(t *testing.T) {
	for _, format := range []string{"%d", "user-%d", "0c9a6b1e-7d5e-4f0e-9f3a-%012x"} {
		var tenths [10]int
		for i := range 10_000 {
			phase := Phase(fmt.Sprintf(format, i))
			if phase < 0 || phase >= 1 {
				t.Fatalf("the phase of %d is %v", i, phase)
			}
			tenths[int(phase*10)]++
		}
		for tenth, n := range tenths {
			if n < 850 || n > 1150 {
				t.Errorf("%s: %d of 10,000 ids are in tenth %d", format, n, tenth)
			}
		}
	}
}

func TestCalendar(t *testing.T) {
	const window = time.Minute
	for name, tc := range map[string]struct {
		others int // Tokens that are planned before, with the same life.
		most   int
		now    time.Duration // After the beginning of the life.
		least  time.Duration
		last   time.Duration
	}{
		"Alone":              {0, 200, 0, 42 * time.Minute, 45 * time.Minute},
		"WithoutALimit":      {100_000, 0, 0, 42 * time.Minute, 45 * time.Minute},
		"WithinTheLimit":     {500, 200, 0, 42 * time.Minute, 45 * time.Minute},
		"Earlier":            {1500, 200, 0, 24 * time.Minute, 42 * time.Minute},
		"NoEarlierThanNow":   {1500, 200, 40 * time.Minute, 40 * time.Minute, 50 * time.Minute},
		"Later":              {4400, 200, 0, 45 * time.Minute, 50 * time.Minute},
		"NoRoom":             {6000, 200, 0, 42 * time.Minute, 45 * time.Minute},
		"Due":                {0, 200, 46 * time.Minute, 46 * time.Minute, 46 * time.Minute},
		"LessThanOneASlot":   {0, 1, 0, 41 * time.Minute, 45 * time.Minute},
		"OverBeforeAnyNotes": {0, 200, 2 * time.Hour, 2 * time.Hour, 2 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			c := NewCalendar[int](window)
			for i := range tc.others {
				c.Plan(i+1, hour(began), Phase(fmt.Sprint(i)), tc.most, began)
			}
			at := c.Plan(0, hour(began), 0.5, tc.most, began.Add(tc.now))
			if after := at.Sub(began); after < tc.least || after > tc.last {
				t.Errorf("planned after %v, want %v to %v", after, tc.least, tc.last)
			}
			if kept, ok := c.At(0); !ok || !kept.Equal(at) {
				t.Errorf("the calendar has %v", kept)
			}
		})
	}
}

// No minute gets more renewals than there are calls for, as long as there is room at all.
func TestCalendarIsNeverOverbooked(t *testing.T) {
	for _, most := range []int{3, 50, 194} {
		c, minutes := NewCalendar[int](time.Minute), map[int64]int{}
		for i := range most * 25 {
			at := c.Plan(i, hour(began), Phase(fmt.Sprint(i)), most, began)
			minutes[at.Unix()/60]++
		}
		for minute, n := range minutes {
			if n > most {
				t.Errorf("%d renewals in minute %d, and there are calls for %d", n, minute-began.Unix()/60, most)
			}
		}
	}
}

func TestCalendarForgets(t *testing.T) {
	c := NewCalendar[string](time.Minute)
	for range 3 { // A plan replaces the one before.
		c.Plan("a", hour(began), 0, 100, began)
	}
	c.Plan("b", hour(began), 0, 100, began.Add(time.Minute))
	if got := c.Late(began.Add(49 * time.Minute)); got != 0 {
		t.Errorf("%d are late too early", got)
	}
	if got := c.Late(began.Add(50 * time.Minute)); got != 2 {
		t.Errorf("%d are late, want 2", got)
	}
	c.Drop("a")
	c.Drop("a")
	c.Drop("never there")
	if _, ok := c.At("a"); ok || c.Late(began.Add(time.Hour)) != 1 {
		t.Error("a token that was dropped is still there")
	}
	c.Drop("b")
	if len(c.taken) != 0 || len(c.entries) != 0 {
		t.Errorf("an empty calendar keeps %v and %v", c.taken, c.entries)
	}
}
