// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// Sweep is how the sweep of one OAuth client stands: the last one that was completed.
type Sweep struct {
	// Since is the time from which on a complete sweep is awaited: the end of the last one, or when there came to be
	// somebody to look after. It is zero while there is nobody, and then only Leaked counts.
	Since time.Time
	// LastSuccess is when a sweep was last completed; zero when none was since the start.
	LastSuccess time.Time
	// Duration of the last completed sweep.
	Duration time.Duration
	// Calls to Cal.com that it took.
	Calls int
	// Members are the users that it compared; of them Drifted differ from their spec and Missing are not in Cal.com.
	Members, Drifted, Missing int
	// Leaked are users in Cal.com with a mark of this cluster whose object is gone.
	Leaked int
	// HeldUp is the reason why the sweep cannot go on, a reason of the conditions; empty while it can.
	HeldUp string
}

// heldUpReasons are what may stand in the label; anything else is other.
var heldUpReasons = []string{
	v1alpha1.ReasonUnauthorized, v1alpha1.ReasonForbidden, v1alpha1.ReasonRateLimited,
	v1alpha1.ReasonRemoteUnavailable, v1alpha1.ReasonUnexpectedResponse, v1alpha1.ReasonSecretNotFound, v1alpha1.ReasonKeyNotFound, other,
}

// The metrics of the sweep. They are of the last completed sweep of each OAuth client that is swept, and summed where
// that means something.
var (
	resyncInterval = gauge("resync_interval_seconds", "The interval --resync-interval, in which the sweep is to look at every user once.")
	sweepSince     = gauge("sweep_awaited_since_timestamp_seconds",
		"Since when a complete sweep has been awaited, in seconds since 1970, of the OAuth client where this is longest ago: since the last one, or since there was somebody to look after. It is not there while no OAuth client is swept.")
	sweepLastSuccess = gauge("sweep_last_success_timestamp_seconds",
		"When a sweep was last completed, in seconds since 1970, of the OAuth client where this is longest ago. Those without one yet are counted in sweep_pending_clients.")
	sweepHeldUp   = gauge("sweep_held_up_clients", "OAuth clients whose sweep is held up at the moment, by reason: that of the last call that failed, or why there is no secret key to call with.", "reason")
	sweepPending  = gauge("sweep_pending_clients", "OAuth clients of which no sweep was completed since the start.")
	sweepDuration = gauge("sweep_duration_seconds", "Time that the last completed sweep took, of the OAuth client where it took longest.")
	sweepCalls    = gauge("sweep_calls", "Calls that the last completed sweeps took, summed over OAuth clients.")
	sweepMembers  = gauge("sweep_members", "Users that the last completed sweeps compared, summed over OAuth clients.")
	sweepDrifted  = gauge("sweep_drifted_users", "Users that the last completed sweeps found to differ from their spec, summed over OAuth clients.")
	sweepMissing  = gauge("sweep_missing_users", "Users that the last completed sweeps did not find in Cal.com, summed over OAuth clients.")
	sweepLeaked   = gauge("sweep_leaked_users", "Users in Cal.com that carry a mark of this cluster and belong to no object, as far as sweeps saw, summed over OAuth clients.")
)

// NewSweeps returns a collector of the sweeps, which it asks for at each scrape. interval is the time in which each is
// to be completed.
func NewSweeps(interval time.Duration, sweeps func() []Sweep) prometheus.Collector {
	return &snapshot{
		[]figure{
			resyncInterval, sweepSince, sweepLastSuccess, sweepHeldUp, sweepPending, sweepDuration, sweepCalls, sweepMembers, sweepDrifted, sweepMissing, sweepLeaked,
		},
		func(to chan<- prometheus.Metric) {
			resyncInterval.is(to, interval.Seconds())
			all := sweeps()
			collectLeaks(to, all)
			// An OAuth client without users is not swept, and what was found in its last sweep grows old for no reason.
			all = slices.DeleteFunc(all, func(s Sweep) bool { return s.Since.IsZero() })
			collectProgress(to, all)
			collectFindings(to, all)
		},
	}
}

// collectLeaks counts those of clients that are not swept any more too: nobody has seen yet that they are gone.
func collectLeaks(to chan<- prometheus.Metric, sweeps []Sweep) {
	leaked, completed := 0, false
	for _, s := range sweeps {
		leaked += s.Leaked
		completed = completed || !s.LastSuccess.IsZero()
	}
	if completed {
		sweepLeaked.is(to, float64(leaked))
	}
}

func collectProgress(to chan<- prometheus.Metric, sweeps []Sweep) {
	var since time.Time
	heldUp, pending := make(map[string]int), 0
	for _, s := range sweeps {
		since = earlier(since, s.Since)
		if s.LastSuccess.IsZero() {
			pending++
		}
		switch {
		case s.HeldUp == "":
		case slices.Contains(heldUpReasons, s.HeldUp):
			heldUp[s.HeldUp]++
		default:
			heldUp[other]++
		}
	}
	if !since.IsZero() {
		sweepSince.is(to, seconds(since))
	}
	for _, reason := range heldUpReasons {
		sweepHeldUp.is(to, float64(heldUp[reason]), reason)
	}
	sweepPending.is(to, float64(pending))
}

func collectFindings(to chan<- prometheus.Metric, sweeps []Sweep) {
	var sum Sweep
	for _, s := range sweeps {
		if s.LastSuccess.IsZero() {
			continue
		}
		sum.LastSuccess = earlier(sum.LastSuccess, s.LastSuccess)
		sum.Duration = max(sum.Duration, s.Duration)
		sum.Calls += s.Calls
		sum.Members += s.Members
		sum.Drifted += s.Drifted
		sum.Missing += s.Missing
	}
	if sum.LastSuccess.IsZero() {
		return // A zero would pass for a moment, and for no drift.
	}
	sweepLastSuccess.is(to, seconds(sum.LastSuccess))
	sweepDuration.is(to, sum.Duration.Seconds())
	sweepCalls.is(to, float64(sum.Calls))
	sweepMembers.is(to, float64(sum.Members))
	sweepDrifted.is(to, float64(sum.Drifted))
	sweepMissing.is(to, float64(sum.Missing))
}

// earlier returns the earlier of two times; a zero is none.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// seconds returns a time as Prometheus wants it.
func seconds(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
