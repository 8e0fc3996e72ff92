// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// arrivalGrace is how long an object is Reconciling while the Secret or the OAuth client that it names is missing: a
// GitOps tool applies them in any order. After that it is Stalled. Argo CD and Flux wait for an object that is
// Reconciling, and Argo CD applies no later commit while it waits, so a wrong name could not be corrected in Git.
const arrivalGrace = 2 * time.Minute

// escalate returns the problem of credentials that are missing as one that a person has to solve, once the condition has
// said so for arrivalGrace, and otherwise with the time until then. Other problems stay as they are.
func (p *problem) escalate(conditions []metav1.Condition, now time.Time) *problem {
	if p == nil || p.severity != waiting || p.condition != v1alpha1.ConditionCredentialsReady {
		return p
	}
	missingFor := time.Duration(0)
	held := meta.FindStatusCondition(conditions, v1alpha1.ConditionCredentialsReady)
	if held != nil && held.Status == metav1.ConditionFalse {
		missingFor = now.Sub(held.LastTransitionTime.Time)
	}
	escalated := *p
	if missingFor >= arrivalGrace {
		escalated.severity = stalled
	} else {
		escalated.within = arrivalGrace - missingFor
	}
	return &escalated
}

// hasArrived reports whether the conditions blame a Secret or an OAuth client that was missing, while the problem, with
// which the reconcile ended, shows that it was found.
func hasArrived(conditions []metav1.Condition, p *problem) bool {
	if p.condition == v1alpha1.ConditionCredentialsReady {
		return false
	}
	held := meta.FindStatusCondition(conditions, v1alpha1.ConditionCredentialsReady)
	return held != nil && held.Status == metav1.ConditionFalse && slices.Contains([]string{
		v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonKeyNotFound, v1alpha1.ReasonClientNotFound,
	}, held.Reason)
}
