// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// idleIntervals is how many intervals nothing happens for.
const idleIntervals = 2

// phases are what is measured, in order.
func (w *world) phases() []phase {
	n := w.config.Users
	phases := []phase{
		{"the first user in each namespace", w.doFirst, (*measurement).firstOnes},
		{fmt.Sprintf("create %s users", number(n)), w.doCreate, (*measurement).created},
		{fmt.Sprintf("idle for %v", idleIntervals*w.config.Interval), w.doIdle, (*measurement).idle},
		w.driftPhase(),
		{"change the spec of all", w.doChange, (*measurement).changed},
		{fmt.Sprintf("%d new users, one by one, amid a sweep and drift", w.config.LateUsers), w.doLate, (*measurement).late},
		{"kill -9 and restart", w.doRestart, (*measurement).restarted},
		{"a wrong secret key", w.doBreak, (*measurement).broken},
		w.repairPhase(),
		w.slowPhase(),
	}
	if w.config.UnrelatedSecrets > 0 {
		phases = append(phases, w.unrelatedPhase())
	}
	return append(phases, phase{"delete all", w.doDelete, (*measurement).deleted})
}

// doFirst creates one user in each namespace, one by one: the first user marks its Secret as in use.
func (w *world) doFirst(ctx context.Context, _ *measurement) error {
	for range namespaces {
		if err := errors.Join(w.create(ctx, 1), w.untilSeen(ctx)); err != nil {
			return err
		}
	}
	return nil
}

func (m *measurement) firstOnes() {
	m.count(Count, "create calls", m.calls.of(calcomtest.OpCreate), "=", namespaces)
	// An OAuthClient tries its key by listing.
	m.count(SweepCount, "list calls", m.calls.of(calcomtest.OpList), "≤", m.sweeps()+m.world.clients())
	m.perUser(namespaces, 2)
	m.count(Count, "writes to Secrets", m.written("secrets"), "=", namespaces+m.world.tokensOf(namespaces))
	m.noOtherWrites()
}

func (w *world) doCreate(ctx context.Context, m *measurement) error {
	profiled := make(chan error, 1)
	if w.config.ProfileDir == "" {
		profiled <- nil
	} else {
		go func() { profiled <- w.profileCPU(ctx) }()
	}
	if err := w.create(ctx, w.config.Users); err != nil {
		return err
	}
	m.gauge("all objects pushed after", time.Since(m.began).Seconds(), "s", "", 0)
	if err := w.untilSeen(ctx); err != nil {
		return err
	}
	m.done()
	return <-profiled
}

// profileCPU profiles the operator for about as long as it takes to create the users.
func (w *world) profileCPU(ctx context.Context) error {
	const fast, least, most = 100.0, 5, 60 // Users a second on two cores; seconds.
	rate := w.config.rate()
	if rate == 0 {
		rate = fast
	}
	seconds := min(max(int(float64(w.config.Users)/rate), least), most)
	path, err := w.profile(ctx, "cpu", fmt.Sprintf("profile?seconds=%d", seconds))
	w.config.Say("CPU profile: " + path)
	return err
}

func (m *measurement) created() {
	n, rate := m.world.config.Users, m.world.config.rate()
	if rate > 0 {
		used := float64(m.calls.of(calcomtest.OpAny)) / (rate * m.Seconds) * 100
		m.gauge("use of the operator's share of the quota", used, "%", "≥", 95)
		m.latency("from create to Ready")
	} else {
		m.gauge("all Ready", m.Seconds, "s", "≤", m.world.mostSeconds(n))
		m.latency("from create to Ready")
	}
	m.count(Count, "create calls", m.calls.of(calcomtest.OpCreate), "=", n)
	m.count(SweepCount, "list calls", m.calls.of(calcomtest.OpList), "≤", m.sweeps())
	m.count(SweepCount, "other calls", m.calls.but(calcomtest.OpCreate)-m.calls.of(calcomtest.OpList), "=", 0)
	m.perUser(n, 2)
	m.count(Count, "writes to Secrets", m.written("secrets"), "=", m.world.tokensOf(n))
	m.noOtherWrites()
}

// mostSeconds is how long the creation of so many users may take without a quota. Those that are few wait for what does
// not depend on their number.
func (w *world) mostSeconds(users int) float64 {
	switch n := float64(users) / 1000; {
	case w.config.Tokens:
		return max(3, 15*n)
	case n >= 10:
		return 11 * n
	default:
		return max(3, 12*n)
	}
}

// unlessQuota adds how long a phase took, where no quota decides that; most is for a thousand users.
func (m *measurement) unlessQuota(what string, most float64, users int) {
	if m.world.config.rate() == 0 {
		m.gauge(what, m.Seconds, "s", "≤", max(3, most*float64(users)/1000))
	}
}

// noOtherWrites adds that nothing else was written than users, their events and Secrets, and an OAuth client now and
// then.
func (m *measurement) noOtherWrites() {
	clients := m.written("oauthclients", "oauthclients/status")
	if m.world.clients() > 0 {
		// Its protection, and its status when something changes.
		m.count(Count, "writes to OAuth clients and their statuses", clients, "≤", 3*m.world.clients())
	}
	m.routine("other writes", m.written()-clients-m.written("managedusers", "managedusers/status", "events", "secrets"), "=", 0)
}

