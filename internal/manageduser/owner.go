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

// OwnerOf returns the mark that an object in the cluster with an owner id gives its user, or will give the user that its spec
// names once it has adopted that.
func OwnerOf(ownerID string, mu *v1alpha1.ManagedUser) Mark {
	m := MarkOf(ownerID, mu)
	m.Adopted = m.Adopted || OriginOf(mu) == "" && mu.Spec.UserID != 0
	return m
}

// Marking returns the update that makes a user the owner's and changes nothing else. It is an error when the user's
// metadata holds nested values: the update would erase them.
func (m Mark) Marking(user calcom.User) (calcom.UserFields, error) {
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
	id = LostID(mu)
	return id, id != 0
}
