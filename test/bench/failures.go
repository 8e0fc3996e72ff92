// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// workers is half of the default of --max-concurrent-reconciles: as many of one OAuth client can have calls under way
// when a key turns out to be wrong.
const workers = 24

func (w *world) doRestart(ctx context.Context, _ *measurement) error {
	w.stack.KillOperator()
	if err := w.stack.StartOperator(ctx); err != nil {
		return err
	}
	return w.until(ctx, "the operator to go through all users", func(ctx context.Context) (bool, error) {
		return w.settled(ctx, w.users)
	})
}

func (m *measurement) restarted() {
	// The lease of the one that was killed runs out first, which takes 15 s of it.
	const most = 60
	m.gauge("every user looked at and nothing left to do", m.Seconds, "s", "<", most)
	m.onlySweeps()
	m.count(Count, "writes", m.written(), "=", 0)
}

func (w *world) doBreak(ctx context.Context, _ *measurement) error {
	for i := range w.users {
		w.seen.expectRefused(keyOf(i))
	}
	if err := w.setSecretKey(ctx, "a-mistake"); err != nil {
		return err
	}
	return w.untilSeen(ctx)
}

func (m *measurement) broken() {
	n := m.world.users
	m.latency("until a user says so")
	// Each OAuthClient tries the key for itself.
	probes := workers + m.world.clients() + int(m.elapsed/m.world.config.Interval)
	m.count(Count, "calls with the wrong key", m.calls.withStatus(http.StatusUnauthorized), "≤", probes)
	m.perUser(n, 1)
	m.noOtherWrites()
}

// repairPhase corrects the Secrets.
func (w *world) repairPhase() phase {
	var firstCall time.Duration
	return phase{
		name: "the right secret key again",
		do: func(ctx context.Context, m *measurement) error {
			for i := range w.users {
				w.seen.expectRecovered(keyOf(i))
			}
			corrected := time.Now()
			if err := w.setSecretKey(ctx, w.sandbox.client.Secret); err != nil {
				return err
			}
			err := w.until(ctx, "a call with the right key", func(ctx context.Context) (bool, error) {
				calls, err := w.sandbox.calls(ctx)
				return calls.since(m.before).withStatus(http.StatusOK) > 0, err
			})
			if err != nil {
				return err
			}
			firstCall = time.Since(corrected)
			return w.untilSeen(ctx)
		},
		targets: func(m *measurement) {
			const most = 2
			// A key that Cal.com accepted before needs no call to be believed.
			firstReady := m.first.Sub(m.began).Seconds()
			m.gauge("acted upon: a call with the right key, or a user Ready", min(firstCall.Seconds(), firstReady), "s", "<", most)
			m.latency("until a user is Ready")
			m.count(Count, "calls", m.calls.of(calcomtest.OpAny), "≤", w.users+m.sweeps())
			// The Secret wakes a user, and so does the news that Cal.com accepts its key. Where that comes before the
			// cache has heard of what the first look wrote, the same status is written once more.
			m.perUserAndMore(w.users, 1, w.users/10)
			m.noOtherWrites()
		},
	}
}

// unrelatedPhase creates large Secrets that concern no user.
func (w *world) unrelatedPhase() phase {
	var before float64
	return phase{
		name: fmt.Sprintf("%s unrelated Secrets of 1 MB", number(w.config.UnrelatedSecrets)),
		do: func(ctx context.Context, _ *measurement) (err error) {
			if before, err = process(w.stack.OperatorPID()).memory("VmRSS"); err != nil {
				return err
			}
			if err := w.createUnrelated(ctx); err != nil {
				return err
			}
			return pause(ctx, min(5*time.Second, w.config.Interval)) // For what a cache does with the last of them.
		},
		targets: func(m *measurement) {
			const most = 5
			m.gauge("added memory, peak", m.PeakMiB-before, "MiB", "<", most)
			m.count(Count, "writes", m.written(), "=", 0)
		},
	}
}

func (w *world) createUnrelated(ctx context.Context) error {
	const perNamespace, size = 50, 1_000_000
	n := w.config.UnrelatedSecrets
	name := func(i int) string { return fmt.Sprintf("unrelated-%03d", i/perNamespace) }
	for i := 0; i < n; i += perNamespace {
		if err := w.kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name(i)}}); err != nil {
			return fmt.Errorf("making a namespace: %w", err)
		}
	}
	return each(ctx, n, func(ctx context.Context, i int) error {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: name(i), Name: fmt.Sprintf("large-%05d", i)},
			Data:       map[string][]byte{"data": make([]byte, size)},
		}
		if err := w.kube.Create(ctx, secret); err != nil {
			return fmt.Errorf("making a large Secret: %w", err)
		}
		return nil
	})
}
