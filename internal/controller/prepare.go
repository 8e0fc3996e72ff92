// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/gate"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// repairIntent writes a record that is not sound anew, once, so that the wait that it demands comes to an end.
func (r *ManagedUserReconciler) repairIntent(ctx context.Context, v *visit, _ *manageduser.Action) error {
	now := r.clock.Now().UTC().Truncate(time.Second)
	i, _, _ := manageduser.ReadIntent(v.mu, now)
	i.Time = now
	return r.patchMetadata(ctx, v.mu, "repairing the create intent", func(mu *v1alpha1.ManagedUser) {
		manageduser.SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.Encode())
	})
}

// absenceCountsIn is the same with what this process knows: an answer of Cal.com's own that the create call failed
// proves after seconds what a lost answer proves only after the grace. The server works on after a connection is cut,
// and not after it has answered. A call of this process counts also when another process has replaced its record by
// that of an earlier one.
func (r *ManagedUserReconciler) absenceCountsIn(mu *v1alpha1.ManagedUser) time.Duration {
	now, grace := r.clock.Now(), r.config.UnknownOutcomeGrace
	if until, ok := r.intents.failedUntil(mu, min(manageduser.ReplicaGrace, grace)); ok {
		return max(0, until.Sub(now))
	}
	wait := manageduser.AbsenceCountsIn(mu, grace, now)
	if i, ok := r.intents.recall(mu); ok {
		wait = max(wait, i.Time.Add(grace).Sub(now))
	}
	return wait
}

// newIntent returns the record of a create call that is sent now.
func (r *ManagedUserReconciler) newIntent(v *visit) manageduser.Intent {
	i := manageduser.Intent{
		Time: r.clock.Now().UTC().Truncate(time.Second), Email: calcom.Hide(v.mu.Spec.Email),
		Client: v.account.ClientID, APIURL: v.account.APIURL, UID: v.mu.UID, Process: r.process, Zoned: v.mu.Spec.TimeZone != "",
	}
	if id, known := manageduser.Identity(v.mu); known {
		i.Replaces, i.ReplacesDate = id, v.mu.Status.User.CreatedDate
	}
	if last, open := manageduser.OwnOpenIntent(v.mu); open && !r.intents.isUnsent(v.mu) && last.IsTo(i) {
		i.Since = last.First()
	}
	return i
}

// prepare protects what the user needs and records the create intent. renews: an earlier call may have been sent. An
// object that has waited for its place since it was prepared is not prepared again, unless its record is growing old.
func (r *ManagedUserReconciler) prepare(ctx context.Context, v *visit, renews bool) error {
	if r.isPrepared(v) {
		return nil
	}
	if v.again > 0 && !renews {
		return errAgain // Another writer removes the records again and again; they are restored after growing delays.
	}
	if err := r.protect(ctx, v); err != nil {
		return err
	}
	if err := r.recordIntent(ctx, v, !renews); err != nil || renews { // A release sees the finalizer that was there.
		return err
	}
	if err := r.confirm(ctx, v); err != nil {
		return errors.Join(err, r.retractIntent(ctx, v.mu))
	}
	return nil
}

// isPrepared reports whether the object's record is that of the call to be sent now, and new enough.
func (r *ManagedUserReconciler) isPrepared(v *visit) bool {
	recorded, _ := manageduser.RecordedIntent(v.mu)
	if !r.intents.isUnsent(v.mu) || !manageduser.HasFinalizer(v.mu) ||
		r.clock.Since(recorded.Time) > freshness/2 {
		return false
	}
	now := r.newIntent(v)
	now.Time = recorded.Time
	return now.Encode() == recorded.Encode()
}

// recordIntent is the last write before a create call: the finalizer and the record of the call, in one patch
// with an optimistic lock, so that a reconcile that works on a stale copy of the object stops here.
func (r *ManagedUserReconciler) recordIntent(ctx context.Context, v *visit, first bool) error {
	i := r.newIntent(v)
	err := r.patchMetadata(ctx, v.mu, "recording the create intent", func(mu *v1alpha1.ManagedUser) {
		controllerutil.AddFinalizer(mu, v1alpha1.ManagedUserFinalizer)
		manageduser.SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.Encode())
		delete(mu.Annotations, v1alpha1.AdoptedAnnotation)
	})
	if err == nil {
		r.intents.keep(v.mu, i, first)
	}
	return err
}

// freshness is how old the record of a create call may be when the call is sent. The call may take another 30 s, its
// effect come later still, and whoever finds the record counts the grace from its time.
const freshness = 30 * time.Second

// checkIntentIsNew holds a create call back whose record has grown old before the call was sent: the API server was
// slow, or the process stood still. Another process may be about to send its own. The record stays and is waited for
// like any other.
func (r *ManagedUserReconciler) checkIntentIsNew(mu *v1alpha1.ManagedUser) error {
	if i, ok := manageduser.RecordedIntent(mu); ok && r.clock.Since(i.Time) <= freshness {
		return nil
	}
	return errAgain
}

// retractIntent undoes recordIntent after a first create call that certainly had no effect, so that the object can
// be deleted at once: it stands for nothing in Cal.com.
func (r *ManagedUserReconciler) retractIntent(ctx context.Context, mu *v1alpha1.ManagedUser) error {
	r.intents.forget(client.ObjectKeyFromObject(mu))
	retract := func() error {
		return r.patchMetadata(ctx, mu, "retracting the create intent", func(mu *v1alpha1.ManagedUser) {
			controllerutil.RemoveFinalizer(mu, v1alpha1.ManagedUserFinalizer)
			delete(mu.Annotations, v1alpha1.CreateIntentAnnotation)
		})
	}
	err := retract()
	if !apierrors.IsConflict(err) {
		return err
	}
	// If the record is still this call's, it is still this call's to take back. In any case, what was refused may not
	// be what the spec says by now, so nothing is said about it.
	if err := r.renew(ctx, mu, func(now *v1alpha1.ManagedUser) bool { return manageduser.SameRecord(mu, now) }); err != nil {
		return errors.Join(errAgain, err)
	}
	return errors.Join(errAgain, retract())
}

