// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// countPace is the shortest time between two writes of a status in which only numbers change.
const countPace = time.Minute

// judge writes the conditions. They quote the server, in the words of the first answer.
func (r *OAuthClientReconciler) judge(v *clientVisit, p *outcome.Problem) {
	p = v.inFull(p)
	arrived := p != nil && outcome.HasArrived(v.status.Conditions, p)
	r.judgeCredentials(v, p, arrived)
	switch {
	case p != nil && p.Quiet && !arrived:
		// The call waits for its turn, seconds as a rule.
	case !v.object.GetDeletionTimestamp().IsZero():
		r.unready(v, v1alpha1.ConditionReconciling, v1alpha1.ReasonDeleting, fmt.Sprintf(
			"%s is in use and goes when the last of its users has gone; %d refer to it", describeObject(v.metadata()), v.status.Users))
	case p == nil:
		r.set(v, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAvailable, "Cal.com accepts the credentials")
		meta.RemoveStatusCondition(&v.status.Conditions, v1alpha1.ConditionReconciling)
		meta.RemoveStatusCondition(&v.status.Conditions, v1alpha1.ConditionStalled)
		r.handled(v)
	case p.Severity == outcome.Stalled:
		r.unready(v, v1alpha1.ConditionStalled, p.Reason, p.Message)
		r.handled(v)
	case p.Severity == outcome.Transient && r.isSettled(v) && !arrived:
		// It heals by itself and says nothing about the credentials.
	default:
		r.unready(v, v1alpha1.ConditionReconciling, p.Reason, p.Message)
	}
}

// judgeCredentials writes the condition CredentialsReady. arrived: the Secret that it blames is there now.
func (r *OAuthClientReconciler) judgeCredentials(v *clientVisit, p *outcome.Problem, arrived bool) {
	switch {
	case p == nil:
		r.set(v, v1alpha1.ConditionCredentialsReady, metav1.ConditionTrue, v1alpha1.ReasonVerified, "Cal.com accepts the credentials")
	case p.Condition == v1alpha1.ConditionCredentialsReady:
		r.set(v, v1alpha1.ConditionCredentialsReady, metav1.ConditionFalse, p.Reason, p.Message)
	case meta.FindStatusCondition(v.status.Conditions, v1alpha1.ConditionCredentialsReady) == nil, arrived:
		r.set(v, v1alpha1.ConditionCredentialsReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "The credentials have not been tried yet")
	}
}

// inFull returns a problem as the OAuth client's conditions tell of it.
func (v *clientVisit) inFull(p *outcome.Problem) *outcome.Problem {
	if p == nil {
		return nil
	}
	return p.InFull().Stable(v.status.Conditions, v.object.GetGeneration(), p.Condition, v1alpha1.ConditionReady)
}

// isSettled reports whether it is known what to think of the client with the spec as it is now.
func (r *OAuthClientReconciler) isSettled(v *clientVisit) bool {
	return v.status.ObservedGeneration == v.object.GetGeneration()
}

// unready writes Ready=False and the condition that tells kstatus tools what to wait for.
func (r *OAuthClientReconciler) unready(v *clientVisit, because, reason, message string) {
	r.set(v, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	other := v1alpha1.ConditionStalled
	if because == other {
		other = v1alpha1.ConditionReconciling
		r.set(v, because, metav1.ConditionTrue, reason, message)
	} else {
		r.set(v, because, metav1.ConditionTrue, v1alpha1.ReasonProgressing, message)
	}
	meta.RemoveStatusCondition(&v.status.Conditions, other)
}

func (r *OAuthClientReconciler) handled(v *clientVisit) {
	v.status.ObservedGeneration = v.object.GetGeneration()
	v.status.LastHandledReconcileAt = manageduser.RequestOf(v.object)
}

func (r *OAuthClientReconciler) set(v *clientVisit, kind string, status metav1.ConditionStatus, reason, message string) {
	outcome.SetCondition(&v.status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: v.object.GetGeneration(), LastTransitionTime: metav1.NewTime(r.users.clock.Now()),
	})
}

// measure writes the numbers: what the last sweep found, and what Cal.com told of the quota. What is not known since
// the start stays as it is.
func (r *OAuthClientReconciler) measure(v *clientVisit, of account.Name) {
	if found, ok := r.users.sweeper.findings(of); ok {
		v.status.Sweep = found.status(v.status.Sweep)
	}
	seen, ok := r.users.accounts.quota(of)
	switch {
	case !ok || !seen.Known:
	case seen.Limit == 0:
		v.status.Quota = nil
	default:
		v.status.Quota = &v1alpha1.QuotaStatus{Limit: int32(seen.Limit), Allowed: int32(seen.Allowed)} //nolint:gosec // Bounded by the client.
	}
}

// write writes the status if it has changed, and tells of new trouble. While only numbers change, it does so now and
// then, and returns the time until the next.
func (r *OAuthClientReconciler) write(ctx context.Context, v *clientVisit) (wait time.Duration, err error) {
	if equality.Semantic.DeepEqual(v.before, *v.status) {
		return 0, nil
	}
	now := r.users.clock.Now()
	r.mu.Lock()
	since := now.Sub(r.counted[v.key])
	r.mu.Unlock()
	if since < countPace && onlyNumbers(&v.before, v.status) {
		return countPace - since, nil
	}
	object, ok := v.object.DeepCopyObject().(client.Object)
	if !ok {
		return 0, errors.New("copying an OAuth client made something else of it")
	}
	if err := patchStatus(ctx, r.users.client, object, &v.before, v.status); err != nil {
		return 0, err
	}
	r.mu.Lock()
	r.counted[v.key] = now
	r.mu.Unlock()
	r.warnOf(v)
	return 0, nil
}

// onlyNumbers reports whether two statuses differ in nothing that somebody waits for.
func onlyNumbers(before, after *v1alpha1.OAuthClientStatus) bool {
	numbers := before.DeepCopy()
	numbers.Users, numbers.Quota, numbers.Sweep = after.Users, after.Quota, after.Sweep
	return leakedIn(after) <= leakedIn(before) && equality.Semantic.DeepEqual(numbers, after)
}

// warnOf sends an event of what is newly wrong.
func (r *OAuthClientReconciler) warnOf(v *clientVisit) {
	ready := meta.FindStatusCondition(v.status.Conditions, v1alpha1.ConditionReady)
	was := meta.FindStatusCondition(v.before.Conditions, v1alpha1.ConditionReady)
	if ready != nil && ready.Status == metav1.ConditionFalse && ready.Reason != v1alpha1.ReasonDeleting && (was == nil || was.Reason != ready.Reason) {
		r.warn(v, ready.Reason, ready.Message)
	}
	if n := leakedIn(v.status); n > leakedIn(&v.before) {
		r.warn(v, v1alpha1.EventUsersLeaked, fmt.Sprintf(
			"%d users in Cal.com carry the mark of an object that does not exist, or that has another user; apply the missing object again to take its user over, or remove the user in Cal.com. Their ids are in status.sweep", n))
	}
}

func (r *OAuthClientReconciler) warn(v *clientVisit, reason, message string) {
	r.users.recorder.Eventf(v.object, nil, corev1.EventTypeWarning, reason, "Reconcile", "%s", message)
}

func leakedIn(status *v1alpha1.OAuthClientStatus) int32 {
	if status.Sweep == nil {
		return 0
	}
	return status.Sweep.Leaked
}
