// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// emails are few, so that objects meet; some differ and have the same username in Cal.com.
var emails = []string{
	"zz_ada@canary.example.com", "zz-ada@canary.example.com", "zzbob@canary.example.com", "zzbob@canary.example.org",
	"zzcyd@canary.example.com", "zzdee@canary.example.com",
}

var names = []string{"one", "two", "three", "four", "five"}

func pick[T any](w *World, from []T) T { return from[w.random.IntN(len(from))] }

// happen is one event of the world.
func (w *World) happen(ctx context.Context) {
	c := pick(w, w.clusters)
	keys := c.api.keys()
	if len(keys) == 0 {
		w.createObject(c)
		return
	}
	if w.isMisrouted() && w.random.IntN(2) == 0 {
		w.actMisled(c)
		return
	}
	key := pick(w, keys)
	if w.rewrite(c, key) || w.disaster(ctx) {
		return
	}
	w.act(c, key)
}

// act is something that people do.
func (w *World) act(c *cluster, key types.NamespacedName) {
	switch choice := w.random.IntN(100); {
	case choice < 22:
		w.createObject(c)
	case choice < 45:
		w.editObject(c, key)
	case choice < 57:
		w.removeObjects(c, key)
	case choice < 67:
		w.changeNeeded(c, choice)
	case choice < 84:
		w.changeUser()
	case choice < 90:
		w.addUser(pick(w, emails))
	case choice < 94:
		w.loseStatus(c, key)
	case choice < 96:
		w.tracef("WORLD: %s %s may be deleted with many others", c.ownerID, key.Name)
		c.api.edit(key, func(mu *v1alpha1.ManagedUser) { annotate(mu, v1alpha1.AllowMassDeletionAnnotation, "true") })
	default:
		w.request(c, key)
	}
}

// changeNeeded changes what objects need, or what they publish.
func (w *World) changeNeeded(c *cluster, choice int) {
	switch {
	case choice < 62:
		w.changeSecret(c)
	case choice < 65:
		w.changeClient(c)
	default:
		w.changeTokens(c)
	}
}

// removeObjects deletes an object, or now and then all of them.
func (w *World) removeObjects(c *cluster, key types.NamespacedName) {
	keys := []types.NamespacedName{key}
	if w.random.IntN(12) == 0 {
		keys = c.api.keys()
	}
	for _, key := range keys {
		w.tracef("WORLD: %s %s is to be deleted", c.ownerID, key.Name)
		c.api.remove(key)
	}
}

// request asks for a look at an object now.
func (w *World) request(c *cluster, key types.NamespacedName) {
	w.requests++
	w.tracef("WORLD: a look at %s %s is asked for", c.ownerID, key.Name)
	c.api.edit(key, func(mu *v1alpha1.ManagedUser) {
		annotate(mu, v1alpha1.ReconcileRequestedAtAnnotation, strconv.Itoa(w.requests))
	})
}

func annotate(mu *v1alpha1.ManagedUser, key, value string) {
	mu.Annotations = maps.Clone(mu.Annotations)
	if mu.Annotations == nil {
		mu.Annotations = map[string]string{}
	}
	mu.Annotations[key] = value
}

// createObject applies a new manifest, in a second cluster often one that the first one has, too.
func (w *World) createObject(c *cluster) {
	key := types.NamespacedName{Namespace: namespace, Name: pick(w, names)}
	if _, exists := c.api.users[key]; exists {
		return
	}
	mu := &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: key.Name}}
	mu.Spec = v1alpha1.ManagedUserSpec{
		OAuthClient: new(credentials(len(key.Name))), Email: pick(w, emails), Name: "Name of " + key.Name,
	}
	if w.random.IntN(2) == 0 {
		mu.Spec.OAuthClient, mu.Spec.OAuthClientRef = nil, &v1alpha1.OAuthClientReference{Name: clientName.Name}
	}
	for range w.random.IntN(5) {
		w.editSpec(&mu.Spec)
	}
	if other, ok := w.clusters[0].api.users[key]; ok && w.random.IntN(2) == 0 {
		mu.Spec = *other.Spec.DeepCopy()
	}
	c.api.create(mu)
	w.tracef("WORLD: %s %s is created: %s", c.ownerID, key.Name, describe(mu))
}

// editObject edits the spec once or more.
func (w *World) editObject(c *cluster, key types.NamespacedName) {
	c.api.edit(key, func(mu *v1alpha1.ManagedUser) {
		for range 1 + w.random.IntN(2) {
			w.editSpec(&mu.Spec)
		}
	})
	w.tracef("WORLD: %s %s is edited: %s", c.ownerID, key.Name, describe(c.api.users[key]))
}

