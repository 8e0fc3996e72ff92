// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"context"
	"fmt"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// Move hands users over from the operator in one cluster to the operator in another. At any moment at most one of the
// two may write:
//
//  1. here, the object is suspended, and its operator says so;
//  2. there, the object is made, suspended, and its operator says so;
//  3. in Cal.com, the user gets the mark of the object there;
//  4. there, the object gets its policy back, and its operator takes the user over by the mark;
//  5. here, the object is deleted and let go of, without a call to Cal.com.
//
// A user that cannot be handed over is refused before anything is written, or put back as it was.
type Move struct {
	Here, There Cluster
	// Remote returns the way to Cal.com for an object's OAuth client.
	Remote func(ctx context.Context, mu *v1alpha1.ManagedUser) (Remote, error)
	// NamespaceThere returns the namespace there for one here; the same one when nil.
	NamespaceThere func(string) string
}

func (m *Move) keyThere(a *v1alpha1.ManagedUser) client.ObjectKey {
	key := client.ObjectKeyFromObject(a)
	if m.NamespaceThere != nil {
		key.Namespace = m.NamespaceThere(key.Namespace)
	}
	return key
}

// User moves one user, or goes on with it. An object that is not here was moved before, or is to go back before it
// came.
func (m *Move) User(ctx context.Context, key client.ObjectKey) error {
	a := &v1alpha1.ManagedUser{}
	err := m.Here.Get(ctx, key, a)
	if apierrors.IsNotFound(err) {
		a.Namespace, a.Name = key.Namespace, key.Name
		return m.takeBack(ctx, m.keyThere(a))
	}
	if err != nil {
		return err
	}
	if err := m.Check(ctx, a); err != nil {
		return err
	}
	if !a.DeletionTimestamp.IsZero() {
		return m.goOnReleasing(ctx, a)
	}
	if err := m.suspend(ctx, a); err != nil {
		return err
	}
	b, err := m.bring(ctx, a)
	if err != nil {
		return err
	}
	if err := m.handOver(ctx, a, b); err != nil {
		return err
	}
	if err := m.start(ctx, a, b); err != nil {
		return err
	}
	return m.release(ctx, a)
}

// takeBack ends a move from there to here that did not come as far as to make the object here.
func (m *Move) takeBack(ctx context.Context, key client.ObjectKey) error {
	b := &v1alpha1.ManagedUser{}
	if err := m.There.Get(ctx, key, b); err != nil {
		return client.IgnoreNotFound(err)
	}
	if !Comes(b, m.Here.OwnerID) || !b.DeletionTimestamp.IsZero() {
		return nil
	}
	return m.There.change(ctx, b, restore)
}

// Comes reports whether an object is in the middle of a move to the cluster with an owner id.
func Comes(mu *v1alpha1.ManagedUser, ownerID string) bool {
	r, ok := recordOf(mu)
	return ok && r.To == ownerID
}

// suspend has the operator here keep its hands off, and waits until it does.
func (m *Move) suspend(ctx context.Context, a *v1alpha1.ManagedUser) error {
	err := m.Here.change(ctx, a, func(a *v1alpha1.ManagedUser) error {
		if err := m.checkHere(a); err != nil {
			return err
		}
		was, ok := recordOf(a)
		if !ok {
			was = policiesOf(a)
		}
		was.To, was.ToNamespace, was.From = m.There.OwnerID, m.keyThere(a).Namespace, ""
		was.put(a)
		a.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend
		return nil
	})
	if err != nil {
		return fmt.Errorf("suspending it here: %w", err)
	}
	if err := m.Here.await(ctx, a, "to suspend it", isSuspended); err != nil {
		return err
	}
	if _, certain := manageduser.UserIDOf(a); !certain { // A create call went out just before.
		return m.undo(ctx, a, nil, outcomeUnknown(a))
	}
	return nil
}

