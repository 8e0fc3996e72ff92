// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// limited is a story with n users, of which two may be deleted in ten minutes. Its namespace is the operator's as well.
func limited(t *testing.T, n int) (*story, []*v1alpha1.ManagedUser) {
	t.Helper()
	s := newStory(t)
	s.config.MassDeleteLimit, s.config.Namespace = 2, s.namespace
	s.restart()
	var users []*v1alpha1.ManagedUser
	for i := range n {
		mu := s.user()
		mu.Name, mu.Spec.Email = fmt.Sprint("user-", i), fmt.Sprintf("user%d@example.com", i)
		s.must(s.client.Create(t.Context(), mu))
		s.reconcile(mu)
		s.wantReady(mu, "Created")
		users = append(users, mu)
	}
	s.sandbox.ResetCalls()
	s.events.take()
	return s, users
}

func annotate(t *testing.T, s *story, object client.Object) {
	t.Helper()
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:"true"}}}`, v1alpha1.AllowMassDeletionAnnotation)
	s.must(s.client.Patch(t.Context(), object, client.RawPatch(client.Merge.Type(), patch)))
}

func (s *story) remoteUsers() int { return len(s.sandbox.Users(s.clientID())) }

func TestMassDeletionWaits(t *testing.T) {
	s, users := limited(t, 4)
	for _, mu := range users {
		s.delete(mu)
	}
	s.wantGone(users[0])
	s.wantGone(users[1])
	if n := s.remoteUsers(); n != 2 {
		t.Errorf("Cal.com has %d users, want 2", n)
	}
	s.sandbox.ResetCalls()
	held := users[2]
	ended := s.reconcile(held)
	s.wantCalls() // Who waits asks nobody.
	s.wantConditions(held, "Ready=False/MassDeletion", "Reconciling=True/Progressing", "Synced=True/Created", "CredentialsReady=True/Verified")
	s.wantMessage(held, "no more than 2", "T", "Z;", "allow-mass-deletion=true", "deletionPolicy to Orphan")
	if after := ended.result.RequeueAfter; after < 9*time.Minute || after > 12*time.Minute {
		t.Errorf("the next look is in %v, want about ten minutes", after)
	}
	events := s.events.take()
	if n := strings.Count(strings.Join(events, " "), "MassDeletion"); n != 2 {
		t.Errorf("events are %v, want MassDeletion once for each that waits", events)
	}
	s.writes.take()
	s.reconcile(held)
	s.wantWrites() // It is the same time as before.

	s.advance(ended.result.RequeueAfter)
	s.reconcile(held)
	s.wantGone(held)
}

// A new process allows nothing that the one before allowed already.
func TestMassDeletionAcrossRestarts(t *testing.T) {
	s, users := limited(t, 4)
	for _, mu := range users {
		s.delete(mu)
		s.restart()
	}
	if n := s.remoteUsers(); n != 2 {
		t.Errorf("Cal.com has %d users, want 2", n)
	}
}

// Two leaders at once together allow no more than one.
func TestMassDeletionWithTwoLeaders(t *testing.T) {
	s, users := limited(t, 6)
	first := s.reconciler
	s.restart()
	second := s.reconciler
	for i, mu := range users {
		s.reconciler = []*ManagedUserReconciler{first, second}[i%2]
		s.delete(mu)
		s.reconcile(mu) // A conflict is tried again.
	}
	if n := s.remoteUsers(); n != 4 {
		t.Errorf("Cal.com has %d users, want 4", n)
	}
}

// A record that somebody spoilt makes the operator more careful, and not less.
func TestMassDeletionWithASpoiltRecord(t *testing.T) {
	s, users := limited(t, 2)
	s.delete(users[0])
	record := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: limitsName}}
	s.must(s.client.Get(t.Context(), client.ObjectKeyFromObject(record), record))
	for key := range record.Data {
		record.Data[key] = "spoilt"
	}
	s.must(s.client.Update(t.Context(), record))
	s.restart()
	s.delete(users[1])
	s.wantMessage(users[1], "no more than 2")
}

func TestMassDeletionCanBeAllowed(t *testing.T) {
	for name, allow := range map[string]func(*story, *v1alpha1.ManagedUser){
		"OnTheObject": func(s *story, mu *v1alpha1.ManagedUser) { annotate(s.T, s, mu.DeepCopy()) },
		"OnTheNamespace": func(s *story, _ *v1alpha1.ManagedUser) {
			annotate(s.T, s, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}})
		},
		"ByOrphan": func(s *story, mu *v1alpha1.ManagedUser) { s.edit(mu, orphan) },
	} {
		t.Run(name, func(t *testing.T) {
			s, users := limited(t, 3)
			for _, mu := range users {
				s.delete(mu)
			}
			s.wantMessage(users[2], "no more than 2")
			allow(s, users[2])
			s.reconcile(users[2])
			s.wantGone(users[2])
		})
	}
}

// A permit that nobody used is not lost: the user was gone already, or Cal.com could not be asked.
func TestMassDeletionCountsOnlyCalls(t *testing.T) {
	s, users := limited(t, 4)
	s.sandbox.RemoveUser(s.clientID(), users[0].Status.User.ID)
	s.advance(time.Minute) // Past the time in which a 404 may be a replica's.
	for _, mu := range users[:3] {
		s.delete(mu)
		s.wantGone(mu)
	}
	s.delete(users[3])
	s.wantMessage(users[3], "no more than 2")
}

// With watches, the annotation on a namespace lets everybody go within moments.
func TestMassDeletionIsAllowedUnderAManager(t *testing.T) {
	s, users := limited(t, 4)
	defer s.startManager()()
	for _, mu := range users {
		s.must(s.client.Delete(t.Context(), mu))
	}
	s.sandbox.ResetCalls()
	held := 0
	for _, mu := range users {
		s.eventually(mu, "gone or held", func(exists bool) bool {
			return !exists || strings.Contains(show(mu), "MassDeletion")
		})
		if s.reload(mu) {
			held++
		}
	}
	if held != 2 || s.remoteUsers() != 2 {
		t.Errorf("%d objects are held and Cal.com has %d users, want 2 of each", held, s.remoteUsers())
	}
	annotate(t, s, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.namespace}})
	for _, mu := range users {
		s.eventually(mu, "gone", func(exists bool) bool { return !exists })
	}
	deletes := 0
	for _, call := range s.sandbox.Calls() {
		if call.Op == calcomtest.OpDelete {
			deletes++
		}
	}
	if deletes > 4 {
		t.Errorf("there were %d DELETE calls for 4 users", deletes)
	}
}
