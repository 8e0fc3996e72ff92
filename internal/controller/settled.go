// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// jitterShare is the largest part of a wait that is added to it, so that what began together does not stay together.
const jitterShare = 10

// slowPace is the pace of what is not urgent and not for the sweep.
func (r *ManagedUserReconciler) slowPace() time.Duration {
	return r.config.ResyncInterval + r.config.Jitter(r.config.ResyncInterval/jitterShare)
}

// isSettled reports whether the object is Ready as it stands, and its user known. From there on the drift sweep looks after it.
func isSettled(mu *v1alpha1.ManagedUser, clientID string) bool {
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	manages := policyOf(mu) == v1alpha1.ReconcilePolicyManage
	switch {
	case !mu.DeletionTimestamp.IsZero(),
		ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != mu.Generation,
		manages && !meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionSynced),
		manages && !isBound(mu),
		mu.Status.User == nil || mu.Status.OAuthClientID != clientID,
		mu.Status.ObservedGeneration != mu.Generation:
		return false
	}
	return true
}

// rests reports whether there is nothing to do: the object is settled, no comparison with Cal.com was asked for, neither by a
// person nor by the operator itself, and the secret key is the one that was good before.
func (f *Facts) rests() bool {
	return isSettled(f.Object, f.Account.clientID) && !f.requested() && !f.Demanded && f.Trusted && !f.hasMoved()
}

// lacksCredentialsOnly reports whether nothing but the credentials keeps the object from being Ready: the user equalled the
// spec as it is now, and no comparison was asked for. Once Cal.com accepts the credentials there is nothing else to find out, and
// what changed in Cal.com meanwhile is for the sweep. So ten thousand users come right again with one call.
func (f *Facts) lacksCredentialsOnly() bool {
	return blamesCredentials(f.Object) && wasRight(f.Object, f.Account.clientID) && !f.requested() && !f.Demanded && !f.hasMoved()
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
	switch policyOf(mu) {
	case v1alpha1.ReconcilePolicyManage:
		synced := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionSynced)
		_, known := identity(mu)
		return known && synced != nil && synced.Status == metav1.ConditionTrue && synced.ObservedGeneration == mu.Generation
	case v1alpha1.ReconcilePolicyObserve:
		// At another generation, the spec may have come to name another user since it was mirrored.
		return mu.Status.User != nil && mu.Status.OAuthClientID == clientID && mu.Status.ObservedGeneration == mu.Generation
	case v1alpha1.ReconcilePolicySuspend:
	}
	return false
}

// track tells the sweep whether the object is its to look after, at the end of a visit.
func (r *ManagedUserReconciler) track(v *visit, p *problem) {
	name := client.ObjectKeyFromObject(v.mu)
	if p == nil || p.pace == slowly || p.pace == onChange {
		r.sweeper.answered(name, v.demand)
	}
	if v.seen || p == nil && v.cal != nil && v.cal.called {
		r.absences.shown(v.account, name)
	}
	if v.cal == nil || !isSettled(v.mu, v.account.clientID) {
		r.sweeper.withdraw(name)
		return
	}
	r.sweeper.enroll(v.account, name, v.mu, p == nil && v.cal.called)
}
