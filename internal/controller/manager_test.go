// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"strconv"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// patience bounds every wait for the manager. It is long so that a busy machine fails no test; how long things take
// is the benchmarks' topic.
const patience = 30 * time.Second

// startManager runs the reconciler as the operator does, with watches, cache and queue, in the story's namespace.
// The returned function stops it and waits until it is down.
func (s *story) startManager() (stop func()) {
	s.Helper()
	s.config.Clock = clock.RealClock{}
	unique := true
	mgr, err := ctrl.NewManager(cluster, ctrl.Options{
		Scheme:     s.client.Scheme(),
		Metrics:    metricsserver.Options{BindAddress: "0"},
		Cache:      cache.Options{DefaultNamespaces: map[string]cache.Config{s.namespace: {}}},
		Controller: config.Controller{SkipNameValidation: &unique},
	})
	s.must(err)
	r, err := New(mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("calcom-operator"), s.config)
	s.must(err)
	s.cached = mgr.GetCache()
	ctx, cancel := context.WithCancel(s.Context())
	s.must(r.SetupWithManager(ctx, mgr))
	s.must(r.OAuthClients(v1alpha1.KindOAuthClient).SetupWithManager(mgr))
	if s.config.ClusterClients {
		s.must(r.OAuthClients(v1alpha1.KindClusterOAuthClient).SetupWithManager(mgr))
	}
	s.must(r.Secrets().SetupWithManager(mgr))
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	return func() {
		cancel()
		s.cached = nil
		if err := <-ended; err != nil {
			s.Errorf("manager ended: %v", err)
		}
	}
}

// eventually waits until the condition holds for the object, whose latest state it leaves in mu, and until the
// manager's cache has heard of that state: else a reconcile that another object causes next would work on an older one.
func (s *story) eventually(mu *v1alpha1.ManagedUser, what string, holds func(exists bool) bool) {
	s.Helper()
	err := wait.PollUntilContextTimeout(s.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		exists := s.reload(mu)
		return holds(exists) && s.hasHeard(mu, exists), nil
	})
	if err != nil {
		s.Fatalf("waiting for %s: %v\n%s", what, err, show(mu))
	}
}

// hasHeard reports whether the manager's cache knows a state of an object, or a later one.
func (s *story) hasHeard(mu *v1alpha1.ManagedUser, exists bool) bool {
	s.Helper()
	if s.cached == nil || mu.Namespace != s.namespace {
		return true
	}
	cached := &v1alpha1.ManagedUser{}
	err := s.cached.Get(s.Context(), client.ObjectKeyFromObject(mu), cached)
	if !exists || err != nil {
		return !exists && apierrors.IsNotFound(err)
	}
	return version(s, cached) >= version(s, mu)
}

func version(s *story, mu *v1alpha1.ManagedUser) uint64 {
	s.Helper()
	n, err := strconv.ParseUint(mu.ResourceVersion, 10, 64)
	s.must(err)
	return n
}

func (s *story) eventuallyReady(mu *v1alpha1.ManagedUser) {
	s.Helper()
	s.eventually(mu, "Ready", func(bool) bool {
		return meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionReady) && mu.Status.ObservedGeneration == mu.Generation
	})
}

func (s *story) eventuallyReason(mu *v1alpha1.ManagedUser, reason string) {
	s.Helper()
	s.eventually(mu, reason, func(bool) bool {
		ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
		return ready != nil && ready.Reason == reason
	})
}

// The whole life under a manager: the Secret comes late, is wrong, is corrected; the spec changes; the user drifts;
// the operator is replaced by another one in between; the object is deleted.
func TestLifeUnderAManager(t *testing.T) {
	s := newStory(t)
	s.deleteSecret()
	stop := s.startManager()
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	s.eventuallyReason(mu, v1alpha1.ReasonSecretNotFound)
	s.createSecret("wrong") // The drift checks are ten minutes apart: only the watch can be what wakes the user.
	s.eventuallyReason(mu, v1alpha1.ReasonUnauthorized)
	s.setSecret(calcomtest.DefaultClient().Secret)
	s.eventuallyReady(mu)

	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
	s.eventually(mu, "the new name", func(bool) bool { return mu.Status.User != nil && *mu.Status.User.Name == "Alicia" })

	stop()
	s.sandbox.ResetCalls()
	defer s.startManager()()
	s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, func(u *calcomtest.User) { u.Name = new("Drifted") })
	s.request(mu, "now")
	s.eventually(mu, "the answer to the request", func(bool) bool { return mu.Status.LastHandledReconcileAt == "now" })
	s.wantReady(mu, "DriftCorrected")
	s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate)

	s.must(s.client.Delete(t.Context(), mu))
	s.eventually(mu, "the end of the object", func(exists bool) bool { return !exists })
	s.wantCalls(calcomtest.OpGet, calcomtest.OpDelete)
}

// The drift check comes by itself.
func TestDriftCheckUnderAManager(t *testing.T) {
	s := newStory(t)
	s.config.ResyncInterval = 200 * time.Millisecond
	stop := s.startManager()
	defer stop()
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	s.eventuallyReady(mu)
	s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, func(u *calcomtest.User) { u.Name = new("Drifted") })
	s.eventually(mu, "the drift's correction", func(bool) bool {
		user, _ := s.sandbox.User(s.clientID(), mu.Status.User.ID)
		return *user.Name == "Alice"
	})
}

// Creating takes one call and two writes, whatever the watches report of the operator's own writes.
func TestCreateUnderAManagerCostsOneCall(t *testing.T) {
	s := newStory(t)
	s.config.ProtectSecrets = true
	stop := s.startManager()
	defer stop()
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	s.eventuallyReady(mu)
	generation, version := mu.Generation, mu.ResourceVersion
	bob := s.user()
	bob.Name, bob.Spec.Email = "bob", "bob@example.com"
	s.must(s.client.Create(t.Context(), bob)) // By the time bob is done, alice's own events are long dealt with.
	s.eventuallyReady(bob)
	s.wantCalls(calcomtest.OpCreate, calcomtest.OpCreate)
	s.reload(mu)
	s.wantReady(mu, "Created")
	s.wantReady(bob, "Created")
	if mu.Generation != generation || mu.ResourceVersion != version {
		t.Error("the object was written again")
	}
	var list v1alpha1.ManagedUserList
	s.must(s.client.List(t.Context(), &list, client.InNamespace(s.namespace), client.MatchingFields{"spec.oauthClient.id": s.clientID()}))
	if len(list.Items) != 2 {
		t.Errorf("the selectable field finds %d objects, want 2", len(list.Items))
	}
}
