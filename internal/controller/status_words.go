// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// settleWords keeps what the conditions of an object say already of its problems. A person who asks for a reconcile
// gets the words of the last answer.
func settleWords(v *visit, p *outcome.Problem) *outcome.Problem {
	conditions, generation := v.mu.Status.Conditions, v.mu.Generation
	if t := v.tokens.problem; t != nil {
		v.tokens.problem = t.Stable(conditions, generation, v1alpha1.ConditionTokensReady, v1alpha1.ConditionReady)
	}
	if p == nil || p.Severity == outcome.Stalled && v.requested() {
		return p
	}
	return p.Stable(conditions, generation, p.Condition, v1alpha1.ConditionReady)
}
