// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// What a program needs that hands users over from one owner to another, or cleans up after an operator, by the operator's own rules.

// Owner is whose a user in Cal.com is, as the user's mark tells it.
type Owner struct {
	// OwnerID is the cluster's: see Config.OwnerID.
	OwnerID string
	// Namespace, Name and UID are the object's.
	Namespace, Name, UID string
	// Adopted is set when the object did not create the user.
	Adopted bool
}

// OwnerOf returns the owner that an object in the cluster with an owner id is, or will be when it has adopted the user that its
// spec names.
func OwnerOf(ownerID string, mu *v1alpha1.ManagedUser) Owner {
	m := markOf(ownerID, mu)
	return Owner{
		OwnerID: m.ownerID, Namespace: m.namespace, Name: m.name, UID: m.uid,
		Adopted: m.adopted || originOf(mu) == "" && mu.Spec.UserID != 0,
	}
}

// MarkedOwner returns the owner whose mark a user carries, and false for a user without one. A mark that nobody can read is
// nobody's: the zero Owner, and true.
func MarkedOwner(user calcom.User) (Owner, bool) {
	raw, marked := user.Metadata.Reveal()[v1alpha1.OwnerMetadataKey]
	if !marked {
		return Owner{}, false
	}
	m, _ := parseMark(raw)
	return Owner{OwnerID: m.ownerID, Namespace: m.namespace, Name: m.name, UID: m.uid, Adopted: m.adopted}, true
}

// SameObject reports whether both owners are the same object by name. The uid may differ, as after a restore from a backup.
func (o Owner) SameObject(other Owner) bool {
	return o.OwnerID == other.OwnerID && o.Namespace == other.Namespace && o.Name == other.Name
}

// Marking returns the update that makes a user the owner's and changes nothing else. It is an error when the user's metadata
// holds nested values: the update would erase them.
func (o Owner) Marking(user calcom.User) (calcom.UserFields, error) {
	m := mark{ownerID: o.OwnerID, namespace: o.Namespace, name: o.Name, uid: o.UID, adopted: o.Adopted}
	want := ownMetadata(nil, m)
	kept, lost := sendable(user.Metadata.Reveal(), want)
	if len(lost) > 0 {
		return calcom.UserFields{}, fmt.Errorf("the mark cannot be written without erasing nested values of the metadata: %s", keyNames(lost))
	}
	maps.Copy(kept, want)
	return calcom.UserFields{Metadata: calcom.Hide(kept)}, nil
}

// NestedMetadata returns the keys of an object's user, as its status shows it, whose nested values keep the mark from being written.
func NestedMetadata(mu *v1alpha1.ManagedUser) string {
	if mu.Status.User == nil || mu.Status.User.Metadata == nil {
		return ""
	}
	var metadata calcom.Metadata
	if json.Unmarshal(mu.Status.User.Metadata.Raw, &metadata) != nil {
		return ""
	}
	_, lost := sendable(metadata, map[string]json.RawMessage{v1alpha1.OwnerMetadataKey: nil})
	return keyNames(lost)
}

// DeletionPolicyInForce returns what becomes of the user when its object is deleted.
func DeletionPolicyInForce(mu *v1alpha1.ManagedUser) v1alpha1.DeletionPolicy {
	return deletionPolicy(mu)
}

// UserIDOf returns the id of the user that an object owns, or 0 for one that owns none. It is false while nobody can tell: a create
// call of unknown outcome may have made one.
func UserIDOf(mu *v1alpha1.ManagedUser) (id int64, certain bool) {
	if !isBound(mu) {
		return 0, true
	}
	if id, ok := identity(mu); ok {
		return id, true
	}
	id = adoptedID(mu)
	return id, id != 0
}

// IsBound reports whether an object has, or may have, a user in Cal.com: such an object needs its OAuth client and its Secret.
func IsBound(mu *v1alpha1.ManagedUser) bool { return isBound(mu) }

// BeginRelease writes the sign that the in-use finalizer of an object may soon be gone. An object that comes to need it meanwhile takes
// the sign off again, so that EndRelease ends with a conflict. Who needs the object has to be looked up between the two.
func BeginRelease(ctx context.Context, c client.Client, object *metav1.PartialObjectMetadata) error {
	return patchInUse(ctx, c, object, releasing)
}

// EndRelease takes the in-use finalizer and the sign off.
func EndRelease(ctx context.Context, c client.Client, object *metav1.PartialObjectMetadata) error {
	return patchInUse(ctx, c, object, unused)
}

// CancelRelease takes off the sign alone, of an object that is needed after all.
func CancelRelease(ctx context.Context, c client.Client, object *metav1.PartialObjectMetadata) error {
	return patchInUse(ctx, c, object, func(object *metav1.PartialObjectMetadata) { delete(object.Annotations, v1alpha1.ReleasingAnnotation) })
}
