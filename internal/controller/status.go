// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"errors"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

const (
	// quietAge is how old an object has to be before a wait for the quota is worth a write to its status.
	quietAge = 2 * time.Minute

	// quietWait is how short a wait for the quota is not worth one at all. Most of ten thousand come back as they were
	// told, after twenty minutes, and are put off once more by seconds.
	quietWait = time.Minute
)

// finish ends every reconcile: it turns the error into conditions, writes the status if it changed, tells of
// it in an event, and says when to look again.
func (r *ManagedUserReconciler) finish(ctx context.Context, v *visit, err error) (ctrl.Result, error) {
	r.settleAccounts(v, err)
	r.noteOutage(ctx, v, err)
	if v.released {
		r.forget(client.ObjectKeyFromObject(v.mu))
		return ctrl.Result{}, err
	}
	r.tellDone(v)
	p := settleWords(v, outcome.Classify(err)).Escalate(v.before.Status.Conditions, r.clock.Now())
	if err == nil && v.isIdle() {
		if writing := r.writeStatus(ctx, v); writing != nil { // Only an origin can be new, of an object from an older operator.
			return r.plumbing(v, writing, nil)
		}
		r.track(v, nil)
		return r.sooner(ctrl.Result{}, v.tokens.next), nil
	}
	if err != nil && p == nil || errors.Is(err, errAgain) {
		// Kubernetes' own errors are plumbing: they are tried again and not shown. What was done in Cal.com
		// before them is.
		return r.plumbing(v, err, r.writeStatus(ctx, v))
	}
	r.conclude(v, p)
	v.hide(p)
	if writing := r.writeStatus(ctx, v); writing != nil {
		return r.plumbing(v, writing, plumbingIn(err))
	}
	r.tell(v, p)
	r.tellOfTokens(v)
	r.track(v, p)
	if also := plumbingIn(err); also != nil {
		return r.plumbing(v, also, nil)
	}
	return r.resumeWithTokens(v, p)
}

// conclude writes the conditions, in memory.
func (r *ManagedUserReconciler) conclude(v *visit, p *outcome.Problem) {
	switch {
	case p != nil:
		r.fail(v, p)
	case v.tokens.blocks():
		r.lackTokens(v)
	default:
		r.succeed(v)
	}
	r.tellTokens(v)
}

// settleAccounts gives back what the visit was granted and did not need, and its place in line unless it waits on.
func (r *ManagedUserReconciler) settleAccounts(v *visit, err error) {
	if v.cal != nil {
		v.cal.giveBack()
	}
	if v.permit != nil {
		r.deletions.giveBack(v.permit)
	}
	r.settleTokensTicket(v)
	p := outcome.Classify(err)
	r.accounts.leavePlace(client.ObjectKeyFromObject(v.mu), outcome.IsInLine(p) || outcome.IsInLine(v.tokens.problem))
	r.keepLifted(v, p, err)
	if p == nil && v.seen {
		p = v.tokens.problem
	}
	switch name := client.ObjectKeyFromObject(v.mu); {
	case p == nil || p.Pace != outcome.Later && p.Pace != outcome.InLine:
		r.accounts.forgetTicket(name.String())
		r.accounts.noteCut(name, 0)
	case p.At.IsZero(): // It comes back to the same question, and may need as many calls for it as before.
		r.accounts.forgetTicket(name.String())
	case v.cal != nil && v.cal.cut > 0:
		r.accounts.noteCut(name, v.cal.cut)
	}
}

// resume says when to look again.
func (r *ManagedUserReconciler) resume(p *outcome.Problem) (ctrl.Result, error) {
	switch {
	case p == nil:
		return ctrl.Result{}, nil // The sweep looks after it.
	case p.Pace == outcome.OnChange, p.Pace == outcome.InLine:
		return ctrl.Result{}, nil
	case p.Pace == outcome.Slowly:
		slow := r.slowPace()
		return ctrl.Result{RequeueAfter: min(slow, cmp.Or(p.Within, slow))}, nil
	case p.Pace == outcome.Later && !p.At.IsZero():
		return ctrl.Result{RequeueAfter: max(p.At.Sub(r.clock.Now()), 1)}, nil
	case p.Pace == outcome.Later:
		// Whoever waits for the same moment should not come at the same moment.
		return ctrl.Result{RequeueAfter: p.After + r.config.Jitter(max(time.Second, p.After/jitterShare))}, nil
	}
	return ctrl.Result{}, p
}

// succeed writes the conditions of an object whose user is as it should be.
func (r *ManagedUserReconciler) succeed(v *visit) {
	r.set(v, v1alpha1.ConditionCredentialsReady, metav1.ConditionTrue, v1alpha1.ReasonVerified, "Cal.com accepts the credentials")
	if v.policy() == v1alpha1.ReconcilePolicyObserve {
		meta.RemoveStatusCondition(&v.mu.Status.Conditions, v1alpha1.ConditionSynced)
		r.set(v, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonObserved, "The user is mirrored in status and not changed")
	} else {
		r.setSynced(v)
		r.set(v, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAvailable, "The user equals the spec")
	}
	r.settle(v)
}

