// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/limits"
)

// disasters are what happens to Cal.com's database in worlds with a limit for users that are gone.
type disasters struct {
	// limit is how many users may be gone in any ten minutes, per cluster; 0 means any number, and no disaster happens.
	limit int
	// gone is at least how many objects have found their users gone, by whatever cause.
	gone int
	// acted are the objects that went on after their user was gone, and when.
	acted map[string]time.Time
	// deleted are the objects that have sent a DELETE call that may have had its effect.
	deleted map[string]bool
}

func newDisasters(limit int) disasters {
	return disasters{limit: limit, acted: map[string]time.Time{}, deleted: map[string]bool{}}
}

// disaster is one, now and then. It reports whether there was one.
func (w *World) disaster(ctx context.Context) bool {
	seldom, chosen := 20, w.options.Hooks.Disaster
	switch {
	case chosen != nil:
		seldom = 4
	case w.disasters.limit > 0:
		seldom = 10
	}
	if w.random.IntN(seldom) > 0 || len(w.ledger.users) == 0 || w.isDown() || w.isMisrouted() {
		return false
	}
	all := []func(*World, context.Context){(*World).renumber, (*World).loseDatabase, (*World).loseDatabase, (*World).loseSome, (*World).misroute, (*World).misroute}
	if w.disasters.limit == 0 { // Any number of users may be taken for gone.
		all = all[:1]
	}
	if chosen == nil {
		chosen = pick(w, all)
	}
	chosen(w, ctx)
	return true
}

// loseDatabase loses the database, or restores it to an earlier state.
func (w *World) loseDatabase(context.Context) {
	ids := w.userIDs()
	name, kept := "the database is wiped", 0
	if w.random.IntN(2) == 0 {
		name, kept = "the database is restored to an earlier state", w.random.IntN(len(ids))
	}
	w.tracef("WORLD: %s, %d of %d users are left", name, kept, len(ids))
	w.figures.Faults[name]++
	for _, id := range ids[kept:] {
		w.removeUser(id)
	}
}

// populate applies some objects and lets their users be created.
func (w *World) populate(ctx context.Context) {
	for range names {
		w.createObject(pick(w, w.clusters))
	}
	w.endStep(true)
	w.until(ctx, w.now().Add(time.Minute))
}

// loseSome removes the users of some objects, one after the other, and each time has another process find out.
func (w *World) loseSome(ctx context.Context) {
	const name = "a user is lost and the operator is restarted"
	w.populate(ctx)
	for range 1 + w.random.IntN(4) {
		c := pick(w, w.clusters)
		owned := slices.DeleteFunc(c.api.keys(), func(key types.NamespacedName) bool {
			_, exists := w.ledger.users[knownID(c.api.users[key])]
			return !exists
		})
		if len(owned) == 0 || len(w.violations) > 0 {
			return
		}
		key := pick(w, owned)
		w.tracef("WORLD: %s", name)
		w.figures.Faults[name]++
		w.removeUser(knownID(c.api.users[key]))
		w.request(c, key)
		for len(c.processes) > 0 {
			w.stopProcess(c, c.processes[0])
		}
		w.startProcess(c)
		w.endStep(true)
		w.until(ctx, w.now().Add(time.Minute))
	}
}

// recreating judges a create call of an object whose user is gone.
func (l *ledger) recreating(t *task) {
	id := knownID(t.object)
	if id == 0 || !slices.Contains(t.object.Finalizers, v1alpha1.ManagedUserFinalizer) {
		return
	}
	if u, exists := l.users[id]; t.misled || !exists || !isIn(t.object, u) {
		l.countAbsence(t)
	}
}

// releasing judges the release of an object whose user is gone, unless it has deleted the user itself, or found another
// of its own and removed the mark from that. A few deletions that were asked for before the process began can have been
// begun by the one before.
func (l *ledger) releasing(t *task, before *v1alpha1.ManagedUser) {
	deleted, p := before.DeletionTimestamp, t.process
	if t.misled {
		l.mislead(t.owner())
	}
	if knownID(before) == 0 || keeps(before) || t.unmarks || l.world.disasters.deleted[t.life()] || deleted.IsZero() {
		return
	}
	if deleted.Time.Before(p.started) && p.cutOff < l.world.workers {
		p.cutOff++
		return
	}
	l.countAbsence(t)
}

// keeps reports whether an object leaves its user behind when it goes.
func keeps(mu *v1alpha1.ManagedUser) bool {
	_, annotated := mu.Annotations[v1alpha1.AdoptedAnnotation]
	policy := mu.Spec.DeletionPolicy
	return policy == v1alpha1.DeletionPolicyOrphan || policy == "" && (annotated || mu.Status.Origin == v1alpha1.OriginAdopted)
}

// countAbsence checks that what follows from users that are gone is held up: in any ten minutes, less those that a
// reconcile may take from the permission to the call, it happens to no more objects than the limit says.
func (l *ledger) countAbsence(t *task) {
	d := &l.world.disasters
	if d.limit == 0 || t.object.Annotations[v1alpha1.AllowMassAbsenceAnnotation] == "true" {
		return
	}
	now := l.world.now()
	d.acted[t.owner()] = now
	n := 0
	for owner, at := range d.acted {
		switch {
		case now.Sub(at) >= limits.Window-reconcileTimeout:
			delete(d.acted, owner)
		case strings.HasPrefix(owner, t.process.cluster.ownerID+"/"):
			n++
		}
	}
	if n > d.limit {
		l.world.violate("%d users of %s are believed to be gone%s, and the limit is %d", n, t.process.cluster.ownerID,
			map[bool]string{true: " where another tenant answers"}[t.misled], d.limit)
	}
}

// allowAbsences is a person who finds what is held, and says that the users are really gone. Nothing is held where few
// were lost.
func (w *World) allowAbsences() {
	if w.disasters.limit == 0 {
		return
	}
	w.each(func(c *cluster, key types.NamespacedName) {
		ready := meta.FindStatusCondition(c.api.users[key].Status.Conditions, v1alpha1.ConditionReady)
		if ready != nil && ready.Reason == v1alpha1.ReasonMassAbsence && w.disasters.gone <= w.disasters.limit {
			w.violate("%s %s is held, and only %d users are gone", c.ownerID, key.Name, w.disasters.gone)
		}
		w.tracef("WORLD: the user of %s %s is really gone, if it is", c.ownerID, key.Name)
		c.api.edit(key, func(mu *v1alpha1.ManagedUser) { annotate(mu, v1alpha1.AllowMassAbsenceAnnotation, "true") })
	})
}