func describe(mu *v1alpha1.ManagedUser) string {
	s := mu.Spec
	return fmt.Sprintf("%s %s/%s/%s userID %d, createOnly %v", s.Email, s.ReconcilePolicy, s.DeletionPolicy, s.AdoptionPolicy, s.UserID, s.CreateOnly)
}

// editSpec changes one thing within what the CRD allows.
func (w *World) editSpec(s *v1alpha1.ManagedUserSpec) {
	edits := []func(){
		func() { s.Email = pick(w, emails) },
		func() { s.Email = pick(w, emails) },
		func() { s.Name = "Name " + strconv.Itoa(w.random.IntN(5)) },
		func() { s.TimeZone = pick(w, []string{"", "Europe/Rome", "America/Port-au-Prince"}) },
		func() { s.WeekStart = pick(w, []string{"", "Monday", "Friday"}) },
		func() { s.TimeFormat = pick(w, []int32{0, 12, 24}) },
		func() { s.Bio = pick(w, []*string{nil, new(""), new("About")}) },
		func() { s.Metadata = pick(w, []map[string]string{nil, {"plan": "gold"}, {"plan": "tin", "seat": "3"}}) },
		func() { s.DeletionPolicy = pick(w, []v1alpha1.DeletionPolicy{"", "", "Delete", "Orphan"}) },
		func() { s.DeletionPolicy = pick(w, []v1alpha1.DeletionPolicy{"", "", "Delete", "Orphan"}) },
		func() { s.AdoptionPolicy = pick(w, []v1alpha1.AdoptionPolicy{"", "Never", "ByEmail"}) },
		func() { s.AdoptionPolicy = pick(w, []v1alpha1.AdoptionPolicy{"", "Never", "ByEmail"}) },
		func() {
			s.ReconcilePolicy = pick(w, []v1alpha1.ReconcilePolicy{"", "", "Manage", "Observe", "Suspend"})
		},
		func() {
			s.ReconcilePolicy = pick(w, []v1alpha1.ReconcilePolicy{"", "", "Manage", "Observe", "Suspend"})
		},
		func() { s.Tokens = pick(w, tokensSpecs) },
		func() { s.CreateOnly = pick(w, [][]v1alpha1.SpecField{nil, {"timeZone"}, {"name", "metadata"}}) },
		func() {
			if ids := w.userIDs(); s.UserID == 0 && w.random.IntN(3) == 0 && len(ids) > 0 { // It can be set once.
				s.UserID = pick(w, ids)
			}
		},
	}
	pick(w, edits)()
	if s.ReconcilePolicy == v1alpha1.ReconcilePolicyObserve {
		s.Tokens = nil
	}
}

// tokensSpecs are few names of Secrets, so that objects get in each other's way.
var tokensSpecs = []*v1alpha1.TokensSpec{
	nil, {SecretName: tokensPrefix + "a"}, {SecretName: tokensPrefix + "b"}, {SecretName: tokensPrefix + "c"}, {SecretName: tokensPrefix + "d"},
}

func (w *World) userIDs() []int64 { return slices.Sorted(maps.Keys(w.ledger.users)) }

// changeSecret deletes, mistypes or mends the Secret, or rotates the key, in which case the Secret is behind.
func (w *World) changeSecret(c *cluster) {
	switch w.random.IntN(8) {
	case 0, 4:
		w.tracef("WORLD: the Secret of %s is deleted", c.ownerID)
		c.api.removeSecret(secretName)
	case 5:
		if w.random.IntN(2) == 0 {
			w.tracef("WORLD: the Secret of %s is deleted by force", c.ownerID)
			c.api.removeSecret(secretName)
			c.api.freeSecret(secretName)
			c.forced = true
		}
	case 1:
		w.setSecret(c, "canary-typo")
	case 2:
		w.tracef("WORLD: the Secret of %s loses its key", c.ownerID)
		c.api.setSecret(secretName, map[string][]byte{"other": []byte("canary")})
	case 3:
		w.secret = "canary-key-" + strconv.Itoa(w.random.IntN(100))
		w.tracef("WORLD: Cal.com has a new secret key")
		w.cal.SetSecret(clientID, w.secret)
	default:
		w.setSecret(c, w.secret)
	}
}

func (w *World) setSecret(c *cluster, key string) {
	w.tracef("WORLD: the Secret of %s is set, right: %t", c.ownerID, key == w.secret)
	c.api.setSecret(secretName, map[string][]byte{"secretKey": []byte(key + "\n")})
}

