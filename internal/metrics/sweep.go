// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Sweep is how the sweep of one OAuth client stands: the last one that was completed.
type Sweep struct {
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
	// HeldUp is set while the sweep cannot go on.
	HeldUp bool
}

// The metrics of the sweep. They are of the last completed sweep of each OAuth client, and summed where that means something.
var (
	sweepLastSuccess = gauge("sweep_last_success_timestamp_seconds",
		"When a sweep was last completed, in seconds since 1970, of the OAuth client where this is longest ago. Those without one yet are counted in sweep_pending_clients.")
	sweepHeldUp   = gauge("sweep_held_up_clients", "OAuth clients whose sweep is held up at the moment, because Cal.com is not available or refuses the credentials.")
	sweepPending  = gauge("sweep_pending_clients", "OAuth clients of which no sweep was completed since the start.")
	sweepDuration = gauge("sweep_duration_seconds", "Time that the last completed sweep took, of the OAuth client where it took longest.")
	sweepCalls    = gauge("sweep_calls", "Calls that the last completed sweeps took, summed over OAuth clients.")
	sweepMembers  = gauge("sweep_members", "Users that the last completed sweeps compared, summed over OAuth clients.")
	sweepDrifted  = gauge("sweep_drifted_users", "Users that the last completed sweeps found to differ from their spec, summed over OAuth clients.")
	sweepMissing  = gauge("sweep_missing_users", "Users that the last completed sweeps did not find in Cal.com, summed over OAuth clients.")
	sweepLeaked   = gauge("sweep_leaked_users", "Users in Cal.com that carry a mark of this cluster and belong to no object, as far as sweeps saw, summed over OAuth clients.")
)

// NewSweeps returns a collector of the sweeps, which it asks for at each scrape.
func NewSweeps(sweeps func() []Sweep) prometheus.Collector {
	return &snapshot{
		[]figure{sweepLastSuccess, sweepHeldUp, sweepPending, sweepDuration, sweepCalls, sweepMembers, sweepDrifted, sweepMissing, sweepLeaked},
		func(to chan<- prometheus.Metric) { collectSweeps(to, sweeps()) },
	}
}

func collectSweeps(to chan<- prometheus.Metric, sweeps []Sweep) {
	var sum Sweep
	pending, heldUp := 0, 0
	for _, s := range sweeps {
		if s.HeldUp {
			heldUp++
		}
		if s.LastSuccess.IsZero() {
			pending++
			continue
		}
		if sum.LastSuccess.IsZero() || s.LastSuccess.Before(sum.LastSuccess) {
			sum.LastSuccess = s.LastSuccess
		}
		sum.Duration = max(sum.Duration, s.Duration)
		sum.Calls += s.Calls
		sum.Members += s.Members
		sum.Drifted += s.Drifted
		sum.Missing += s.Missing
		sum.Leaked += s.Leaked
	}
	sweepHeldUp.is(to, float64(heldUp))
	sweepPending.is(to, float64(pending))
	if sum.LastSuccess.IsZero() {
		return // A zero would pass for a moment, and for no drift.
	}
	sweepLastSuccess.is(to, float64(sum.LastSuccess.UnixMilli())/1000)
	sweepDuration.is(to, sum.Duration.Seconds())
	sweepCalls.is(to, float64(sum.Calls))
	sweepMembers.is(to, float64(sum.Members))
	sweepDrifted.is(to, float64(sum.Drifted))
	sweepMissing.is(to, float64(sum.Missing))
	sweepLeaked.is(to, float64(sum.Leaked))
}
