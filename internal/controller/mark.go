// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"encoding/json"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// mark is the owner of a user, as it stands in the user's metadata: <owner id>/<namespace>/<name>/<uid>, with :adopted behind
// the uid when the owner did not create the user.
type mark struct {
	ownerID, namespace, name, uid string
	adopted                       bool
}

const adoptedSuffix = ":adopted"

func (r *ManagedUserReconciler) markOf(mu *v1alpha1.ManagedUser) mark {
	return markOf(r.config.OwnerID, mu)
}

func markOf(ownerID string, mu *v1alpha1.ManagedUser) mark {
	return mark{
		ownerID: ownerID, namespace: mu.Namespace, name: mu.Name, uid: string(mu.UID),
		adopted: originOf(mu) == v1alpha1.OriginAdopted,
	}
}

func (m mark) String() string {
	uid := m.uid
	if m.adopted {
		uid += adoptedSuffix
	}
	return strings.Join([]string{m.ownerID, m.namespace, m.name, uid}, "/")
}

// sameObject reports whether both marks mean the same object by name. The uid may differ: an object that was
// applied anew, or came back from a backup, takes over the user of its predecessor.
func (m mark) sameObject(other mark) bool {
	return m.ownerID == other.ownerID && m.namespace == other.namespace && m.name == other.name
}

// ownership says whose a user is, seen from one object.
type ownership int

const (
	unowned ownership = iota // No mark.
	ours                     // The mark of this object.
	foreign                  // A mark that is not this object's, or that nobody can read.
)

// ownershipOf reads the mark off a user.
func (m mark) ownershipOf(user calcom.User) ownership {
	raw, ok := user.Metadata.Reveal()[v1alpha1.OwnerMetadataKey]
	if !ok {
		return unowned
	}
	found, ok := parseMark(raw)
	if ok && m.sameObject(found) {
		return ours
	}
	return foreign
}

// hasAdoptedMark reports whether a user's mark says that its owner did not create it.
func hasAdoptedMark(user *calcom.User) bool {
	found, ok := parseMark(user.Metadata.Reveal()[v1alpha1.OwnerMetadataKey])
	return ok && found.adopted
}

// isCreation reports whether a create call of this very object made a user. A user without a mark was found by what its creation
// left.
func (m mark) isCreation(user *calcom.User) bool {
	raw, marked := user.Metadata.Reveal()[v1alpha1.OwnerMetadataKey]
	found, ok := parseMark(raw)
	return !marked || ok && m.sameObject(found) && found.uid == m.uid && !found.adopted
}

func parseMark(raw json.RawMessage) (mark, bool) {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return mark{}, false
	}
	parts := strings.Split(s, "/")
	// The name goes into messages, and whoever can write to Cal.com can write marks.
	if len(parts) != 4 || len(validation.IsDNS1123Subdomain(parts[2])) > 0 {
		return mark{}, false
	}
	uid, adopted := strings.CutSuffix(parts[3], adoptedSuffix)
	return mark{ownerID: parts[0], namespace: parts[1], name: parts[2], uid: uid, adopted: adopted}, true
}
