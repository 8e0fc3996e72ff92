// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// unmarkTimeout bounds the attempt to take the mark off a user that is left behind. The release does not wait for
// a server that does not answer.
const unmarkTimeout = 10 * time.Second

// unmarkPatience is how long after the deletion was asked for the quota is waited for. Somebody who leaves with thousands of
// users wants all the marks off; but in the end the object goes.
const unmarkPatience = 30 * time.Minute

// reconcileDelete lets the object go once its user is deleted, proved to be gone, or to be left behind. Without
// the finalizer the object has never created anything, and there is nothing to do.
func (r *ManagedUserReconciler) reconcileDelete(ctx context.Context, v *visit) error {
	if !isBound(v.mu) {
		v.released = true
		return nil
	}
	if r.intents.isUnsent(v.mu) {
		return r.release(ctx, v)
	}
	switch v.policy() {
	case v1alpha1.ReconcilePolicySuspend:
		return suspended("The deletion waits while reconcilePolicy is Suspend; set it to Manage to go on")
	case v1alpha1.ReconcilePolicyObserve:
		if deletionPolicy(v.mu) != v1alpha1.DeletionPolicyOrphan {
			return synced(v1alpha1.ReasonDeletionBlocked,
				"The user was created or adopted by this object, and reconcilePolicy Observe changes nothing in Cal.com; set it to Manage to have the user deleted, or deletionPolicy to Orphan to leave it there")
		}
	case v1alpha1.ReconcilePolicyManage:
	}
	if deletionPolicy(v.mu) == v1alpha1.DeletionPolicyOrphan {
		return r.orphan(ctx, v)
	}
	if err := r.connect(ctx, v); err != nil {
		return err
	}
	if err := r.admitDeletion(ctx, v); err != nil {
		return err
	}
	return r.deleteUser(ctx, v)
}

// deletionPolicy returns the policy in force: without one in the spec, Delete for a user that this object created
// and Orphan for one that it adopted.
func deletionPolicy(mu *v1alpha1.ManagedUser) v1alpha1.DeletionPolicy {
	if mu.Spec.DeletionPolicy != "" {
		return mu.Spec.DeletionPolicy
	}
	if originOf(mu) == v1alpha1.OriginAdopted {
		return v1alpha1.DeletionPolicyOrphan
	}
	return v1alpha1.DeletionPolicyDelete
}

// deleteUser deletes the user if it is still the object's own. A user that is only found by its address, without
// the mark, is somebody else's.
func (r *ManagedUserReconciler) deleteUser(ctx context.Context, v *visit) error {
	found, err := r.observe(ctx, v)
	if err != nil {
		return err
	}
	if found != nil && found.known && v.mu.Spec.DeletionPolicy == "" && originOfFound(v.before, &found.User) == v1alpha1.OriginAdopted {
		return r.orphan(ctx, v) // Of the records of the adoption, only the one in Cal.com is left.
	}
	kind, note := noteOfAbsence(v)
	if found != nil && found.known {
		if err := r.deleteFound(ctx, v, found); err != nil {
			return err
		}
		kind, note = corev1.EventTypeNormal, fmt.Sprintf("Deleted user %d", found.ID)
	} else if err := r.admitAbsence(ctx, v); err != nil {
		return err
	}
	if err := r.release(ctx, v); err != nil {
		return err
	}
	v.resolve(found)
	log.FromContext(ctx).Info(note)
	r.recorder.Eventf(v.mu, nil, kind, v1alpha1.EventDeleted, "Delete", "%s", note)
	return nil
}

// noteOfAbsence returns the event of a deletion that finds no user of the object.
func noteOfAbsence(v *visit) (kind, note string) {
	if isHalfMade(v.before) || hasOpenIntent(v.mu) {
		return corev1.EventTypeWarning, "Cal.com shows no user of this object, and the outcome of its create call is not known; " +
			"a half-made user may be left that keeps the address, which only Cal.com's support or the server's administrator can remove"
	}
	return corev1.EventTypeNormal, "There was no user of this object left in Cal.com"
}

// deleteFound sends the delete call. A 404 is success only if the list does not show the user either.
func (r *ManagedUserReconciler) deleteFound(ctx context.Context, v *visit, found *sighting) error {
	if err := v.cal.reserve(1); err != nil {
		return err
	}
	v.permit = nil // Whatever comes of the call, it counts.
	err := r.sendDelete(ctx, v, found.ID)
	if !isDenied(err) {
		return err
	}
	denied := classify(err)
	if found, err = r.lookUp(ctx, v, found.ID); err != nil {
		return err
	}
	if found != nil && found.known {
		return denied
	}
	return r.admitAbsence(ctx, v)
}

// orphan lets go of the user and leaves it in Cal.com. Taking off the mark is attempted and no more, but for a wait for the
// quota: this way out has to be open without credentials and without a server.
func (r *ManagedUserReconciler) orphan(ctx context.Context, v *visit) error {
	err := r.unmark(ctx, v)
	if p := classify(err); p != nil && (p.reason == v1alpha1.ReasonRateLimited || p.pace == inLine) && r.clock.Since(v.mu.DeletionTimestamp.Time) < unmarkPatience {
		return p
	}
	if err != nil {
		log.FromContext(ctx).Info("Leaving the mark on the orphaned user", "reason", err.Error())
	}
	if err := r.release(ctx, v); err != nil {
		return err
	}
	log.FromContext(ctx).Info("Orphaned user")
	r.event(v.mu, v1alpha1.EventOrphaned, "Orphan", "The user stays in Cal.com")
	return nil
}

// unmark takes the object's mark off its user, so that another owner can adopt it.
func (r *ManagedUserReconciler) unmark(ctx context.Context, v *visit) error {
	if v.policy() == v1alpha1.ReconcilePolicyObserve {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, unmarkTimeout)
	defer cancel()
	if err := r.connect(ctx, v); err != nil {
		return err
	}
	found, err := r.observe(ctx, v)
	if err != nil || found == nil || v.mark.ownershipOf(found.User) != ours {
		return err
	}
	kept, lost := sendable(found.Metadata.Reveal(), map[string]json.RawMessage{v1alpha1.OwnerMetadataKey: nil})
	if len(lost) > 0 {
		return fmt.Errorf("metadata with nested values cannot be written back: %s", keyNames(lost))
	}
	_, err = v.cal.UpdateUser(ctx, found.ID, calcom.UserFields{Metadata: calcom.Hide(kept)})
	return err
}
