// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"strconv"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// Each fact that decides whether a user is created, deleted or kept is recorded in two of three places, because other
// tools rewrite objects: the status, the object's metadata (the finalizer, the create intent, the adopted annotation)
// and the ownership mark in Cal.com. What is lost from one place is restored from what is left. Where the places
// disagree, the reading counts that keeps the user.

// IsBound reports whether the object has, or may have, a user in Cal.com. The finalizer says so. When another writer
// removed it, the origin in status and the object's own create intent still do. An object that is being deleted and has
// neither the finalizer nor an annotation of the operator was released.
func IsBound(mu *v1alpha1.ManagedUser) bool {
	if HasFinalizer(mu) || hasOwnIntent(mu) {
		return true
	}
	return mu.Status.Origin != "" && (mu.DeletionTimestamp.IsZero() || HasAdoptedAnnotation(mu))
}

// Bound is IsBound for objects of any kind.
func Bound(object client.Object) bool {
	mu, ok := object.(*v1alpha1.ManagedUser)
	return ok && IsBound(mu)
}

// HasAdoptedAnnotation reports whether the object records an adoption.
func HasAdoptedAnnotation(mu *v1alpha1.ManagedUser) bool {
	_, ok := mu.Annotations[v1alpha1.AdoptedAnnotation]
	return ok
}

// hasOwnIntent reports whether the object carries a create intent that was recorded for this object, and not one that
// came with a copied manifest.
func hasOwnIntent(mu *v1alpha1.ManagedUser) bool {
	_, ok := ownIntent(mu)
	return ok
}

func ownIntent(mu *v1alpha1.ManagedUser) (Intent, bool) {
	i, ok := RecordedIntent(mu)
	return i, ok && i.UID != "" && i.UID == mu.UID
}

// OwnOpenIntent returns the object's own create intent while its outcome is not in the status yet.
func OwnOpenIntent(mu *v1alpha1.ManagedUser) (Intent, bool) {
	i, ok := ownIntent(mu)
	return i, ok && !i.Settled(mu)
}

// Identity returns the id of the user that the object owns. It counts only under the client that it was recorded with.
// The id of a user that the object merely observes is none: such an object has no finalizer and no origin. For an
// object that refers to its client, clientOf has made sure that it is the same one.
func Identity(mu *v1alpha1.ManagedUser) (int64, bool) {
	inline := mu.Spec.OAuthClient
	if mu.Status.User == nil || mu.Status.User.ID == 0 || inline != nil && mu.Status.OAuthClientID != inline.ID || !IsBound(mu) {
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

// OriginOf returns how the object came to own its user, as far as status and metadata tell; nothing for an object that
// owns none, and for one that may own a user of which neither tells. Any record of an adoption outweighs the others,
// and without a record of a creation an owned user counts as adopted.
func OriginOf(mu *v1alpha1.ManagedUser) v1alpha1.Origin {
	if HasAdoptedAnnotation(mu) {
		return v1alpha1.OriginAdopted
	}
	_, intended := RecordedIntent(mu)
	_, known := Identity(mu)
	switch {
	case HasOpenIntent(mu):
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

// originOfFound returns how the object came to own a user that carries its mark or that its status names. mu is the
// object as it was before this reconcile wrote to it.
func originOfFound(mu *v1alpha1.ManagedUser, user *calcom.User) v1alpha1.Origin {
	id, known := Identity(mu)
	_, intended := RecordedIntent(mu)
	marked, _ := MarkedOwner(*user)
	switch {
	case marked.Adopted, HasAdoptedAnnotation(mu):
		return v1alpha1.OriginAdopted
	case known && id == user.ID:
		return OriginOf(mu)
	case intended:
		return v1alpha1.OriginCreated
	case mu.Spec.UserID != 0, mu.Spec.AdoptionPolicy == v1alpha1.AdoptionPolicyByEmail:
		return v1alpha1.OriginAdopted // A new object that asks for an adoption and finds the user of a former one.
	}
	return v1alpha1.OriginCreated // Only the mark is left. A create call wrote it: an adoption writes another one.
}

// LacksRecords reports whether another writer removed what the operator had written into the metadata of an object that
// owns a user, or may own one.
func LacksRecords(mu *v1alpha1.ManagedUser) bool {
	if !mu.DeletionTimestamp.IsZero() || !IsBound(mu) {
		return false
	}
	return !HasFinalizer(mu) || LacksAnnotation(mu)
}

// LacksAnnotation reports whether neither the adoption nor the creation of the user in status is recorded in an
// annotation.
func LacksAnnotation(mu *v1alpha1.ManagedUser) bool {
	if _, known := Identity(mu); !known {
		return false
	}
	_, intended := RecordedIntent(mu)
	return !HasAdoptedAnnotation(mu) && (!intended || OriginOf(mu) == v1alpha1.OriginAdopted)
}

// HasOpenIntent reports whether a create call for the object is on record whose outcome is not in the status yet.
func HasOpenIntent(mu *v1alpha1.ManagedUser) bool {
	i, ok := RecordedIntent(mu)
	return ok && !i.Settled(mu)
}

// UserInStatus is the user in status, as far as the records need it.
func UserInStatus(mu *v1alpha1.ManagedUser) *calcom.User {
	was := mu.Status.User
	return &calcom.User{
		ID: was.ID, Email: calcom.Hide(was.Email), CreatedDate: was.CreatedDate,
		ClientID: mu.Status.OAuthClientID, APIURL: mu.Status.APIURL,
	}
}

// HasAnother reports whether an object has a user, and that is not the one with an id. So it is after a restore from a
// backup that is older than a change of the e-mail: under the old one the operator found nobody, and created a user
// anew.
func HasAnother(mu *v1alpha1.ManagedUser, id int64) bool {
	own, ok := Identity(mu)
	return ok && own != id && mu.Spec.UserID != id
}

// HasFinalizer reports whether the object has the operator's finalizer.
func HasFinalizer(mu *v1alpha1.ManagedUser) bool {
	return controllerutil.ContainsFinalizer(mu, v1alpha1.ManagedUserFinalizer)
}

// AnnotateOrigin records the origin of a user in the metadata: an adoption by the user's id, a creation by the create
// intent. An intent that is lost is written as that of the call which created the user.
func AnnotateOrigin(mu *v1alpha1.ManagedUser, user *calcom.User, origin v1alpha1.Origin, now time.Time) {
	if origin == v1alpha1.OriginAdopted {
		SetAnnotation(mu, v1alpha1.AdoptedAnnotation, strconv.FormatInt(user.ID, 10))
		delete(mu.Annotations, v1alpha1.CreateIntentAnnotation)
		return
	}
	delete(mu.Annotations, v1alpha1.AdoptedAnnotation)
	if _, intended := RecordedIntent(mu); intended {
		return
	}
	i := Intent{
		UID: mu.UID, Time: now.UTC().Truncate(time.Second), Client: user.ClientID, APIURL: user.APIURL,
		Email: calcom.Hide(user.PlainEmail()),
	}
	if created, err := user.Created(); err == nil && created.Before(i.Time) {
		i.Time = created.UTC().Truncate(time.Second)
	}
	SetAnnotation(mu, v1alpha1.CreateIntentAnnotation, i.Encode())
}
