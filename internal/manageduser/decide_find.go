// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// find returns the object's user in Cal.com, or the action that comes first: a question, or a stop while the user may
// be there. It returns neither when there is no user: proved to be gone, or never created.
func (f *Facts) find() (*Candidate, *Action) {
	switch {
	case f.Seen.Own != nil:
		return f.Seen.Own, nil
	case f.Seen.Absent:
		return nil, nil
	case f.Seen.Conflict != nil:
		return f.resolveConflict(f.Seen.Conflict)
	}
	// The records have the precision of a second.
	if _, _, sound := ReadIntent(f.Object, f.Now.UTC().Truncate(time.Second).Add(time.Second)); !sound {
		return nil, &Action{Verb: VerbRepairIntent}
	}
	found, next := f.findAnywhere()
	if f.hasMoved() {
		return f.atAnotherServer(found, next)
	}
	return found, next
}

func (f *Facts) findAnywhere() (*Candidate, *Action) {
	if id, ok := Identity(f.Object); ok {
		found, next := f.findOwn(id)
		return f.orOfSpec(found, next)
	}
	if f.CreateCall.Unsent { // The object has no user, and the spec may have come to name one.
		return f.findByID(f.Object.Spec.UserID)
	}
	if IsBound(f.Object) {
		return f.findClaimed()
	}
	if found, next := f.findFormer(); next != nil || found != nil {
		return found, next
	}
	if id := f.Object.Spec.UserID; id != 0 {
		return f.findByID(id)
	}
	if f.mayExist() {
		return f.lookUp(0)
	}
	return nil, nil
}

// findClaimed finds the user of an object that has the finalizer and no id in the status. It may have a user all the
// same: the one that it set out to adopt, or one with its mark. That one comes before any that the spec names by now.
func (f *Facts) findClaimed() (*Candidate, *Action) {
	denied := adoptedID(f.Object)
	found, next := f.findByID(denied)
	if next != nil || found != nil && found.Known {
		return found, next
	}
	if found != nil {
		denied = 0
	}
	found, next = f.lookUp(denied)
	return f.orOfSpec(found, next)
}

// findFormer finds the user in the status of an object without finalizer and origin, before the id is dropped: the
// object merely observed that user, or an older operator owned it and another writer removed the finalizer. The mark
// tells.
func (f *Facts) findFormer() (*Candidate, *Action) {
	was := f.Object.Status.User
	if was == nil || f.Object.Status.OAuthClientID != f.Account.ClientID || f.policy() != v1alpha1.ReconcilePolicyManage {
		return nil, nil
	}
	found, next := f.findByID(was.ID)
	if next != nil || found == nil || !found.Known && was.ID != f.Object.Spec.UserID {
		return nil, next
	}
	return found, nil
}

// orOfSpec passes on what was found of the object's own, and else finds the user that the spec names by its id.
func (f *Facts) orOfSpec(found *Candidate, next *Action) (*Candidate, *Action) {
	if next != nil || f.Object.Spec.UserID == 0 || found != nil && found.Known {
		return found, next
	}
	return f.findByID(f.Object.Spec.UserID)
}

// findOwn finds the user whose id is in the status. When Cal.com shows another one under that id, as after a restore of
// its database or when statuses were exchanged, the mark and the addresses lead to the object's own.
func (f *Facts) findOwn(id int64) (*Candidate, *Action) {
	user, next := f.user(id, false)
	switch {
	case next != nil:
		return nil, next
	case user == nil:
		return f.lookUp(id)
	case f.ownership(user) == Ours, f.isUnmarkedOwn(user):
		return &Candidate{User: *user, Known: true, ByID: true}, nil
	}
	found, next := f.lookUp(0)
	if next != nil || found != nil && found.Known || !IsInStatus(f.Object, user) {
		return found, next
	}
	if found != nil && found.ID == user.ID {
		user = &found.User // The later of two answers about it.
	}
	return f.ofStatus(user)
}

// isUnmarkedOwn reports whether a user that lost its mark is the object's beyond doubt: it is the one in the status,
// and the address in the status is one that spec or create intent name too. Statuses can be exchanged. The user's own
// address may have been changed in Cal.com.
func (f *Facts) isUnmarkedOwn(user *calcom.User) bool {
	if f.ownership(user) != Unowned || !IsInStatus(f.Object, user) {
		return false
	}
	i, intended := RecordedIntent(f.Object)
	plain := PlainAddress(f.Object)
	return plain == f.Object.Spec.Email || intended && plain == i.Email.Reveal() || adoptedID(f.Object) == user.ID
}

// ofStatus judges the user under the id in the status when no user carries the object's mark.
func (f *Facts) ofStatus(user *calcom.User) (*Candidate, *Action) {
	switch {
	case f.ownership(user) == Foreign:
		return nil, stop(f.OwnedElsewhere(user)) // Another owner has marked it.
	case f.isUnmarkedOwn(user):
		return &Candidate{User: *user, Known: true, ByID: true}, nil
	}
	return nil, stop(outcome.NotSynced(v1alpha1.ReasonAlreadyExists, fmt.Sprintf(
		"User %d, which the status names, carries no owner's mark, and the address in the status is another one than this object's; "+
			"put that user's mark back in Cal.com, or orphan this object and apply it anew", user.ID)))
}

// sight is a user that only its mark can make the object's own.
func (f *Facts) sight(user *calcom.User) *Candidate {
	return &Candidate{User: *user, Known: f.ownership(user) == Ours}
}

