// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bytes"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const ownerKey = v1alpha1.OwnerMetadataKey

// owner says whose a user is, seen from one object, by the mark that the server really has.
type owner int

const (
	nobodys owner = iota
	own
	anothers
)

// claim is a user in Cal.com that an object has to answer for: it created it, or may yet have created it, or put
// its mark on it.
type claim struct {
	cluster *cluster
	name    types.NamespacedName
	email   string // Of the create call.
	userID  int64  // 0 while the user may come to exist.
	until   time.Time
	adopted bool
	// zoned: the create call named a time zone. failed: Cal.com answered it with an error of its own.
	zoned, failed bool
	// exposed: another tool rewrote the object since its records were last seen, and only the memory of the process
	// that sent the create call may lead to the user.
	exposed bool
	// wasExposed: exposed was set before.
	wasExposed bool
	process    *process
	// stored: the id has been in the status, from when on the process need not remember the call.
	stored bool
	// misled is when its object last went on as if the user were gone, because another tenant's answers said so, and
	// within the limit.
	misled time.Time
	// orphaned: let go as its policy says. abandoned: the world took away what the operator could find it by.
	orphaned, abandoned bool
}

func (c *claim) key() string { return ownerName(c.cluster, c.name) }

func (c *claim) live() bool { return !c.orphaned && !c.abandoned }

// ownerName is the part of a mark that says which object it means.
func ownerName(c *cluster, name types.NamespacedName) string {
	return c.ownerID + "/" + name.Namespace + "/" + name.Name
}

// post is the last create call of an object.
type post struct {
	at    time.Time
	uid   types.UID // Of the object: one that is applied anew starts afresh.
	email string
	// known: the operator has heard what came of it. lookedUp: it has looked for the user since.
	known, lookedUp bool
	// failedAt is when Cal.com answered with an error of its own, after which nothing more happens.
	failedAt time.Time
	// exposed: another tool rewrote the object since. A process that starts after that knows nothing of the call.
	exposed bool
	claim   *claim
}

// ledger knows what really happened in Cal.com, and by whom.
type ledger struct {
	world   *World
	claims  []*claim
	posts   map[string]*post
	users   map[int64]calcomtest.User
	byWorld map[int64]calcomtest.User // As the world left them.
	allowed map[int64]map[string]bool // Who may adopt whom.
	amnesia map[string]bool           // Whose annotations the world took away.
	strange map[int64]bool            // Already reported.
}

func newLedger(w *World) *ledger {
	return &ledger{
		world: w, posts: map[string]*post{}, users: map[int64]calcomtest.User{}, byWorld: map[int64]calcomtest.User{},
		allowed: map[int64]map[string]bool{}, amnesia: map[string]bool{}, strange: map[int64]bool{},
	}
}

func (t *task) owner() string { return ownerName(t.process.cluster, t.key) }

// life names the object itself: another one can have its name later.
func (t *task) life() string { return t.owner() + "/" + string(t.object.UID) }

// ownerOf reads the mark off a user.
func ownerOf(u calcomtest.User, key string) owner {
	raw, ok := u.Metadata[ownerKey]
	if !ok {
		return nobodys
	}
	if text, _ := raw.(string); strings.HasPrefix(text, key+"/") {
		return own
	}
	return anothers
}

func plain(email string) string { return strings.Replace(email, "+"+clientID+"@", "@", 1) }

// sent judges a call by what the operator could know, before the server sees it.
func (l *ledger) sent(t *task, x *exchange, _ fault) {
	l.world.tokens.sent(t, x)
	reads := x.op == calcomtest.OpGet || x.op == calcomtest.OpList
	if t.sweeps() || t.verifies() {
		l.listing(t, x)
		return
	}
	l.noteRest(t, x)
	switch t.object.Spec.ReconcilePolicy {
	case v1alpha1.ReconcilePolicySuspend:
		l.world.violate("suspended object %s calls %s", t.key.Name, x)
	case v1alpha1.ReconcilePolicyObserve:
		if !reads {
			l.world.violate("observing object %s calls %s", t.key.Name, x)
		}
	case v1alpha1.ReconcilePolicyManage:
	}
	switch {
	case x.op == calcomtest.OpCreate:
		l.creating(t, x)
	case !reads:
		l.touching(t, x)
	}
}

