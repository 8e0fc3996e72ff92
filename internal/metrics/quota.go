// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// The metrics of the quota. No label names an OAuth client, so they are sums over all, but for the utilization, of
// which only the highest tells whether somebody has to wait.
var (
	quotaClients = gauge("quota_clients", "OAuth clients that were used since the start; each has a quota of its own.")
	quotaLimit   = gauge("quota_limit_calls", "Calls in 60 s that Cal.com allows, summed over OAuth clients; 0 for those that it does not limit.")
	quotaAllowed = gauge("quota_allowed_calls", "The operator's share of the limit, summed over OAuth clients.")
	quotaUsed    = gauge("quota_used_calls", "Calls of the last 60 s, with those that are about to be made, summed over limited OAuth clients.")
	quotaHighest = gauge("quota_highest_utilization_ratio",
		"Used calls by allowed calls of the OAuth client where this is highest; 0 when there is no limit.")
	quotaBlocked  = gauge("quota_blocked_clients", "OAuth clients that are sent nothing at the moment, because Cal.com refused a call or others use up the quota.")
	quotaWaiting  = gauge("quota_waiting_requests", "Reconciles that wait for their calls, by class, summed over OAuth clients.", "class")
	quotaAdmitted = counter("quota_admitted_calls_total", "Calls that the quota let through, by class.", "class")
	quotaReturned = counter("quota_returned_calls_total", "Calls that the quota let through and that turned out not to be needed, by class.", "class")
)

// NewQuotas returns a collector of the budgets' snapshots, which it asks for at each scrape. A budget must not be left
// out once it was shown, since its counts would go backwards.
func NewQuotas(snapshots func() []quota.Snapshot, now func() time.Time) prometheus.Collector {
	return &snapshot{
		[]figure{quotaClients, quotaLimit, quotaAllowed, quotaUsed, quotaHighest, quotaBlocked, quotaWaiting, quotaAdmitted, quotaReturned},
		func(to chan<- prometheus.Metric) { collectQuotas(to, snapshots(), now()) },
	}
}

func collectQuotas(to chan<- prometheus.Metric, snapshots []quota.Snapshot, now time.Time) {
	var sum quota.Snapshot
	blocked, highest := 0, 0.0
	for i := range snapshots {
		s := &snapshots[i]
		sum.Limit += s.Limit
		sum.Allowed += s.Allowed
		sum.Used += s.Used
		for class := range quota.Classes {
			sum.Waiting[class] += s.Waiting[class]
			sum.Admitted[class] += s.Admitted[class]
			sum.Returned[class] += s.Returned[class]
		}
		if s.BlockedUntil.After(now) {
			blocked++
		}
		if s.Allowed > 0 {
			highest = max(highest, float64(s.Used)/float64(s.Allowed))
		}
	}
	quotaClients.is(to, float64(len(snapshots)))
	quotaLimit.is(to, float64(sum.Limit))
	quotaAllowed.is(to, float64(sum.Allowed))
	quotaUsed.is(to, float64(sum.Used))
	quotaHighest.is(to, highest)
	quotaBlocked.is(to, float64(blocked))
	for class := range quota.Class(quota.Classes) {
		quotaWaiting.is(to, float64(sum.Waiting[class]), class.String())
		quotaAdmitted.is(to, float64(sum.Admitted[class]), class.String())
		quotaReturned.is(to, float64(sum.Returned[class]), class.String())
	}
}
