// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"

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
	found, err := r.find(ctx, v)
	if v.hasMoved() {
		return atAnotherServer(v, found, err)
	}
	return found, err
}

func (r *ManagedUserReconciler) find(ctx context.Context, v *visit) (*sighting, error) {
	if err := r.repairIntent(ctx, v.mu); err != nil {
		return nil, err
	}
	if id, ok := identity(v.mu); ok {
		found, err := r.observeOwn(ctx, v, id)
		return r.orOfSpec(ctx, v, found, err)
	}
	if r.intents.isUnsent(v.mu) {
		return nil, nil
	}
	if isBound(v.mu) {
		return r.observeClaimed(ctx, v)
	}
	if found, err := r.observeFormer(ctx, v); err != nil || found != nil {
		return found, err
	}
	if id := v.mu.Spec.UserID; id != 0 {
		return r.observeByID(ctx, v, id)
	}
	if mayExist(v) {
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

// observeFormer finds the user in the status of an object without finalizer and origin, before the id is dropped: the object
// merely observed that user, or an older operator owned it and another writer removed the finalizer. The mark tells.
func (r *ManagedUserReconciler) observeFormer(ctx context.Context, v *visit) (*sighting, error) {
	was := v.mu.Status.User
	if was == nil || v.mu.Status.OAuthClientID != v.account.clientID || v.policy() != v1alpha1.ReconcilePolicyManage {
		return nil, nil
	}
	found, err := r.observeByID(ctx, v, was.ID)
	if err != nil || found == nil || !found.known && was.ID != v.mu.Spec.UserID {
		return nil, err
	}
	return found, nil
}

// orOfSpec passes on what was found of the object's own, and else finds the user that the spec names by its id.
func (r *ManagedUserReconciler) orOfSpec(ctx context.Context, v *visit, found *sighting, err error) (*sighting, error) {
	if err != nil || v.mu.Spec.UserID == 0 || found != nil && found.known {
		return found, err
	}
	return r.observeByID(ctx, v, v.mu.Spec.UserID)
}

// observeOwn finds the user whose id is in status. When Cal.com shows another one under that id, as after a restore of its
// database or when statuses were exchanged, the mark and the addresses lead to the object's own.
func (r *ManagedUserReconciler) observeOwn(ctx context.Context, v *visit, id int64) (*sighting, error) {
	user, err := v.user(ctx, id)
	switch {
	case err != nil:
		return nil, err
	case user == nil:
		return r.lookUp(ctx, v, id)
	case v.mark.ownershipOf(*user) == ours, isUnmarkedOwn(v, user):
		return &sighting{User: *user, known: true, byID: true}, nil
	}
	found, err := r.lookUp(ctx, v, 0)
	if err != nil || found != nil && found.known || !isInStatus(v.mu, user) {
		return found, err
	}
	if found != nil && found.ID == user.ID {
		user = &found.User // The later of two answers about it.
	}
	return ofStatus(v, user)
}

// isUnmarkedOwn reports whether a user that lost its mark is the object's beyond doubt: it is the one in status, and the address
// in the status is one that spec or create intent name too. Statuses can be exchanged. The user's own address may have been
// changed in Cal.com.
func isUnmarkedOwn(v *visit, user *calcom.User) bool {
	if v.mark.ownershipOf(*user) != unowned || !isInStatus(v.mu, user) {
		return false
	}
	i, intended := recordedIntent(v.mu)
	plain := calcom.PlainEmail(v.mu.Status.User.Email, v.mu.Status.OAuthClientID)
	return plain == v.mu.Spec.Email || intended && plain == i.Email.Reveal() || adoptedID(v.mu) == user.ID
}

// ofStatus judges the user under the id in status when no user carries the object's mark.
func ofStatus(v *visit, user *calcom.User) (*sighting, error) {
	switch {
	case v.mark.ownershipOf(*user) == foreign:
		return nil, ownedElsewhere(v, *user) // Another owner has marked it.
	case isUnmarkedOwn(v, user):
		return &sighting{User: *user, known: true, byID: true}, nil
	}
	return nil, synced(v1alpha1.ReasonAlreadyExists, fmt.Sprintf(
		"User %d, which the status names, carries no owner's mark, and the address in the status is another one than this object's; "+
			"put that user's mark back in Cal.com, or orphan this object and apply it anew", user.ID))
}

// user returns the user with an id, and nil for one that Cal.com denies.
func (v *visit) user(ctx context.Context, id int64) (*calcom.User, error) {
	user, err := v.cal.User(ctx, id)
	if isDenied(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &user, nil
}

// isDenied reports whether Cal.com says that there is no such user, which proves little, and not that it has no such API.
func isDenied(err error) bool { return calcom.IsNotFound(err) && !calcom.IsNoSuchAPI(err) }

// sight is the sighting of a user that only its mark can make the object's own.
func (v *visit) sight(user calcom.User) *sighting {
	return &sighting{User: user, known: v.mark.ownershipOf(user) == ours}
}

// isInStatus reports whether a user is the one in status: it has its id and was created at the same time. A server that was
// reset gives its ids to other users.
func isInStatus(mu *v1alpha1.ManagedUser, user *calcom.User) bool {
	was := mu.Status.User
	return was != nil && was.ID == user.ID && was.CreatedDate == user.CreatedDate
}

// observeByID finds a user whose id is known from elsewhere than status. Id 0 is nobody's.
func (r *ManagedUserReconciler) observeByID(ctx context.Context, v *visit, id int64) (*sighting, error) {
	if id == 0 {
		return nil, nil
	}
	user, err := v.user(ctx, id)
	if err != nil || user == nil {
		return nil, err
	}
	return v.sight(*user), nil
}

// mayExist reports whether an object without the finalizer has to look for its user before it creates one. A new one has not: the create
// call itself says when the e-mail is taken, and that saves a call for each of ten thousand users. After a
// failure the look-up comes first, so that a server that is down, or refuses the credentials, costs no write to the object at each attempt.
func mayExist(v *visit) bool {
	if v.policy() == v1alpha1.ReconcilePolicyObserve || !v.mu.DeletionTimestamp.IsZero() || v.mu.Spec.Name == "" {
		return true
	}
	verdict := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionCredentialsReady)
	if verdict != nil && slices.Contains([]string{v1alpha1.ReasonUnauthorized, v1alpha1.ReasonForbidden}, verdict.Reason) && !v.cal.isVerified() {
		return true
	}
	last := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionSynced)
	return last != nil && slices.Contains([]string{
		v1alpha1.ReasonAlreadyExists, v1alpha1.ReasonOwnedElsewhere, v1alpha1.ReasonUsernameConflict,
		v1alpha1.ReasonRemoteUnavailable, v1alpha1.ReasonUnexpectedResponse,
		v1alpha1.ReasonMetadataBlocked,
	}, last.Reason)
}