// listing judges a call of what has no object of its own.
func (l *ledger) listing(t *task, x *exchange) {
	if t.sweeps() {
		l.world.lists++
	}
	if x.op != calcomtest.OpList {
		l.world.foreignTouched("%s calls %s", t.key.Name, x)
	}
}

// noteRest notes who calls although its object is Ready, and who gets new tokens, which a Ready object may.
func (l *ledger) noteRest(t *task, x *exchange) {
	switch {
	case x.isAboutTokens():
		l.world.refreshes++
	case meta.IsStatusConditionTrue(t.object.Status.Conditions, v1alpha1.ConditionReady):
		l.world.restless = append(l.world.restless, t.key.Name+" calls "+x.String())
	}
}

// creating judges a create call: never a second one before the outcome of the first is known or waited for.
func (l *ledger) creating(t *task, x *exchange) {
	w, key := l.world, t.owner()
	if !t.object.DeletionTimestamp.IsZero() {
		w.violate("%s creates a user while it is being deleted", t.key.Name)
	}
	if last := l.posts[key]; last != nil && last.uid == t.object.UID && !last.known && !l.amnesia[key] && (!last.exposed || last.claim.process == t.process) {
		l.creatingAgain(t, last)
	}
	w.checkHeld(t.process.cluster, t.object)
	l.recreating(t)
	if t.misled {
		l.mislead(key)
	}
	c := &claim{
		cluster: t.process.cluster, process: t.process, name: t.key, email: x.emails[0], until: w.now(),
		zoned: bytes.Contains(x.body, []byte(`"timeZone"`)),
	}
	// The record of intent may have been taken away after it was written.
	c.abandoned = t.process.cluster.api.lost[t.key] > versionOf(t.object) && !l.onRecord(c)
	c.exposed = t.process.cluster.api.rewritten[t.key] > versionOf(t.object)
	l.posts[key] = &post{at: w.now(), uid: t.object.UID, email: x.emails[0], claim: c, exposed: c.exposed}
	l.claims = append(l.claims, c)
}

// hasLiveClaim reports whether the records of an object lead to a user.
func (l *ledger) hasLiveClaim(key string, id int64) bool {
	return !l.amnesia[key] && slices.ContainsFunc(l.claims, func(c *claim) bool {
		return c.key() == key && c.userID == id && c.live() && c.misled.IsZero()
	})
}

func (l *ledger) hasClaim(key string, id int64) bool {
	return slices.ContainsFunc(l.claims, func(c *claim) bool { return c.key() == key && c.userID == id })
}

// freshness is how old the record of a create call may be when the operator sends the call.
const freshness = 30 * time.Second

// betweenIntentAndCall is how much later than its record a call may be sent, in this world.
const betweenIntentAndCall = 10 * time.Second

// failureGrace is how long after an error of Cal.com's own an empty list may still be that of a read replica.
const failureGrace = 10 * time.Second

// creatingAgain judges a create call after one whose outcome the operator does not know.
func (l *ledger) creatingAgain(t *task, last *post) {
	w := l.world
	if !last.lookedUp {
		w.violate("%s creates again without a look-up", t.key.Name)
	}
	since, least := w.now().Sub(last.at), manageduser.UnknownOutcomeGrace-freshness
	if !last.failedAt.IsZero() {
		since, least = w.now().Sub(last.failedAt), failureGrace
	}
	if since < least {
		w.violate("%s creates again %v after a call of unknown outcome", t.key.Name, since)
	}
}

// isOpen reports whether an object waits for the outcome of a create call with an address, or may have sent one as far
// as its records tell. A user without a name and a mark that comes meanwhile cannot be told from that of the call.
func (l *ledger) isOpen(email string) bool {
	for _, p := range l.posts {
		if !p.known && p.email == email {
			return true
		}
	}
	for _, c := range l.world.clusters {
		for _, mu := range c.api.users {
			if recordOf(mu).Email == email {
				return true
			}
		}
	}
	return false
}