// setSynced says what was done. When nothing was, what was done last still stands.
func (r *ManagedUserReconciler) setSynced(v *visit) {
	reason, note := v.did, v.didNote
	if reason == "" {
		last := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionSynced)
		if last != nil && last.Status == metav1.ConditionTrue && last.ObservedGeneration == v.mu.Generation {
			return
		}
		reason, note = v1alpha1.ReasonInSync, "Cal.com equals the spec"
	}
	r.set(v, v1alpha1.ConditionSynced, metav1.ConditionTrue, reason, note)
}

// fail writes the conditions of a problem.
func (r *ManagedUserReconciler) fail(v *visit, p *outcome.Problem) {
	ready := meta.IsStatusConditionTrue(v.mu.Status.Conditions, v1alpha1.ConditionReady)
	switch {
	case r.isNotWorthAWrite(v, p, ready):
	case !v.mu.DeletionTimestamp.IsZero():
		r.failDeletion(v, p)
	case p.Severity == outcome.Transient && r.isStalled(v) && !outcome.HasArrived(v.mu.Status.Conditions, p):
		// It says nothing new: a person has to act first.
	case p.Severity == outcome.Transient && ready:
		r.tellCondition(v, p)
		r.pending(v, p)
	default:
		r.tellCondition(v, p)
		r.unready(v, p, p.Reason, p.Message)
	}
}

// isNotWorthAWrite reports whether a problem changes nothing that has to be seen at once.
func (r *ManagedUserReconciler) isNotWorthAWrite(v *visit, p *outcome.Problem, ready bool) bool {
	return (p.Silent || p.Quiet && r.isPatient(v, p, ready)) && !v.mustShow() && !r.isOutdated(v, p)
}

// isPatient reports whether nobody can have begun to wonder why nothing happens, or will go on to. Nobody waits for a
// drift check, nor for another look at what a person has to act on first.
func (r *ManagedUserReconciler) isPatient(v *visit, p *outcome.Problem, ready bool) bool {
	soon := !p.At.IsZero() && p.At.Sub(r.clock.Now()) < quietWait
	if soon || r.isStalled(v) {
		return true
	}
	if deleted := v.mu.DeletionTimestamp; !deleted.IsZero() {
		return r.clock.Since(deleted.Time) < quietAge
	}
	if p.Pace == outcome.InLine && hasVerdict(v.mu) {
		return true // What it says still holds.
	}
	return ready || v.cal.class == quota.Drift || r.clock.Since(v.mu.CreationTimestamp.Time) < quietAge
}

// unready writes Ready=False and what kstatus needs beside it.
func (r *ManagedUserReconciler) unready(v *visit, p *outcome.Problem, reason, message string) {
	r.set(v, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	switch p.Severity {
	case outcome.Stalled:
		r.set(v, v1alpha1.ConditionStalled, metav1.ConditionTrue, reason, message)
		meta.RemoveStatusCondition(&v.mu.Status.Conditions, v1alpha1.ConditionReconciling)
		r.handled(v)
	case outcome.Resting:
		r.settle(v)
	case outcome.Transient, outcome.Waiting:
		r.set(v, v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing, message)
		meta.RemoveStatusCondition(&v.mu.Status.Conditions, v1alpha1.ConditionStalled)
	}
}

// isStalled reports whether the object waits for a person with the spec as it is now.
func (r *ManagedUserReconciler) isStalled(v *visit) bool {
	held := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionStalled)
	return held != nil && held.ObservedGeneration == v.mu.Generation
}

// isOutdated reports whether the object is Stalled for want of a Secret or an OAuth client that is there now. Of a user
// that was right before, the first good answer to the OAuth client's calls says the rest.
func (r *ManagedUserReconciler) isOutdated(v *visit, p *outcome.Problem) bool {
	return r.isStalled(v) && outcome.HasArrived(v.mu.Status.Conditions, p) && !r.facts(v).LacksCredentialsOnly()
}

// pending keeps a Ready user Ready and says, for a change of the spec that could not be written, that it waits.
func (r *ManagedUserReconciler) pending(v *visit, p *outcome.Problem) {
	ready := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionReady)
	if message := "The last change of the spec is not in Cal.com yet: " + p.Message; ready.ObservedGeneration != v.mu.Generation &&
		!outcome.DifferInWords(ready.Message, message, p.Words) {
		ready.Message = outcome.Clip(message, outcome.MaxMessage)
	}
}

