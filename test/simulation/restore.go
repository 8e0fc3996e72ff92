// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// renumber restores the database in such a way that the ids restart: some users have come back under other ids, the
// others are lost, and other people's users have ids that statuses name. Cal.com is down meanwhile.
func (w *World) renumber(ctx context.Context) {
	const name = "the database is restored and its ids restart"
	w.populate(ctx)
	l := w.ledger
	old := make([]calcomtest.User, 0, len(l.users))
	for _, id := range slices.Sorted(maps.Keys(l.users)) {
		old = append(old, l.users[id])
	}
	w.random.Shuffle(len(old), func(i, j int) { old[i], old[j] = old[j], old[i] })
	lost := w.random.IntN(len(old) + 1)
	w.tracef("WORLD: %s, %d of %d users are lost", name, lost, len(old))
	w.figures.Faults[name]++
	w.outages = append(w.outages, span{w.now(), w.now().Add(gap)})
	w.cal.Wipe()
	w.halfMade = map[string]bool{}
	ids, theirs := map[int64]int64{}, map[int64]calcomtest.User{}
	for n, u := range old {
		if w.random.IntN(2) == 0 {
			w.settleStranger(theirs)
		}
		if n < lost {
			continue
		}
		was := u.ID
		u.ID = 0
		if added, ok := w.tryAdd(u); ok {
			ids[was] = added.ID
			if bearer := l.users[added.ID]; bearer.ID != was && isSame(added, bearer) {
				// Time stands still here while many users are made; a real server's would have other dates.
				w.cal.UpdateUser(clientID, added.ID, func(u *calcomtest.User) { u.CreatedDate = u.CreatedDate.Add(time.Millisecond) })
			}
		}
	}
	l.renumbered(ids, theirs)
	w.endStep(true)
	if w.random.IntN(2) == 0 {
		w.until(ctx, w.now().Add(gap))
	}
}

// settleStranger adds a user of other people who was there before the world began.
func (w *World) settleStranger(theirs map[int64]calcomtest.User) {
	email := "zzstranger" + strconv.Itoa(len(theirs)) + "@canary.example.net"
	if w.random.IntN(3) == 0 {
		email = pick(w, emails)
	}
	created := w.began.Add(-time.Duration(w.random.Int64N(int64(1000 * time.Hour))))
	if u, ok := w.tryAdd(calcomtest.User{Email: email, Name: new("Somebody"), CreatedDate: created}); ok {
		theirs[u.ID] = u
		w.tracef("WORLD: user %d is somebody else's, %s", u.ID, email)
	}
}

// tryAdd adds a user, unless its address or its username is taken.
func (w *World) tryAdd(u calcomtest.User) (added calcomtest.User, ok bool) {
	defer func() { ok = recover() == nil }()
	return w.cal.AddUser(clientID, u), true
}

// renumbered takes over what a restore did: ids are the new ids of the users that are left, by the old ones, and theirs
// are the other people's users that came with it.
func (l *ledger) renumbered(ids map[int64]int64, theirs map[int64]calcomtest.User) {
	w := l.world
	moved, byWorld, allowed := map[int64]bool{}, theirs, map[int64]map[string]bool{}
	l.users, l.strange = map[int64]calcomtest.User{}, map[int64]bool{}
	for _, was := range slices.Sorted(maps.Keys(ids)) {
		is := ids[was]
		u, _ := w.cal.User(clientID, is)
		l.users[is] = u
		if l.allowed[was] != nil {
			allowed[is] = l.allowed[was]
		}
		if w.moved[was] {
			moved[is] = true
		}
		if _, ok := l.byWorld[was]; ok {
			byWorld[is] = u
		}
		w.tracef("WORLD: user %d is user %d now", was, is)
	}
	w.disasters.gone += len(names) // Any status may name none of the object's users now.
	w.moved, l.byWorld, l.allowed = moved, byWorld, allowed
	l.claims = slices.DeleteFunc(l.claims, func(c *claim) bool {
		is, ok := ids[c.userID]
		if c.userID == 0 || ok {
			c.userID = is
			c.abandoned = c.abandoned || moved[is] // Neither id nor address may lead there any more.
			return false
		}
		return true
	})
	l.sync(nil, nil)
}