// findByID finds a user whose id is known from elsewhere than the status; none for 0.
func (f *Facts) findByID(id int64) (*Candidate, *Action) {
	if id == 0 {
		return nil, nil
	}
	user, next := f.user(id, false)
	if next != nil || user == nil {
		return nil, next
	}
	return f.sight(user), nil
}

// mayExist reports whether an object without the finalizer has to look for its user before it creates one. A new one
// has not: the create call itself says when the e-mail is taken, and that saves a call for each of ten thousand users.
// After a failure the look-up comes first, so that a server that is down, or refuses the credentials, costs no write to
// the object at each attempt.
func (f *Facts) mayExist() bool {
	if f.policy() == v1alpha1.ReconcilePolicyObserve || !f.Object.DeletionTimestamp.IsZero() || f.Object.Spec.Name == "" {
		return true
	}
	conditions := f.Object.Status.Conditions
	verdict := meta.FindStatusCondition(conditions, v1alpha1.ConditionCredentialsReady)
	if verdict != nil && !f.Verified &&
		slices.Contains([]string{v1alpha1.ReasonUnauthorized, v1alpha1.ReasonForbidden}, verdict.Reason) {
		return true
	}
	last := meta.FindStatusCondition(conditions, v1alpha1.ConditionSynced)
	return last != nil && slices.Contains([]string{
		v1alpha1.ReasonAlreadyExists, v1alpha1.ReasonOwnedElsewhere, v1alpha1.ReasonUsernameConflict,
		v1alpha1.ReasonRemoteUnavailable, v1alpha1.ReasonUnexpectedResponse,
		v1alpha1.ReasonMetadataBlocked,
	}, last.Reason)
}

// lookUp finds the user by every address that it can have. missing is the id that Cal.com has just denied, or 0.
func (f *Facts) lookUp(missing int64) (*Candidate, *Action) {
	rows, next := f.list(f.addresses(), f.callsFromLookUp(missing))
	if next != nil {
		return nil, next
	}
	if found := f.chooseRow(rows, missing); found != nil {
		return found, nil
	}
	if at := slices.IndexFunc(rows, func(row calcom.User) bool { return row.ID == missing }); at >= 0 {
		return nil, stop(f.OwnedElsewhere(&rows[at])) // The call that denied it was wrong.
	}
	if missing != 0 {
		// The list cannot show a user whose address was changed elsewhere. Two wrong denials in a row are less likely.
		user, next := f.user(missing, true)
		switch {
		case next != nil:
			return nil, next
		case user == nil:
		case f.ownership(user) == Ours:
			return &Candidate{User: *user, Known: true, ByID: true}, nil
		case IsInStatus(f.Object, user):
			return f.ofStatus(user)
		}
	}
	if user := f.ownUnfinished(rows); user != nil {
		return &Candidate{User: *user, Known: true}, nil
	}
	return f.noneOfOurs(rowOf(rows, f.Object.Spec.Email))
}

// noneOfOurs decides what it means that no user of the object's was found: that one may still come, that a stranger has
// the address of the spec, or that there is none.
func (f *Facts) noneOfOurs(stranger *calcom.User) (*Candidate, *Action) {
	wait := f.AbsenceCountsIn
	i, ok := IntentOf(f.Object, f.Now)
	if stranger != nil && f.Object.DeletionTimestamp.IsZero() &&
		(!ok || i.Email.Reveal() == f.Object.Spec.Email && isOlder(*stranger, i)) {
		// The stranger has the address, so the call that named it has come to nothing. A deletion waits all the same: a
		// call that is finished late looks at the address only then.
		wait = 0
	}
	if wait > 0 {
		return nil, stop(f.outcomeUnknown(wait))
	}
	if stranger == nil {
		return nil, nil
	}
	return &Candidate{User: *stranger}, nil
}

// callsFromLookUp is how many calls it takes from a look-up to the end: when it shows no user, a create call follows,
// and before that a second question for an id that was denied. A look-up alone would get nowhere.
func (f *Facts) callsFromLookUp(missing int64) int {
	calls := 1
	if missing != 0 {
		calls++
	}
	if f.policy() == v1alpha1.ReconcilePolicyManage && f.Object.DeletionTimestamp.IsZero() {
		calls++
	}
	return calls
}

// chooseRow returns the row that is the object's own: by the id that a call denied (then the server contradicts itself,
// and the list is right), or by the mark.
func (f *Facts) chooseRow(rows []calcom.User, missing int64) *Candidate {
	for _, row := range rows {
		denied := row.ID == missing && (f.Object.Status.User == nil || IsInStatus(f.Object, &row))
		if owner := f.ownership(&row); owner == Ours || owner == Unowned && denied {
			return &Candidate{User: row, Known: true, ByID: row.ID == missing}
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

// IsInStatus reports whether a user is the one in the status: it has its id and was created at the same time. A server
// that was reset gives its ids to other users.
func IsInStatus(mu *v1alpha1.ManagedUser, user *calcom.User) bool {
	was := mu.Status.User
	return was != nil && was.ID == user.ID && was.CreatedDate == user.CreatedDate
}

// isOlder reports whether a user was there before a create call. One that was not can be the call's own: the server
// writes the mark in a later step than the user.
func isOlder(user calcom.User, i Intent) bool {
	if _, marked := MarkedOwner(user); marked {
		return true
	}
	created, err := user.Created()
	return err == nil && created.Before(i.Time)
}
