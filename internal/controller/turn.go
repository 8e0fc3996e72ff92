// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// turn is how the calls of one visit stand in line for the quota.
type turn struct {
	class     quota.Class
	namespace string
	key       string
	// first is how many calls the visit takes together at its beginning: those without which it gets nowhere. What it
	// does not need is given back at its end.
	first int
	// deadline by which calls for tokens are needed.
	deadline time.Time
}

// turnOf says how urgent a visit is, by what it may have to do.
func turnOf(v *visit) turn {
	t := turn{class: quota.Drift, namespace: v.mu.Namespace, key: ticketKey(v.mu.Namespace, v.mu.Name), first: 1}
	_, known := manageduser.Identity(v.mu)
	manages := v.policy() == v1alpha1.ReconcilePolicyManage
	switch {
	case manageduser.IsHeldForAbsence(v.mu) && !v.requested(): // Checked again now and then; there may be thousands of these.
	case !v.mu.DeletionTimestamp.IsZero():
		t.class, t.first = quota.Delete, 2 // A look, and DELETE or PATCH.
	case manages && !known:
		t.class = quota.Create // A look-up says itself how many calls it may lead to.
	case v.mu.Status.ObservedGeneration != v.mu.Generation, v.requested():
		t.class = quota.Change
		if manages {
			t.first = 2 // A look and PATCH.
		}
	}
	t.first = max(t.first, v.cut)
	return t
}

func ticketKey(namespace, name string) string {
	return types.NamespacedName{Namespace: namespace, Name: name}.String()
}

// waitForQuota is a visit that ends because others go first or the quota is used up.
func waitForQuota(until time.Time) *outcome.Problem {
	return &outcome.Problem{
		Condition: v1alpha1.ConditionSynced, Reason: v1alpha1.ReasonRateLimited, Pace: outcome.Later, At: until, Quiet: true,
		Message: "The operator's share of the OAuth client's quota is used up, and others go first; going on as soon as calls are free",
	}
}

// waitForTrial is a visit that ends because another one is just trying the secret key. Nobody is told: it takes as long
// as a call.
func waitForTrial() *outcome.Problem {
	return &outcome.Problem{
		Condition: v1alpha1.ConditionSynced, Reason: v1alpha1.ReasonProgressing, Pace: outcome.Later, After: trialRetry, Quiet: true, Silent: true, Mute: true,
		Message: "Another user is trying the secret key; going on as soon as Cal.com has answered",
	}
}

// trialRetry is when those look again who wait for another's attempt with a secret key.
const trialRetry = time.Second

// quota returns the state of an account's quota, if the account was used since the start.
func (a *accounts) quota(name account.Name) (quota.Snapshot, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc, ok := a.byName[name]
	if !ok {
		return quota.Snapshot{}, false
	}
	return acc.budget.Snapshot(), true
}

// noteCut remembers that a visit was cut in two by a wait. The next one takes all its calls together: with a small
// quota it would spend it on its first call, again and again.
func (a *accounts) noteCut(object types.NamespacedName, calls int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if calls == 0 {
		delete(a.cut, object)
		return
	}
	a.cut[object] = calls
}

// cutOf returns how many calls the object's last visit lacked to come to its end; 0 if it was not cut.
func (a *accounts) cutOf(object types.NamespacedName) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.cut[object]
}

// ClientQuota is the quota of one OAuth client.
type ClientQuota struct {
	APIURL, ClientID string
	quota.Snapshot
}

// Quotas returns the quotas of all OAuth clients that were used since the start, in order, for metrics.
func (r *ManagedUserReconciler) Quotas() []ClientQuota { return r.accounts.quotas() }

func (a *accounts) quotas() []ClientQuota {
	a.prune()
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make([]ClientQuota, 0, len(a.byName))
	for _, name := range inOrder(a.byName) {
		all = append(all, ClientQuota{APIURL: name.APIURL, ClientID: name.ClientID, Snapshot: a.byName[name].budget.Snapshot()})
	}
	return all
}

// inOrder returns the accounts in a map in a fixed order.
func inOrder[V any](accounts map[account.Name]V) []account.Name {
	return slices.SortedFunc(maps.Keys(accounts), func(x, y account.Name) int {
		return cmp.Or(cmp.Compare(x.APIURL, y.APIURL), cmp.Compare(x.ClientID, y.ClientID))
	})
}
