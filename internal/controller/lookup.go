// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"slices"
	"time"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// lookUp finds the user by every address that it can have: the one of the last sighting, of a create call whose
// outcome is unknown, and of the spec. missing is the id that a call has just denied, or 0.
func (r *ManagedUserReconciler) lookUp(ctx context.Context, v *visit, missing int64) (*sighting, error) {
	if err := v.cal.reserve(callsFromLookUp(v, missing)); err != nil {
		return nil, err
	}
	rows, err := v.cal.UsersByEmail(ctx, r.addresses(v.mu)...)
	if err != nil {
		return nil, err
	}
	if found := chooseRow(v, rows, missing); found != nil {
		return found, nil
	}
	if at := slices.IndexFunc(rows, func(row calcom.User) bool { return row.ID == missing }); at >= 0 {
		return nil, ownedElsewhere(v, rows[at]) // The call that denied it was wrong.
	}
	if missing != 0 {
		// The list cannot show a user whose address was changed elsewhere. Two wrong denials in a row are less likely.
		user, err := v.user(ctx, missing)
		if err != nil {
			return nil, err
		}
		switch {
		case user == nil:
		case v.mark.ownershipOf(*user) == ours:
			return &sighting{User: *user, known: true, byID: true}, nil
		case isInStatus(v.mu, user):
			return ofStatus(v, user)
		}
	}
	if user := r.ownUnfinished(v, rows); user != nil {
		return &sighting{User: *user, known: true}, nil
	}
	return r.noneOfOurs(v, rowOf(rows, v.mu.Spec.Email))
}

// noneOfOurs decides what it means that no user of the object's was found: that one may still come, that a stranger has the
// address of the spec, or that there is none.
func (r *ManagedUserReconciler) noneOfOurs(v *visit, stranger *calcom.User) (*sighting, error) {
	wait := r.absenceCountsIn(v.mu)
	i, ok := intentOf(v.mu, r.clock.Now())
	if stranger != nil && v.mu.DeletionTimestamp.IsZero() && (!ok || i.Email.Reveal() == v.mu.Spec.Email && isOlder(*stranger, i)) {
		// The address is somebody else's, so the call that named it has come to nothing. A deletion waits all the
		// same: a call that is finished late looks at the address only then.
		wait = 0
	}
	if wait > 0 {
		return nil, r.outcomeUnknown(v, wait)
	}
	if stranger == nil {
		return nil, nil
	}
	return &sighting{User: *stranger}, nil
}

// isOlder reports whether a user was there before a create call. One that was not can be the call's own: the server writes
// the mark in a later step than the user.
func isOlder(user calcom.User, i intent) bool {
	if _, marked := user.Metadata.Reveal()[v1alpha1.OwnerMetadataKey]; marked {
		return true
	}
	created, err := user.Created()
	return err == nil && created.Before(i.Time)
}

// callsFromLookUp is how many calls it takes from a look-up to the end: when it shows nobody, a create call follows, and
// before that a second question for an id that was denied. A look-up alone would get nowhere.
func callsFromLookUp(v *visit, missing int64) int {
	calls := 1
	if missing != 0 {
		calls++
	}
	if v.policy() == v1alpha1.ReconcilePolicyManage && v.mu.DeletionTimestamp.IsZero() {
		calls++
	}
	return calls
}

// addresses returns the plain addresses under which the object's user can be found.
func addresses(mu *v1alpha1.ManagedUser, now time.Time) []string {
	var all []string
	add := func(email string) {
		if email != "" && !slices.Contains(all, email) {
			all = append(all, email)
		}
	}
	if mu.Status.User != nil {
		add(calcom.PlainEmail(mu.Status.User.Email, mu.Status.OAuthClientID))
	}
	if i, ok := intentOf(mu, now); ok {
		add(i.Email.Reveal())
	}
	add(mu.Spec.Email)
	return all
}

// addresses returns those and the one of a call of this process whose record another process replaced.
func (r *ManagedUserReconciler) addresses(mu *v1alpha1.ManagedUser) []string {
	all := addresses(mu, r.clock.Now())
	if i, ok := r.intents.recall(mu); ok && !slices.Contains(all, i.Email.Reveal()) {
		all = append(all, i.Email.Reveal())
	}
	return all
}

// chooseRow returns the row that is the object's own: by the id that a call denied (then the server contradicts
// itself, and the list is right), or by the mark.
func chooseRow(v *visit, rows []calcom.User, missing int64) *sighting {
	slices.SortFunc(rows, func(a, b calcom.User) int { return int(a.ID - b.ID) })
	for _, row := range rows {
		denied := row.ID == missing && (v.mu.Status.User == nil || isInStatus(v.mu, &row))
		if owner := v.mark.ownershipOf(row); owner == ours || owner == unowned && denied {
			return &sighting{User: row, known: true, byID: row.ID == missing}
		}
	}
	return nil
}

func rowOf(rows []calcom.User, email string) *calcom.User {
	for i := range rows {
		if rows[i].PlainEmail() == email {
			return &rows[i]
		}
	}
	return nil
}
