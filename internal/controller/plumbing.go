// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"fmt"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// plumbing decides about an error of the Kubernetes API. A conflict means that the copy was out of date, nothing more.
func (r *ManagedUserReconciler) plumbing(err, second error) (ctrl.Result, error) {
	err = errors.Join(err, client.IgnoreNotFound(second))
	if errors.Is(err, errAgain) || apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	}
	return ctrl.Result{}, withoutValues(err)
}

// withoutValues returns an error that tells of a write that Kubernetes refused because of what was in it. Its own words quote
// the object, addresses and all, and the error goes to the log.
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
	return fmt.Errorf("the API server refused a write as %s: %s", status.Reason, clip(strings.Join(fields, ", "), maxMessage))
}

// plumbingIn keeps an error of the Kubernetes API that came along with a problem.
func plumbingIn(err error) error {
	var status apierrors.APIStatus
	if errors.As(err, &status) {
		return err
	}
	return nil
}
