// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// PolicyOf returns the reconcilePolicy of an object, Manage when it is absent.
func PolicyOf(mu *v1alpha1.ManagedUser) v1alpha1.ReconcilePolicy {
	if mu.Spec.ReconcilePolicy == "" {
		return v1alpha1.ReconcilePolicyManage
	}
	return mu.Spec.ReconcilePolicy
}

// DeletionPolicyInForce returns the policy in force: without one in the spec, Delete for a user that this object
// created and Orphan for one that it adopted.
func DeletionPolicyInForce(mu *v1alpha1.ManagedUser) v1alpha1.DeletionPolicy {
	if mu.Spec.DeletionPolicy != "" {
		return mu.Spec.DeletionPolicy
	}
	if OriginOf(mu) == v1alpha1.OriginAdopted {
		return v1alpha1.DeletionPolicyOrphan
	}
	return v1alpha1.DeletionPolicyDelete
}

// RequestedLook reports whether a reconcile was asked for by the annotation that has not happened yet. handled is the
// value of the last one that has.
func RequestedLook(object client.Object, handled string) bool {
	request := RequestOf(object)
	return request != "" && request != handled
}

// KindOf returns the kind that a reference names.
func KindOf(ref v1alpha1.OAuthClientReference) string {
	if ref.Kind == "" {
		return v1alpha1.KindOAuthClient
	}
	return ref.Kind
}

// checkPlain finds an address that carries the id of the client that the object refers to; Cal.com would take it for
// its own form. The API server sees only an id that stands in the object.
func checkPlain(mu *v1alpha1.ManagedUser, clientID string) *outcome.Problem {
	if strings.Contains(mu.Spec.Email, strings.ToLower(clientID)) {
		return outcome.NotSynced(v1alpha1.ReasonInvalidSpec, "The email must be the plain address, without the OAuth client's id: Cal.com adds +<client id> itself")
	}
	return nil
}

// RequestOf returns the value of the annotation that asks for a reconcile, as the status echoes it: a long one by
// its hash.
func RequestOf(object client.Object) string {
	request := object.GetAnnotations()[v1alpha1.ReconcileRequestedAtAnnotation]
	if len(request) <= maxRequest {
		return request
	}
	sum := sha256.Sum256([]byte(request))
	return "sha256:" + hex.EncodeToString(sum[:])
}

// LostID returns the id of the user that an object is known to have had; 0 if it is not known to have had one.
func LostID(mu *v1alpha1.ManagedUser) int64 {
	if id, ok := Identity(mu); ok {
		return id
	}
	return adoptedID(mu)
}

// IsHeldForAbsence reports whether an object waited, when its status was written, because many users were gone.
func IsHeldForAbsence(mu *v1alpha1.ManagedUser) bool {
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	return ready != nil && ready.Reason == v1alpha1.ReasonMassAbsence
}

// PlainAddress is the address under which the user of an object can be listed.
func PlainAddress(mu *v1alpha1.ManagedUser) string {
	return calcom.PlainEmail(mu.Status.User.Email, mu.Status.OAuthClientID)
}
