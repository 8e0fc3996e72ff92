// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// wantsTokens reports whether the spec asks for tokens, or the status still tells of some.
func (v *visit) wantsTokens() bool { return v.mu.Spec.Tokens != nil || v.mu.Status.Tokens != nil }

// isIdle reports whether the visit had nothing to do, for tokens neither.
func (v *visit) isIdle() bool { return v.rests && (v.tokens.idle || !v.wantsTokens()) }

// blocks reports whether the user cannot be Ready for want of tokens.
func (t *tokensVisit) blocks() bool {
	return t.problem != nil && (t.problem.Severity == outcome.Waiting || t.problem.Severity == outcome.Stalled)
}

// isTriedAgain reports whether the tokens could not be tended and are tried again by themselves. A request for a look
// asks for their renewal too, and stays open until then.
func (t *tokensVisit) isTriedAgain() bool {
	return t.problem != nil && (t.problem.Severity == outcome.Transient || t.problem.Severity == outcome.Waiting)
}

// lackTokens writes the conditions of an object whose user equals the spec and whose tokens are not published.
func (r *ManagedUserReconciler) lackTokens(v *visit) {
	p := v.tokens.problem
	ready := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionReady)
	if p.Silent && ready != nil && ready.ObservedGeneration != v.mu.Generation {
		return // Some conditions would be of another generation than the others.
	}
	r.set(v, v1alpha1.ConditionCredentialsReady, metav1.ConditionTrue, v1alpha1.ReasonVerified, "Cal.com accepts the credentials")
	r.setSynced(v)
	if p.Silent && ready != nil {
		return // What was said before still holds.
	}
	r.unready(v, p, p.Reason, p.Message)
}

// tellTokens writes the condition of the tokens. What is not worth a write leaves it as it was.
func (r *ManagedUserReconciler) tellTokens(v *visit) {
	held := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionStalled)
	if held != nil && held.ObservedGeneration != v.mu.Generation {
		return // While nothing is said of the user as it is now, nothing is said of its tokens.
	}
	if v.mu.Spec.Tokens == nil {
		v.mu.Status.Tokens = nil
		meta.RemoveStatusCondition(&v.mu.Status.Conditions, v1alpha1.ConditionTokensReady)
		return
	}
	if !v.mu.DeletionTimestamp.IsZero() || meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionReady) == nil {
		return
	}
	status, reason, message := r.tokensCondition(v)
	if reason == "" {
		return
	}
	r.set(v, v1alpha1.ConditionTokensReady, status, reason, message)
}

// tokensCondition is what there is to say, or nothing new.
func (r *ManagedUserReconciler) tokensCondition(v *visit) (status metav1.ConditionStatus, reason, message string) {
	p, published := v.tokens.problem, v.mu.Status.Tokens
	if v.policy() == v1alpha1.ReconcilePolicySuspend {
		return metav1.ConditionFalse, v1alpha1.ReasonSuspended, suspendedTokens(published)
	}
	switch {
	case p != nil && !p.Silent && !p.Quiet && !outcome.IsInLine(p):
		return metav1.ConditionFalse, p.Reason, p.Message
	case v.tokens.tended && p == nil:
		return metav1.ConditionTrue, v1alpha1.ReasonFresh, "The Secret holds the tokens that Cal.com issued last, as far as the operator knows, and they are renewed in time"
	case meta.IsStatusConditionFalse(v.mu.Status.Conditions, v1alpha1.ConditionTokensReady):
		// This reconcile did not get to the tokens. What was said of them holds.
	case published != nil && !published.AccessTokenExpiresAt.After(r.clock.Now()):
		return metav1.ConditionFalse, v1alpha1.ReasonRefreshFailed, "The published token has come to its end and could not be renewed; see the other conditions"
	case meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionTokensReady) == nil:
		return metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "The tokens are published as soon as the user is there"
	}
	return "", "", ""
}

func suspendedTokens(published *v1alpha1.TokensStatus) string {
	if published == nil {
		return "Nothing is published while reconcilePolicy is Suspend"
	}
	return "The tokens are not renewed while reconcilePolicy is Suspend; the published one ends at the time in status.tokens"
}

// tellOfTokens sends the events about tokens: that all were ended, and each reason of failure once.
func (r *ManagedUserReconciler) tellOfTokens(v *visit) {
	if v.tokens.forced != "" {
		kind := corev1.EventTypeNormal
		if v.tokens.warns {
			kind = corev1.EventTypeWarning
		}
		r.recorder.Eventf(v.mu, nil, kind, v1alpha1.EventTokensForceRefreshed, "RefreshTokens", "%s", v.tokens.event())
	}
	if p := v.tokens.problem; p == nil || p.Silent || p.Quiet {
		return
	}
	was := meta.FindStatusCondition(v.told, v1alpha1.ConditionTokensReady)
	is := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionTokensReady)
	if is != nil && is.Status == metav1.ConditionFalse && (was == nil || was.Reason != is.Reason) {
		r.recorder.Eventf(v.mu, nil, corev1.EventTypeWarning, is.Reason, "RefreshTokens", "%s", is.Message)
	}
}

// settleTokensTicket gives up the place in line for tokens, unless the visit waits on.
func (r *ManagedUserReconciler) settleTokensTicket(v *visit) {
	if p := v.tokens.problem; v.wantsTokens() && (p == nil || p.Pace != outcome.Later) {
		r.accounts.forgetTicket(client.ObjectKeyFromObject(v.mu).String() + tokensTicket)
	}
}

// resumeWithTokens says when to look again: for what is wrong with the user, or with its tokens, or when these are due.
func (r *ManagedUserReconciler) resumeWithTokens(v *visit, p *outcome.Problem) (ctrl.Result, error) {
	if t := v.tokens.problem; t != nil && (p == nil || p.Pace == outcome.Slowly || p.Pace == outcome.OnChange) {
		if also := plumbingIn(t); also != nil && t.Pace != outcome.Later && t.Pace != outcome.InLine {
			return r.plumbing(v, also, nil)
		}
		p = t
	}
	result, err := r.resume(p)
	if err != nil {
		return result, err
	}
	return r.sooner(result, v.tokens.next), nil
}

// sooner looks again at a moment, unless that is to happen earlier anyway.
func (r *ManagedUserReconciler) sooner(result ctrl.Result, at time.Time) ctrl.Result {
	if at.IsZero() {
		return result
	}
	if wait := max(at.Sub(r.clock.Now()), 1); result.RequeueAfter == 0 || wait < result.RequeueAfter {
		result.RequeueAfter = wait
	}
	return result
}
