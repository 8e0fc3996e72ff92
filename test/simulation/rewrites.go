// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// rewrite lets another tool rewrite what the operator keeps on objects: a GitOps tool that replaces, a backup tool that
// restores, a controller that removes what it does not know. It reports whether one did.
func (w *World) rewrite(c *cluster, key types.NamespacedName) bool {
	if !w.rewrites || w.random.IntN(5) > 0 {
		return false
	}
	switch choice := w.random.IntN(12); {
	case choice < 4:
		w.replaceObject(c, key)
	case choice < 6:
		w.stripObject(c, key)
	case choice < 7:
		w.exchangeStatuses(c, key)
	case choice < 8:
		w.restoreBackup(c, key)
	case choice < 9:
		w.contend(c, key)
	case choice < 10:
		w.backups[ownerName(c, key)] = c.api.users[key].DeepCopy()
	default:
		w.stripNeeded(c)
	}
	return true
}

// rewriteUser changes an object as another tool would and notes what the ledger can no longer ask of the operator.
func (w *World) rewriteUser(c *cluster, key types.NamespacedName, change func(*v1alpha1.ManagedUser)) {
	for _, claim := range w.ledger.claims {
		claim.exposed = claim.exposed || claim.cluster == c && claim.name == key
	}
	if p := w.ledger.posts[ownerName(c, key)]; p != nil {
		p.exposed = true
	}
	c.api.edit(key, change)
	c.api.rewritten[key] = c.api.version
	w.rewrittenAt[ownerName(c, key)] = w.now()
	w.ledger.noteAmnesia(c, key)
}

// replaceObject writes an object as kubectl replace does with a manifest: without finalizers and annotations, and the
// status, which is a subresource, as it was.
func (w *World) replaceObject(c *cluster, key types.NamespacedName) {
	if !c.api.users[key].DeletionTimestamp.IsZero() {
		return // It would be gone at once, by force.
	}
	edits := w.random.IntN(3)
	w.rewriteUser(c, key, func(mu *v1alpha1.ManagedUser) {
		mu.Finalizers, mu.Annotations = nil, nil
		for range edits {
			w.editSpec(&mu.Spec)
		}
	})
	w.tracef("WORLD: %s %s is replaced: %s", c.ownerID, key.Name, describe(c.api.users[key]))
}

// stripObject removes the finalizers, or one of the operator's annotations.
func (w *World) stripObject(c *cluster, key types.NamespacedName) {
	what := pick(w, []string{"finalizer", v1alpha1.AdoptedAnnotation, v1alpha1.CreateIntentAnnotation})
	if what == "finalizer" && !c.api.users[key].DeletionTimestamp.IsZero() {
		return
	}
	w.tracef("WORLD: %s %s loses %s", c.ownerID, key.Name, what)
	w.rewriteUser(c, key, func(mu *v1alpha1.ManagedUser) {
		if what == "finalizer" {
			mu.Finalizers = nil
			return
		}
		mu.Annotations = maps.Clone(mu.Annotations)
		delete(mu.Annotations, what)
	})
}

// exchangeStatuses gives an object the user in the status of another one, and the other way round.
func (w *World) exchangeStatuses(c *cluster, key types.NamespacedName) {
	other := pick(w, c.api.keys())
	a, b := c.api.users[key], c.api.users[other]
	if other == key || !w.hasMarked(c, a) || !w.hasMarked(c, b) {
		return
	}
	w.tracef("WORLD: the users in the statuses of %s %s and %s change places", c.ownerID, key.Name, other.Name)
	first, second := a.Status.User.DeepCopy(), b.Status.User.DeepCopy()
	w.rewriteUser(c, key, func(mu *v1alpha1.ManagedUser) { mu.Status.User = second })
	w.rewriteUser(c, other, func(mu *v1alpha1.ManagedUser) { mu.Status.User = first })
	c.api.lost[key], c.api.lost[other] = c.api.version, c.api.version
}

// hasMarked reports whether an object has a user, and that user its mark.
func (w *World) hasMarked(c *cluster, mu *v1alpha1.ManagedUser) bool {
	u, ok := w.ledger.users[knownID(mu)]
	return ok && mu.Status.Origin != "" && ownerOf(u, ownerNameOf(c, mu)) == own
}

