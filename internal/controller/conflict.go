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

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// outcomeUnknown says that the object waits for the outcome of a create call.
func (r *ManagedUserReconciler) outcomeUnknown(v *visit, wait time.Duration) *problem {
	const lookAgain = 15 * time.Second
	if standing := standingConflict(v); standing != nil {
		return standing // A conflict that was reported for this spec is still the best explanation.
	}
	p := &problem{
		condition: v1alpha1.ConditionSynced, reason: v1alpha1.ReasonRemoteUnavailable, severity: waiting,
		pace: later, after: wait,
	}
	i, ok := intentOf(v.mu, r.clock.Now())
	switch {
	case ok && i.settled(v.mu):
		p.severity = transient
		p.message = "Cal.com denies a user that it created a moment ago; looking again in some seconds"
	case !v.mu.DeletionTimestamp.IsZero() && isHalfMade(v.before):
		p.reason, p.message = v1alpha1.ReasonRemoteInconsistent, meta.FindStatusCondition(v.before.Status.Conditions, v1alpha1.ConditionSynced).Message
	case r.intents.hasFailed(v.mu):
		p.message = "Cal.com answered the create call with an error; the user is looked for once more before the next create call, which is delayed more with each error"
	default:
		p.after = min(wait, lookAgain)
		p.message = "The outcome of the create call is unknown, and Cal.com may still finish it; looking for the user until it shows or some minutes have passed"
	}
	return p
}

// isHalfMade reports whether Cal.com was found to refuse the address because of a user that it does not show.
func isHalfMade(mu *v1alpha1.ManagedUser) bool {
	last := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionSynced)
	return last != nil && last.Reason == v1alpha1.ReasonRemoteInconsistent
}

// unansweredCreate says what follows from a create call whose outcome is unknown.
func unansweredCreate(e *calcom.Error) error {
	p := classify(e)
	p.message = "Cal.com " + wordsSlot + "; the user is looked for now and then, and the call is sent again once it cannot have had an effect"
	return p.quote(fmt.Sprintf("%s to %s", whatCame(e), e.Operation))
}

// standingConflict returns the conflict, or refusal, that was reported for the spec as it is, if only a person can end it and
// nobody has asked for another attempt. The look-up goes on at each poll; another create call would be refused like the last.
func standingConflict(v *visit) *problem {
	last := meta.FindStatusCondition(v.mu.Status.Conditions, v1alpha1.ConditionSynced)
	if last == nil || last.ObservedGeneration != v.mu.Generation || !v.mu.DeletionTimestamp.IsZero() || v.requested() || v.lifted ||
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
func mayAdopt(v *visit, user calcom.User) error {
	if v.mark.ownershipOf(user) == foreign {
		return ownedElsewhere(v, user)
	}
	if v.mu.Spec.UserID == user.ID || v.mu.Spec.UserID == 0 && v.mu.Spec.AdoptionPolicy == v1alpha1.AdoptionPolicyByEmail {
		// Without the mark, a second object could adopt the same user, and both would write to it for ever.
		return metadataBlocked("The user cannot be adopted", diff(v.mu, user, v.mark).blocked)
	}
	return synced(v1alpha1.ReasonAlreadyExists, fmt.Sprintf(
		"User %d in Cal.com has this e-mail and was not created by this object; to take it over set adoptionPolicy to ByEmail or userID to %d, else choose another e-mail",
		user.ID, user.ID))
}

func ownedElsewhere(v *visit, user calcom.User) *problem {
	owner := "another owner"
	if found, ok := parseMark(user.Metadata.Reveal()[v1alpha1.OwnerMetadataKey]); ok {
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
		if err == nil && user.PlainEmail() == v.mu.Spec.Email {
			return v.sight(user), nil
		}
		if err != nil && !calcom.IsNotFound(err) {
			return nil, err
		}
	}
	rows, err := v.cal.UsersByEmail(ctx, v.mu.Spec.Email)
	if err != nil {
		return nil, err
	}
	if row := rowOf(rows, v.mu.Spec.Email); row != nil {
		return v.sight(*row), nil
	}
	if named {
		return nil, synced(v1alpha1.ReasonRemoteInconsistent, fmt.Sprintf(
			"Cal.com refuses the e-mail because of user %d and shows no such user; a half-made user, which only Cal.com's support or the server's administrator can remove; ask for a reconcile afterwards", id))
	}
	return nil, synced(v1alpha1.ReasonUsernameConflict,
		"Another user has the username that Cal.com derives from this e-mail (its local part and the first two labels of its domain, all punctuation counted alike); choose an e-mail that differs in those, or ask for a reconcile once that user is gone")
}
