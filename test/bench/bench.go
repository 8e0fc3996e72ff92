// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package bench measures the built operator on a real API server with many users: what it calls, what it writes, how
// long things take and what they cost, phase by phase, each figure beside its target.
//
// Counts are promises, and one that is broken is a miss. Times and memory depend on the machine: they are shown beside
// their targets, and decide nothing.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"
)

// Profile says whether the server has a quota.
type Profile string

// The profiles.
const (
	// Free is a server without a quota: how fast the operator is.
	Free Profile = "free"
	// Quota is a server that allows 500 calls a minute: how well the operator uses them.
	Quota Profile = "quota"
)

// The quota of Cal.com and the operator's default share of it.
const (
	quotaLimit  = 500 // Calls in each window.
	quotaWindow = time.Minute
	quotaShare  = 0.8
)

// Config says what to measure.
type Config struct {
	// Users is the number of users, at least 1.
	Users int
	// Profile is Free or Quota.
	Profile Profile
	// Latency is what the server waits before each answer.
	Latency time.Duration
	// TimeScale is how many times shorter the quota's windows are, in the server and in the operator alike. Only Quota
	// has use for it; 1 is real time.
	TimeScale float64
	// Interval is the operator's --resync-interval.
	Interval time.Duration
	// LateUsers is how many users are created, one by one, while the others are being swept.
	LateUsers int
	// UnrelatedSecrets is how many Secrets of 1 MB each, which concern no user, are created; 0 leaves that phase out.
	// The API server and etcd need about 3 KB of memory and disk for each KB.
	UnrelatedSecrets int
	// ClientKind says how users name their OAuth client: one of ClientKinds.
	ClientKind string
	// Tokens has every user's tokens published in a Secret of its own. A run has to be over before they are renewed,
	// which is after 42 minutes with a TimeScale of 1.
	Tokens bool
	// OperatorFlags are added to the operator's, and win over them.
	OperatorFlags []string
	// ProfileDir is an existing folder for the operator's CPU profile of the first phase and for its heap profile of
	// the second; empty for none.
	ProfileDir string
	// Say is told what goes on; nil drops it.
	Say func(line string)
}

// window is the quota's window as the server counts it.
func (c *Config) window() time.Duration {
	return time.Duration(float64(quotaWindow) / c.TimeScale)
}

// rate is how many calls a second the operator may make, 0 for any number.
func (c *Config) rate() float64 {
	if c.Profile == Free {
		return 0
	}
	return quotaLimit * quotaShare / c.window().Seconds()
}

// patience bounds each wait: ten minutes, and twice as long as three calls for each user take under the quota.
func (c *Config) patience() time.Duration {
	patience := 10 * time.Minute
	if rate := c.rate(); rate > 0 {
		patience += time.Duration(float64(2*3*c.Users) / rate * float64(time.Second))
	}
	return patience
}

func (c *Config) check() error {
	switch {
	case c.Users < 1:
		return fmt.Errorf("users: %d; measure at least 1", c.Users)
	case c.Profile != Free && c.Profile != Quota:
		return fmt.Errorf("profile: %q; it is %q or %q", c.Profile, Free, Quota)
	case !(c.TimeScale > 0) || c.window() < time.Second:
		return fmt.Errorf("time scale: %v; it must be above 0 and at most 60", c.TimeScale)
	case c.Tokens && c.TimeScale != 1:
		return errors.New("tokens: their life is scaled too, and they are renewed amid the run; measure them with time scale 1")
	case c.Interval < time.Second:
		return fmt.Errorf("interval: %v; it must be at least 1s", c.Interval)
	case c.LateUsers < 1:
		return fmt.Errorf("late users: %d; at least 1 is needed", c.LateUsers)
	case c.UnrelatedSecrets < 0:
		return fmt.Errorf("unrelated Secrets: %d; 0 is the least", c.UnrelatedSecrets)
	case !slices.Contains(ClientKinds(), c.ClientKind):
		return fmt.Errorf("client kind: %q; it is one of %s", c.ClientKind, strings.Join(ClientKinds(), ", "))
	}
	return nil
}

// Measure starts everything in a folder of its own, goes through all phases, and stops everything. What was measured
// before an error is returned with it.
func Measure(ctx context.Context, config Config) (run *Run, err error) {
	if err := config.check(); err != nil {
		return nil, err
	}
	if config.Say == nil {
		config.Say = func(string) {}
	}
	dir, err := os.MkdirTemp("", "calcom-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w, err := newWorld(ctx, config, dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	run = &Run{
		Users: config.Users, Profile: config.Profile, LatencySeconds: config.Latency.Seconds(), TimeScale: config.TimeScale,
		IntervalSeconds: config.Interval.Seconds(), ClientKind: config.ClientKind, Tokens: config.Tokens, OperatorFlags: config.OperatorFlags,
	}
	for _, phase := range w.phases() {
		config.Say(fmt.Sprintf("%s: %s", config.Profile, phase.name))
		measured, err := w.measure(ctx, phase)
		if err != nil {
			return run, fmt.Errorf("%s: %w\n%s", phase.name, err, w.lastLines())
		}
		if !run.scaled() {
			for i := range measured.Checks {
				measured.Checks[i].Scaled = false
			}
		}
		run.Phases = append(run.Phases, measured)
	}
	return run, nil
}
