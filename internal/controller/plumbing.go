// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// plumbing decides about an error of the Kubernetes API. A conflict means that the copy was out of date, nothing more.
func (r *ManagedUserReconciler) plumbing(v *visit, err, second error) (ctrl.Result, error) {
	err = errors.Join(err, client.IgnoreNotFound(second))
	if errors.Is(err, errAgain) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: r.again(v)}, nil
	}
	return ctrl.Result{}, withoutValues(err)
}

// again returns the wait before the next reconcile of an object that was written by another client at the same moment.
func (r *ManagedUserReconciler) again(v *visit) time.Duration {
	v.retried = true
	return r.retries.next(client.ObjectKeyFromObject(v.mu))
}

// withoutValues returns an error that tells of a write that Kubernetes refused because of what was in it. Its own words
// quote the object, addresses and all, and the error goes to the log.
func withoutValues(err error) error {
	var refusal apierrors.APIStatus
	if !errors.As(err, &refusal) {
		return err
	}
	status := refusal.Status()
	if status.Reason != metav1.StatusReasonInvalid && status.Reason != metav1.StatusReasonBadRequest {
		return err
	}
	var fields []string
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			field, _, _ := strings.Cut(cause.Field, "[") // In brackets come keys, which are the object's too.
			fields = append(fields, field)
		}
	}
	fields = append(fields, unknownFields(status.Message)...)
	return fmt.Errorf("the API server refused a write as %s: %s", status.Reason, outcome.Clip(strings.Join(fields, ", "), outcome.MaxMessage))
}

// unknownField is how the API server names a field that its CRD does not have. What it quotes of the object before has
// its quotes escaped, so that no text of the object can pass for it.
var unknownField = regexp.MustCompile(`unknown field "([A-Za-z0-9_.\[\]-]+)"`)

// unknownFields returns the fields that a write was refused for because the served CRD is older than the operator.
func unknownFields(message string) []string {
	_, reasons, _ := strings.Cut(message, "strict decoding error: ")
	var fields []string
	for _, match := range unknownField.FindAllStringSubmatch(reasons, -1) {
		fields = append(fields, "unknown field "+match[1])
	}
	return fields
}

// plumbingIn keeps an error of the Kubernetes API that came along with a problem.
func plumbingIn(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return err
	}
	return nil
}
