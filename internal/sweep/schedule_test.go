// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"testing"
	"time"
)

const interval = 10 * time.Minute

var began = time.Unix(1_800_000_000, 0)

func TestWait(t *testing.T) {
	cases := map[string]struct {
		after               time.Duration // Of the round's beginning.
		done, left, planned int
		want                time.Duration
	}{
		"OnlyCall":               {0, 1, 0, 1, interval},
		"OnlyCallThatTookAWhile": {20 * time.Second, 1, 0, 1, interval - 20*time.Second},
		"FirstOfForty":           {0, 1, 39, 40, 15 * time.Second},
		"SecondOfForty":          {15 * time.Second, 2, 38, 40, 15 * time.Second},
		"LastOfForty":            {39 * 15 * time.Second, 40, 0, 40, 15 * time.Second},
		"Late":                   {30 * time.Second, 2, 38, 40, (interval - 30*time.Second) / 39},
		"MuchTooLate":            {9 * time.Minute, 2, 38, 40, 7500 * time.Millisecond},
		"AfterTheEnd":            {11 * time.Minute, 20, 20, 40, 7500 * time.Millisecond},
		"TheNextRoundIsLate":     {11 * time.Minute, 40, 0, 40, 0},
		"TheNextRoundIsDue":      {interval, 40, 0, 40, 0},
		"OneMoreThanPlanned":     {0, 1, 1, 1, 30 * time.Second},
		"OneMoreAtTheEnd":        {interval - 20*time.Second, 1, 1, 1, 30 * time.Second},
		"TwoMoreOfForty":         {interval - 15*time.Second, 40, 2, 40, interval / 84},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Wait(began, began.Add(tc.after), interval, tc.done, tc.left, tc.planned); got != tc.want {
				t.Errorf("Wait = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestSettles(t *testing.T) {
	cases := map[string]struct {
		last, now, interval, want time.Duration // After the first member.
	}{
		"JustOne":            {0, 0, interval, 5 * time.Second},
		"JustOneAfterAWhile": {0, 4 * time.Second, interval, time.Second},
		"JustOneInTheEnd":    {0, 5 * time.Second, interval, 0},
		"Joining":            {50 * time.Second, 50 * time.Second, interval, 5 * time.Second},
		"JoiningForLong":     {58 * time.Second, 58 * time.Second, interval, 2 * time.Second},
		"JoiningForTooLong":  {90 * time.Second, 90 * time.Second, interval, 0},
		"ShortInterval":      {0, 0, time.Second, 10 * time.Millisecond},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			if got := Settles(began, began.Add(tc.last), began.Add(tc.now), tc.interval); got != tc.want {
				t.Errorf("Settles = %v, want %v", got, tc.want)
			}
		})
	}
}

func TestPlanned(t *testing.T) {
	for users, want := range map[int]int{0: 1, 1: 1, 250: 1, 251: 2, 10_000: 40} {
		if got := Planned(users); got != want {
			t.Errorf("Planned(%d) = %d, want %d", users, got, want)
		}
	}
}
