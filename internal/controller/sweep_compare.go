// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// cacheLag is how long the cache may take to hear of what a reconcile has just written.
const cacheLag = 2 * time.Second

// pair is a member and its user; the user is nil when an answer that had to show it did not.
type pair struct {
	name types.NamespacedName
	row  *calcom.User
}

// compareCensus takes in a page of the list without a filter. A member that it does not show may be on another page, or
// on none that the server shows.
func (s *Sweeper) compareCensus(ctx context.Context, sw *swept, rows []calcom.User, began time.Time) {
	byID := make(map[int64]*calcom.User, len(rows))
	for i := range rows {
		byID[rows[i].ID] = &rows[i]
		sw.round.See(rows[i].ID, !s.inspect(ctx, sw, &rows[i]))
	}
	sw.round.Listed(len(rows))
	var pairs []pair
	s.mu.Lock()
	for object, m := range sw.members {
		if row, shown := byID[m.id]; shown {
			pairs = append(pairs, pair{object, row})
		}
	}
	s.mu.Unlock()
	s.compare(ctx, sw, pairs, began)
}

// compareBatch takes in the answer to a question for some members.
func (s *Sweeper) compareBatch(ctx context.Context, sw *swept, members []asked, rows []calcom.User, began time.Time) {
	byID := make(map[int64]*calcom.User, len(rows))
	for i := range rows {
		byID[rows[i].ID] = &rows[i]
		s.inspect(ctx, sw, &rows[i])
	}
	pairs := make([]pair, 0, len(members))
	s.mu.Lock()
	for _, asked := range members {
		// One that has come to be known by another id or address was looked at meanwhile.
		if m, ok := sw.members[asked.name]; ok && m.address == asked.address {
			pairs = append(pairs, pair{asked.name, byID[m.id]})
		}
	}
	s.mu.Unlock()
	s.compare(ctx, sw, pairs, began)
}

// compare compares members with their users as they were at some moment, and demands a look where something is wrong.
func (s *Sweeper) compare(ctx context.Context, sw *swept, pairs []pair, at time.Time) {
	drifted := make([]bool, len(pairs))
	for i, p := range pairs {
		drifted[i] = p.row != nil && s.differs(ctx, p)
	}
	gone, changed := s.wrong(sw, pairs, drifted, at)
	s.missing(ctx, sw.account, gone) // Many at once have to be known as such before the first is reconciled.
	s.mu.Lock()
	defer s.mu.Unlock()
	s.summon(append(gone, changed...))
}

// wrong returns the members that need a reconcile: those whose users are gone, and those whose users have changed.
func (s *Sweeper) wrong(sw *swept, pairs []pair, drifted []bool, at time.Time) (gone, changed []types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, p := range pairs {
		m, ok := sw.members[p.name]
		if !ok || m.seen.After(at) {
			continue // Its own reconcile has looked meanwhile, or is no longer content.
		}
		m.seen = at
		if m.looked.After(at.Add(-cacheLag)) {
			continue // It has just looked.
		}
		switch {
		case p.row == nil:
			sw.round.Missing++
			gone = append(gone, p.name)
		case drifted[i]:
			sw.round.Drifted++
			changed = append(changed, p.name)
		}
	}
	return gone, changed
}

// differs reports whether an object needs a look because its user is not what it was: the user differs from the spec,
// it is not the object's own any more, or the status does not mirror it.
func (s *Sweeper) differs(ctx context.Context, p pair) bool {
	var mu v1alpha1.ManagedUser
	// It is read and not changed, so that a copy of each of ten thousand objects would be for nothing.
	if err := s.client.Get(ctx, p.name, &mu, client.UnsafeDisableDeepCopy); err != nil || !manageduser.IsSettled(&mu, p.row.ClientID) {
		return false // A reconcile of its own is on the way.
	}
	if !manageduser.Mirrors(mu.Status.User, p.row) {
		return true
	}
	if manageduser.PolicyOf(&mu) == v1alpha1.ReconcilePolicyObserve {
		return false
	}
	m := manageduser.MarkOf(s.config.OwnerID, &mu)
	if m.OwnershipOf(*p.row) != manageduser.Ours {
		return true
	}
	return !manageduser.Diff(&mu, *p.row, m).Empty()
}

// inspect looks at the mark of a user. It reports whether it is one of this cluster's, and notes the user if its object
// does not exist, or has another one. Marks are text that anybody with the secret key can write.
func (s *Sweeper) inspect(ctx context.Context, sw *swept, row *calcom.User) (ours bool) {
	m, _ := manageduser.MarkedOwner(*row)
	if m.OwnerID != s.config.OwnerID || len(validation.IsDNS1123Label(m.Namespace)) > 0 {
		return false
	}
	object := types.NamespacedName{Namespace: m.Namespace, Name: m.Name}
	// Of other namespaces it cannot be told whether the object exists.
	if s.config.watches(m.Namespace) && !s.isMemberWith(object, row.ID) {
		var mu v1alpha1.ManagedUser
		err := s.client.Get(ctx, object, &mu, client.UnsafeDisableDeepCopy)
		if apierrors.IsNotFound(err) || err == nil && manageduser.HasAnother(&mu, row.ID) {
			sw.round.Suspect(row.ID, object)
		}
	}
	return true
}

// isMemberWith reports whether an object is looked after and a user is its own.
func (s *Sweeper) isMemberWith(object types.NamespacedName, id int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	of, ok := s.accountOf[object]
	return ok && s.swept[of].members[object].id == id
}
