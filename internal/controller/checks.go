// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// checks knows when each user's next drift check is due. It is kept in memory only: after a restart, the checks of
// all users are spread over one interval afresh, and nobody is asked at once.
type checks struct {
	interval time.Duration
	jitter   func(time.Duration) time.Duration

	mu  sync.Mutex
	due map[types.NamespacedName]time.Time
}

// jitterShare is the largest part of the interval that is added to it, so that users that were created together
// do not stay together.
const jitterShare = 10

func newChecks(config Config) *checks {
	return &checks{
		interval: config.ResyncInterval, jitter: config.Jitter,
		due: make(map[types.NamespacedName]time.Time),
	}
}

// next is the pace of whatever is not urgent.
func (c *checks) next() time.Duration {
	return c.interval + c.jitter(c.interval/jitterShare)
}

// done notes a check and returns the time until the next.
func (c *checks) done(name types.NamespacedName, now time.Time) time.Duration {
	wait := c.next()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.due[name] = now.Add(wait)
	return wait
}

// wait returns the time until the next check. One that is not known yet gets a place somewhere in the interval.
func (c *checks) wait(name types.NamespacedName, now time.Time) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	due, ok := c.due[name]
	if !ok {
		due = now.Add(c.jitter(c.interval))
		c.due[name] = due
	}
	return due.Sub(now)
}

func (c *checks) forget(name types.NamespacedName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.due, name)
}

// rest returns how long the object needs nothing: it is Ready as it stands, nobody asked for a look, the secret
// key is the one that was good before, and its drift check is not due. 0 means that there is something to do.
func (r *ManagedUserReconciler) rest(v *visit) time.Duration {
	ready := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionReady)
	synced := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionSynced)
	manages := v.policy() == v1alpha1.ReconcilePolicyManage
	switch {
	case ready == nil || ready.Status != "True" || ready.ObservedGeneration != v.mu.Generation,
		manages && (synced == nil || synced.Status != "True"),
		manages && !controllerutil.ContainsFinalizer(v.mu, v1alpha1.ManagedUserFinalizer),
		v.mu.Status.User == nil || v.mu.Status.OAuthClientID != v.account.clientID,
		v.mu.Status.ObservedGeneration != v.mu.Generation,
		v.requested(), !v.cal.isTrusted():
		return 0
	}
	return max(0, r.checks.wait(client.ObjectKeyFromObject(v.mu), r.clock.Now()))
}
