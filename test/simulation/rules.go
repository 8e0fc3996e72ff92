// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"slices"
	"strconv"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// metadataWritten judges a write of the object's metadata: the finalizer goes only when nothing is left to do.
func (l *ledger) metadataWritten(t *task, before, after *v1alpha1.ManagedUser) {
	const finalizer = v1alpha1.ManagedUserFinalizer
	if t.misled && (knownID(before) == 0 || adoptsAnother(before, after)) {
		l.mislead(t.owner())
	}
	if !slices.Contains(before.Finalizers, finalizer) || slices.Contains(after.Finalizers, finalizer) {
		return
	}
	l.releasing(t, before)
	for _, c := range l.claims {
		if c.key() == t.owner() && c.live() {
			l.released(t, c, before)
		}
	}
}

// adoptsAnother reports whether a write records the adoption of another user than the one in the status.
func adoptsAnother(before, after *v1alpha1.ManagedUser) bool {
	adopted := after.Annotations[v1alpha1.AdoptedAnnotation]
	return adopted != "" && adopted != before.Annotations[v1alpha1.AdoptedAnnotation] && adopted != strconv.FormatInt(knownID(before), 10)
}

// released judges the release of a user by an object whose finalizer goes.
func (l *ledger) released(t *task, c *claim, before *v1alpha1.ManagedUser) {
	ofPolicy := before.Spec.DeletionPolicy != "" || c.adopted
	switch {
	case l.world.isExposed(c) && c.isKeptInMemory():
		c.exposed = true // The records that another tool removed are restored.
	case l.isExcused(t, c):
		c.abandoned = true
	case !orphans(before) || !ofPolicy && c.userID == 0:
		l.world.leaked("the finalizer of %s goes while user %d (%s) is there or may come", c.name.Name, c.userID, c.email)
		c.abandoned = true
	case !ofPolicy && !l.amnesia[c.key()]:
		l.world.leaked("%s orphans user %d, which it created", c.name.Name, c.userID)
		c.orphaned = true
	default:
		c.orphaned = true
	}
}

// isExcused reports whether an object can let go of a user without knowing it.
func (l *ledger) isExcused(t *task, c *claim) bool {
	return l.takenByAnother(c) || // The owner in its mark answers for it.
		c.userID == 0 && l.world.isExposed(c) || // Without its record, a second call was sent before the first one was done.
		t.misled && (!c.misled.IsZero() || !c.stored) // It cannot be known to be another tenant's answer.
}

// orphans reports whether the object is on its way out and is to leave its user behind. Without a policy in the spec
// that is right for an adopted user, which the claim tells.
func orphans(mu *v1alpha1.ManagedUser) bool {
	return !mu.DeletionTimestamp.IsZero() && mu.Spec.DeletionPolicy != v1alpha1.DeletionPolicyDelete
}

// checkClaims sees to it that each user that the operator answers for can be found again by what is written down. The
// world may take that away; the operator may not.
func (l *ledger) checkClaims(byWorld bool) {
	now := l.world.now()
	l.claims = slices.DeleteFunc(l.claims, func(c *claim) bool { return c.userID == 0 && c.until.Before(now) })
	owned := map[string]*claim{}
	for _, c := range l.claims {
		if !c.live() {
			continue
		}
		if !l.onRecord(c) {
			if l.isRemembered(c) {
				continue
			}
			l.losing(c, byWorld)
			continue
		}
		c.wasExposed, c.exposed = c.wasExposed || c.exposed, false
		l.recover(c)
		if c.userID == 0 {
			continue
		}
		if other, twice := owned[c.key()]; twice {
			if l.sentUnseen(c, other) {
				other.abandoned = true // Which of the two the object keeps is not known yet.
			} else {
				l.world.duplicate("%s has two users, %d and %d", c.name.Name, other.userID, c.userID)
			}
			c.abandoned = true
		}
		owned[c.key()] = c
	}
}

// sentUnseen reports whether two processes each sent a create call for an object while another tool rewrote it, so that
// neither found the record of the other.
func (l *ledger) sentUnseen(a, b *claim) bool {
	return a.process != b.process && (a.wasExposed || b.wasExposed)
}