// renew takes over, after a conflict, the metadata that the object has now, if it is the object that was read and still
// holds what counts.
func (r *ManagedUserReconciler) renew(ctx context.Context, mu *v1alpha1.ManagedUser, holds func(now *v1alpha1.ManagedUser) bool) error {
	now := &v1alpha1.ManagedUser{}
	if err := r.reader.Get(ctx, client.ObjectKeyFromObject(mu), now); err != nil {
		return fmt.Errorf("reading the object again: %w", err)
	}
	if now.UID != mu.UID || !holds(now) {
		return errAgain
	}
	mu.ResourceVersion, mu.Finalizers, mu.Annotations = now.ResourceVersion, now.Finalizers, now.Annotations
	return nil
}

// claim adds the finalizer and the annotation before the first change to a user that exists already.
func (r *ManagedUserReconciler) claim(ctx context.Context, mu *v1alpha1.ManagedUser, user *calcom.User, origin v1alpha1.Origin) error {
	_, intended := manageduser.RecordedIntent(mu)
	recorded := manageduser.HasAdoptedAnnotation(mu) == (origin == v1alpha1.OriginAdopted) && (intended || origin == v1alpha1.OriginAdopted)
	if manageduser.HasFinalizer(mu) && recorded {
		return nil
	}
	return r.patchMetadata(ctx, mu, "claiming the user", func(mu *v1alpha1.ManagedUser) {
		controllerutil.AddFinalizer(mu, v1alpha1.ManagedUserFinalizer)
		manageduser.AnnotateOrigin(mu, user, origin, r.clock.Now())
	})
}

// patchMetadata writes a change of the metadata and takes over what it changed, and the resource version, into
// mu. It works on a copy, since a patch overwrites the object that it is given, status and all. The optimistic
// lock is needed for the finalizers: a merge patch replaces the whole list.
func (r *ManagedUserReconciler) patchMetadata(
	ctx context.Context, mu *v1alpha1.ManagedUser, doing string, change func(*v1alpha1.ManagedUser),
) error {
	written := mu.DeepCopy()
	change(written)
	base := client.MergeFromWithOptions(mu.DeepCopy(), client.MergeFromWithOptimisticLock{})
	if err := r.client.Patch(ctx, written, base); err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	mu.ResourceVersion = written.ResourceVersion
	mu.Finalizers = written.Finalizers
	mu.Annotations = written.Annotations
	return nil
}

// create sends the create call, once, after recording that it will. Whatever comes back but a clear refusal
// leaves the record in place, and the next reconcile looks for the user before anything else.
func (r *ManagedUserReconciler) create(ctx context.Context, v *visit, _ *manageduser.Action) error {
	// A finalizer without a record is what a backup leaves that lost the annotations: an earlier call may stand behind it.
	renewed := manageduser.HasFinalizer(v.mu) && !r.intents.isUnsent(v.mu)
	if err := v.cal.prepareCreate(renewed); err != nil {
		return err
	}
	if err := r.prepare(ctx, v, renewed); err != nil {
		return err
	}
	if err := v.cal.enter(gate.Create); err != nil {
		return err
	}
	if err := r.checkIntentIsNew(v.mu); err != nil {
		return err
	}
	r.intents.send(v.mu)
	user, tokens, err := v.cal.CreateUser(ctx, manageduser.NewUser(v.mu, v.mark.For(v1alpha1.OriginCreated)))
	r.measureCreate(v, err)
	if err != nil {
		return r.createFailed(ctx, v, err, renewed)
	}
	r.intents.succeed(v.mu)
	own := &manageduser.Candidate{User: user, Known: true, ByID: true, Origin: v1alpha1.OriginCreated}
	manageduser.Mirror(v.mu, user)
	v.mu.Status.Origin, v.seen = own.Origin, true
	r.keepCreated(v, tokens, user.ID)
	v.record(v1alpha1.ReasonCreated, fmt.Sprintf("Created user %d", user.ID))
	log.FromContext(ctx).Info("Created user", "userID", user.ID)
	// Older servers ignore some fields of a create call; as a rule nothing differs and nothing more is sent.
	v.evidence = manageduser.Evidence{Began: true, Own: own}
	return nil
}

// createFailed deals with a create call that did not succeed. The record of a first call that certainly had no
// effect is taken back; that of a later one stays, since an earlier one may still take effect.
func (r *ManagedUserReconciler) createFailed(ctx context.Context, v *visit, err error, renewed bool) error {
	e, ok := errors.AsType[*calcom.Error](err)
	if ok && e.OutcomeUnknown() {
		if e.HandlerEnded() {
			r.intents.fail(v.mu, r.clock.Now())
		}
		return manageduser.UnansweredCreate(e)
	}
	if ok && calcom.IsConflict(err) {
		id, _ := e.ExistingUserID()
		v.evidence = manageduser.Evidence{Began: true, Conflict: &manageduser.CreateConflict{UserID: id, Renewed: renewed}}
		return nil
	}
	if renewed {
		return err
	}
	return errors.Join(err, r.retractIntent(ctx, v.mu))
}