// bring makes the object there, suspended, and waits until the operator there has seen it.
func (m *Move) bring(ctx context.Context, a *v1alpha1.ManagedUser) (*v1alpha1.ManagedUser, error) {
	key := m.keyThere(a)
	b := &v1alpha1.ManagedUser{}
	err := m.There.Get(ctx, key, b)
	if apierrors.IsNotFound(err) {
		b = m.copyOf(a)
		if err := m.There.Create(ctx, b); err != nil {
			return nil, m.undo(ctx, a, nil, fmt.Errorf("making it there: %w", err))
		}
	} else if err != nil {
		return nil, fmt.Errorf("reading it there: %w", err)
	}
	r, ok := recordOf(b)
	if !ok { // It is another object, unless it was resumed before.
		theirs, err := m.isTheirs(ctx, a, b)
		if err == nil && !theirs {
			err = m.undo(ctx, a, nil, occupied(m.There, b))
		}
		return b, err
	}
	switch {
	case r.From != m.Here.OwnerID && r.To != m.Here.OwnerID:
		return nil, m.undo(ctx, a, nil, occupied(m.There, b))
	case !b.DeletionTimestamp.IsZero():
		if err := m.endThere(ctx, b); err != nil {
			return nil, err
		}
		return m.bring(ctx, a)
	}
	err = m.There.change(ctx, b, func(b *v1alpha1.ManagedUser) error {
		want := m.copyOf(a)
		b.Spec = want.Spec
		b.Annotations[v1alpha1.HandoverAnnotation] = want.Annotations[v1alpha1.HandoverAnnotation]
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("suspending it there: %w", err)
	}
	return b, m.There.await(ctx, b, "to see it", isSuspended)
}

// endThere goes to the end of an earlier move from there to here, before the object is made anew.
func (m *Move) endThere(ctx context.Context, b *v1alpha1.ManagedUser) error {
	if b.Spec.DeletionPolicy == v1alpha1.DeletionPolicyOrphan {
		if err := m.There.letGo(ctx, b, v1alpha1.ReconcilePolicyObserve); err != nil {
			return err
		}
	}
	return m.There.awaitGone(ctx, b)
}

// copyOf returns the object as it is made there: without what the operator here wrote on it, and without what ties it
// to something here.
func (m *Move) copyOf(a *v1alpha1.ManagedUser) *v1alpha1.ManagedUser {
	key := m.keyThere(a)
	b := Restorable(a)
	b.Namespace = key.Namespace
	record{From: m.Here.OwnerID, ReconcilePolicy: b.Spec.ReconcilePolicy, DeletionPolicy: b.Spec.DeletionPolicy, UserID: userOf(a)}.put(b)
	b.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicySuspend
	return b
}

// handOver gives the user the mark of the object there. Neither operator writes now.
func (m *Move) handOver(ctx context.Context, a, b *v1alpha1.ManagedUser) error {
	id := userOf(a)
	if id == 0 {
		return nil
	}
	if err := m.stillSuspended(ctx, a); err != nil {
		return err
	}
	cal, err := m.Remote(ctx, a)
	if err != nil {
		return err
	}
	user, err := cal.User(ctx, id)
	if isDenied(err) {
		return m.undo(ctx, a, b, refuse("ask the operator here for a look (kubectl calcom reconcile), and move what is left then", "Cal.com has no user %d", id))
	}
	if err != nil {
		return fmt.Errorf("reading the user: %w", err)
	}
	there := manageduser.OwnerOf(m.There.OwnerID, b)
	owner, marked := manageduser.MarkedOwner(user)
	if owner == there {
		return nil
	}
	ours := owner.SameObject(there) || owner.SameObject(manageduser.OwnerOf(m.Here.OwnerID, a)) || !marked && manageduser.IsInStatus(a, &user)
	if !ours {
		return m.undo(ctx, a, b, refuse("see who owns it, by kubectl calcom status", "user %d in Cal.com is not marked as this object's", id))
	}
	update, err := there.Marking(user)
	if err != nil {
		return m.undo(ctx, a, b, refuse("remove them in Cal.com", "user %d: %v", id, err))
	}
	return writeMark(ctx, cal, id, update, there)
}

// stillSuspended makes sure, right before the mark is written, that the operator here keeps its hands off.
func (m *Move) stillSuspended(ctx context.Context, a *v1alpha1.ManagedUser) error {
	if err := m.Here.Get(ctx, client.ObjectKeyFromObject(a), a); err != nil {
		return fmt.Errorf("reading it here: %w", err)
	}
	if !isSuspended(a) {
		return refuse("see that nobody else writes it, and start again", "somebody resumed it here meanwhile")
	}
	return nil
}

// writeMark makes a user the owner's, and sees that it is.
func writeMark(ctx context.Context, cal Remote, id int64, update calcom.UserFields, owner manageduser.Mark) error {
	user, err := cal.UpdateUser(ctx, id, update)
	if err != nil {
		return fmt.Errorf("writing the mark: %w", err)
	}
	if kept, _ := manageduser.MarkedOwner(user); kept != owner {
		return refuse("start again, and if that does not help ask Cal.com's support", "Cal.com took the mark of user %d and did not keep it", id)
	}
	return nil
}

// isDenied reports whether Cal.com says that there is no such user.
func isDenied(err error) bool { return calcom.IsNotFound(err) && !calcom.IsNoSuchAPI(err) }

// start gives the object there its policy back, and waits until the operator there has taken the user over.
func (m *Move) start(ctx context.Context, a, b *v1alpha1.ManagedUser) error {
	id := userOf(a)
	err := m.There.change(ctx, b, func(b *v1alpha1.ManagedUser) error {
		r, ok := recordOf(b)
		if !ok {
			return nil // It was done before.
		}
		b.Spec.ReconcilePolicy = r.ReconcilePolicy
		delete(b.Annotations, v1alpha1.HandoverAnnotation)
		if id != 0 && !manages(r.ReconcilePolicy) {
			// The operator will not take the user over for now, so that the object has to say that there is one.
			controllerutil.AddFinalizer(b, v1alpha1.ManagedUserFinalizer)
			b.Annotations[v1alpha1.AdoptedAnnotation] = strconv.FormatInt(id, 10)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("resuming it there: %w", err)
	}
	if id == 0 {
		return nil // There is nothing to take over.
	}
	return m.There.await(ctx, b, "to take the user over", func(b *v1alpha1.ManagedUser) bool { return hasTaken(b, id) })
}

// hasTaken reports whether the operator knows the user as the object's own, as far as its policy lets it.
func hasTaken(b *v1alpha1.ManagedUser, id int64) bool {
	known := b.Status.User != nil && b.Status.User.ID == id
	return manageduser.HasFinalizer(b) && isObserved(b) && (known || !manages(b.Spec.ReconcilePolicy))
}

// release deletes the object here and lets the operator here let go of it. It makes no call to Cal.com for that, since
// it is told to observe; and were it to make one, the mark is another's.
func (m *Move) release(ctx context.Context, a *v1alpha1.ManagedUser) error {
	if a.DeletionTimestamp.IsZero() {
		if err := m.Here.change(ctx, a, func(a *v1alpha1.ManagedUser) error {
			a.Spec.DeletionPolicy = v1alpha1.DeletionPolicyOrphan
			return m.checkHere(a)
		}); err != nil {
			return fmt.Errorf("preparing its end here: %w", err)
		}
		if err := m.Here.remove(ctx, a); err != nil {
			return err
		}
	}
	if err := m.Here.letGo(ctx, a, v1alpha1.ReconcilePolicyObserve); err != nil {
		return err
	}
	return m.Here.awaitGone(ctx, a)
}

// goOnReleasing goes on with an object here that is being deleted: because it was handed over, and not for another
// reason.
func (m *Move) goOnReleasing(ctx context.Context, a *v1alpha1.ManagedUser) error {
	b := &v1alpha1.ManagedUser{}
	err := m.There.Get(ctx, m.keyThere(a), b)
	theirs := false
	if err == nil {
		theirs, err = m.isTheirs(ctx, a, b)
	}
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("reading it there: %w", err)
	}
	if !theirs {
		return refuse("set its reconcilePolicy to Manage to have it let go of its user", "it is being deleted, and %s does not have its user", m.There.Name)
	}
	if err := m.start(ctx, a, b); err != nil {
		return err
	}
	return m.release(ctx, a)
}

// isTheirs reports whether the object there has the user already, or would have it if there was one.
func (m *Move) isTheirs(ctx context.Context, a, b *v1alpha1.ManagedUser) (bool, error) {
	id := userOf(a)
	if id == 0 {
		return a.Spec.Email == b.Spec.Email, nil
	}
	cal, err := m.Remote(ctx, a)
	if err != nil {
		return false, err
	}
	user, err := cal.User(ctx, id)
	if err != nil {
		return false, fmt.Errorf("reading the user: %w", err)
	}
	owner, _ := manageduser.MarkedOwner(user)
	return owner.SameObject(manageduser.OwnerOf(m.There.OwnerID, b)), nil
}
