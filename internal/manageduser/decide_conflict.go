// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// resolveConflict finds the user because of which Cal.com refused the create call.
func (f *Facts) resolveConflict(c *CreateConflict) (*Candidate, *Action) {
	email := f.Object.Spec.Email
	if c.UserID != 0 {
		user, next := f.user(c.UserID, false)
		if next != nil {
			return nil, next
		}
		// Its address may have been changed since; then the list says which user has this one.
		if user != nil && user.PlainEmail() == email {
			return f.sight(user), nil
		}
	}
	rows, next := f.list([]string{email}, 1)
	if next != nil {
		return nil, next
	}
	if row := rowOf(rows, email); row != nil {
		return f.sight(row), nil
	}
	if c.UserID != 0 {
		return nil, f.refuse(outcome.NotSynced(v1alpha1.ReasonRemoteInconsistent, fmt.Sprintf(
			"Cal.com refuses the e-mail because of user %d and shows no such user; a half-made user, which only Cal.com's support or "+
				"the server's administrator can remove; ask for a reconcile afterwards", c.UserID)))
	}
	return nil, f.refuse(outcome.NotSynced(v1alpha1.ReasonUsernameConflict,
		"Another user has the username that Cal.com derives from this e-mail (its local part and the first two labels of its domain, "+
			"all punctuation counted alike); choose an e-mail that differs in those, or ask for a reconcile once that user is gone"))
}

// refuse ends the reconcile with a problem. The record of a first create call that had no effect is taken back; that of
// a later one stays, since an earlier one may still take effect.
func (f *Facts) refuse(p *outcome.Problem) *Action {
	a := stop(p)
	c := f.Seen.Conflict
	a.Retracts = c != nil && !c.Renewed && p.Reason != v1alpha1.ReasonRemoteInconsistent
	return a
}

// mayAdopt returns nil if the object may take over a user that is not known to be its own, and otherwise why not.
func (f *Facts) mayAdopt(user *calcom.User) *outcome.Problem {
	if f.ownership(user) == Foreign {
		return f.OwnedElsewhere(user)
	}
	spec := &f.Object.Spec
	if spec.UserID == user.ID || spec.UserID == 0 && spec.AdoptionPolicy == v1alpha1.AdoptionPolicyByEmail {
		// Without the mark, a second object could adopt the same user, and both would write to it for ever.
		return metadataBlocked("The user cannot be adopted", Diff(f.Object, *user, f.Mark).blocked)
	}
	return outcome.NotSynced(v1alpha1.ReasonAlreadyExists, fmt.Sprintf(
		"User %d in Cal.com has this e-mail and was not created by this object; to take it over set adoptionPolicy to ByEmail or "+
			"userID to %d, else choose another e-mail", user.ID, user.ID))
}

// OwnedElsewhere says that a user carries the mark of another owner.
func (f *Facts) OwnedElsewhere(user *calcom.User) *outcome.Problem {
	owner := "another owner"
	if found, _ := MarkedOwner(*user); found != (Mark{}) {
		switch {
		case found.OwnerID != f.Mark.OwnerID:
			owner = "another cluster or operator"
		case found.Namespace == f.Mark.Namespace:
			owner = fmt.Sprintf("the ManagedUser %s in this namespace", found.Name)
		default:
			owner = "a ManagedUser in another namespace"
		}
	}
	remedy := "; delete that object with deletionPolicy Orphan first, or choose another e-mail"
	if !f.Object.DeletionTimestamp.IsZero() {
		remedy = ""
	}
	return outcome.NotSynced(v1alpha1.ReasonOwnedElsewhere, fmt.Sprintf(
		"User %d in Cal.com carries the mark of %s and is not touched%s", user.ID, owner, remedy))
}

