// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// An operator that starts with an old copy of an object, from when it merely observed, must not write the user that it
// observed into the status of the object that owns another by now.
func TestStaleObserverDoesNotGiveTheObjectAnotherUser(t *testing.T) {
	s := newStory(t)
	stranger := s.sandbox.AddUser(s.clientID(), calcomtest.User{Email: "stranger@example.com"})
	mu := s.user(func(spec *v1alpha1.ManagedUserSpec) {
		spec.ReconcilePolicy, spec.Email = v1alpha1.ReconcilePolicyObserve, "stranger@example.com"
	})
	s.must(s.client.Create(t.Context(), mu))
	s.reload(mu)
	old := mu.DeepCopy()
	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) {
		spec.ReconcilePolicy, spec.Email = v1alpha1.ReconcilePolicyManage, "alice@example.com"
	})
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true}) // The outcome is unknown: finalizer, and no id.
	s.reconcile(mu)

	stale := &staleReads{Client: s.reconciler.client, object: old}
	s.reconciler.client = stale
	s.reconcile(mu)
	if mu.Status.User != nil {
		t.Errorf("the status has user %d", mu.Status.User.ID)
	}
	stale.object = nil
	s.advance(manageduser.UnknownOutcomeGrace)
	s.reconcile(mu)
	s.wantReady(mu, "Created")
	if now, _ := s.sandbox.User(s.clientID(), stranger.ID); now.Email != stranger.Email || mu.Status.User.ID == stranger.ID {
		t.Errorf("the stranger is %+v, the object has user %d", now, mu.Status.User.ID)
	}
}
