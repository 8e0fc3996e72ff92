// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// release removes the finalizer: from here on the object stands for nothing in Cal.com. What was done in Cal.com before
// is done: another look, at an object that somebody else wrote meanwhile, could only wonder where the user is.
func (r *ManagedUserReconciler) release(ctx context.Context, v *visit) error {
	let := func() error {
		return r.patchMetadata(ctx, v.mu, "removing the finalizer", func(mu *v1alpha1.ManagedUser) {
			controllerutil.RemoveFinalizer(mu, v1alpha1.ManagedUserFinalizer)
			// Other finalizers can keep the object. The annotations would mean that this one was removed by another
			// writer.
			delete(mu.Annotations, v1alpha1.CreateIntentAnnotation)
			delete(mu.Annotations, v1alpha1.AdoptedAnnotation)
		})
	}
	err := let()
	if apierrors.IsConflict(err) {
		err = r.renew(ctx, v.mu, func(now *v1alpha1.ManagedUser) bool {
			return now.Generation == v.mu.Generation && manageduser.SameRecord(v.mu, now)
		})
		if err == nil {
			err = let()
		}
	}
	if apierrors.IsForbidden(err) {
		return refusedRelease(err)
	}
	if err := client.IgnoreNotFound(err); err != nil {
		return err
	}
	v.released = true
	r.gone.Store(client.ObjectKeyFromObject(v.mu), v.mu.UID)
	return nil
}

// releaseRetry is the time until the next attempt to remove a finalizer that the API server did not let the operator
// remove.
const releaseRetry = time.Minute

// refusedRelease is what an admission policy that does not know the operator leads to, or a role that lacks a right.
// The error has the names of the object and of the policy, and no address.
func refusedRelease(err error) *outcome.Problem {
	return &outcome.Problem{
		Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonDeletionBlocked, Severity: outcome.Stalled, Pace: outcome.Slowly, Within: releaseRetry,
		Message: "In Cal.com there is nothing left to do, but the API server does not let the operator remove its finalizer; allow it to the operator's ServiceAccount (" +
			err.Error() + ")",
	}
}
