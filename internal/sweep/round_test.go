// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// show takes in a page with the users of some ids.
func show(r *Round[string], from, n int) {
	for id := range n {
		r.See(int64(from+id), false)
	}
	r.Listed(n)
}

func TestCensus(t *testing.T) {
	type page struct{ from, users int }
	cases := map[string]struct {
		pages    []page
		next     int // The offset that comes then; -1 for none.
		complete bool
	}{
		"NotBegun":     {nil, 0, false},
		"Empty":        {[]page{{1, 0}}, -1, true},
		"NotFull":      {[]page{{1, 249}}, -1, true},
		"Full":         {[]page{{1, 250}}, 250, false},
		"ThenNobody":   {[]page{{1, 250}, {1, 0}}, -1, true},
		"ThenSome":     {[]page{{1, 250}, {251, 249}}, -1, true},
		"ThenFull":     {[]page{{1, 250}, {251, 250}}, -1, false},
		"Overlapping":  {[]page{{1, 250}, {250, 10}}, -1, false},
		"TwiceTheSame": {[]page{{1, 250}, {1, 250}}, -1, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			r := NewRound[string](began)
			for _, p := range tc.pages {
				show(r, p.from, p.users)
			}
			offset, ok := r.Page()
			if !ok {
				offset = -1
			}
			if offset != tc.next || r.Complete() != tc.complete {
				t.Errorf("the next page is at %d and complete %t, want %d and %t", offset, r.Complete(), tc.next, tc.complete)
			}
		})
	}
}

func TestCensusThatCannotBeRead(t *testing.T) {
	r := NewRound[string](began)
	for range mostAttempts - 1 {
		r.Unreadable()
	}
	if offset, ok := r.Page(); !ok || offset != 0 {
		t.Fatal("the census is given up too early")
	}
	show(r, 1, 250) // It was a passing trouble.
	for i := range mostAttempts {
		if _, ok := r.Page(); !ok {
			t.Fatalf("the second page is given up after %d attempts", i)
		}
		r.Unreadable()
	}
	if _, ok := r.Page(); ok || r.Complete() {
		t.Error("the census is not given up, or counts as complete")
	}
}

func TestStrangers(t *testing.T) {
	r := NewRound[string](began)
	r.See(1, true)
	r.See(2, false)
	r.See(1, true)
	if got := r.Strangers(); got != 1 {
		t.Errorf("there are %d strangers, want one", got)
	}
}

// Who makes a call fail is found by halves, and then the calls grow again.
func TestRefused(t *testing.T) {
	r := NewRound[string](began)
	var asked []int
	for n := r.Most; ; n = r.Most {
		asked = append(asked, n)
		if r.Refused(n) {
			break
		}
	}
	for range 9 {
		asked = append(asked, r.Most)
		r.Answered()
	}
	if d := cmp.Diff([]int{250, 125, 62, 31, 15, 7, 3, 1, 1, 2, 4, 8, 16, 32, 64, 128, 250}, asked); d != "" {
		t.Errorf("addresses in each call (-want +got):\n%s", d)
	}
}

func TestLeft(t *testing.T) {
	for name, tc := range map[string]struct {
		pages []int // Users on the pages so far.
		users int   // Not looked at yet.
		most  int
		want  int
	}{
		"Nobody":                 {nil, 0, 250, 1},
		"One":                    {nil, 1, 250, 1},
		"OnePage":                {nil, 250, 250, 1},
		"TwoPages":               {nil, 251, 250, 2},
		"TenThousand":            {nil, 10_000, 250, 40},
		"TenThousandAfterAPage":  {[]int{250}, 9_750, 250, 39},
		"TenThousandAfterBoth":   {[]int{250, 250}, 9_500, 250, 38},
		"NobodyAfterAFullPage":   {[]int{250}, 0, 250, 1},
		"NobodyAfterTheCensus":   {[]int{3}, 0, 250, 0},
		"SomeAreNotInTheCensus":  {[]int{3}, 2, 250, 1},
		"WhileOneIsLookedForOut": {[]int{3}, 10, 2, 5},
	} {
		t.Run(name, func(t *testing.T) {
			r := NewRound[string](began)
			r.Most = tc.most
			for i, n := range tc.pages {
				show(r, 1000*i, n)
			}
			if got := r.Left(slices.Repeat([]string{"user@example.com"}, tc.users), Room("https://api.cal.com/v2", clientID)); got != tc.want {
				t.Errorf("%d calls are left, want %d", got, tc.want)
			}
		})
	}
}

func TestPersisting(t *testing.T) {
	before := map[int64]string{1: "a", 2: "b", 3: "c", 9: "z"}
	now := map[int64]string{9: "z", 4: "d", 3: "other", 1: "a"}
	if d := cmp.Diff([]int64{1, 9}, Persisting(before, now)); d != "" {
		t.Errorf("suspects in both (-want +got):\n%s", d)
	}
	if ids := Persisting(nil, now); len(ids) > 0 {
		t.Errorf("after one round there are %v", ids)
	}
}
