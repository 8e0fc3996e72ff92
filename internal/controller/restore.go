// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// restoreRecords puts the finalizer and the annotations back that another writer removed, and completes the status of
// an object from an older operator. A writer that removes them again and again slows this down: the object is then
// reconciled without them, and again when the next attempt is due.
func (r *ManagedUserReconciler) restoreRecords(ctx context.Context, v *visit) error {
	if i, ok := r.intents.recall(v.mu); ok && v.mu.DeletionTimestamp.IsZero() {
		// Another process, which does not know of the call, may have recorded the one that created the user in the
		// status.
		if recorded, ok := manageduser.RecordedIntent(v.mu); !ok || recorded.Time.Before(i.Time) {
			return r.putBack(ctx, v, func(mu *v1alpha1.ManagedUser) {
				manageduser.SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.Encode())
			})
		}
	}
	if _, known := manageduser.Identity(v.mu); known && !manageduser.HasOpenIntent(v.mu) {
		v.mu.Status.Origin = manageduser.OriginOf(v.mu)
	}
	if !manageduser.LacksRecords(v.mu) {
		return nil
	}
	return r.putBack(ctx, v, func(mu *v1alpha1.ManagedUser) {
		if manageduser.LacksAnnotation(mu) {
			manageduser.AnnotateOrigin(mu, manageduser.UserInStatus(mu), manageduser.OriginOf(mu), r.clock.Now())
		}
	})
}

// putBack writes the finalizer and a change of the annotations. When the next attempt has to wait for another writer to
// stop, the annotations count for this reconcile all the same: no create call may follow from a lost intent.
func (r *ManagedUserReconciler) putBack(ctx context.Context, v *visit, change func(*v1alpha1.ManagedUser)) error {
	wait := r.rivals.admit(ctx, v.mu, "the finalizer and annotations of the operator")
	if wait > 0 {
		v.again = wait
		change(v.mu)
		return nil
	}
	return r.patchMetadata(ctx, v.mu, "restoring the finalizer and annotations", func(mu *v1alpha1.ManagedUser) {
		controllerutil.AddFinalizer(mu, v1alpha1.ManagedUserFinalizer)
		change(mu)
	})
}
