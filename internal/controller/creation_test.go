// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

func zoned(spec *v1alpha1.ManagedUserSpec) { spec.TimeZone = "Europe/Rome" }

// converge reconciles until the object is Ready or a quarter of an hour has passed. At no time is an unfinished user
// Available.
func (s *story) converge(mu *v1alpha1.ManagedUser) {
	s.Helper()
	for range 60 {
		s.reconcile(mu)
		if meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionReady) {
			if step, ok := s.sandbox.Progress(mu.Status.User.ID); !ok || step != calcomtest.StepSchedule {
				s.Errorf("Ready with user %d, whose creation got to step %d", mu.Status.User.ID, step)
			}
			return
		}
		s.advance(15 * time.Second)
	}
	s.Errorf("not Ready after a quarter of an hour:\n%s", show(mu))
}

// The server dies, or answers an error, after each step of the create. The user ends up finished, there is one, and
// nothing is left when the object is deleted.
func TestCreateThatStops(t *testing.T) {
	for step := calcomtest.StepLink; step <= calcomtest.StepSchedule; step++ {
		for name, fault := range map[string]calcomtest.Fault{"dies": {Cut: true}, "answers 500": {}} {
			t.Run(fmt.Sprintf("after step %d it %s", step, name), func(t *testing.T) {
				fault.Op, fault.StopAfter = calcomtest.OpCreate, step
				t.Run("and goes on", func(t *testing.T) {
					s := newStory(t)
					s.sandbox.Inject(fault)
					mu := s.create(zoned)
					s.converge(mu)
					s.wantUsers(mu.Status.User.ID)
					if mu.Status.Origin != v1alpha1.OriginCreated {
						t.Errorf("origin is %q", mu.Status.Origin)
					}
					s.delete(mu)
					s.wantGone(mu)
					s.wantUsers()
				})
				t.Run("and the operator restarts", func(t *testing.T) {
					s := newStory(t)
					s.sandbox.Inject(fault)
					mu := s.create(zoned)
					s.restart()
					s.converge(mu)
					s.wantUsers(mu.Status.User.ID)
				})
				t.Run("and the object is deleted", func(t *testing.T) {
					s := newStory(t)
					s.sandbox.Inject(fault)
					mu := s.create(zoned)
					s.delete(mu)
					for range 12 {
						s.advance(15 * time.Second)
						s.reconcile(mu)
					}
					s.wantGone(mu)
					s.wantUsers()
				})
			})
		}
	}
}

// After an error of Cal.com's own, some seconds are enough: the handler has ended. After a lost answer it may go on.
func TestWaitAfterAFailedCreate(t *testing.T) {
	tests := map[string]struct {
		fault calcomtest.Fault
		wait  time.Duration
	}{
		"500 of Cal.com's own":      {calcomtest.Fault{Status: 500}, manageduser.ReplicaGrace},
		"500 of the framework":      {calcomtest.Fault{Status: 500, Body: `{"statusCode":500,"message":"Internal server error"}`}, manageduser.ReplicaGrace},
		"500 of a proxy":            {calcomtest.Fault{Status: 500, Body: "<html>", ContentType: "text/html"}, manageduser.UnknownOutcomeGrace},
		"504 in the server's words": {calcomtest.Fault{Status: 504}, manageduser.UnknownOutcomeGrace},
		"connection cut":            {calcomtest.Fault{Cut: true}, manageduser.UnknownOutcomeGrace},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			tc.fault.Op = calcomtest.OpCreate
			s.sandbox.Inject(tc.fault)
			mu := s.create()
			s.advance(tc.wait - time.Second)
			s.reconcile(mu)
			s.wantCalls(calcomtest.OpCreate, calcomtest.OpList)
			s.advance(time.Second)
			s.reconcile(mu)
			s.wantCalls(calcomtest.OpList, calcomtest.OpCreate)
			s.wantReady(mu, "Created")
		})
	}
}

// A server that answers each create call with an error is asked less and less often.
func TestCreateThatFailsAgainAndAgain(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Status: 500, Times: -1})
	mu := s.create()
	var waits []time.Duration
	last := s.clock.Now()
	for creates := 1; len(waits) < 7; {
		s.advance(time.Second)
		s.reconcile(mu)
		if n := s.sandbox.Count(calcomtest.OpCreate); n > creates {
			creates = n
			waits = append(waits, s.clock.Now().Sub(last))
			last = s.clock.Now()
		}
	}
	var seconds []float64
	for _, wait := range waits {
		seconds = append(seconds, wait.Seconds())
	}
	if d := cmp.Diff([]float64{10, 20, 40, 80, 160, 320, 320}, seconds); d != "" {
		t.Errorf("waits in seconds (-want +got):\n%s", d)
	}
}