// onlySweeps adds that nothing was called but the sweep.
func (m *measurement) onlySweeps() {
	m.count(SweepCount, "list calls (sweeps)", m.calls.of(calcomtest.OpList), "≤", m.sweeps())
	m.count(SweepCount, "other calls", m.calls.but(calcomtest.OpList), "=", 0)
}

func (w *world) doIdle(ctx context.Context, m *measurement) error {
	if err := pause(ctx, idleIntervals*w.config.Interval); err != nil {
		return err
	}
	m.done()
	if w.config.ProfileDir == "" {
		return nil
	}
	path, err := w.profile(ctx, "heap", "heap?gc=1")
	w.config.Say("heap profile: " + path)
	return err
}

func (m *measurement) idle() {
	m.onlySweeps()
	m.count(Count, "writes", m.written(), "=", 0)
	if rate := m.world.config.rate(); rate > 0 {
		quota := rate / quotaShare * m.elapsed.Seconds()
		m.gauge("part of the quota that is used", float64(m.calls.of(calcomtest.OpAny))/quota*100, "%", "", 0)
	}
}

// driftPhase changes users behind the operator's back.
func (w *world) driftPhase() phase {
	drifted := 0
	return phase{
		name: "drift of 1 %",
		do: func(ctx context.Context, m *measurement) (err error) {
			if drifted, err = w.drift(ctx); err != nil {
				return err
			}
			return m.untilUpdated(ctx, drifted)
		},
		targets: func(m *measurement) {
			// A check comes up to a tenth of the interval late, so that not all come at once.
			m.gauge("all corrected", m.Seconds, "s", "≤", 1.1*w.config.Interval.Seconds()).Scaled = true
			m.count(Count, "update calls", m.calls.of(calcomtest.OpUpdate), "=", drifted)
			m.count(SweepCount, "get calls", m.calls.of(calcomtest.OpGet), "≤", drifted)
			m.count(SweepCount, "list calls (sweeps)", m.calls.of(calcomtest.OpList), "≤", m.sweeps())
			m.perUser(drifted, 1)
			m.noOtherWrites()
		},
	}
}

// untilUpdated waits until so many users were updated in Cal.com since the beginning of the phase.
func (m *measurement) untilUpdated(ctx context.Context, users int) error {
	return m.world.until(ctx, "the drift to be corrected", func(ctx context.Context) (bool, error) {
		calls, err := m.world.sandbox.calls(ctx)
		return calls.since(m.before).of(calcomtest.OpUpdate) >= users, err
	})
}

func (w *world) doChange(ctx context.Context, _ *measurement) error {
	if err := w.change(ctx); err != nil {
		return err
	}
	return w.untilSeen(ctx)
}

func (m *measurement) changed() {
	n := m.world.users
	m.unlessQuota("all Ready", 12, n)
	m.latency("from edit to Ready")
	m.count(Count, "update calls", m.calls.of(calcomtest.OpUpdate), "=", n)
	m.count(SweepCount, "get calls", m.calls.of(calcomtest.OpGet), "≤", n)
	m.count(SweepCount, "list calls (sweeps)", m.calls.of(calcomtest.OpList), "≤", m.sweeps())
	m.perUser(n, 1)
	m.noOtherWrites()
}

func (w *world) doLate(ctx context.Context, m *measurement) error {
	drifted, err := w.drift(ctx)
	if err != nil {
		return err
	}
	if err := w.createLate(ctx, w.config.LateUsers, w.config.Interval); err != nil {
		return err
	}
	m.done()
	return m.untilUpdated(ctx, drifted)
}

func (m *measurement) late() {
	n := m.world.config.LateUsers
	m.gauge("from create to Ready, p50", quantile(m.latencies, 0.5).Seconds(), "s", "", 0).Scaled = true
	const most = 5.0
	m.gauge("from create to Ready, p99", quantile(m.latencies, 0.99).Seconds(), "s", "<", most).Scaled = true
	m.count(Count, "create calls", m.calls.of(calcomtest.OpCreate), "=", n)
	drifted := (m.world.users - n + 99) / 100
	m.count(Count, "update calls", m.calls.of(calcomtest.OpUpdate), "≤", drifted)
	m.count(SweepCount, "get calls", m.calls.of(calcomtest.OpGet), "≤", drifted)
	m.perUser(n+drifted, 2)
	if m.world.config.Tokens {
		m.count(Count, "writes to Secrets", m.written("secrets"), "=", n)
	}
}

func (w *world) doDelete(ctx context.Context, _ *measurement) error {
	if err := w.delete(ctx); err != nil {
		return err
	}
	return w.untilSeen(ctx)
}

func (m *measurement) deleted() {
	n := m.world.users
	m.unlessQuota("all gone", 10, n)
	m.latency("from delete to gone")
	m.count(Count, "delete calls", m.calls.of(calcomtest.OpDelete), "=", n)
	m.count(SweepCount, "get calls", m.calls.of(calcomtest.OpGet), "≤", n)
	m.count(SweepCount, "list calls (sweeps)", m.calls.of(calcomtest.OpList), "≤", m.sweeps())
	m.perUser(n, 1)
	m.count(Count, "writes to Secrets", m.written("secrets"), "≤", 2*namespaces)
	m.noOtherWrites()
}
