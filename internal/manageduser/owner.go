// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"encoding/json"
	"fmt"
	"maps"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// What a program needs that hands users over from one owner to another, or cleans up after an operator, by the
// operator's own rules.

// Owner is whose a user in Cal.com is, as the user's mark tells it.
type Owner struct {
	// OwnerID is the cluster's: see Config.OwnerID.
	OwnerID string
	// Namespace, Name and UID are the object's.
	Namespace, Name, UID string
	// Adopted is set when the object did not create the user.
	Adopted bool
}

// OwnerOf returns the owner that an object in the cluster with an owner id is, or will be when it has adopted the user
// that its spec names.
func OwnerOf(ownerID string, mu *v1alpha1.ManagedUser) Owner {
	m := MarkOf(ownerID, mu)
	return Owner{
		OwnerID: m.OwnerID, Namespace: m.Namespace, Name: m.Name, UID: m.UID,
		Adopted: m.adopted || OriginOf(mu) == "" && mu.Spec.UserID != 0,
	}
}

// MarkedOwner returns the owner whose mark a user carries, and false for a user without one. A mark that nobody can
// read is nobody's: the zero Owner, and true.
func MarkedOwner(user calcom.User) (Owner, bool) {
	raw, marked := user.Metadata.Reveal()[v1alpha1.OwnerMetadataKey]
	if !marked {
		return Owner{}, false
	}
	m, _ := ParseMark(raw)
	return Owner{OwnerID: m.OwnerID, Namespace: m.Namespace, Name: m.Name, UID: m.UID, Adopted: m.adopted}, true
}

// SameObject reports whether both owners are the same object by name. The uid may differ, as after a restore from a
// backup.
func (o Owner) SameObject(other Owner) bool {
	return o.OwnerID == other.OwnerID && o.Namespace == other.Namespace && o.Name == other.Name
}

// Marking returns the update that makes a user the owner's and changes nothing else. It is an error when the user's
// metadata holds nested values: the update would erase them.
func (o Owner) Marking(user calcom.User) (calcom.UserFields, error) {
	m := Mark{OwnerID: o.OwnerID, Namespace: o.Namespace, Name: o.Name, UID: o.UID, adopted: o.Adopted}
	want := ownMetadata(nil, m)
	kept, lost := sendable(user.Metadata.Reveal(), want)
	if len(lost) > 0 {
		return calcom.UserFields{}, fmt.Errorf("the mark cannot be written without erasing nested values of the metadata: %s", outcome.KeyNames(lost))
	}
	maps.Copy(kept, want)
	return calcom.UserFields{Metadata: calcom.Hide(kept)}, nil
}

// NestedMetadata returns the keys of an object's user, as its status shows it, whose nested values keep the mark from
// being written.
func NestedMetadata(mu *v1alpha1.ManagedUser) string {
	if mu.Status.User == nil || mu.Status.User.Metadata == nil {
		return ""
	}
	var metadata calcom.Metadata
	if json.Unmarshal(mu.Status.User.Metadata.Raw, &metadata) != nil {
		return ""
	}
	_, lost := sendable(metadata, map[string]json.RawMessage{v1alpha1.OwnerMetadataKey: nil})
	return outcome.KeyNames(lost)
}

// UserIDOf returns the id of the user that an object owns, or 0 for one that owns none. It is false while nobody can
// tell: a create call of unknown outcome may have made one.
func UserIDOf(mu *v1alpha1.ManagedUser) (id int64, certain bool) {
	if !IsBound(mu) {
		return 0, true
	}
	if id, ok := Identity(mu); ok {
		return id, true
	}
	id = adoptedID(mu)
	return id, id != 0
}
