// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// patchBounded writes the status. When the API server refuses it for its size, or for a value in it, it is written
// with a mirror that is reduced to what identifies the user, so that the identity and the conditions are stored in
// any case.
func (r *ManagedUserReconciler) patchBounded(ctx context.Context, v *visit, tests ...patchOperation) error {
	status := &v.mu.Status
	noteTruncated(status)
	if equality.Semantic.DeepEqual(v.before.Status, *status) {
		return nil
	}
	err := patchStatus(ctx, r.client, v.mu.DeepCopy(), &v.before.Status, status, tests...)
	if !refusesContent(err) || !manageduser.Reduce(status.User) {
		return err
	}
	noteTruncated(status)
	if equality.Semantic.DeepEqual(v.before.Status, *status) {
		return nil
	}
	if patchStatus(ctx, r.client, v.mu.DeepCopy(), &v.before.Status, status, tests...) != nil {
		return err // The first refusal says what is wrong.
	}
	return nil
}

// refusesContent reports whether the API server refused a write for its size or for what is in it. For an object
// that is too large for etcd it answers 500, with the words of etcd or of its client. A field that the CRD lacks is
// no matter of content.
func refusesContent(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || len(unknownFields(status.Status().Message)) > 0 {
		return false
	}
	switch status.Status().Code {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	case http.StatusInternalServerError:
		message := status.Status().Message
		return strings.Contains(message, "request is too large") || strings.Contains(message, "message larger than max")
	}
	return false
}

// truncatedNote separates what a condition says of the user from the fields that the status does not show in full.
const truncatedNote = "; too long for status.user, and shortened or left out there: "

// noteTruncated has the condition of a user that is Ready name the fields that the status does not show in full.
func noteTruncated(status *v1alpha1.ManagedUserStatus) {
	ready := meta.FindStatusCondition(status.Conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue {
		return
	}
	ready.Message, _, _ = strings.Cut(ready.Message, truncatedNote)
	if status.User != nil && len(status.User.Truncated) > 0 {
		note := truncatedNote + strings.Join(status.User.Truncated, ", ")
		ready.Message = outcome.Clip(ready.Message, outcome.MaxMessage-len(note)) + note
	}
}
