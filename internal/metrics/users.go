// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

var (
	managedUsers = gauge("managed_users",
		"ManagedUser objects by condition and status, for Ready by reason too. Every object counts once for Ready: as Unknown, without a reason, as long as nothing was written to its status.",
		"condition", "status", "reason")
	deletionsHeld = gauge("deletions_held", "Objects whose deletion is held up by --mass-delete-limit.")
)

// conditionTypes and reasons are what may stand in a label. A status is open to whoever has the right to write it, so anything else
// is other.
var (
	conditionTypes = []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionSynced, v1alpha1.ConditionCredentialsReady,
		v1alpha1.ConditionTokensReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled,
	}
	statuses = []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown}
	reasons  = []string{
		v1alpha1.ReasonAvailable, v1alpha1.ReasonObserved, v1alpha1.ReasonNotFound, v1alpha1.ReasonSuspended, v1alpha1.ReasonProgressing,
		v1alpha1.ReasonDeleting, v1alpha1.ReasonDeletionBlocked, v1alpha1.ReasonMassDeletion, v1alpha1.ReasonRateLimited,
		v1alpha1.ReasonRemoteUnavailable, v1alpha1.ReasonInvalidSpec, v1alpha1.ReasonAlreadyExists, v1alpha1.ReasonOwnedElsewhere,
		v1alpha1.ReasonRemoteInconsistent, v1alpha1.ReasonUsernameConflict, v1alpha1.ReasonMetadataBlocked,
		v1alpha1.ReasonUnexpectedResponse, v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonKeyNotFound, v1alpha1.ReasonUnauthorized,
		v1alpha1.ReasonForbidden, v1alpha1.ReasonAPIURLNotAllowed, v1alpha1.ReasonClientNotFound, v1alpha1.ReasonNamespaceNotAllowed,
		v1alpha1.ReasonFresh, v1alpha1.ReasonRefreshFailed, v1alpha1.ReasonSecretConflict,
	}
)

const other = "Other"

// state is what objects are counted by.
type state struct{ condition, status, reason string }

// NewUsers returns a collector that counts the objects at each scrape. list returns them, and they are only read; or false when they
// are not known, or are another replica's to count, and then there are no figures.
func NewUsers(list func() ([]v1alpha1.ManagedUser, bool)) prometheus.Collector {
	return &snapshot{[]figure{managedUsers, deletionsHeld}, func(to chan<- prometheus.Metric) {
		if users, ok := list(); ok {
			collectUsers(to, users)
		}
	}}
}

func collectUsers(to chan<- prometheus.Metric, users []v1alpha1.ManagedUser) {
	counts := map[state]int{ // What most people ask for is there from the beginning.
		{v1alpha1.ConditionReady, string(metav1.ConditionTrue), v1alpha1.ReasonAvailable}: 0,
	}
	held := 0
	for i := range users {
		ready := false
		for j := range users[i].Status.Conditions {
			c := &users[i].Status.Conditions[j]
			s := stateOf(c)
			counts[s]++
			ready = ready || s.condition == v1alpha1.ConditionReady
			if s.condition == v1alpha1.ConditionReady && s.reason == v1alpha1.ReasonMassDeletion && !users[i].DeletionTimestamp.IsZero() {
				held++
			}
		}
		if !ready {
			counts[state{v1alpha1.ConditionReady, string(metav1.ConditionUnknown), ""}]++
		}
	}
	for s, n := range counts {
		managedUsers.is(to, float64(n), s.condition, s.status, s.reason)
	}
	deletionsHeld.is(to, float64(held))
}

func stateOf(c *metav1.Condition) state {
	s := state{condition: c.Type, status: string(c.Status)}
	if !slices.Contains(conditionTypes, s.condition) {
		s.condition = other
	}
	if !slices.Contains(statuses, c.Status) { // The CRD sees to that; a label must not depend on it.
		s.status = string(metav1.ConditionUnknown)
	}
	if s.condition == v1alpha1.ConditionReady {
		s.reason = c.Reason
		if !slices.Contains(reasons, s.reason) {
			s.reason = other
		}
	}
	return s
}