// losing judges that nothing on an object leads to its user any more.
func (l *ledger) losing(c *claim, byWorld bool) {
	forgotten := l.amnesia[c.key()] && isBlank(l.users[c.userID]) // Only the record of the call led to it.
	if !byWorld && !c.exposed && c.misled.IsZero() && !l.takenByAnother(c) && !forgotten {
		l.world.leaked("nothing on %s leads to its user %d (%s) any more", c.name.Name, c.userID, c.email)
	}
	c.abandoned = true
}

// onRecord reports whether the object as it is stored leads to the user: by the id in its status, or by the mark
// together with an address that the operator would look under.
func (l *ledger) onRecord(c *claim) bool {
	mu := c.cluster.api.users[c.name]
	if mu == nil || !isBound(mu) {
		return false
	}
	addresses := []string{recordOf(mu).Email, mu.Spec.Email}
	if known := mu.Status.User; known != nil && mu.Status.OAuthClientID == clientID {
		if c.userID != 0 && isIn(mu, l.users[c.userID]) {
			c.stored = true
			return true
		}
		addresses = append(addresses, plain(known.Email))
	}
	if c.userID == 0 {
		return slices.Contains(addresses, c.email)
	}
	u := l.users[c.userID]
	if isBlank(u) { // Cal.com did not get to the mark.
		return plain(u.Email) == recordOf(mu).Email
	}
	return ownerOf(u, c.key()) == own && slices.Contains(addresses, plain(u.Email))
}

// isBlank reports whether a user has neither name nor metadata, as one whose creation stopped before they were written.
func isBlank(u calcomtest.User) bool { return u.Name == nil && len(u.Metadata) == 0 }

// isFinished reports whether Cal.com did all steps of a user's creation.
func (w *World) isFinished(id int64) bool {
	step, ok := w.cal.Progress(id)
	return ok && step == calcomtest.StepSchedule
}

// checkFinished checks that a user which its object created is finished when a process writes that the object is Ready.
// For a user without a time zone, only the process that was answered an error knows, and another leader may have been
// faster.
func (w *World) checkFinished(p *process, mu *v1alpha1.ManagedUser) {
	id := knownID(mu)
	ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
	if u, ok := w.ledger.users[id]; ready.Reason == v1alpha1.ReasonObserved || ok && !isIn(mu, u) {
		return // It shows the user as it is, or that of another tenant with the same id.
	}
	for _, claim := range w.ledger.claims {
		if claim.key() == ownerNameOf(p.cluster, mu) && claim.userID == id && claim.shouldBeFinished(p) && !w.isFinished(id) {
			w.violate("%s is Ready with user %d, whose creation is not finished", mu.Name, id)
		}
	}
}

// shouldBeFinished reports whether a process can know whether the creation of a claim's user was finished.
func (c *claim) shouldBeFinished(p *process) bool {
	return !c.adopted && (c.zoned || c.failed && c.process == p && !c.stored)
}

// isRemembered reports whether the records of a claim, which another tool removed, can be restored.
func (l *ledger) isRemembered(c *claim) bool {
	return c.exposed && c.isKeptInMemory() && c.cluster.api.users[c.name] != nil
}

// isKeptInMemory reports whether the process that sent the create call of a claim is alive, and remembers the call
// since no status shows its outcome.
func (c *claim) isKeptInMemory() bool {
	return !c.stored && slices.Contains(c.cluster.processes, c.process)
}

// takenByAnother reports whether the user carries another's mark: somebody put it there by hand, or two owners raced
// and the other one came second. Cal.com has no conditional update that could prevent that.
func (l *ledger) takenByAnother(c *claim) bool {
	u, ok := l.users[c.userID]
	return ok && ownerOf(u, c.key()) == anothers
}

// forget notes that the world took an object's annotations, its record of intent among them.
func (l *ledger) forget(c *cluster, name types.NamespacedName) {
	key := ownerName(c, name)
	l.amnesia[key] = true
	for _, claim := range l.claims {
		if claim.key() == key && claim.userID == 0 {
			claim.abandoned = true
		}
	}
}
