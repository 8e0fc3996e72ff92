// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

var (
	managedUsers = gauge("managed_users",
		"ManagedUser objects by condition and status, for Ready and Stalled by reason too. Every object counts once for Ready: as Unknown, without a reason, as long as nothing was written to its status.",
		"condition", "status", "reason")
	deletionsHeld  = gauge("deletions_held", "Objects whose deletion is held up by --mass-delete-limit.")
	deletionOldest = gauge("deletion_oldest_timestamp_seconds",
		"When the deletion was asked for that has been under way for longest, in seconds since 1970. Those that wait for a person or for --mass-delete-limit, and those of suspended users, are left out. It is not there while there is none.")
	createsOpen = gauge("create_outcomes_open",
		"Objects for which a create call was sent longer ago than --unknown-outcome-grace, and which do not know yet what became of it.")
)

// conditionTypes and reasons are what may stand in a label. A status is open to whoever has the right to write it, so
// anything else is other.
var (
	conditionTypes = []string{
		v1alpha1.ConditionReady, v1alpha1.ConditionSynced, v1alpha1.ConditionCredentialsReady,
		v1alpha1.ConditionTokensReady, v1alpha1.ConditionReconciling, v1alpha1.ConditionStalled,
	}
	statuses = []metav1.ConditionStatus{metav1.ConditionTrue, metav1.ConditionFalse, metav1.ConditionUnknown}
	reasons  = []string{
		v1alpha1.ReasonAvailable, v1alpha1.ReasonObserved, v1alpha1.ReasonNotFound, v1alpha1.ReasonSuspended, v1alpha1.ReasonProgressing,
		v1alpha1.ReasonDeleting, v1alpha1.ReasonDeletionBlocked, v1alpha1.ReasonMassDeletion, v1alpha1.ReasonMassAbsence, v1alpha1.ReasonRateLimited,
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

// NewUsers returns a collector that counts the objects at each scrape. list returns them, and they are only read; or
// false when they are not known, or are another replica's to count, and then there are no figures. isOpen reports
// whether the outcome of an object's create call should be known by now and is not.
func NewUsers(list func() ([]v1alpha1.ManagedUser, bool), isOpen func(*v1alpha1.ManagedUser) bool) prometheus.Collector {
	return &snapshot{[]figure{managedUsers, deletionsHeld, deletionOldest, createsOpen}, func(to chan<- prometheus.Metric) {
		if users, ok := list(); ok {
			collectConditions(to, users)
			collectWork(to, users, isOpen)
		}
	}}
}

func collectConditions(to chan<- prometheus.Metric, users []v1alpha1.ManagedUser) {
	counts := map[state]int{ // What most people ask for is there from the beginning.
		{v1alpha1.ConditionReady, string(metav1.ConditionTrue), v1alpha1.ReasonAvailable}: 0,
	}
	for i := range users {
		ready := false
		for j := range users[i].Status.Conditions {
			c := &users[i].Status.Conditions[j]
			s := stateOf(c)
			counts[s]++
			ready = ready || s.condition == v1alpha1.ConditionReady
		}
		if !ready {
			counts[state{v1alpha1.ConditionReady, string(metav1.ConditionUnknown), ""}]++
		}
	}
	for s, n := range counts {
		managedUsers.is(to, float64(n), s.condition, s.status, s.reason)
	}
}

// collectWork counts what is under way.
func collectWork(to chan<- prometheus.Metric, users []v1alpha1.ManagedUser, isOpen func(*v1alpha1.ManagedUser) bool) {
	held, open := 0, 0
	var oldest time.Time
	for i := range users {
		mu := &users[i]
		if isOpen(mu) {
			open++
		}
		if mu.DeletionTimestamp.IsZero() || !slices.Contains(mu.Finalizers, v1alpha1.ManagedUserFinalizer) {
			continue
		}
		switch reasonOf(mu) {
		case v1alpha1.ReasonMassDeletion:
			held++
		case v1alpha1.ReasonDeletionBlocked, v1alpha1.ReasonSuspended, v1alpha1.ReasonMassAbsence:
		default:
			oldest = earlier(oldest, mu.DeletionTimestamp.Time)
		}
	}
	deletionsHeld.is(to, float64(held))
	createsOpen.is(to, float64(open))
	if !oldest.IsZero() {
		deletionOldest.is(to, seconds(oldest))
	}
}

// reasonOf returns the reason of Ready.
func reasonOf(mu *v1alpha1.ManagedUser) string {
	for i := range mu.Status.Conditions {
		if mu.Status.Conditions[i].Type == v1alpha1.ConditionReady {
			return mu.Status.Conditions[i].Reason
		}
	}
	return ""
}

func stateOf(c *metav1.Condition) state {
	s := state{condition: c.Type, status: string(c.Status)}
	if !slices.Contains(conditionTypes, s.condition) {
		s.condition = other
	}
	if !slices.Contains(statuses, c.Status) { // The CRD sees to that; a label must not depend on it.
		s.status = string(metav1.ConditionUnknown)
	}
	if s.condition == v1alpha1.ConditionReady || s.condition == v1alpha1.ConditionStalled {
		s.reason = c.Reason
		if !slices.Contains(reasons, s.reason) {
			s.reason = other
		}
	}
	return s
}