// A user without name and mark is the object's own only if its call made it.
func TestUnfinishedUserOfAnother(t *testing.T) {
	blank := calcomtest.User{Email: "alice@example.com"}
	tests := map[string]struct {
		user func(s *story) calcomtest.User
		want string
	}{
		"there before": {func(*story) calcomtest.User { return blank }, "AlreadyExists"},
		"created before the call": {func(s *story) calcomtest.User {
			u := blank
			u.CreatedDate = s.clock.Now().Add(-2 * time.Second)
			return u
		}, "AlreadyExists"},
		"with a name":   {func(*story) calcomtest.User { u := blank; u.Name = new("Alice"); return u }, "AlreadyExists"},
		"with metadata": {func(*story) calcomtest.User { u := blank; u.Metadata = map[string]any{"k": "v"}; return u }, "AlreadyExists"},
		"created after the wait": {func(s *story) calcomtest.User {
			u := blank
			u.CreatedDate = s.clock.Now().Add(manageduser.UnknownOutcomeGrace)
			return u
		}, "AlreadyExists"},
		"created by the lost call": {func(s *story) calcomtest.User { u := blank; u.CreatedDate = s.clock.Now(); return u }, "Created"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: name == "there before"})
			if name == "there before" {
				s.sandbox.AddUser(s.clientID(), tc.user(s))
				s.advance(time.Second)
			}
			mu := s.create()
			if name != "there before" {
				s.sandbox.AddUser(s.clientID(), tc.user(s))
			}
			for range 10 {
				s.advance(15 * time.Second)
				s.reconcile(mu)
			}
			if got := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionSynced).Reason; got != tc.want {
				t.Errorf("Synced is %s, want %s:\n%s", got, tc.want, show(mu))
			}
			owned := tc.want == "Created"
			s.delete(mu)
			s.wantGone(mu)
			if left := len(s.sandbox.Users(s.clientID())); (left == 0) != owned {
				t.Errorf("%d users are left", left)
			}
		})
	}
}

// An unfinished user that is old is not deleted: a restored status may be all that is missing.
func TestOldUnfinishedUserStays(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, StopAfter: calcomtest.StepProfile, Cut: true})
	mu := s.create(zoned)
	s.restart()
	s.advance(manageduser.ReplaceableFor + time.Second)
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/RemoteInconsistent", "Synced=False/RemoteInconsistent", "CredentialsReady=True/Verified", "Stalled=True/RemoteInconsistent")
	s.wantMessage(mu, "did not finish the creation of user 1", "default schedule", "apply it again")
	s.wantCalls(calcomtest.OpCreate, calcomtest.OpList)
	s.sandbox.UpdateUser(s.clientID(), 1, func(u *calcomtest.User) { u.DefaultScheduleID = new(int64(7)) })
	s.due(mu)
	s.wantReady(mu, "InSync")
	s.wantUsers(mu.Status.User.ID)
}

// A create that is finished late, step by step, is waited for.
func TestCreateThatIsSlow(t *testing.T) {
	for step := calcomtest.StepInsert; step < calcomtest.StepSchedule; step++ {
		t.Run(fmt.Sprintf("between step %d and the rest", step), func(t *testing.T) {
			s := newStory(t)
			s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, StopAfter: step, Cut: true, EffectDelay: 85 * time.Second})
			mu := s.create(zoned)
			s.converge(mu)
			s.wantUsers(mu.Status.User.ID)
			if mu.Status.User.ID != 1 {
				t.Errorf("user is %d, want the first one", mu.Status.User.ID)
			}
			if n := s.sandbox.Count(calcomtest.OpCreate); n != 1 {
				t.Errorf("%d create calls", n)
			}
		})
	}
}

// A half-made user that Cal.com does not show may keep the address when the object goes, and the event says so.
func TestDeletionWithAHalfMadeUser(t *testing.T) {
	for name, known := range map[string]bool{"after the conflict": true, "before": false} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, StopAfter: calcomtest.StepInsert, Cut: true})
			mu := s.create()
			if known {
				s.advance(3 * time.Minute)
				s.reconcile(mu)
				s.wantMessage(mu, "half-made user")
			}
			s.events.take()
			s.events.notes = nil
			s.delete(mu)
			for range 12 {
				s.advance(15 * time.Second)
				s.reconcile(mu)
			}
			s.wantGone(mu)
			if notes := strings.Join(s.events.notes, "\n"); !strings.Contains(notes, "half-made user may be left that keeps the address") {
				t.Errorf("events say %q", notes)
			}
		})
	}
}
