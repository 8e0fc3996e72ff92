// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package outcome

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// ArrivalGrace is how long an object is Reconciling while the Secret or the OAuth client that it names is missing: a
// GitOps tool applies them in any order. After that it is Stalled. Argo CD and Flux wait for an object that is
// Reconciling, and Argo CD applies no later commit while it waits, so a wrong name could not be corrected in Git.
const ArrivalGrace = 2 * time.Minute

// Escalate returns the problem of credentials that are missing as one that a person has to solve, once the condition
// has said so for arrivalGrace, and otherwise with the time until then. Other problems stay as they are.
func (p *Problem) Escalate(conditions []metav1.Condition, now time.Time) *Problem {
	if p == nil || p.Severity != Waiting || p.Condition != v1alpha1.ConditionCredentialsReady {
		return p
	}
	missingFor := time.Duration(0)
	held := meta.FindStatusCondition(conditions, v1alpha1.ConditionCredentialsReady)
	if held != nil && held.Status == metav1.ConditionFalse {
		missingFor = now.Sub(held.LastTransitionTime.Time)
	}
	escalated := *p
	if missingFor >= ArrivalGrace {
		escalated.Severity = Stalled
	} else {
		escalated.Within = ArrivalGrace - missingFor
	}
	return &escalated
}

// HasArrived reports whether the conditions blame a Secret or an OAuth client that was missing, while the problem, with
// which the reconcile ended, shows that it was found.
func HasArrived(conditions []metav1.Condition, p *Problem) bool {
	if p.Condition == v1alpha1.ConditionCredentialsReady {
		return false
	}
	held := meta.FindStatusCondition(conditions, v1alpha1.ConditionCredentialsReady)
	return held != nil && held.Status == metav1.ConditionFalse && slices.Contains([]string{
		v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonKeyNotFound, v1alpha1.ReasonClientNotFound,
	}, held.Reason)
}