// isExchanged reports whether the status of an object names a user that does not carry the object's mark.
func (w *World) isExchanged(id int64) bool {
	exchanged := false
	w.each(func(c *cluster, key types.NamespacedName) {
		mu := c.api.users[key]
		exchanged = exchanged || knownID(mu) == id && !w.hasMarked(c, mu)
	})
	return exchanged
}

// restoreBackup applies an old state of an object over the one that is there, as a backup tool does: spec and metadata,
// and not the status.
func (w *World) restoreBackup(c *cluster, key types.NamespacedName) {
	backup, ok := w.backups[ownerName(c, key)]
	if !ok || !c.api.users[key].DeletionTimestamp.IsZero() || backup.Spec.UserID != c.api.users[key].Spec.UserID ||
		(backup.Spec.OAuthClientRef == nil) != (c.api.users[key].Spec.OAuthClientRef == nil) {
		return // The API server refuses such a change.
	}
	w.rewriteUser(c, key, func(mu *v1alpha1.ManagedUser) {
		mu.Spec, mu.Annotations, mu.Finalizers = *backup.Spec.DeepCopy(), maps.Clone(backup.Annotations), slices.Clone(backup.Finalizers)
	})
	w.tracef("WORLD: %s %s is restored from a backup: %s", c.ownerID, key.Name, describe(c.api.users[key]))
}

// contend lets a rival remove the finalizers of an object whenever they are there, for a while.
func (w *World) contend(c *cluster, key types.NamespacedName) {
	w.tracef("WORLD: a rival removes the finalizers of %s %s", c.ownerID, key.Name)
	w.rivals[ownerName(c, key)] = rival{cluster: c, key: key, until: w.now().Add(time.Duration(w.random.Int64N(int64(5 * time.Minute))))}
}

// rival is another writer that removes the finalizers of an object.
type rival struct {
	cluster *cluster
	key     types.NamespacedName
	until   time.Time
}

// strip lets the rivals act. It is called after each step.
func (w *World) strip() {
	for _, name := range slices.Sorted(maps.Keys(w.rivals)) {
		r := w.rivals[name]
		if !w.chaos || !r.until.After(w.now()) {
			delete(w.rivals, name)
			continue
		}
		if mu, ok := r.cluster.api.users[r.key]; ok && mu.DeletionTimestamp.IsZero() && len(mu.Finalizers) > 0 {
			w.rewriteUser(r.cluster, r.key, func(mu *v1alpha1.ManagedUser) { mu.Finalizers = nil })
		}
	}
}

// mostRestorations is how often a process may put records back within restorationWindow: with delays that double from
// one second it is four times.
const (
	mostRestorations  = 5
	restorationWindow = 10 * time.Second
)

// countRestoration checks that a process does not fight with another writer: it slows down.
func (w *World) countRestoration(t *task, before, after *v1alpha1.ManagedUser) {
	const finalizer = v1alpha1.ManagedUserFinalizer
	if before.Status.Origin == "" || slices.Contains(before.Finalizers, finalizer) || !slices.Contains(after.Finalizers, finalizer) {
		return
	}
	p, now := t.process, w.now()
	if now.Sub(recordOf(after).Time) < time.Second { // It announces a create call.
		return
	}
	p.restored[t.key] = append(slices.DeleteFunc(p.restored[t.key], func(at time.Time) bool {
		return now.Sub(at) >= restorationWindow
	}), now)
	if n := len(p.restored[t.key]); n > mostRestorations {
		w.violate("%s restores the finalizer of %s %d times in %v", p.name, t.key.Name, n, restorationWindow)
	}
}

