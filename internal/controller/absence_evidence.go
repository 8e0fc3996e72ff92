// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/sweep"
)

// comparedFor is how long it stays true of an OAuth client that its other users are there.
const comparedFor = 30 * time.Second

// peer is another object of the same OAuth client whose user is known.
type peer struct {
	name    types.NamespacedName
	uid     types.UID
	id      int64
	cutOff  bool // The process before may have sent its DELETE call.
	address string
}

// compareOthers asks for the users of other objects of the OAuth client, by one call, before the first user that is
// gone is taken for one that was removed. Where the server shows none of them, that is seen before anything is done,
// and not only once the limit is used up. Objects that were held before a restart count as they stand in their status.
func (r *ManagedUserReconciler) compareOthers(ctx context.Context, v *visit) error {
	if !r.absences.comparesNow(v.account) {
		return nil
	}
	peers, held, err := r.peers(ctx, v)
	if err != nil {
		return err
	}
	if r.absences.startsHeld(ctx, v.account, held) {
		return nil
	}
	missing, err := r.missingOf(ctx, v, peers)
	if err != nil {
		return err
	}
	r.absences.suspect(ctx, v.account, missing)
	r.absences.noteCompared(v.account)
	return nil
}

// comparesNow reports whether the users of others have to be asked for: not during a hold, and not when they just were.
func (a *absences) comparesNow(of account.Name) bool {
	a.record.mu.Lock()
	defer a.record.mu.Unlock()
	now, state := a.clock.Now(), a.state(of)
	return !state.Held(now) && now.Sub(state.compared) >= comparedFor
}

// startsHeld takes over what the statuses say of a hold when nothing is known of the account yet. It reports whether
// there is a hold.
func (a *absences) startsHeld(ctx context.Context, of account.Name, held []types.NamespacedName) bool {
	a.record.mu.Lock()
	state := a.state(of)
	isFirst := state.compared.IsZero()
	state.announced = state.announced || isFirst && len(held) > 0
	a.record.mu.Unlock()
	if isFirst {
		a.suspect(ctx, of, held)
	}
	a.record.mu.Lock()
	defer a.record.mu.Unlock()
	return a.state(of).Held(a.clock.Now())
}

func (a *absences) noteCompared(of account.Name) {
	a.record.mu.Lock()
	defer a.record.mu.Unlock()
	a.state(of).compared = a.clock.Now()
}

// peers returns other objects of the account whose users are known, and those objects that were held. The newest users
// come first: a database that was restored to an earlier state lacks those.
func (r *ManagedUserReconciler) peers(ctx context.Context, v *visit) (peers []peer, held []types.NamespacedName, err error) {
	var list v1alpha1.ManagedUserList
	if err := r.client.List(ctx, &list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, nil, fmt.Errorf("listing the users of an OAuth client: %w", err)
	}
	for i := range list.Items {
		mu := &list.Items[i]
		name := client.ObjectKeyFromObject(mu)
		status := mu.Status
		if status.User == nil || status.OAuthClientID != v.account.ClientID || status.APIURL != "" && !calcom.SameURL(status.APIURL, v.account.APIURL) || mu.UID == v.mu.UID {
			continue
		}
		if r.absenceCountsIn(mu) > 0 {
			continue // Just created: a read replica may not have the user yet.
		}
		if manageduser.IsHeldForAbsence(mu) {
			held = append(held, name)
		}
		if address := manageduser.PlainAddress(mu); sweep.Askable(address, v.account.ClientID) {
			peers = append(peers, peer{name, mu.UID, status.User.ID, r.absences.mayBeCutOff(mu), address})
		}
	}
	slices.SortFunc(peers, func(a, b peer) int {
		return cmp.Or(cmp.Compare(b.id, a.id), cmp.Compare(a.name.String(), b.name.String()))
	})
	return peers, held, nil
}

// missingOf asks for some of the peers by one call and returns those that Cal.com does not show, neither by id nor by
// address.
func (r *ManagedUserReconciler) missingOf(ctx context.Context, v *visit, peers []peer) ([]types.NamespacedName, error) {
	peers = spread(peers, calcom.MaxListed)
	addresses := make([]string, len(peers))
	for i, p := range peers {
		addresses[i] = p.address
	}
	asked := addresses[:sweep.Batch(addresses, calcom.MaxListed, sweep.Room(v.account.APIURL, v.account.ClientID))]
	if len(asked) == 0 {
		return nil, nil
	}
	if err := v.cal.reserve(1 + v.cal.reserved); err != nil { // A create call may be reserved already, and stays so.
		return nil, err
	}
	rows, err := v.cal.UsersByEmail(ctx, asked...)
	if err != nil {
		return nil, err
	}
	var missing []types.NamespacedName
	cutOff := r.absences.leftCutOff()
	for _, p := range peers[:len(asked)] {
		shown := slices.ContainsFunc(rows, func(row calcom.User) bool { return row.ID == p.id || row.PlainEmail() == p.address })
		switch {
		case shown, r.absences.wasDeleted(p.name, p.uid), r.wasReleased(p.name, p.uid):
		case p.cutOff && cutOff > 0:
			cutOff--
		default:
			missing = append(missing, p.name)
		}
	}
	return missing, nil
}

// leftCutOff returns how many deletions the process before may have left in their middle.
func (a *absences) leftCutOff() int {
	a.record.mu.Lock()
	defer a.record.mu.Unlock()
	return a.cutOff
}

// wasReleased reports whether an object was released that the cache still has.
func (r *ManagedUserReconciler) wasReleased(name types.NamespacedName, uid types.UID) bool {
	released, ok := r.gone.Load(name)
	return ok && released == uid
}

// spread returns at most a number of elements, evenly spread, the first one among them.
func spread[T any](all []T, most int) []T {
	if len(all) <= most {
		return all
	}
	some := make([]T, 0, most)
	for i := range most {
		some = append(some, all[i*len(all)/most])
	}
	return some
}
