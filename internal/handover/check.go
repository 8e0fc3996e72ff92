// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// protectionLabel keeps an object from being deleted where the policies against accidents are installed.
const protectionLabel = "platform.cal.com/deletion-protection"

// Check returns why a user cannot be moved, as far as both clusters tell it, and nil when it can, or is being moved
// already. It writes nothing and calls nobody.
func (m *Move) Check(ctx context.Context, a *v1alpha1.ManagedUser) error {
	if err := m.checkHere(a); err != nil {
		return err
	}
	if err := m.Here.checkDeletion(ctx, a); err != nil {
		return err
	}
	if _, begun := recordOf(a); begun {
		return nil
	}
	b := &v1alpha1.ManagedUser{}
	err := m.There.Get(ctx, m.keyThere(a), b)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if r, ok := recordOf(b); ok && (r.To == m.Here.OwnerID || r.From == m.Here.OwnerID) {
		return nil
	}
	return occupied(m.There, b)
}

// checkHere looks at the object here alone.
func (m *Move) checkHere(a *v1alpha1.ManagedUser) error {
	r, begun := recordOf(a)
	if begun {
		if err := m.checkRecord(a, r); err != nil {
			return err
		}
	}
	if !a.DeletionTimestamp.IsZero() && (!begun || a.Spec.DeletionPolicy != v1alpha1.DeletionPolicyOrphan) {
		return refuse("let the deletion end, with reconcilePolicy Manage", "it is being deleted")
	}
	if _, certain := manageduser.UserIDOf(a); !certain {
		return outcomeUnknown(a)
	}
	if nested := manageduser.NestedMetadata(a); manageduser.HasFinalizer(a) && nested != "" {
		return refuse("remove them in Cal.com", "its metadata in Cal.com has nested values, which writing the mark would erase (%s)", nested)
	}
	return nil
}

// checkRecord returns an error for an object with which something else was begun than this move, or its way back.
func (m *Move) checkRecord(a *v1alpha1.ManagedUser, r record) error {
	switch {
	case r.To == "" && r.From == "":
		return refuse("start kubectl calcom drain again and let it end", "it is being drained")
	case r.To != "" && r.To != m.There.OwnerID, r.From != "" && r.From != m.There.OwnerID:
		return refuse("end that move first, in either direction", "it is in the middle of a move between this and a third cluster")
	case r.To != "" && r.ToNamespace != m.keyThere(a).Namespace:
		return refuse("give the same --to-namespace as then", "it is in the middle of a move to namespace %s", r.ToNamespace)
	}
	return nil
}

func outcomeUnknown(a *v1alpha1.ManagedUser) error {
	return refuse("wait until it has a user id, as kubectl get managedusers shows it", "%s may have a user in Cal.com of which its status does not know", a.Name)
}

func occupied(there Cluster, b *v1alpha1.ManagedUser) error {
	return refuse("delete that one, or move to another namespace by --to-namespace", "there is a ManagedUser %s in namespace %s of %s already, which is not this one moved", b.Name, b.Namespace, there.Name)
}

// checkDeletion asks the API server whether it will let the object go, where a label says that it may not.
func (c Cluster) checkDeletion(ctx context.Context, mu *v1alpha1.ManagedUser) error {
	if mu.Labels[protectionLabel] == "" || !mu.DeletionTimestamp.IsZero() {
		return nil
	}
	err := c.Delete(ctx, mu.DeepCopy(), client.DryRunAll)
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
		return refuse(fmt.Sprintf("take the label off first: kubectl label manageduser %s -n %s %s-", mu.Name, mu.Namespace, protectionLabel),
			"it is protected from deletion by its label")
	}
	return client.IgnoreNotFound(err)
}

// undo puts back what a user was that cannot be handed over after all, and returns why. The mark is still the object's
// here.
func (m *Move) undo(ctx context.Context, a, b *v1alpha1.ManagedUser, why error) error {
	var refusal *RefusedError
	if !errors.As(why, &refusal) && !isRefused(why) {
		return why // It may go on later.
	}
	if b != nil && !manageduser.HasFinalizer(b) {
		precondition := client.Preconditions{UID: &b.UID, ResourceVersion: &b.ResourceVersion}
		if err := client.IgnoreNotFound(m.There.Delete(ctx, b, precondition)); err != nil {
			return errors.Join(why, fmt.Errorf("taking it back there: %w", err))
		}
	}
	err := m.Here.change(ctx, a, restore)
	if err != nil {
		return errors.Join(why, fmt.Errorf("resuming it here: %w", err))
	}
	return why
}

// restore makes an object what it was before a move.
func restore(mu *v1alpha1.ManagedUser) error {
	if r, ok := recordOf(mu); ok {
		mu.Spec.ReconcilePolicy = r.ReconcilePolicy
	}
	delete(mu.Annotations, v1alpha1.HandoverAnnotation)
	return nil
}

// isRefused reports whether an API server will not take an object, however often it is asked.
func isRefused(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsForbidden(err) || apierrors.IsNotFound(err) || apierrors.IsBadRequest(err)
}
