// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"time"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/limits"
)

const (
	// callWindow is the time over which Cal.com counts, less that which a call may take to get there.
	callWindow = time.Minute - betweenIntentAndCall
	// callShare is the part of the quota that one operator may use.
	callShare = 0.8
)

// countCall checks that a process keeps itself to its share of the quota, so that the others who use the client, the
// customer's backend for one, have room.
func (p *process) countCall(x *exchange) {
	w := p.world
	now := w.now()
	called := append(slices.DeleteFunc(p.called[x.misrouted], func(at time.Time) bool { return now.Sub(at) >= callWindow }), now)
	p.called[x.misrouted] = called
	if most := int(callShare * float64(w.callLimit)); len(called) > most {
		w.violate("%s makes %d calls in a minute, and its share is %d", p.name, len(called), most)
	}
}

// countDeletion checks that a mass deletion is held up: in any ten minutes, less those that a reconcile may take from
// the permission to the call, no more users are deleted than the limit says.
func (l *ledger) countDeletion(t *task) {
	limit := l.world.massLimit
	if limit == 0 || t.object.Annotations[v1alpha1.AllowMassDeletionAnnotation] == "true" {
		return
	}
	now, c := l.world.now(), t.process.cluster
	c.deletions = append(slices.DeleteFunc(c.deletions, func(at time.Time) bool {
		return now.Sub(at) >= limits.Window-reconcileTimeout
	}), now)
	if len(c.deletions) > limit {
		l.world.foreignTouched("%d users of %s are deleted at once, and the limit is %d", len(c.deletions), c.ownerID, limit)
	}
}
