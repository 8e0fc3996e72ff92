// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// noticing is how long it may take until drift is put right that nobody reports: an interval, and what the sweep adds
// to it when it begins, waits for the quota, or has to ask for some again.
const noticing = resync + resync/5

// checkDrift changes users by hand, which the sweep alone can notice. With a small quota nobody is removed: to create a
// user anew takes many calls, and longer than to notice.
func (w *World) checkDrift(ctx context.Context) {
	w.each(func(c *cluster, key types.NamespacedName) {
		mu := c.api.users[key]
		if !meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionReady) || w.random.IntN(2) == 0 {
			return
		}
		switch id := mu.Status.User.ID; {
		case w.random.IntN(4) == 0 && w.callLimit > 100 && mu.Spec.UserID == 0 && mu.Spec.Name != "" && mu.Spec.ReconcilePolicy != v1alpha1.ReconcilePolicyObserve:
			w.tracef("WORLD: user %d is removed by hand", id)
			w.removeUser(id)
		default:
			w.byHand(id, "another name", func(u *calcomtest.User) { u.Name, u.TimeZone = new("By hand"), "Asia/Tokyo" })
		}
	})
	w.until(ctx, w.now().Add(noticing))
	w.each(func(c *cluster, key types.NamespacedName) {
		// A name that came free with a user who was removed is not tried again before somebody asks.
		if stalled := meta.IsStatusConditionTrue(c.api.users[key].Status.Conditions, v1alpha1.ConditionStalled); !stalled && len(w.violations) == 0 {
			w.checkRight(c, key)
		}
	})
	w.until(ctx, w.now().Add(2*resync)) // A user who was removed may leave objects behind that only observed it.
}

// checkSweep checks, after a rest, what the drift sweeps did meanwhile: one call in each interval, which looked at
// everybody, so that nobody else had to call; and that they report the users whose objects do not exist or have others,
// all of them and nobody else.
func (w *World) checkSweep() {
	if len(w.restless) > 0 {
		w.violate("at rest, although it is Ready, %s", w.restless[0])
	}
	for _, c := range w.clusters {
		ready := 0
		for _, key := range c.api.keys() {
			if meta.IsStatusConditionTrue(c.api.users[key].Status.Conditions, v1alpha1.ConditionReady) {
				ready++
			}
		}
		w.checkFindings(c, ready)
	}
	swept := len(w.clusters)
	if least, most := int(rest/resync)*swept, (int(rest/resync)+1)*swept; w.lists < least || w.lists > most {
		w.violate("at rest the sweep made %d calls for %d clusters, want %d to %d", w.lists, swept, least, most)
	}
}

// checkFindings checks what the only process of a cluster has to report. Its OAuthClient is swept though nobody may be
// Ready.
func (w *World) checkFindings(c *cluster, ready int) {
	all := c.processes[0].reconciler.Sweeps()
	if len(all) != 1 {
		w.violate("there are %d sweeps of one client", len(all))
		return
	}
	f := all[0].Findings
	if f.Members != ready || f.Drifted != 0 || f.Missing != 0 || f.Calls != 1 || !f.CensusComplete || f.LastError != "" {
		w.violate("at rest, with %d objects Ready, the sweep of %s found %+v", ready, c.ownerID, f)
	}
	if d := cmp.Diff(w.leaks(c), f.LeakedIDs); d != "" || f.Leaked != len(f.LeakedIDs) {
		w.violate("the sweep of %s reports other leaks than there are, %d (-want +got): %s", c.ownerID, f.Leaked, d)
	}
}

// hasAnother reports whether an object owns a user, and that is not the one with an id.
func hasAnother(mu *v1alpha1.ManagedUser, id int64) bool {
	own := knownID(mu)
	return isBound(mu) && own != 0 && own != id && mu.Spec.UserID != id
}

// leaks returns, in order, the users that carry the mark of an object of a cluster that does not exist, or has another
// user.
func (w *World) leaks(c *cluster) []int64 {
	var ids []int64
	for id, u := range w.ledger.users {
		text, _ := u.Metadata[ownerKey].(string)
		parts := strings.Split(text, "/")
		if len(parts) != 4 || parts[0] != c.ownerID {
			continue
		}
		mu, exists := c.api.users[types.NamespacedName{Namespace: parts[1], Name: parts[2]}]
		if !exists || hasAnother(mu, id) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}
