// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"strconv"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// Each fact that decides whether a user is created, deleted or kept is recorded in two of three places, because other tools
// rewrite objects: the status, the object's metadata (the finalizer, the create intent, the adopted annotation) and the
// ownership mark in Cal.com. What is lost from one place is restored from what is left. Where the places disagree, the reading
// counts that keeps the user.

// isBound reports whether the object has, or may have, a user in Cal.com. The finalizer says so. When another writer removed
// it, the origin in status and the object's own create intent still do. An object that is being deleted and has neither the
// finalizer nor an annotation of the operator was released.
func isBound(mu *v1alpha1.ManagedUser) bool {
	if controllerutil.ContainsFinalizer(mu, v1alpha1.ManagedUserFinalizer) || hasOwnIntent(mu) {
		return true
	}
	return mu.Status.Origin != "" && (mu.DeletionTimestamp.IsZero() || hasAdoptedAnnotation(mu))
}

// bound is isBound for objects of any kind.
func bound(object client.Object) bool {
	mu, ok := object.(*v1alpha1.ManagedUser)
	return ok && isBound(mu)
}

func hasAdoptedAnnotation(mu *v1alpha1.ManagedUser) bool {
	_, ok := mu.Annotations[v1alpha1.AdoptedAnnotation]
	return ok
}

// hasOwnIntent reports whether the object carries a create intent that was recorded for this object, and not one that came
// with a copied manifest.
func hasOwnIntent(mu *v1alpha1.ManagedUser) bool {
	_, ok := ownIntent(mu)
	return ok
}

func ownIntent(mu *v1alpha1.ManagedUser) (intent, bool) {
	i, ok := recordedIntent(mu)
	return i, ok && i.UID != "" && i.UID == mu.UID
}

// ownOpenIntent returns the object's own create intent while its outcome is not in the status yet.
func ownOpenIntent(mu *v1alpha1.ManagedUser) (intent, bool) {
	i, ok := ownIntent(mu)
	return i, ok && !i.settled(mu)
}

// identity returns the id of the user that the object owns. It counts only under the client that it was recorded with. The id
// of a user that the object merely observes is none: such an object has no finalizer and no origin. For an object that refers to
// its client, clientOf has made sure that it is the same one.
func identity(mu *v1alpha1.ManagedUser) (int64, bool) {
	inline := mu.Spec.OAuthClient
	if mu.Status.User == nil || mu.Status.User.ID == 0 || inline != nil && mu.Status.OAuthClientID != inline.ID || !isBound(mu) {
		return 0, false
	}
	return mu.Status.User.ID, true
}

