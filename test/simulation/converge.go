// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

const (
	// healing is how long everything may take to come right: some objects wait for others, each at the pace of the
	// drift checks.
	healing = 9 * resync
	// rest is how long nothing must happen then.
	rest = 5 * resync / 2
	// mostSteps is how many steps that may take.
	mostSteps = 20_000
)

// converge ends all misfortune and waits until everything is right, and then for a while in which nothing changes.
func (w *World) converge(ctx context.Context) {
	w.tracef("from here on nothing goes wrong any more")
	w.chaos = false
	w.cal.ClearFaults()
	w.endMisrouting()
	for _, c := range w.clusters {
		w.mend(c)
	}
	w.endStep(true)
	w.until(ctx, w.now().Add(healing))
	w.allowAbsences()
	for range 2 { // What only a person can know to be over is tried again when asked for. One may make way for another.
		w.each(w.request)
		w.until(ctx, w.now().Add(2*resync))
	}
	if len(w.violations) == 0 {
		w.each(w.checkRight)
		for _, c := range w.clusters {
			w.checkSecret(c)
			w.checkClient(c)
			w.checkTokens(c)
		}
	}
	if len(w.violations) == 0 {
		w.checkDrift(ctx)
	}
	for _, check := range []func(context.Context){w.checkRestart, w.checkRest, w.checkFailing} {
		if len(w.violations) == 0 {
			check(ctx)
		}
	}
}

// mend leaves a cluster with one process, the right Secret and no object that is suspended.
func (w *World) mend(c *cluster) {
	for len(c.processes) > 1 {
		w.stopProcess(c, c.processes[0])
	}
	if len(c.processes) == 0 {
		w.startProcess(c)
	}
	if secret, ok := c.api.secrets[secretName]; ok && !secret.DeletionTimestamp.IsZero() {
		c.api.freeSecret(secretName) // It is made anew.
		c.forced = true
	}
	w.setSecret(c, w.secret)
	if c.api.client != nil && !c.api.client.DeletionTimestamp.IsZero() {
		c.api.freeClient()
		c.forced = true
	}
	c.api.addClient()
	for _, key := range c.api.keys() {
		if c.api.users[key].Spec.ReconcilePolicy == v1alpha1.ReconcilePolicySuspend {
			c.api.edit(key, func(mu *v1alpha1.ManagedUser) { mu.Spec.ReconcilePolicy = "" })
		}
	}
}

// each does something with every object of every cluster.
func (w *World) each(do func(*cluster, types.NamespacedName)) {
	for _, c := range w.clusters {
		for _, key := range c.api.keys() {
			do(c, key)
		}
	}
}

// checkRest lets time pass in which nothing has to be done.
func (w *World) checkRest(ctx context.Context) {
	w.tracef("from here on nothing has to happen")
	w.statusWrites, w.metadataWrites, w.secretWrites, w.changes, w.attempts = 0, 0, 0, 0, 0
	w.refreshes, w.tokenWrites, w.tokenStatuses = 0, 0, 0
	w.lists, w.restless = 0, nil
	w.until(ctx, w.now().Add(rest))
	// Whether an address is free again for an update only an attempt can tell: one at each drift check.
	tries := 0
	w.each(func(c *cluster, key types.NamespacedName) {
		if meta.IsStatusConditionTrue(c.api.users[key].Status.Conditions, v1alpha1.ConditionStalled) {
			tries += int(rest/resync) + 1
		}
	})
	if w.tokenWrites > 2*w.refreshes {
		w.violate("at rest there were %d writes of tokens and %d calls for some", w.tokenWrites, w.refreshes)
	}
	if w.statusWrites > w.refreshes+w.tokenStatuses || w.secretWrites > 6*w.attempts || w.changes > 0 || w.attempts > tries || w.metadataWrites > 2*w.attempts {
		w.violate("at rest there were %d, %d and %d writes to Kubernetes, %d changes in Cal.com and %d attempts",
			w.statusWrites, w.metadataWrites, w.secretWrites, w.changes, w.attempts)
	}
	w.checkSweep()
}

// until lets everybody work, in order, up to a moment.
func (w *World) until(ctx context.Context, end time.Time) {
	for last := w.step + mostSteps; len(w.violations) == 0; {
		if w.step > last {
			w.violate("there is no end of work")
			return
		}
		if w.work(ctx) {
			w.endStep(false)
			continue
		}
		next, ok := w.nextMoment()
		if !ok || next.After(end) {
			w.clock.SetTime(end)
			w.endStep(false)
			return
		}
		w.clock.SetTime(next)
		w.endStep(false)
	}
}

// work does the next thing that can be done now, if there is one.
func (w *World) work(ctx context.Context) bool {
	if tasks := w.runnable(); len(tasks) > 0 {
		w.run(tasks[0])
		return true
	}
	for _, p := range w.processes() {
		if p.seen < len(p.cluster.api.log) {
			p.deliver()
			return true
		}
		if keys := p.ready(); len(keys) > 0 {
			p.begin(ctx, keys[0])
			return true
		}
	}
	return false
}
