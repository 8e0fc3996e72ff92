// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// span is a time with a beginning and an end.
type span struct{ from, until time.Time }

func (s span) holds(at time.Time) bool { return !at.Before(s.from) && at.Before(s.until) }

// gap is how long Cal.com is down where ids come to mean other users, so that no reconcile goes on with what it saw
// before: Cal.com has no call that depends on what the caller last saw.
const gap = reconcileTimeout + time.Minute

// tenant is another server that takes the same credentials, to which a proxy leads for a while.
type tenant struct {
	server *calcomtest.Server
	// period is when the proxy leads there.
	period span
	// refuses: a create call is answered by 503. Otherwise it makes a user.
	refuses bool
	// overlaps: its users have ids that users here have, too.
	overlaps bool
	// theirs are the users of other people there.
	theirs map[int64]calcomtest.User
}

// newTenant makes another tenant that has some users.
func (w *World) newTenant() *tenant {
	const burnt = 500 // More ids than any seed uses.
	t := &tenant{overlaps: w.random.IntN(2) == 0, theirs: map[int64]calcomtest.User{}}
	t.server = calcomtest.NewHandler(calcomtest.Options{
		Clients: []calcomtest.OAuthClient{{ID: clientID, Secret: w.secret}}, Now: w.clock.Now,
		Sleep: func(context.Context, time.Duration) {}, RateLimit: w.callLimit,
	})
	for n := range burnt {
		if t.overlaps {
			break
		}
		u := t.server.AddUser(clientID, calcomtest.User{Email: fmt.Sprintf("burnt%d@example.org", n)})
		t.server.RemoveUser(clientID, u.ID)
	}
	for n := range 1 + w.random.IntN(5) {
		u := t.server.AddUser(clientID, calcomtest.User{Email: fmt.Sprintf("zzother%d@canary.example.net", n)})
		t.theirs[u.ID] = u
	}
	return t
}

// misroute lets a proxy lead to another tenant for a while, in which people delete objects and restart the operator.
func (w *World) misroute(ctx context.Context) {
	w.populate(ctx)
	w.beginMisrouting()
	if w.random.IntN(2) == 0 {
		w.until(ctx, w.tenant.period.from)
	}
	for w.isMisrouted() && len(w.violations) == 0 {
		for range 20 {
			w.chaoticStep(ctx)
		}
		w.until(ctx, w.now().Add(time.Duration(w.random.Int64N(int64(time.Minute)))))
	}
}

// beginMisrouting decides where the proxy leads, and when.
func (w *World) beginMisrouting() {
	if w.tenant == nil {
		w.tenant = w.newTenant()
	}
	t := w.tenant
	t.server.SetSecret(clientID, w.secret)
	t.refuses = w.random.IntN(2) == 0
	t.period = span{w.now(), w.now().Add(time.Minute + time.Duration(w.random.Int64N(int64(15*time.Minute))))}
	if t.overlaps {
		t.period = span{t.period.from.Add(gap), t.period.until.Add(gap)}
		w.outages = []span{{w.now(), t.period.from}, {t.period.until, t.period.until.Add(gap)}}
	}
	name := "another tenant answers"
	if t.refuses {
		name += ", but for creates"
	}
	w.tracef("WORLD: %s from %v to %v", name, t.period.from.Sub(w.began), t.period.until.Sub(w.began))
	w.figures.Faults[name]++
	w.disasters.gone += len(names) // As it seems.
}

// endMisrouting lets the proxy lead to the right server again.
func (w *World) endMisrouting() {
	if w.tenant == nil || !w.now().Before(w.tenant.period.until) {
		return
	}
	w.tenant.period = span{}
	w.outages = nil
	if w.tenant.overlaps {
		w.outages = []span{{w.now(), w.now().Add(gap)}}
	}
}

// isMisrouted reports whether calls reach another tenant.
func (w *World) isMisrouted() bool { return w.tenant != nil && w.tenant.period.holds(w.now()) }

// isDown reports whether Cal.com answers nobody.
func (w *World) isDown() bool {
	return slices.ContainsFunc(w.outages, func(s span) bool { return s.holds(w.now()) })
}

// disasterFault is what happens to every call, or to every create call, during some disasters.
func (w *World) disasterFault(x *exchange) fault {
	unavailable := &calcomtest.Fault{Status: http.StatusServiceUnavailable}
	switch {
	case w.isDown():
		return fault{name: "503 of an outage", inject: unavailable}
	case w.isMisrouted() && w.tenant.refuses && x.op == calcomtest.OpCreate:
		return fault{name: "503 of another tenant", inject: unavailable}
	}
	return fault{}
}

// serverOf is the server that a call reaches.
func (w *World) serverOf(x *exchange) *calcomtest.Server {
	if x.misrouted {
		return w.tenant.server
	}
	return w.cal
}

// usersOf are the users of the server that a call reaches.
func (w *World) usersOf(x *exchange) map[int64]calcomtest.User {
	if !x.misrouted {
		return w.ledger.users
	}
	users := map[int64]calcomtest.User{}
	for _, u := range w.tenant.server.Users(clientID) {
		users[u.ID] = u
	}
	return users
}

// checkTenant checks that nobody's users are touched at another tenant, but those that the spec of an object names.
func (w *World) checkTenant() {
	for id, left := range w.tenant.theirs {
		if u, ok := w.tenant.server.User(clientID, id); ok && reflect.DeepEqual(u, left) {
			continue
		}
		delete(w.tenant.theirs, id)
		if !w.isNamed(id) {
			w.foreignTouched("user %d of another tenant is not as it was", id)
		}
	}
}

// isNamed reports whether the spec of an object names a user by its id.
func (w *World) isNamed(id int64) bool {
	for _, c := range w.clusters {
		for _, mu := range c.api.users {
			if mu.Spec.UserID == id {
				return true
			}
		}
	}
	return false
}

// actMisled is what people do while their users seem to be gone: they delete objects, ask for a reconcile, and restart
// the operator.
func (w *World) actMisled(c *cluster) {
	keys := c.api.keys()
	switch w.random.IntN(3) {
	case 0:
		w.disturb()
	case 1:
		w.removeObjects(c, pick(w, keys))
	default:
		for _, key := range keys {
			w.request(c, key)
		}
	}
}

// mislead notes that an object goes on as if its user were gone, because another tenant's answers say so. One that has
// lost its status too does not know that it had a user.
func (l *ledger) mislead(key string) {
	for _, c := range l.claims {
		if c.key() == key {
			c.misled = l.world.now()
		}
	}
}

// recover notes that an object knows its user by its id again.
func (l *ledger) recover(c *claim) {
	mu := c.cluster.api.users[c.name]
	if !c.misled.IsZero() && !l.world.isMisrouted() && l.world.now().Sub(c.misled) > reconcileTimeout && isIn(mu, l.users[c.userID]) {
		c.misled = time.Time{}
	}
}
