// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"net/http"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/gate"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// prepared is a story with an object that has recorded its create intent and waits for its turn to send the call, and
// the function that gives it its turn.
func prepared(t *testing.T) (s *story, mu *v1alpha1.ManagedUser, turn func()) {
	t.Helper()
	s = newStory(t)
	s.config.MaxConcurrentReconciles = 1
	s.restart()
	other := s.user(func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "bob@example.com" })
	other.Name = "bob"
	s.must(s.client.Create(t.Context(), other))
	s.reconcile(other)
	s.wantCalls(calcomtest.OpCreate)
	sending := client.ObjectKey{Namespace: s.namespace, Name: "sending"}
	g := s.reconciler.accounts.accountOf(client.ObjectKeyFromObject(other)).gate
	if !g.Enter(sending, gate.Create, 0) {
		t.Fatal("there is no place for a create call")
	}
	mu = s.create()
	if _, recorded := manageduser.RecordedIntent(mu); !recorded {
		t.Fatal("the object has no create intent")
	}
	s.wantCalls()
	s.writes.take()
	s.events.take()
	return s, mu, func() { g.Leave(sending, false) }
}

// An object whose create call waits sends it as soon as it may, without another write before it and without looking for
// the user of an earlier call.
func TestPreparedObjectSendsItsCall(t *testing.T) {
	s, mu, turn := prepared(t)
	s.reconcile(mu)
	s.wantCalls()
	turn()
	s.reconcile(mu)
	s.wantReady(mu, "Created")
	s.wantCalls(calcomtest.OpCreate)
	s.wantWrites("patch status")
}

// What changes while the call waits, and a record that grows old, is recorded before the call is sent.
func TestPreparedObjectIsPreparedAnew(t *testing.T) {
	for name, change := range map[string]func(*story, *v1alpha1.ManagedUser){
		"edited": func(s *story, mu *v1alpha1.ManagedUser) {
			s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Email = "carol@example.com" })
		},
		"old": func(s *story, _ *v1alpha1.ManagedUser) { s.advance(freshness) },
	} {
		t.Run(name, func(t *testing.T) {
			s, mu, turn := prepared(t)
			turn()
			change(s, mu)
			s.writes.take()
			s.reconcile(mu)
			s.wantReady(mu, "Created")
			s.wantCalls(calcomtest.OpCreate)
			s.wantWrites("patch", "patch status")
			if i, _ := manageduser.RecordedIntent(mu); i.Email.Reveal() != mu.Spec.Email || s.clock.Since(i.Time) > time.Second {
				t.Errorf("the record is of %v and names another address than the spec", i.Time)
			}
		})
	}
}

// An object whose call was not sent has no user: it goes at once when it is deleted.
func TestPreparedObjectIsDeleted(t *testing.T) {
	s, mu, _ := prepared(t)
	s.delete(mu)
	s.wantGone(mu)
	s.wantCalls()
	s.wantEvents()
}

// Another process that finds the record cannot know that the call was not sent, and waits for its outcome.
func TestPreparedObjectAfterARestart(t *testing.T) {
	s, mu, _ := prepared(t)
	s.restart()
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpList)
	s.advance(manageduser.UnknownOutcomeGrace - 5*time.Second)
	s.reconcile(mu)
	for _, call := range s.sandbox.Calls() {
		if call.Method == http.MethodPost {
			t.Error("the call was sent before the record's grace was over")
		}
	}
	s.sandbox.ResetCalls()
	s.advance(5 * time.Second)
	s.reconcile(mu)
	s.wantReady(mu, "Created")
	s.wantCalls(calcomtest.OpList, calcomtest.OpCreate)
}
