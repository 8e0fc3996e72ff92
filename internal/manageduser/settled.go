// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// IsSettled reports whether the object is Ready as it stands, and its user known. From there on the drift sweep looks
// after it.
func IsSettled(mu *v1alpha1.ManagedUser, clientID string) bool {
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	manages := PolicyOf(mu) == v1alpha1.ReconcilePolicyManage
	switch {
	case !mu.DeletionTimestamp.IsZero(),
		ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != mu.Generation,
		manages && !meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionSynced),
		manages && !IsBound(mu),
		mu.Status.User == nil || mu.Status.OAuthClientID != clientID,
		mu.Status.ObservedGeneration != mu.Generation:
		return false
	}
	return true
}

// rests reports whether there is nothing to do: the object is settled, no comparison with Cal.com was asked for,
// neither by a person nor by the operator itself, and the secret key is the one that was good before.
func (f *Facts) rests() bool {
	return IsSettled(f.Object, f.Account.ClientID) && !f.requested() && !f.Demanded && f.Trusted && !f.hasMoved()
}

// LacksCredentialsOnly reports whether nothing but the credentials keeps the object from being Ready: the user equalled
// the spec as it is now, and no comparison was asked for. Once Cal.com accepts the credentials there is nothing else to
// find out, and what changed in Cal.com meanwhile is for the sweep. So ten thousand users come right again with one
// call.
func (f *Facts) LacksCredentialsOnly() bool {
	return blamesCredentials(f.Object) && wasRight(f.Object, f.Account.ClientID) && !f.requested() && !f.Demanded && !f.hasMoved()
}

// blamesCredentials reports whether the credentials are why an object is not Ready at its generation.
func blamesCredentials(mu *v1alpha1.ManagedUser) bool {
	verdict := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionCredentialsReady)
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	return verdict != nil && verdict.Status == metav1.ConditionFalse &&
		ready != nil && ready.Reason == verdict.Reason && ready.ObservedGeneration == mu.Generation &&
		slices.Contains([]string{
			v1alpha1.ReasonUnauthorized, v1alpha1.ReasonForbidden, v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonKeyNotFound,
			v1alpha1.ReasonClientNotFound, v1alpha1.ReasonNamespaceNotAllowed, v1alpha1.ReasonAPIURLNotAllowed,
		}, verdict.Reason)
}

// wasRight reports whether the user was known and as the spec says it, when somebody could last look.
func wasRight(mu *v1alpha1.ManagedUser, clientID string) bool {
	switch PolicyOf(mu) {
	case v1alpha1.ReconcilePolicyManage:
		synced := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionSynced)
		_, known := Identity(mu)
		return known && synced != nil && synced.Status == metav1.ConditionTrue && synced.ObservedGeneration == mu.Generation
	case v1alpha1.ReconcilePolicyObserve:
		// At another generation, the spec may have come to name another user since it was mirrored.
		return mu.Status.User != nil && mu.Status.OAuthClientID == clientID && mu.Status.ObservedGeneration == mu.Generation
	case v1alpha1.ReconcilePolicySuspend:
	}
	return false
}
