// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"fmt"
	"maps"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// Drain lets go of users: their objects go, and they stay in Cal.com, without a mark where the operator could take it
// off.
type Drain struct{ Cluster }

// Check returns why an object cannot be drained, and nil when it can. It writes nothing.
func (d *Drain) Check(ctx context.Context, mu *v1alpha1.ManagedUser) error {
	if r, ok := recordOf(mu); ok && (r.To != "" || r.From != "") {
		return refuse("end the move first, in either direction", "it is in the middle of a move")
	}
	return d.checkDeletion(ctx, mu)
}

// User drains one user, or goes on with it. An object that is not there was drained before.
func (d *Drain) User(ctx context.Context, key client.ObjectKey) error {
	mu := &v1alpha1.ManagedUser{}
	if err := d.Get(ctx, key, mu); err != nil {
		return client.IgnoreNotFound(err)
	}
	if err := d.Check(ctx, mu); err != nil {
		return err
	}
	// The policy comes first: whatever happens from here on, nobody is deleted in Cal.com.
	if err := d.change(ctx, mu, func(mu *v1alpha1.ManagedUser) error {
		if _, begun := recordOf(mu); !begun {
			policiesOf(mu).put(mu)
		}
		mu.Spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan
		return nil
	}); err != nil {
		return gone(fmt.Errorf("setting deletionPolicy: %w", err))
	}
	if err := d.remove(ctx, mu); err != nil {
		return gone(err)
	}
	err := d.letGo(ctx, mu, v1alpha1.ReconcilePolicyManage)
	if apierrors.IsInvalid(err) { // Without a name nobody may be managed. Then the mark stays.
		err = d.letGo(ctx, mu, v1alpha1.ReconcilePolicyObserve)
	}
	if err != nil {
		return gone(err)
	}
	return d.awaitGone(ctx, mu)
}

// gone makes an error of an object that is not there any more none.
func gone(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// remove asks for the object's deletion, of this very one and no other of its name.
func (c Cluster) remove(ctx context.Context, mu *v1alpha1.ManagedUser) error {
	if !mu.DeletionTimestamp.IsZero() {
		return nil
	}
	if mu.Spec.DeletionPolicy != v1alpha1.DeletionPolicyOrphan {
		panic("handover: an object is deleted that would take its user along")
	}
	precondition := client.Preconditions{UID: &mu.UID, ResourceVersion: &mu.ResourceVersion}
	err := c.Delete(ctx, mu, precondition)
	if apierrors.IsConflict(err) { // Its status was written; or its spec, which has to be looked at again.
		if err := c.Get(ctx, client.ObjectKeyFromObject(mu), mu); err != nil {
			return client.IgnoreNotFound(err)
		}
		if mu.Spec.DeletionPolicy == v1alpha1.DeletionPolicyOrphan {
			return c.remove(ctx, mu)
		}
		return refuse("start again", "somebody changed its deletionPolicy at the same moment")
	}
	if err := client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("deleting it: %w", err)
	}
	return client.IgnoreNotFound(c.Get(ctx, client.ObjectKeyFromObject(mu), mu))
}

// letGo has the operator let an object go that is being deleted, by a policy that does not hold it. Observe makes no
// call to Cal.com.
func (c Cluster) letGo(ctx context.Context, mu *v1alpha1.ManagedUser, policy v1alpha1.ReconcilePolicy) error {
	if mu.DeletionTimestamp.IsZero() || !manageduser.HasFinalizer(mu) {
		return nil // It went at once.
	}
	err := c.change(ctx, mu, func(mu *v1alpha1.ManagedUser) error {
		if manages(policy) && manages(mu.Spec.ReconcilePolicy) {
			return nil
		}
		mu.Spec.ReconcilePolicy = policy
		if !manages(policy) {
			mu.Spec.Tokens = nil // They exclude each other, and the Secret goes with the object.
		}
		return nil
	})
	if err := client.IgnoreNotFound(err); err != nil {
		return fmt.Errorf("letting it go: %w", err)
	}
	return nil
}

// passing are annotations that say something of the object as it was here, and tracking those by which tools here know
// it again.
var passing = []string{
	v1alpha1.HandoverAnnotation, v1alpha1.CreateIntentAnnotation, v1alpha1.AdoptedAnnotation, v1alpha1.ReconcileRequestedAtAnnotation,
	v1alpha1.AllowMassDeletionAnnotation, "argocd.argoproj.io/tracking-id", "meta.helm.sh/release-name", "meta.helm.sh/release-namespace",
}

var tracking = []string{
	"argocd.argoproj.io/instance", "kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace",
	"helm.toolkit.fluxcd.io/name", "helm.toolkit.fluxcd.io/namespace",
}

// Restorable returns what somebody applies, here or elsewhere, to have the object back as it was before anything was
// done with it: with the id of its user, so that it is taken over and never made anew, and with the deletionPolicy that
// was in force. Without that, a user whom the object had created would be one that it adopted, and outlive it.
func Restorable(mu *v1alpha1.ManagedUser) *v1alpha1.ManagedUser {
	kept := &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{
			Name: mu.Name, Namespace: mu.Namespace, Labels: maps.Clone(mu.Labels), Annotations: maps.Clone(mu.Annotations),
		},
		Spec: *mu.Spec.DeepCopy(),
	}
	kept.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("ManagedUser"))
	for _, key := range passing {
		delete(kept.Annotations, key)
	}
	for _, key := range tracking {
		delete(kept.Labels, key)
	}
	if id := userOf(mu); id != 0 {
		kept.Spec.UserID = id
	}
	r, begun := recordOf(mu)
	if !begun {
		r = policiesOf(mu)
	}
	if r.DeletionPolicy == "" && manageduser.HasFinalizer(mu) { // It came to own one after the record was made.
		r.DeletionPolicy = manageduser.DeletionPolicyInForce(mu)
	}
	kept.Spec.ReconcilePolicy, kept.Spec.DeletionPolicy = r.ReconcilePolicy, r.DeletionPolicy
	return kept
}