// stripNeeded removes the protection of the Secret or the OAuthClient, or replaces the Secret: key and finalizer in one
// write.
func (w *World) stripNeeded(c *cluster) {
	c.forced = true
	secret, exists := c.api.secrets[secretName]
	switch choice := w.random.IntN(3); {
	case choice == 0 && exists && secret.DeletionTimestamp.IsZero():
		w.tracef("WORLD: the Secret of %s loses its finalizers", c.ownerID)
		c.api.freeSecret(secretName)
	case choice == 1 && exists && secret.DeletionTimestamp.IsZero():
		w.tracef("WORLD: the Secret of %s is replaced", c.ownerID)
		replaced := secret.DeepCopy()
		replaced.Finalizers, replaced.Annotations = nil, nil
		replaced.Data = map[string][]byte{"secretKey": []byte(w.secret)}
		c.api.storeSecret(replaced)
	case c.api.client != nil && c.api.client.DeletionTimestamp.IsZero():
		w.tracef("WORLD: the OAuthClient of %s loses its finalizers", c.ownerID)
		c.api.freeClient()
	}
}

// isExposed reports whether another tool has just rewritten the object of a claim: what the object needs may be
// released by a reconcile that saw it without its finalizer.
func (w *World) isExposed(c *claim) bool {
	at, rewritten := w.rewrittenAt[c.key()]
	return c.exposed || rewritten && w.now().Sub(at) < reconcileTimeout
}

// isBound reports whether an object says that it has, or may have, a user in Cal.com.
func isBound(mu *v1alpha1.ManagedUser) bool {
	return slices.Contains(mu.Finalizers, v1alpha1.ManagedUserFinalizer) || recordOf(mu).UID == mu.UID ||
		mu.Status.Origin != "" && mu.DeletionTimestamp.IsZero()
}

// lacksRecords reports whether an object that is to stay and owns a user lacks the finalizer, or an annotation that
// says how it came to own it.
func lacksRecords(mu *v1alpha1.ManagedUser) bool {
	if !mu.DeletionTimestamp.IsZero() || !isBound(mu) {
		return false
	}
	_, adopted := mu.Annotations[v1alpha1.AdoptedAnnotation]
	_, intended := mu.Annotations[v1alpha1.CreateIntentAnnotation]
	return !slices.Contains(mu.Finalizers, v1alpha1.ManagedUserFinalizer) || mu.Status.User != nil && !adopted && !intended
}

// noteAmnesia notes that the world has taken away, or contradicted, what says how an object came to own its user.
func (l *ledger) noteAmnesia(c *cluster, name types.NamespacedName) {
	mu := c.api.users[name]
	if mu == nil {
		return
	}
	for _, claim := range l.claims {
		if claim.cluster == c && claim.name == name && claim.userID != 0 && !l.remembersOrigin(claim, mu) {
			l.amnesia[claim.key()] = true
		}
	}
}

// remembersOrigin reports whether some record still says how an object came to own the user of a claim, and none
// contradicts it.
func (l *ledger) remembersOrigin(c *claim, mu *v1alpha1.ManagedUser) bool {
	inStatus := func(origin v1alpha1.Origin) bool {
		return mu.Status.User != nil && mu.Status.User.ID == c.userID && mu.Status.Origin == origin
	}
	_, annotated := mu.Annotations[v1alpha1.AdoptedAnnotation]
	text, _ := l.users[c.userID].Metadata[ownerKey].(string)
	adopted := annotated || strings.HasSuffix(text, ":adopted") || inStatus(v1alpha1.OriginAdopted)
	if c.adopted {
		return adopted
	}
	return !adopted && (inStatus(v1alpha1.OriginCreated) || recordOf(mu).Email != "")
}

// wakeContenders wakes the objects in conflict that want the address, or the username, that another object's user has
// freed.
func (p *process) wakeContenders(before, after *v1alpha1.ManagedUser) {
	freed := heldAddress(before)
	if freed == "" || freed == heldAddress(after) {
		return
	}
	for _, key := range sortedKeys(p.view) {
		mu := p.view[key]
		synced := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionSynced)
		if synced == nil || !alike(mu.Spec.Email, freed) {
			continue
		}
		switch synced.Reason {
		case v1alpha1.ReasonAlreadyExists, v1alpha1.ReasonOwnedElsewhere, v1alpha1.ReasonUsernameConflict:
			p.reconciler.Retry(key)
			p.enqueue(key, p.world.now())
		}
	}
}

// heldAddress is the plain address of the user that an object owns.
func heldAddress(mu *v1alpha1.ManagedUser) string {
	if mu == nil || mu.Status.Origin == "" || mu.Status.User == nil {
		return ""
	}
	return plain(mu.Status.User.Email)
}
