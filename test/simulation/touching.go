// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// touching judges an update or a delete call.
func (l *ledger) touching(t *task, x *exchange) {
	w, key := l.world, t.owner()
	if x.op == calcomtest.OpDelete {
		l.noteDeletion(t, x)
	}
	t.unmarks = t.unmarks || x.op == calcomtest.OpUpdate && !t.object.DeletionTimestamp.IsZero()
	u, ok := w.usersOf(x)[x.id]
	if !ok || w.isDown() { // Then the id may be another user's by now, and the call touches none.
		return
	}
	saw, looked := t.shown[x.id]
	switch {
	case !looked:
		w.violate("%s calls %s without having looked at it", t.key.Name, x)
	case saw == anothers:
		w.foreignTouched("%s calls %s although it carries another's mark", t.key.Name, x)
	case ownerOf(u, key) != own && !l.mayTouch(t, x, u):
		w.foreignTouched("%s calls %s, somebody else's user", t.key.Name, x)
	}
	if x.op == calcomtest.OpDelete && !x.misrouted {
		l.deleting(t, x, key)
	}
}

// noteDeletion counts a deletion, unless it is that of an unfinished user that is created anew.
func (l *ledger) noteDeletion(t *task, x *exchange) {
	if l.isRecreating(t, x) {
		return
	}
	l.countDeletion(t)
	deleted := l.world.disasters.deleted
	x.again = deleted[t.life()]
	deleted[t.life()] = true
}

// mayTouch reports whether an object may change a user that does not carry its mark.
func (l *ledger) mayTouch(t *task, x *exchange, u calcomtest.User) bool {
	key := t.owner()
	if x.misrouted {
		return mayTouchMisrouted(t.object, u)
	}
	return l.hasClaim(key, x.id) || l.allowed[x.id][key] || l.mayBeOwn(t, x.id)
}

// mayTouchMisrouted reports whether an object may change a user of another tenant, of which the ledger keeps no claims:
// one that its spec or status names, that it may adopt, or that its own create call seems to have made there.
func mayTouchMisrouted(mu *v1alpha1.ManagedUser, u calcomtest.User) bool {
	adopts := mu.Spec.AdoptionPolicy == v1alpha1.AdoptionPolicyByEmail && plain(u.Email) == mu.Spec.Email
	return mu.Spec.UserID == u.ID || isIn(mu, u) || adopts ||
		isBlank(u) && (mu.DeletionTimestamp.IsZero() || plain(u.Email) == recordOf(mu).Email)
}

// deleting judges a delete call by the policies of the object. A user whose creation Cal.com did not finish, and that
// no status has named, is deleted to be created anew.
func (l *ledger) deleting(t *task, x *exchange, key string) {
	if l.isRecreating(t, x) {
		return
	}
	adopted := false
	for _, c := range l.claims {
		adopted = adopted || c.key() == key && c.userID == x.id && c.adopted
	}
	switch policy := t.object.Spec.DeletionPolicy; {
	case t.object.DeletionTimestamp.IsZero():
		l.world.foreignTouched("%s deletes user %d without being deleted itself", t.key.Name, x.id)
	case policy == v1alpha1.DeletionPolicyOrphan:
		l.world.foreignTouched("%s deletes user %d that it should orphan", t.key.Name, x.id)
	case policy == "" && adopted && !l.amnesia[key]:
		l.world.foreignTouched("%s deletes user %d that it adopted", t.key.Name, x.id)
	}
}

// isRecreating reports whether a delete call is for an unfinished user that the object creates anew. What another
// tenant has is judged by checkTenant.
func (l *ledger) isRecreating(t *task, x *exchange) bool {
	return t.object.DeletionTimestamp.IsZero() && (x.misrouted || l.isUnfinished(t, x.id))
}

// isUnfinished reports whether a user was made by a create call of an object, as far as can be told, was not finished
// by Cal.com, and has been in no status.
func (l *ledger) isUnfinished(t *task, id int64) bool {
	return slices.ContainsFunc(l.claims, func(c *claim) bool {
		return c.userID == id && !c.adopted && !c.stored && (c.failed || l.seemsUnfinished(t, id)) && (c.key() == t.owner() || l.mayBeOwn(t, id))
	})
}

// seemsUnfinished reports whether a user lacks what a create call leaves. Where another tool removed the record of a
// call, a second one can have come within seconds, with a time zone that the first did not have.
func (l *ledger) seemsUnfinished(t *task, id int64) bool {
	return !l.world.isFinished(id) || recordOf(t.object).Zoned && l.users[id].DefaultScheduleID == nil
}

// mayBeOwn reports whether a user that Cal.com did not get to mark can be that of an object's create call, as far as
// the record of that call tells: two objects with one address cannot tell whose call made it.
func (l *ledger) mayBeOwn(t *task, id int64) bool {
	u := l.users[id]
	ofSomeCall := slices.ContainsFunc(l.claims, func(c *claim) bool { return c.userID == id && c.email == plain(u.Email) })
	raced := ownerOf(u, t.owner()) == anothers // Another object took it over since this one read it.
	return ofSomeCall && (isBlank(u) || raced) && recordOf(t.object).Email == plain(u.Email)
}
