// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"encoding/json"
	"reflect"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// sync compares the server's users with those of the last look. t and x are whose doing it is, if it is a task's.
func (l *ledger) sync(t *task, x *exchange) {
	before, now := l.users, map[int64]calcomtest.User{}
	users := l.world.cal.Users(clientID)
	for _, u := range users {
		now[u.ID] = u
	}
	for id, was := range before {
		if u, exists := now[id]; !exists || !isSame(u, was) {
			l.disappeared(id)
		}
	}
	l.users = now
	for _, u := range users {
		if was, known := before[u.ID]; !known || !isSame(u, was) {
			l.appeared(u, t, x)
		}
	}
	if t != nil && !t.sweeps() && x.op == calcomtest.OpUpdate {
		l.updated(t, x.id)
	}
	l.checkWorldsUsers()
}

// updated takes in that an object changed a user.
func (l *ledger) updated(t *task, id int64) {
	l.excuseLoss(t, id)
	switch u, ok := l.users[id]; {
	case !ok:
	case ownerOf(u, t.owner()) == own:
		l.marked(t, u)
	case orphans(t.object):
		l.letGo(t.owner(), id)
	}
}

// isSame reports whether two users with one id are the same: a server whose ids restart gives them to others.
func isSame(a, b calcomtest.User) bool { return a.ID == b.ID && a.CreatedDate.Equal(b.CreatedDate) }

// isIn reports whether a user is the one in an object's status.
func isIn(mu *v1alpha1.ManagedUser, u calcomtest.User) bool {
	was := mu.Status.User
	return was != nil && was.ID == u.ID && was.CreatedDate == u.CreatedDate.UTC().Format("2006-01-02T15:04:05.000Z")
}

// disappeared ends what was known of a user who is gone. More than one status can name it.
func (l *ledger) disappeared(id int64) {
	l.world.disasters.gone++
	l.world.each(func(c *cluster, key types.NamespacedName) {
		if knownID(c.api.users[key]) == id {
			l.world.disasters.gone++
		}
	})
	l.claims = slices.DeleteFunc(l.claims, func(c *claim) bool { return c.userID == id })
}

// appeared finds out whose create call made a user: the one that the server has just served, or an earlier one that it
// finishes late.
func (l *ledger) appeared(u calcomtest.User, t *task, x *exchange) {
	if _, ok := l.byWorld[u.ID]; ok {
		return
	}
	if x != nil && x.op == calcomtest.OpCreate && ownerOf(u, t.owner()) != anothers {
		if c := l.posts[t.owner()].claim; c.userID == 0 && c.email == plain(u.Email) {
			c.userID = u.ID
			return
		}
	}
	for _, c := range l.claims {
		if c.userID == 0 && c.email == plain(u.Email) && ownerOf(u, c.key()) != anothers {
			c.userID = u.ID
			return
		}
	}
	l.world.violate("user %d comes from nowhere", u.ID)
}

// marked notes that an object put its mark on a user, or has it there again. Another tool may have removed the object's
// records since the operator read it.
func (l *ledger) marked(t *task, u calcomtest.User) {
	key := t.owner()
	for _, c := range l.claims {
		if c.key() == key && c.userID == u.ID {
			return
		}
	}
	c := &claim{cluster: t.process.cluster, name: t.key, userID: u.ID, adopted: true}
	c.exposed = l.world.isExposed(c)
	// Another leader released the object, which was deleted meanwhile, before this one's update was done.
	mu := c.cluster.api.users[t.key]
	c.abandoned = len(c.cluster.processes) > 1 && (mu == nil || !isBound(mu))
	l.claims = append(l.claims, c)
}

// letGo notes that an object took its mark off the user that it orphans.
func (l *ledger) letGo(key string, id int64) {
	for _, c := range l.claims {
		if c.key() == key && c.userID == id {
			c.orphaned = true
		}
	}
}

// excuseLoss gives up a user whose address an update changed after somebody had emptied the status in which its id
// stood: the operator read it before.
func (l *ledger) excuseLoss(t *task, id int64) {
	if t.process.cluster.api.lost[t.key] <= versionOf(t.object) {
		return
	}
	for _, c := range l.claims {
		if c.key() == t.owner() && c.userID == id && !l.onRecord(c) {
			c.abandoned = true
		}
	}
}

func (l *ledger) drop(c *claim) {
	l.claims = slices.DeleteFunc(l.claims, func(other *claim) bool { return other == c })
}

// checkWorldsUsers compares the users that nobody may touch with what the world made them.
func (l *ledger) checkWorldsUsers() {
	for id, left := range l.byWorld {
		if l.allowed[id] != nil || l.strange[id] {
			continue
		}
		if have, ok := l.users[id]; !ok || !reflect.DeepEqual(have, left) {
			l.strange[id] = true
			l.world.foreignTouched("user %d is not as the world left it", id)
		}
	}
}

// record is what the ledger reads of the create call that an object keeps on record.
type record struct {
	Time  time.Time `json:"time"`
	Email string    `json:"email"`
	UID   types.UID `json:"uid"`
	Zoned bool      `json:"zoned"`
}

// recordOf returns the record of a create call, empty where there is none that can be read.
func recordOf(mu *v1alpha1.ManagedUser) record {
	var r record
	if json.Unmarshal([]byte(mu.Annotations[v1alpha1.CreateIntentAnnotation]), &r) != nil {
		return record{}
	}
	return r
}
