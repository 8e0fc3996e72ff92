// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
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
		change func(*Facts)
		want   bool
	}{
		"Unauthorized":   {func(*Facts) {}, true},
		"Forbidden":      {func(f *Facts) { refused(f.Object, v1alpha1.ReasonForbidden) }, true},
		"SecretNotFound": {func(f *Facts) { refused(f.Object, v1alpha1.ReasonSecretNotFound) }, true},
		"KeyNotFound":    {func(f *Facts) { refused(f.Object, v1alpha1.ReasonKeyNotFound) }, true},
		"ClientNotFound": {func(f *Facts) { refused(f.Object, v1alpha1.ReasonClientNotFound) }, true},
		"NotAllowed":     {func(f *Facts) { refused(f.Object, v1alpha1.ReasonNamespaceNotAllowed) }, true},
		"URLNotAllowed":  {func(f *Facts) { refused(f.Object, v1alpha1.ReasonAPIURLNotAllowed) }, true},
		"OtherReason":    {func(f *Facts) { refused(f.Object, v1alpha1.ReasonProgressing) }, false},
		"CredentialsAreFine": {func(f *Facts) {
			condition(f.Object, v1alpha1.ConditionCredentialsReady, metav1.ConditionTrue, v1alpha1.ReasonVerified)
		}, false},
		"SomethingElseToo": {func(f *Facts) {
			condition(f.Object, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonAlreadyExists)
		}, false},
		"NotSynced": {func(f *Facts) {
			condition(f.Object, v1alpha1.ConditionSynced, metav1.ConditionFalse, v1alpha1.ReasonRemoteUnavailable)
		}, false},
		"NeverSynced": {func(f *Facts) { meta.RemoveStatusCondition(&f.Object.Status.Conditions, v1alpha1.ConditionSynced) }, false},
		"Edited":      {func(f *Facts) { f.Object.Generation++ }, false},
		"EditedAndRefusedAgain": {func(f *Facts) {
			f.Object.Generation++
			refused(f.Object, v1alpha1.ReasonUnauthorized)
		}, false},
		"Requested": {func(f *Facts) {
			f.Object.Annotations = map[string]string{v1alpha1.ReconcileRequestedAtAnnotation: "now"}
		}, false},
		"Demanded":       {func(f *Facts) { f.Demanded = true }, false},
		"UserNotKnown":   {func(f *Facts) { f.Object.Status.User = nil }, false},
		"OtherClient":    {func(f *Facts) { f.Object.Status.OAuthClientID = "other" }, false},
		"NoFinalizer":    {func(f *Facts) { f.Object.Finalizers = nil }, false},
		"NoConditions":   {func(f *Facts) { f.Object.Status.Conditions = nil }, false},
		"Suspended":      {func(f *Facts) { f.Object.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend }, false},
		"Observes":       {func(f *Facts) { observes(f) }, true},
		"ObservesNobody": {func(f *Facts) { observes(f); f.Object.Status.User = nil }, false},
		"ObservesAnother": {func(f *Facts) {
			observes(f)
			f.Object.Status.ObservedGeneration--
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
			f := &Facts{Object: mu, Account: account.Name{ClientID: pureClientID}}
			tc.change(f)
			if got := f.LacksCredentialsOnly(); got != tc.want {
				t.Errorf("lacksCredentialsOnly = %t, want %t", got, tc.want)
			}
		})
	}
}

func observes(f *Facts) {
	f.Object.Spec.ReconcilePolicy, f.Object.Finalizers = v1alpha1.ReconcilePolicyObserve, nil
	meta.RemoveStatusCondition(&f.Object.Status.Conditions, v1alpha1.ConditionSynced)
}