// adoptedID returns the id of the user that the object adopted, or set out to adopt; 0 if it did not.
func adoptedID(mu *v1alpha1.ManagedUser) int64 {
	id, err := strconv.ParseInt(mu.Annotations[v1alpha1.AdoptedAnnotation], 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// originOf returns how the object came to own its user, as far as status and metadata tell; nothing for an object that owns
// none, and for one that may own a user of which neither tells. Any record of an adoption outweighs the others, and without a
// record of a creation an owned user counts as adopted.
func originOf(mu *v1alpha1.ManagedUser) v1alpha1.Origin {
	if hasAdoptedAnnotation(mu) {
		return v1alpha1.OriginAdopted
	}
	_, intended := recordedIntent(mu)
	_, known := identity(mu)
	switch {
	case hasOpenIntent(mu):
		return v1alpha1.OriginCreated
	case !known:
		return ""
	case mu.Status.Origin != "":
		return mu.Status.Origin
	case intended: // An older operator recorded no origin.
		return v1alpha1.OriginCreated
	}
	return v1alpha1.OriginAdopted
}

// originOfFound returns how the object came to own a user that carries its mark or that its status names. mu is the object as
// it was before this reconcile wrote to it.
func originOfFound(mu *v1alpha1.ManagedUser, user *calcom.User) v1alpha1.Origin {
	id, known := identity(mu)
	_, intended := recordedIntent(mu)
	switch {
	case hasAdoptedMark(user), hasAdoptedAnnotation(mu):
		return v1alpha1.OriginAdopted
	case known && id == user.ID:
		return originOf(mu)
	case intended:
		return v1alpha1.OriginCreated
	case mu.Spec.UserID != 0, mu.Spec.AdoptionPolicy == v1alpha1.AdoptionPolicyByEmail:
		return v1alpha1.OriginAdopted // A new object that asks for an adoption and finds the user of a former one.
	}
	return v1alpha1.OriginCreated // Only the mark is left. A create call wrote it: an adoption writes another one.
}

// lacksRecords reports whether another writer removed what the operator had written into the metadata of an object that owns
// a user, or may own one.
func lacksRecords(mu *v1alpha1.ManagedUser) bool {
	if !mu.DeletionTimestamp.IsZero() || !isBound(mu) {
		return false
	}
	return !controllerutil.ContainsFinalizer(mu, v1alpha1.ManagedUserFinalizer) || lacksAnnotation(mu)
}

// lacksAnnotation reports whether neither the adoption nor the creation of the user in status is recorded in an annotation.
func lacksAnnotation(mu *v1alpha1.ManagedUser) bool {
	if _, known := identity(mu); !known {
		return false
	}
	_, intended := recordedIntent(mu)
	return !hasAdoptedAnnotation(mu) && (!intended || originOf(mu) == v1alpha1.OriginAdopted)
}

// restoreRecords puts the finalizer and the annotations back that another writer removed, and completes the status of an
// object from an older operator. A writer that removes them again and again slows this down: the object is then reconciled
// without them, and again when the next attempt is due.
func (r *ManagedUserReconciler) restoreRecords(ctx context.Context, v *visit) error {
	if i, ok := r.intents.recall(v.mu); ok && v.mu.DeletionTimestamp.IsZero() {
		// Another process, which does not know of the call, may have recorded the one that created the user in the status.
		if recorded, ok := recordedIntent(v.mu); !ok || recorded.Time.Before(i.Time) {
			return r.putBack(ctx, v, func(mu *v1alpha1.ManagedUser) { setAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.encode()) })
		}
	}
	if _, known := identity(v.mu); known && !hasOpenIntent(v.mu) {
		v.mu.Status.Origin = originOf(v.mu)
	}
	if !lacksRecords(v.mu) {
		return nil
	}
	return r.putBack(ctx, v, func(mu *v1alpha1.ManagedUser) {
		if lacksAnnotation(mu) {
			r.annotateOrigin(mu, userInStatus(mu), originOf(mu))
		}
	})
}

// hasOpenIntent reports whether a create call for the object is on record whose outcome is not in the status yet.
func hasOpenIntent(mu *v1alpha1.ManagedUser) bool {
	i, ok := recordedIntent(mu)
	return ok && !i.settled(mu)
}

// annotateOrigin records the origin of a user in the metadata: an adoption by the user's id, a creation by the create intent. An
// intent that is lost is written as that of the call which created the user.
func (r *ManagedUserReconciler) annotateOrigin(mu *v1alpha1.ManagedUser, user *calcom.User, origin v1alpha1.Origin) {
	if origin == v1alpha1.OriginAdopted {
		setAnnotation(mu, v1alpha1.AdoptedAnnotation, strconv.FormatInt(user.ID, 10))
		delete(mu.Annotations, v1alpha1.CreateIntentAnnotation)
		return
	}
	delete(mu.Annotations, v1alpha1.AdoptedAnnotation)
	if _, intended := recordedIntent(mu); intended {
		return
	}
	i := intent{
		UID: mu.UID, Time: r.clock.Now().UTC().Truncate(time.Second), Client: user.ClientID, APIURL: user.APIURL,
		Email: calcom.Hide(user.PlainEmail()),
	}
	if created, err := user.Created(); err == nil && created.Before(i.Time) {
		i.Time = created.UTC().Truncate(time.Second)
	}
	setAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.encode())
}

// userInStatus is the user in status, as far as the records need it.
func userInStatus(mu *v1alpha1.ManagedUser) *calcom.User {
	was := mu.Status.User
	return &calcom.User{
		ID: was.ID, Email: calcom.Hide(was.Email), CreatedDate: was.CreatedDate,
		ClientID: mu.Status.OAuthClientID, APIURL: mu.Status.APIURL,
	}
}

// putBack writes the finalizer and a change of the annotations. When the next attempt has to wait for another writer to stop,
// the annotations count for this reconcile all the same: no create call may follow from a lost intent.
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