// outcomeUnknown says that the object waits for the outcome of a create call.
func (f *Facts) outcomeUnknown(wait time.Duration) *outcome.Problem {
	const askAgain = 15 * time.Second
	if standing := f.standingConflict(); standing != nil {
		return standing // A conflict that was reported for this spec is still the best explanation.
	}
	p := &outcome.Problem{
		Condition: v1alpha1.ConditionSynced, Reason: v1alpha1.ReasonRemoteUnavailable, Severity: outcome.Waiting,
		Pace: outcome.Later, After: wait,
	}
	i, ok := IntentOf(f.Object, f.Now)
	switch {
	case ok && i.Settled(f.Object):
		p.Severity = outcome.Transient
		p.Message = "Cal.com denies a user that it created a moment ago; looking again in some seconds"
	case !f.Object.DeletionTimestamp.IsZero() && isHalfMade(f.Before):
		p.Reason = v1alpha1.ReasonRemoteInconsistent
		p.Message = meta.FindStatusCondition(f.Before.Status.Conditions, v1alpha1.ConditionSynced).Message
	case f.CreateCall.Failed:
		p.Message = "Cal.com answered the create call with an error; the user is looked for once more before the next create call, " +
			"which is delayed more with each error"
	default:
		p.After = min(wait, askAgain)
		p.Message = "The outcome of the create call is unknown, and Cal.com may still finish it; looking for the user until it shows " +
			"or some minutes have passed"
	}
	return p
}

// UnansweredCreate says what follows from a create call whose outcome is unknown.
func UnansweredCreate(e *calcom.Error) error {
	p := outcome.Classify(e)
	p.Message = "Cal.com " + outcome.Slot + "; the user is looked for now and then, and the call is sent again once it cannot have had an effect"
	return p.Quote(fmt.Sprintf("%s to %s", outcome.WhatCame(e), e.Operation))
}

// standingConflict returns the conflict, or refusal, that was reported for the spec as it is, if only a person can end
// it and no other attempt was asked for. The look-up goes on at each poll; another create call would be refused like
// the last.
func (f *Facts) standingConflict() *outcome.Problem {
	last := meta.FindStatusCondition(f.Object.Status.Conditions, v1alpha1.ConditionSynced)
	if last == nil || last.ObservedGeneration != f.Object.Generation || !f.Object.DeletionTimestamp.IsZero() ||
		f.requested() || f.Lifted ||
		!slices.Contains([]string{
			v1alpha1.ReasonUsernameConflict, v1alpha1.ReasonRemoteInconsistent, v1alpha1.ReasonInvalidSpec,
		}, last.Reason) {
		return nil
	}
	p := outcome.NotSynced(last.Reason, "")
	p.Message = last.Message
	return p
}

// isHalfMade reports whether Cal.com was found to refuse the address because of a user that it does not show.
func isHalfMade(mu *v1alpha1.ManagedUser) bool {
	last := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionSynced)
	return last != nil && last.Reason == v1alpha1.ReasonRemoteInconsistent
}

// notStored says that Cal.com accepts an update and stores something else.
func notStored(left *Difference) *outcome.Problem {
	what := strings.Join(left.Fields, ", ")
	if len(left.keys) > 0 {
		what += " (" + outcome.KeyNames(left.keys) + ")"
	}
	return outcome.NotSynced(v1alpha1.ReasonUnexpectedResponse, fmt.Sprintf(
		"Cal.com accepted an update and stored other values for %s; give them as Cal.com returns them in status.user, or name them "+
			"in createOnly; the update is sent again when the spec or the user changes, or when a reconcile is requested", what))
}

// metadataBlocked says that a metadata update is not sent because of nested values under some keys; nil if there are
// none.
func metadataBlocked(consequence string, keys []string) *outcome.Problem {
	if len(keys) == 0 {
		return nil
	}
	return outcome.NotSynced(v1alpha1.ReasonMetadataBlocked, fmt.Sprintf(
		"%s, since that would erase the nested value that Cal.com keeps under %s in the user's metadata; remove it there, or, where "+
			"only keys of the spec differ, name metadata in createOnly",
		consequence, outcome.KeyNames(keys)))
}