// loseStatus restores an object from a backup: without status, and perhaps without the operator's annotations.
func (w *World) loseStatus(c *cluster, key types.NamespacedName) {
	annotations := w.random.IntN(3) > 0
	w.tracef("WORLD: %s %s loses its status, keeps its annotations: %t", c.ownerID, key.Name, annotations)
	c.api.edit(key, func(mu *v1alpha1.ManagedUser) {
		mu.Status = v1alpha1.ManagedUserStatus{ObservedGeneration: -1}
		if !annotations {
			mu.Annotations = nil
			w.ledger.forget(c, key)
		}
	})
	w.ledger.noteAmnesia(c, key)
	c.api.lost[key] = c.api.version
}

// addUser is somebody else's user.
func (w *World) addUser(email string) {
	w.pass(time.Millisecond) // Else a user with the same id could have been made at the same time at another tenant.
	defer w.pass(time.Millisecond)
	u := calcomtest.User{Email: email, Name: new("Somebody")}
	if w.random.IntN(4) == 0 && !w.ledger.isOpen(email) {
		// As if its creation had stopped in the middle. The records of create calls have a precision of a second.
		u.Name, u.CreatedDate = nil, w.now().Add(-time.Second)
	}
	u, ok := w.tryAdd(u)
	if !ok {
		return
	}
	w.tracef("WORLD: somebody creates user %d, %s", u.ID, email)
	w.ledger.byWorld[u.ID] = u
	w.ledger.sync(nil, nil)
}

// changeUser changes a user by hand: whoever's it is.
func (w *World) changeUser() {
	ids := w.userIDs()
	if len(ids) == 0 {
		return
	}
	id := pick(w, ids)
	email := plain(w.ledger.users[id].Email)
	switch w.random.IntN(9) {
	case 0, 1:
		w.tracef("WORLD: user %d is removed by hand", id)
		w.removeUser(id)
		if w.random.IntN(2) == 0 {
			w.addUser(email)
		}
	case 2:
		w.wipeMetadata(id)
	case 3:
		// The last two are of an object of the first cluster that does not exist, and a mark that nobody can read.
		owner := pick(w, []string{"elsewhere/ns/name/uid", "cluster-1/sim/nobody/uid", "cluster-1/si m/a/b/c"})
		w.byHand(id, "another's mark", func(u *calcomtest.User) { mark(u, ownerKey, owner) })
	case 4:
		w.byHand(id, "nested metadata", func(u *calcomtest.User) { mark(u, "nested", map[string]any{"a": "b"}) })
	case 5:
		w.byHand(id, "no nested metadata", func(u *calcomtest.User) { delete(u.Metadata, "nested") })
	case 6:
		w.moveUser(id, pick(w, emails))
	default:
		w.byHand(id, "another name", func(u *calcomtest.User) { u.Name, u.TimeZone = new("By hand"), "Asia/Tokyo" })
	}
}

// wipeMetadata removes a user's metadata, and the mark with them, unless a status that was exchanged names the user:
// then two of the three places in which its identity stands would be wrong.
func (w *World) wipeMetadata(id int64) {
	if !w.isExchanged(id) {
		w.byHand(id, "its metadata wiped", func(u *calcomtest.User) { u.Metadata = nil })
	}
}

// moveUser changes a user's address. A user without a name that gets the address of an open create call could not be
// told from what that call made.
func (w *World) moveUser(id int64, to string) {
	if !w.isFree(to) || isBlank(w.ledger.users[id]) && w.ledger.isOpen(to) {
		return
	}
	w.moved[id] = true
	w.byHand(id, to, func(u *calcomtest.User) { u.Email, u.Username = stored(to), new("by-hand-"+strconv.FormatInt(id, 10)) })
}

func (w *World) removeUser(id int64) {
	w.cal.RemoveUser(clientID, id)
	delete(w.ledger.byWorld, id)
	w.ledger.sync(nil, nil)
}

func mark(u *calcomtest.User, key string, value any) {
	if u.Metadata == nil {
		u.Metadata = map[string]any{}
	}
	u.Metadata[key] = value
}

func (w *World) byHand(id int64, what string, change func(*calcomtest.User)) {
	w.tracef("WORLD: user %d gets %s by hand", id, what)
	w.cal.UpdateUser(clientID, id, change)
	u, ok := w.cal.User(clientID, id)
	if _, theirs := w.ledger.byWorld[id]; theirs && ok {
		w.ledger.byWorld[id] = u
	}
	w.ledger.sync(nil, nil)
}

// isFree reports whether nobody has an address or its username, as far as anybody can see.
func (w *World) isFree(email string) bool {
	for _, u := range w.ledger.users {
		if alike(plain(u.Email), email) {
			return false
		}
	}
	return !w.halfMade[email]
}
