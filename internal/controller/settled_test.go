// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"net/http"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

func TestLacksCredentialsOnly(t *testing.T) {
	condition := func(mu *v1alpha1.ManagedUser, kind string, status metav1.ConditionStatus, reason string) {
		meta.SetStatusCondition(&mu.Status.Conditions, metav1.Condition{
			Type: kind, Status: status, Reason: reason, Message: "Said before", ObservedGeneration: mu.Generation,
		})
	}
	refused := func(mu *v1alpha1.ManagedUser, reason string) {
		condition(mu, v1alpha1.ConditionCredentialsReady, metav1.ConditionFalse, reason)
		condition(mu, v1alpha1.ConditionReady, metav1.ConditionFalse, reason)
	}
	cases := map[string]struct {
		change func(*visit)
		want   bool
	}{
		"Unauthorized":   {func(*visit) {}, true},
		"Forbidden":      {func(v *visit) { refused(v.mu, v1alpha1.ReasonForbidden) }, true},
		"SecretNotFound": {func(v *visit) { refused(v.mu, v1alpha1.ReasonSecretNotFound) }, true},
		"KeyNotFound":    {func(v *visit) { refused(v.mu, v1alpha1.ReasonKeyNotFound) }, true},
		"ClientNotFound": {func(v *visit) { refused(v.mu, v1alpha1.ReasonClientNotFound) }, true},
		"NotAllowed":     {func(v *visit) { refused(v.mu, v1alpha1.ReasonNamespaceNotAllowed) }, true},
		"URLNotAllowed":  {func(v *visit) { refused(v.mu, v1alpha1.ReasonAPIURLNotAllowed) }, true},
		"OtherReason":    {func(v *visit) { refused(v.mu, v1alpha1.ReasonProgressing) }, false},
		"CredentialsAreFine": {func(v *visit) {
			condition(v.mu, v1alpha1.ConditionCredentialsReady, metav1.ConditionTrue, v1alpha1.ReasonVerified)
		}, false},
		"SomethingElseToo": {func(v *visit) {
			condition(v.mu, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonAlreadyExists)
		}, false},
		"NotSynced": {func(v *visit) {
			condition(v.mu, v1alpha1.ConditionSynced, metav1.ConditionFalse, v1alpha1.ReasonRemoteUnavailable)
		}, false},
		"NeverSynced": {func(v *visit) { meta.RemoveStatusCondition(&v.mu.Status.Conditions, v1alpha1.ConditionSynced) }, false},
		"Edited":      {func(v *visit) { v.mu.Generation++ }, false},
		"EditedAndRefusedAgain": {func(v *visit) {
			v.mu.Generation++
			refused(v.mu, v1alpha1.ReasonUnauthorized)
		}, false},
		"Requested": {func(v *visit) {
			v.mu.Annotations = map[string]string{v1alpha1.ReconcileRequestedAtAnnotation: "now"}
		}, false},
		"Demanded":       {func(v *visit) { v.demand = 1 }, false},
		"UserNotKnown":   {func(v *visit) { v.mu.Status.User = nil }, false},
		"OtherClient":    {func(v *visit) { v.mu.Status.OAuthClientID = "other" }, false},
		"NoFinalizer":    {func(v *visit) { v.mu.Finalizers = nil }, false},
		"NoConditions":   {func(v *visit) { v.mu.Status.Conditions = nil }, false},
		"Suspended":      {func(v *visit) { v.mu.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend }, false},
		"Observes":       {func(v *visit) { observes(v) }, true},
		"ObservesNobody": {func(v *visit) { observes(v); v.mu.Status.User = nil }, false},
		"ObservesAnother": {func(v *visit) {
			observes(v)
			v.mu.Status.ObservedGeneration--
		}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			mu := &v1alpha1.ManagedUser{
				ObjectMeta: metav1.ObjectMeta{Namespace: "team", Name: "alice", Generation: 3},
				Spec:       v1alpha1.ManagedUserSpec{OAuthClient: &v1alpha1.OAuthClientCredentials{ID: pureClientID}},
			}
			standsFor(mu, 7)
			mu.Status.ObservedGeneration = 3
			condition(mu, v1alpha1.ConditionSynced, metav1.ConditionTrue, v1alpha1.ReasonInSync)
			refused(mu, v1alpha1.ReasonUnauthorized)
			v := &visit{mu: mu, account: accountName{clientID: pureClientID}}
			tc.change(v)
			f := &Facts{Object: v.mu, Account: v.account, Demanded: v.demand != 0}
			if got := f.lacksCredentialsOnly(); got != tc.want {
				t.Errorf("lacksCredentialsOnly = %t, want %t", got, tc.want)
			}
		})
	}
}

func observes(v *visit) {
	v.mu.Spec.ReconcilePolicy, v.mu.Finalizers = v1alpha1.ReconcilePolicyObserve, nil
	meta.RemoveStatusCondition(&v.mu.Status.Conditions, v1alpha1.ConditionSynced)
}

// A Secret that was away and is back costs no call where its key is known to be good.
func TestTheSecretComesBack(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.ResetCalls()
	s.deleteSecret()
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/SecretNotFound", "Synced=True/Created", "CredentialsReady=False/SecretNotFound", "Reconciling=True/Progressing")
	s.createSecret(calcomtest.DefaultClient().Secret)
	s.reconcile(mu)
	s.wantReady(mu, "Created")
	s.wantCalls()

	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
	s.deleteSecret()
	s.reconcile(mu)
	s.createSecret(calcomtest.DefaultClient().Secret)
	s.reconcile(mu)
	s.wantReady(mu, "Updated")
	s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate)
}

// After a restart nobody knows whether a key that was refused is good by now: one finds out for all.
func TestRefusedUsersAfterARestart(t *testing.T) {
	s := newSweepStory(t, 10)
	s.sandbox.SetSecret(s.clientID(), "rotated")
	s.refuse()
	s.sandbox.SetSecret(s.clientID(), calcomtest.DefaultClient().Secret)
	s.begin()
	s.forgetCalls()
	for _, mu := range s.users {
		s.reconcile(mu)
		s.wantReady(mu, "Created")
	}
	s.wantCalls(calcomtest.OpGet)
}

func (s *sweepStory) refuse() {
	s.Helper()
	for s.woken == nil {
		s.oneStep()
	}
	s.wantWokenAndWaiting(s.users...)
}

// Cal.com's own 403 is about the OAuth client, as a 401 is. One from something in between is about a request.
func TestForbidden(t *testing.T) {
	for name, tc := range map[string]struct {
		body  string
		calls int
	}{
		"ByCalcom":      {"", 1},
		"BySomethingIn": {"<html>Blocked</html>", 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSweepStory(t, 2)
			s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpGet, Status: http.StatusForbidden, Body: tc.body, Times: -1})
			for _, mu := range s.users {
				s.reconciler.sweeper.demand(keyOf(mu))
				s.reconcile(mu)
				s.wantConditions(mu, "Ready=False/Forbidden", "Synced=True/Created", "CredentialsReady=False/Forbidden", "Stalled=True/Forbidden")
			}
			if n := s.sandbox.Count(calcomtest.OpGet); n != tc.calls {
				t.Errorf("there were %d calls, want %d", n, tc.calls)
			}
			s.sandbox.ClearFaults()
			s.advance(resync + 1)
			s.forgetCalls()
			for _, mu := range s.users {
				s.reconcile(mu)
				s.wantReady(mu, "Created")
			}
			s.wantCalls(calcomtest.OpGet)
		})
	}
}
