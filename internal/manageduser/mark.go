// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// Mark is the owner of a user, as it stands in the user's metadata: <owner id>/<namespace>/<name>/<uid>, with :adopted
// behind the uid when the owner did not create the user.
type Mark struct {
	// OwnerID is that of the cluster or the operator.
	OwnerID string
	// Namespace, Name and UID are those of the object.
	Namespace, Name, UID string
	// Adopted is set when the object did not create the user.
	Adopted bool
}

const adoptedSuffix = ":adopted"

// MarkOf returns the mark of an object in the cluster with an owner id.
func MarkOf(ownerID string, mu *v1alpha1.ManagedUser) Mark {
	return Mark{
		OwnerID: ownerID, Namespace: mu.Namespace, Name: mu.Name, UID: string(mu.UID),
		Adopted: OriginOf(mu) == v1alpha1.OriginAdopted,
	}
}

func (m Mark) String() string {
	uid := m.UID
	if m.Adopted {
		uid += adoptedSuffix
	}
	return strings.Join([]string{m.OwnerID, m.Namespace, m.Name, uid}, "/")
}

// SameObject reports whether both marks mean the same object by name. The uid may differ: an object that was
// applied anew, or came back from a backup, takes over the user of its predecessor.
func (m Mark) SameObject(other Mark) bool {
	return m.OwnerID == other.OwnerID && m.Namespace == other.Namespace && m.Name == other.Name
}

// Ownership says whose a user is, seen from one object.
type Ownership int

const (
	// Unowned is a user without a mark.
	Unowned Ownership = iota
	// Ours is a user with the mark of this object.
	Ours
	// Foreign is a user with a mark that is not this object's, or that cannot be read.
	Foreign
)

// MarkedOwner returns the mark that a user carries, and false for a user without one. For a mark that cannot be read, which
// is that of no object, it returns the zero Mark and true.
func MarkedOwner(user calcom.User) (Mark, bool) {
	raw, marked := user.Metadata.Reveal()[v1alpha1.OwnerMetadataKey]
	m, _ := parseMark(raw)
	return m, marked
}

// OwnershipOf reads the mark off a user.
func (m Mark) OwnershipOf(user calcom.User) Ownership {
	switch found, marked := MarkedOwner(user); {
	case !marked:
		return Unowned
	case m.SameObject(found):
		return Ours
	}
	return Foreign
}

// For returns the mark for a user of some origin.
func (m Mark) For(origin v1alpha1.Origin) Mark {
	m.Adopted = origin == v1alpha1.OriginAdopted
	return m
}

// isCreation reports whether a create call of this very object made a user. A user without a mark was found by what its
// creation left.
func (m Mark) isCreation(user *calcom.User) bool {
	found, marked := MarkedOwner(*user)
	return !marked || m.SameObject(found) && found.UID == m.UID && !found.Adopted
}

// parseMark reads a mark as it stands in a user's metadata.
func parseMark(raw json.RawMessage) (Mark, bool) {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return Mark{}, false
	}
	parts := strings.Split(s, "/")
	// The name goes into messages, and whoever can write to Cal.com can write marks.
	if len(parts) != 4 || len(validation.IsDNS1123Subdomain(parts[2])) > 0 {
		return Mark{}, false
	}
	uid, adopted := strings.CutSuffix(parts[3], adoptedSuffix)
	return Mark{OwnerID: parts[0], Namespace: parts[1], Name: parts[2], UID: uid, Adopted: adopted}, true
}
