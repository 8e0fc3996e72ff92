// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const wholeUser = `{"email": "new@example.com", "name": "New", "bio": "B", "locale": "it", "avatarUrl": "https://example.com/a.png", ` +
	`"timeFormat": 24, "weekStart": "Monday", "timeZone": "Europe/Rome", "metadata": {"k": "v"}}`

// TestStopAfter: a create that stops leaves what its steps so far have made,
// whether the server dies or answers 500.
func TestStopAfter(t *testing.T) {
	for step := calcomtest.StepInsert; step <= calcomtest.StepSchedule; step++ {
		for _, dies := range []bool{false, true} {
			t.Run(fmt.Sprintf("step %d, dies %v", step, dies), func(t *testing.T) {
				s := recordedState(t, calcomtest.Options{})
				a := newAPI(t, s)
				s.Inject(calcomtest.Fault{StopAfter: step, Cut: dies})
				if dies {
					if err := a.lost("POST", ".", wholeUser); !errors.Is(err, io.ErrUnexpectedEOF) {
						t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
					}
				} else {
					a.call("POST", ".", wholeUser).want(t, 500, "INTERNAL_SERVER_ERROR", "There was an error, please try again later.")
				}
				wantStep(t, s, 2, step)
				u, linked := s.UserByEmail(cid1, "new@example.com")
				if linked != (step >= calcomtest.StepLink) {
					t.Fatalf("linked %v", linked)
				}
				if !linked {
					return
				}
				profile := u.Name != nil && u.Bio != nil && u.Locale != nil && u.AvatarURL != nil && u.Metadata["k"] == "v"
				if bare := u.Name == nil && u.Bio == nil && u.Locale == nil && u.AvatarURL == nil && u.Metadata == nil; profile == bare || profile != (step >= calcomtest.StepProfile) {
					t.Errorf("profile %+v", u)
				}
				if u.TimeZone != "Europe/Rome" || u.WeekStart != "Monday" || *u.TimeFormat != 24 {
					t.Errorf("user %+v", u)
				}
				if made := u.DefaultScheduleID != nil; made != (step >= calcomtest.StepSchedule) {
					t.Errorf("schedule: %v", made)
				}
			})
		}
	}
}

// TestSlowCreate: the steps that are left happen later, to the user as it is
// then, and not at all if it is gone.
func TestSlowCreate(t *testing.T) {
	for name, change := range map[string]func(*api){
		"untouched": func(*api) {},
		"changed":   func(a *api) { a.call("PATCH", "./2", `{"timeFormat": 12}`).want(t, 200) },
		"deleted":   func(a *api) { a.call("DELETE", "./2", "").want(t, 200) },
	} {
		t.Run(name, func(t *testing.T) {
			clock := newClock()
			s := recordedState(t, calcomtest.Options{Now: clock.Now})
			a := newAPI(t, s)
			s.Inject(calcomtest.Fault{StopAfter: calcomtest.StepLink, Cut: true, EffectDelay: time.Minute})
			_ = a.lost("POST", ".", wholeUser)
			clock.advance(time.Minute - time.Second)
			wantStep(t, s, 2, calcomtest.StepLink)
			change(a)
			clock.advance(time.Second)
			u, there := s.User(cid1, 2)
			switch {
			case there == (name == "deleted"):
				t.Errorf("there: %v", there)
			case !there:
			case u.Name == nil || u.DefaultScheduleID == nil || (*u.TimeFormat == 12) != (name == "changed"):
				t.Errorf("user %+v", u)
			}
		})
	}
}

// TestProgressOfOthers: users that were added by hand have gone through all steps.
func TestProgressOfOthers(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	wantStep(t, s, 1, calcomtest.StepSchedule)
	newAPI(t, s).call("PATCH", "./1", `{"name": "A"}`).want(t, 200)
	wantStep(t, s, 1, calcomtest.StepSchedule)
	if _, ok := s.Progress(4711); ok {
		t.Error("there is progress of a user that is not there")
	}
}

func wantStep(tb testing.TB, s *calcomtest.Server, id int64, want calcomtest.CreateStep) {
	tb.Helper()
	if got, ok := s.Progress(id); !ok || got != want {
		tb.Errorf("user %d has got to step %d (%v), want %d", id, got, ok, want)
	}
}

// TestWritePool: one create more than there are connections is answered 500,
// and a connection is free again after the answer.
func TestWritePool(t *testing.T) {
	s := recordedState(t, calcomtest.Options{WritePool: 2})
	a := newAPI(t, s)
	unlock := s.LockUsers()
	statuses := make(chan int, 2)
	for i := range 2 {
		go func() {
			statuses <- a.call("POST", ".", fmt.Sprintf(`{"email": "held%d@example.com", "name": "N"}`, i)).status
		}()
	}
	waitFor(t, "two creates", func() bool { return s.Creating() == 2 })
	a.call("POST", ".", newUser).want(t, 500, "INTERNAL_SERVER_ERROR")
	a.call("GET", "./1", "").want(t, 200)
	unlock()
	unlock()
	for range 2 {
		if got := <-statuses; got != 201 {
			t.Errorf("status %d, want 201", got)
		}
	}
	waitFor(t, "the connections", func() bool { return s.Creating() == 0 })
	a.call("POST", ".", newUser).want(t, 201)
}

// TestLockUsers: writes wait, and closing the server ends the wait.
func TestLockUsers(t *testing.T) {
	for _, call := range [][3]string{{"POST", ".", newUser}, {"PATCH", "./1", `{"name": "A"}`}, {"DELETE", "./1", ""}} {
		t.Run(call[0], func(t *testing.T) {
			s := recordedState(t, calcomtest.Options{})
			unlock := s.LockUsers()
			s.LockUsers()() // Locked already.
			a := newAPI(t, s)
			answered := make(chan int, 1)
			go func() { answered <- a.call(call[0], call[1], call[2]).status }()
			a.call("GET", "./1", "").want(t, 200)
			select {
			case status := <-answered:
				t.Errorf("answered %d while the table was locked", status)
			default:
			}
			unlock()
			if status := <-answered; status/100 != 2 {
				t.Errorf("status %d", status)
			}
			s.LockUsers()
			lost := make(chan error, 1)
			go func() { lost <- a.lost("POST", ".", newUser) }()
			waitFor(t, "the create", func() bool { return s.Creating() == 1 })
			s.Close()
			if err := <-lost; err == nil {
				t.Error("answered by a closed server")
			}
		})
	}
}
