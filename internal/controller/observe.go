// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// sighting is a user as it was found, and by which right the object may touch it.
type sighting struct {
	calcom.User
	// known: the id stands in status, or the user carries this object's mark.
	known bool
	// byID: the id stands in status, so that not even a lost mark makes the user anybody else's.
	byID bool
}

// observe finds the object's user in Cal.com. It returns nil when there is none: proved to be gone, or never
// created. A user that may be there is an error, and the object waits.
func (r *ManagedUserReconciler) observe(ctx context.Context, v *visit) (*sighting, error) {
	if err := r.repairIntent(ctx, v.mu); err != nil {
		return nil, err
	}
	if id, ok := identity(v.mu); ok {
		found, err := r.observeOwn(ctx, v, id)
		return r.orOfSpec(ctx, v, found, err)
	}
	if controllerutil.ContainsFinalizer(v.mu, v1alpha1.ManagedUserFinalizer) {
		return r.observeClaimed(ctx, v)
	}
	if id := v.mu.Spec.UserID; id != 0 {
		return r.observeByID(ctx, v, id)
	}
	if r.mayExist(v) {
		return r.lookUp(ctx, v, 0)
	}
	return nil, nil
}

// observeClaimed finds the user of an object that has the finalizer and no id in status. It may have a user all the same:
// the one that it set out to adopt, or one with its mark. That one comes before any that the spec names by now.
func (r *ManagedUserReconciler) observeClaimed(ctx context.Context, v *visit) (*sighting, error) {
	denied := adoptedID(v.mu)
	found, err := r.observeByID(ctx, v, denied)
	if err != nil || found != nil && found.known {
		return found, err
	}
	if found != nil {
		denied = 0
	}
	found, err = r.lookUp(ctx, v, denied)
	return r.orOfSpec(ctx, v, found, err)
}

// orOfSpec passes on what was found of the object's own, and else finds the user that the spec names by its id.
func (r *ManagedUserReconciler) orOfSpec(ctx context.Context, v *visit, found *sighting, err error) (*sighting, error) {
	if err != nil || v.mu.Spec.UserID == 0 || found != nil && found.known {
		return found, err
	}
	return r.observeByID(ctx, v, v.mu.Spec.UserID)
}

// observeOwn finds the user whose id stands in status.
func (r *ManagedUserReconciler) observeOwn(ctx context.Context, v *visit, id int64) (*sighting, error) {
	user, err := v.cal.User(ctx, id)
	if calcom.IsNotFound(err) && !calcom.IsNoSuchAPI(err) {
		return r.lookUp(ctx, v, id)
	}
	return r.own(v, user, err)
}

// observeOwnAgain asks a second time for a user that a call has denied; nil means that it was denied again.
func (r *ManagedUserReconciler) observeOwnAgain(ctx context.Context, v *visit, id int64) (*sighting, error) {
	user, err := v.cal.User(ctx, id)
	if calcom.IsNotFound(err) && !calcom.IsNoSuchAPI(err) {
		return nil, nil
	}
	return r.own(v, user, err)
}

// own is the sighting of a user by the id in status. Another's mark makes the user another's all the same.
func (r *ManagedUserReconciler) own(v *visit, user calcom.User, err error) (*sighting, error) {
	if err != nil {
		return nil, err
	}
	switch v.mark.ownershipOf(user) {
	case foreign:
		return nil, r.ownedElsewhere(v, user)
	case unowned:
		// A server that was reset gives its ids to other people.
		if was := v.mu.Status.User; was != nil && was.ID == user.ID && was.CreatedDate != user.CreatedDate {
			return nil, synced(v1alpha1.ReasonAlreadyExists, fmt.Sprintf(
				"User %d in Cal.com was created at another time than the user of this object and does not carry its mark; if Cal.com was reset, orphan this object and apply it anew", user.ID))
		}
	case ours:
	}
	return &sighting{User: user, known: true, byID: true}, nil
}

