// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// Report is what was measured on one machine.
type Report struct {
	Version string    `json:"version"`
	Machine string    `json:"machine"`
	Time    time.Time `json:"time"`
	Runs    []*Run    `json:"runs"`
}

// Run is one profile.
type Run struct {
	Users           int      `json:"users"`
	Profile         Profile  `json:"profile"`
	LatencySeconds  float64  `json:"latencySeconds"`
	TimeScale       float64  `json:"timeScale"`
	IntervalSeconds float64  `json:"intervalSeconds"`
	ClientKind      string   `json:"clientKind"`
	Tokens          bool     `json:"tokens,omitempty"`
	OperatorFlags   []string `json:"operatorFlags,omitempty"`
	Phases          []Phase  `json:"phases"`
}

// Phase is what happened between two moments.
type Phase struct {
	Name string `json:"name"`
	// Seconds is the time until what the phase waits for was seen. What the operator had to do after that is counted
	// too.
	Seconds float64            `json:"seconds"`
	Calls   []calcomtest.Tally `json:"calls"`
	// Writes are those of the operator; LeaseWrites those by which it remains the leader.
	Writes      []Write `json:"writes"`
	LeaseWrites int     `json:"leaseWrites"`
	CPUSeconds  float64 `json:"cpuSeconds"`
	// PeakMiB is the most memory that was resident; since the start of the process where PeakSinceStart says so.
	PeakMiB float64 `json:"peakMiB"`
	// AnonymousMiB is what of the resident memory is the operator's data at the end, and not pages of its binary.
	AnonymousMiB   float64 `json:"anonymousMiB"`
	PeakSinceStart bool    `json:"peakSinceStart"`
	Checks         []Check `json:"checks"`
}

// Write is a number of write requests to the API server.
type Write struct {
	Operation string `json:"operation"`
	Count     int    `json:"count"`
}

// Kind says what a figure is, and so what follows when it misses its target.
type Kind string

// The kinds of figures.
const (
	// Count is a number of calls, writes or users: it misses, and so does the whole run.
	Count Kind = "count"
	// Gauge is a time, a share or an amount of memory: it depends on the machine.
	Gauge Kind = "gauge"
	// SweepCount is a Count that only the sweep can reach, and not a look at each user.
	SweepCount Kind = "sweepCount"
)

// Check is one figure and its target.
type Check struct {
	What  string  `json:"what"`
	Kind  Kind    `json:"kind"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit"`
	// Relation is =, ≤, < or ≥, with the Target to its right; empty where there is none.
	Relation string  `json:"relation,omitempty"`
	Target   float64 `json:"target"`
	// Routine is what is counted in every phase, and only of interest when it misses.
	Routine bool `json:"routine,omitempty"`
	// Scaled marks a time that the quota's shorter windows make up to TimeScale times too short.
	Scaled bool `json:"scaled,omitempty"`
}

// Met reports whether the figure reaches its target.
func (c *Check) Met() bool {
	switch c.Relation {
	case "=":
		return c.Value == c.Target
	case "≤":
		return c.Value <= c.Target
	case "<":
		return c.Value < c.Target
	case "≥":
		return c.Value >= c.Target
	}
	return true
}

// Missed returns the counts that miss their target, each with its phase.
func (r *Run) Missed() (missed []string) {
	for _, phase := range r.Phases {
		for _, c := range phase.Checks {
			if c.Kind != Gauge && !c.Met() {
				missed = append(missed, fmt.Sprintf("%s: %s: %s, target %s", phase.Name, c.What, c.value(), c.target()))
			}
		}
	}
	return missed
}

// JSON returns the report for other programs.
func (r *Report) JSON() ([]byte, error) {
	text, err := json.MarshalIndent(r, "", "  ")
	return append(text, '\n'), err
}

// quantile returns the value below which a share of all lies, by the nearest rank.
func quantile(values []time.Duration, share float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(values))
	rank := int(math.Ceil(share * float64(len(sorted))))
	return sorted[max(rank, 1)-1]
}
