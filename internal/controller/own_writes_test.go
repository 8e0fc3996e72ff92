// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// What was just said is not said again because the cache has not heard of it.
func TestCacheThatLacksTheLastWrite(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.wantReady(mu, "Created")
	before := mu.DeepCopy()
	s.setSecret("wrong")
	s.due(mu)
	s.wantConditions(mu, "Ready=False/Unauthorized", "Stalled=True/Unauthorized", "Synced=True/Created", "CredentialsReady=False/Unauthorized")
	s.wantEvents("Created", "Unauthorized")
	s.writes.take()
	s.sandbox.ResetCalls()

	cache := &staleReads{Client: s.reconciler.client, object: before}
	s.reconciler.client = cache
	if result, err := s.reconcile(mu).unpack(); err != nil || result != (ctrl.Result{RequeueAfter: ownWritePace}) {
		t.Errorf("the reconcile ends with %v, %v", result, err)
	}
	s.wantWrites()
	s.wantEvents()
	s.wantCalls()

	// The database was restored: nobody can wait for what it lacks.
	s.advance(ownWriteAge + 1)
	if result, err := s.reconcile(mu).unpack(); err != nil || result.RequeueAfter == ownWritePace {
		t.Errorf("the reconcile of an older state ends with %v, %v", result, err)
	}
}

func TestOwnWrites(t *testing.T) {
	s := newStory(t)
	object := func(uid types.UID, version string) client.Object {
		return &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{UID: uid, ResourceVersion: version}}
	}
	w := newOwnWrites(s.clock)
	w.note(object("a", "99"))
	for version, want := range map[string]bool{"98": true, "99": false, "100": false, "": false, "x": false} {
		if got := w.lacks(object("a", version)); got != want {
			t.Errorf("version %q lacks the write of 99: %t, want %t", version, got, want)
		}
	}
	if w.lacks(object("b", "1")) {
		t.Error("an object that was never written lacks a write")
	}
}