// observeByID finds a user whose id is known from elsewhere than status. Id 0 is nobody's.
func (r *ManagedUserReconciler) observeByID(ctx context.Context, v *visit, id int64) (*sighting, error) {
	if id == 0 {
		return nil, nil
	}
	user, err := v.cal.User(ctx, id)
	if calcom.IsNotFound(err) && !calcom.IsNoSuchAPI(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &sighting{User: user, known: v.mark.ownershipOf(user) == ours}, nil
}

// mayExist reports whether an object without the finalizer has to look for its user before it creates one. A new one has not: the create
// call itself says when the e-mail is taken, and that saves a call for each of ten thousand users. After a
// failure the look-up comes first, so that a server that is down costs no write to the object at each attempt.
func (r *ManagedUserReconciler) mayExist(v *visit) bool {
	if v.policy() == v1alpha1.ReconcilePolicyObserve || !v.mu.DeletionTimestamp.IsZero() || v.mu.Spec.Name == "" {
		return true
	}
	last := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionSynced)
	return last != nil && slices.Contains([]string{
		v1alpha1.ReasonAlreadyExists, v1alpha1.ReasonOwnedElsewhere, v1alpha1.ReasonUsernameConflict,
		v1alpha1.ReasonRemoteUnavailable, v1alpha1.ReasonUnexpectedResponse,
	}, last.Reason)
}

// lookUp finds the user by every address that it can have: the one of the last sighting, of a create call whose
// outcome is unknown, and of the spec. missing is the id that a call has just denied, or 0.
func (r *ManagedUserReconciler) lookUp(ctx context.Context, v *visit, missing int64) (*sighting, error) {
	if err := v.cal.reserve(callsFromLookUp(v, missing)); err != nil {
		return nil, err
	}
	rows, err := v.cal.UsersByEmail(ctx, addresses(v.mu, r.clock.Now())...)
	if err != nil {
		return nil, err
	}
	if found := chooseRow(v, rows, missing); found != nil {
		return found, nil
	}
	if at := slices.IndexFunc(rows, func(row calcom.User) bool { return row.ID == missing }); at >= 0 {
		return nil, r.ownedElsewhere(v, rows[at]) // The call that denied it was wrong.
	}
	if missing != 0 {
		// The list cannot show a user whose address was changed elsewhere. Two wrong denials in a row are less likely.
		if found, err := r.observeOwnAgain(ctx, v, missing); found != nil || err != nil {
			return found, err
		}
	}
	return r.noneOfOurs(v, rowOf(rows, v.mu.Spec.Email, clientID(v.mu)))
}

// noneOfOurs decides what it means that no user of the object's was found: that one may still come, that a stranger has the
// address of the spec, or that there is none.
func (r *ManagedUserReconciler) noneOfOurs(v *visit, stranger *calcom.User) (*sighting, error) {
	wait := absenceCountsIn(v.mu, r.config.UnknownOutcomeGrace, r.clock.Now())
	i, ok := intentOf(v.mu, r.clock.Now())
	if stranger != nil && v.mu.DeletionTimestamp.IsZero() && (!ok || i.Email == v.mu.Spec.Email && isOlder(*stranger, i)) {
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
	if _, marked := user.Metadata[v1alpha1.OwnerMetadataKey]; marked {
		return true
	}
	created, err := time.Parse(time.RFC3339, user.CreatedDate)
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
		add(calcom.PlainEmail(mu.Status.User.Email, clientID(mu)))
	}
	if i, ok := intentOf(mu, now); ok {
		add(i.Email)
	}
	add(mu.Spec.Email)
	return all
}

// chooseRow returns the row that is the object's own: by the id that a call denied (then the server contradicts
// itself, and the list is right), or by the mark.
func chooseRow(v *visit, rows []calcom.User, missing int64) *sighting {
	slices.SortFunc(rows, func(a, b calcom.User) int { return int(a.ID - b.ID) })
	for _, row := range rows {
		if owner := v.mark.ownershipOf(row); owner == ours || owner == unowned && row.ID == missing {
			return &sighting{User: row, known: true, byID: row.ID == missing}
		}
	}
	return nil
}

func rowOf(rows []calcom.User, email, clientID string) *calcom.User {
	for i := range rows {
		if calcom.PlainEmail(rows[i].Email, clientID) == email {
			return &rows[i]
		}
	}
	return nil
}

// outcomeUnknown says that the object waits for the outcome of a create call.
func (r *ManagedUserReconciler) outcomeUnknown(v *visit, wait time.Duration) *problem {
	const lookAgain = 15 * time.Second
	if standing := standingConflict(v); standing != nil {
		return standing // A conflict that was reported for this spec is still the best explanation.
	}
	if i, ok := intentOf(v.mu, r.clock.Now()); ok && i.settled(v.mu) {
		return &problem{
			condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonRemoteUnavailable, pace: later, after: wait,
			message: "Cal.com denies a user that it created a moment ago; looking again in some seconds",
		}
	}
	return &problem{
		condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonRemoteUnavailable, severity: waiting,
		pace: later, after: min(wait, lookAgain),
		message: "The outcome of the create call is unknown, and Cal.com may still finish it; looking for the user until it shows or some minutes have passed",
	}
}