// failDeletion says why an object is still there. Ready tells whether a person has to act.
func (r *ManagedUserReconciler) failDeletion(v *visit, p *outcome.Problem) {
	r.tellCondition(v, p)
	reason, message := v1alpha1.ReasonDeletionBlocked, "The user is not deleted: "+p.Message
	switch {
	case p.Severity == outcome.Resting, p.Severity == outcome.Stalled && p.Condition == v1alpha1.ConditionReady, p.Reason == v1alpha1.ReasonMassDeletion, p.Reason == v1alpha1.ReasonMassAbsence:
		reason, message = p.Reason, p.Message
	case p.Severity == outcome.Transient, p.Pace == outcome.Later, p.Pace == outcome.InLine:
		reason = v1alpha1.ReasonDeleting
	case p.Reason != v1alpha1.ReasonDeletionBlocked: // Which names the ways out itself.
		message += "; or set deletionPolicy to Orphan to let the object go and leave the user in Cal.com"
	}
	r.unready(v, p, reason, message)
}

// tellCondition writes the condition that a problem is about, and sees to it that the other one is there too.
func (r *ManagedUserReconciler) tellCondition(v *visit, p *outcome.Problem) {
	conditions := v.mu.Status.Conditions
	verified := v.cal != nil && v.cal.isVerified()
	switch {
	case p.Condition == v1alpha1.ConditionCredentialsReady:
	case verified:
		r.set(v, v1alpha1.ConditionCredentialsReady, metav1.ConditionTrue, v1alpha1.ReasonVerified, "Cal.com accepts the credentials")
	case meta.FindStatusCondition(conditions, v1alpha1.ConditionCredentialsReady) == nil, outcome.HasArrived(conditions, p):
		r.set(v, v1alpha1.ConditionCredentialsReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "The credentials have not been tried yet")
	}
	if p.Condition != v1alpha1.ConditionReady {
		r.set(v, p.Condition, metav1.ConditionFalse, p.Reason, p.Message)
	}
	if v.policy() == v1alpha1.ReconcilePolicyObserve {
		meta.RemoveStatusCondition(&v.mu.Status.Conditions, v1alpha1.ConditionSynced)
		return
	}
	if meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionSynced) == nil {
		r.set(v, v1alpha1.ConditionSynced, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "The user has not been compared with the spec yet")
	}
}

// settle ends an attempt that leaves nothing to wait for.
func (r *ManagedUserReconciler) settle(v *visit) {
	meta.RemoveStatusCondition(&v.mu.Status.Conditions, v1alpha1.ConditionReconciling)
	meta.RemoveStatusCondition(&v.mu.Status.Conditions, v1alpha1.ConditionStalled)
	request := v.mu.Status.LastHandledReconcileAt
	r.handled(v)
	if v.tokens.isTriedAgain() { // The request asks for new tokens too. One of a user that waits for a person has its answer.
		v.mu.Status.LastHandledReconcileAt = request
	}
}

// handled notes that the spec, and a request for a look, were dealt with. It is not called for what will be tried
// again by itself: a generation that lags tells kstatus tools to wait.
func (r *ManagedUserReconciler) handled(v *visit) {
	v.mu.Status.ObservedGeneration = v.mu.Generation
	v.mu.Status.LastHandledReconcileAt = manageduser.RequestOf(v.mu)
}

func (r *ManagedUserReconciler) set(v *visit, kind string, status metav1.ConditionStatus, reason, message string) {
	outcome.SetCondition(&v.mu.Status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: v.mu.Generation, LastTransitionTime: metav1.NewTime(r.clock.Now()),
	})
}

// tellDone sends the event of what was done in Cal.com. It does not wait for the status: when that cannot be written,
// the next reconcile finds the user as it should be, and has nothing to report.
func (r *ManagedUserReconciler) tellDone(v *visit) {
	if v.did != "" {
		r.event(v.mu, v.did, "Sync", v.didNote)
	}
}

// tell sends the event of a reason that is new.
func (r *ManagedUserReconciler) tell(v *visit, p *outcome.Problem) {
	if p == nil || p.Severity == outcome.Resting || p.Mute {
		return
	}
	kind := p.Condition
	if !v.mu.DeletionTimestamp.IsZero() {
		kind = v1alpha1.ConditionReady
	}
	if meta.FindStatusCondition(v.mu.Status.Conditions, kind) == nil {
		kind = v1alpha1.ConditionReady // Observe has no Synced.
	}
	was := meta.FindStatusCondition(v.told, kind)
	is := meta.FindStatusCondition(v.mu.Status.Conditions, kind)
	if is != nil && is.Status == metav1.ConditionFalse && (was == nil || was.Reason != is.Reason) {
		r.recorder.Eventf(v.mu, nil, corev1.EventTypeWarning, is.Reason, "Reconcile", "%s", is.Message)
	}
}

func (r *ManagedUserReconciler) event(mu *v1alpha1.ManagedUser, reason, action, note string) {
	r.recorder.Eventf(mu, nil, corev1.EventTypeNormal, reason, action, "%s", note)
}