// served takes in what the server did with a call.
func (l *ledger) served(t *task, x *exchange, f fault) {
	switch {
	case x.changesNobody():
	case x.status == http.StatusConflict:
		l.world.attempts++
	default:
		l.world.changes++
	}
	if x.op == calcomtest.OpCreate {
		l.settle(l.posts[t.owner()].claim, x, f)
	}
	x.shown, x.addresses = map[int64]owner{}, map[int64]string{}
	if f.swallowed || x.status/100 != 2 {
		return
	}
	users := l.world.usersOf(x)
	for _, id := range x.shownIDs() {
		if u, ok := users[id]; ok {
			x.shown[id], x.addresses[id] = ownerOf(u, t.owner()), plain(u.Email)
			if !t.sweeps() && !t.verifies() && !x.misrouted {
				l.noteAdoptable(t, u)
			}
		}
	}
}

// settle ends the claim of a create call that made no user, unless the server will carry it out later.
func (l *ledger) settle(c *claim, x *exchange, f fault) {
	if x.misrouted { // No user comes of it here.
		l.drop(c)
		return
	}
	if f.inject != nil && f.inject.StopAfter == calcomtest.StepInsert && f.late == 0 {
		l.world.halfMade[x.emails[0]] = true
	}
	switch {
	case f.late > 0:
		c.until = l.world.now().Add(f.late)
		l.world.lateEffects = append(l.world.lateEffects, c.until)
	case c.userID == 0:
		l.drop(c)
	}
}

// noteAdoptable remembers that the object's spec allows it to adopt a user.
func (l *ledger) noteAdoptable(t *task, u calcomtest.User) {
	spec := &t.object.Spec
	byEmail := spec.UserID == 0 && spec.AdoptionPolicy == v1alpha1.AdoptionPolicyByEmail && plain(u.Email) == spec.Email
	if ownerOf(u, t.owner()) == anothers || !byEmail && spec.UserID != u.ID {
		return
	}
	if l.allowed[u.ID] == nil {
		l.allowed[u.ID] = map[string]bool{}
	}
	l.allowed[u.ID][t.owner()] = true
}

// answered takes in what the operator heard.
func (l *ledger) answered(t *task, x *exchange, f fault) {
	if f.cutBody && x.status < http.StatusBadRequest { // A refusal needs no body.
		return
	}
	maps.Copy(t.shown, x.shown)
	if x.op == calcomtest.OpDelete && x.isRefusal() && !x.again {
		delete(l.world.disasters.deleted, t.life())
	}
	p := l.posts[t.owner()]
	readable := strings.HasPrefix(x.header.Get("Content-Type"), "application/json")
	switch {
	case p == nil:
	case x.op == calcomtest.OpCreate:
		l.createAnswered(p, x, readable, f)
	case x.status == http.StatusOK && readable:
		l.learn(p, x)
	}
}

// createAnswered takes in the answer to a create call.
func (l *ledger) createAnswered(p *post, x *exchange, readable bool, f fault) {
	p.known = p.known || x.isRefusal() || x.status == http.StatusCreated && readable
	if x.status == http.StatusInternalServerError && readable && f.late == 0 {
		p.failedAt, p.claim.failed = l.world.now(), true
	}
}

// learn is what a look at Cal.com tells of a create call: that its user is there, that somebody else has its address,
// or at least that it was looked for.
func (l *ledger) learn(p *post, x *exchange) {
	if _, ok := x.shown[p.claim.userID]; ok {
		p.known = true
	}
	if x.op != calcomtest.OpList {
		return
	}
	p.lookedUp = p.lookedUp || slices.ContainsFunc(x.emails, func(e string) bool { return plain(e) == p.email })
	for _, address := range x.addresses {
		p.known = p.known || address == p.email
	}
}