// standingConflict returns the conflict, or refusal, that was reported for the spec as it is, if only a person can end it and
// nobody has asked for another attempt. The look-up goes on at each poll; another create call would be refused like the last.
func standingConflict(v *visit) *problem {
	last := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionSynced)
	if last == nil || last.ObservedGeneration != v.mu.Generation || !v.mu.DeletionTimestamp.IsZero() || v.requested() ||
		!slices.Contains([]string{
			v1alpha1.ReasonUsernameConflict, v1alpha1.ReasonRemoteInconsistent, v1alpha1.ReasonInvalidSpec,
		}, last.Reason) {
		return nil
	}
	p := synced(last.Reason, "")
	p.message = last.Message
	return p
}

// mayAdopt reports whether the object may take over a user that is not known to be its own; if not, it says why.
func (r *ManagedUserReconciler) mayAdopt(v *visit, user calcom.User) error {
	if v.mark.ownershipOf(user) == foreign {
		return r.ownedElsewhere(v, user)
	}
	if v.mu.Spec.UserID == user.ID || v.mu.Spec.UserID == 0 && v.mu.Spec.AdoptionPolicy == v1alpha1.AdoptionPolicyByEmail {
		// Without the mark, a second object could adopt the same user, and both would write to it for ever.
		return metadataBlocked("The user cannot be adopted", diff(v.mu, user, v.mark).blocked)
	}
	return synced(v1alpha1.ReasonAlreadyExists, fmt.Sprintf(
		"User %d in Cal.com has this e-mail and was not created by this object; to take it over set adoptionPolicy to ByEmail or userID to %d, else choose another e-mail",
		user.ID, user.ID))
}

func (r *ManagedUserReconciler) ownedElsewhere(v *visit, user calcom.User) *problem {
	owner := "another owner"
	if found, ok := parseMark(user.Metadata[v1alpha1.OwnerMetadataKey]); ok {
		switch {
		case found.ownerID != v.mark.ownerID:
			owner = "another cluster or operator"
		case found.namespace == v.mark.namespace:
			owner = fmt.Sprintf("the ManagedUser %s in this namespace", found.name)
		default:
			owner = "a ManagedUser in another namespace"
		}
	}
	remedy := "; delete that object with deletionPolicy Orphan first, or choose another e-mail"
	if !v.mu.DeletionTimestamp.IsZero() {
		remedy = ""
	}
	return synced(v1alpha1.ReasonOwnedElsewhere, fmt.Sprintf(
		"User %d in Cal.com carries the mark of %s and is not touched%s", user.ID, owner, remedy))
}

// resolveConflict finds out what a 409 on create means. It returns the user that has the address, or what to tell.
func (r *ManagedUserReconciler) resolveConflict(ctx context.Context, v *visit, conflict error) (*sighting, error) {
	var e *calcom.Error
	if !errors.As(conflict, &e) {
		return nil, conflict
	}
	id, named := e.ExistingUserID()
	if named {
		user, err := v.cal.User(ctx, id)
		// Its address may have been changed since; then the list says who has this one.
		if err == nil && calcom.PlainEmail(user.Email, clientID(v.mu)) == v.mu.Spec.Email {
			return &sighting{User: user, known: v.mark.ownershipOf(user) == ours}, nil
		}
		if err != nil && !calcom.IsNotFound(err) {
			return nil, err
		}
	}
	rows, err := v.cal.UsersByEmail(ctx, v.mu.Spec.Email)
	if err != nil {
		return nil, err
	}
	if row := rowOf(rows, v.mu.Spec.Email, clientID(v.mu)); row != nil {
		return &sighting{User: *row, known: v.mark.ownershipOf(*row) == ours}, nil
	}
	if named {
		return nil, synced(v1alpha1.ReasonRemoteInconsistent, fmt.Sprintf(
			"Cal.com refuses the e-mail because of user %d and shows no such user; a half-made user, which only Cal.com's support or the server's administrator can remove; ask for a reconcile afterwards", id))
	}
	return nil, synced(v1alpha1.ReasonUsernameConflict,
		"Another user has the username that Cal.com derives from this e-mail (its local part and the first two labels of its domain, all punctuation counted alike); choose an e-mail that differs in those, or ask for a reconcile once that user is gone")
}
