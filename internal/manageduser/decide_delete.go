// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"encoding/json"
	"fmt"
	"time"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// UnmarkPatience is how long after the deletion was asked for the quota is waited for, before an object is released
// whose user keeps the mark. Who leaves with thousands of users wants all the marks off; but in the end the object
// goes.
const UnmarkPatience = 30 * time.Minute

// decideDeletion decides about an object that is being deleted: it is released once its user is deleted, proved to be
// gone, or to stay. Without the finalizer the object has never created anything, and there is nothing to do.
func (f *Facts) decideDeletion() *Action {
	orphans := DeletionPolicyInForce(f.Object) == v1alpha1.DeletionPolicyOrphan
	switch {
	case !IsBound(f.Object):
		return &Action{Verb: VerbGone}
	case f.CreateCall.Unsent:
		return release("", "")
	case f.policy() == v1alpha1.ReconcilePolicySuspend:
		return stop(suspended("The deletion waits while reconcilePolicy is Suspend; set it to Manage to go on"))
	case f.policy() == v1alpha1.ReconcilePolicyObserve && !orphans:
		return stop(outcome.NotSynced(v1alpha1.ReasonDeletionBlocked,
			"The user was created or adopted by this object, and reconcilePolicy Observe changes nothing in Cal.com; set it to Manage "+
				"to have the user deleted, or deletionPolicy to Orphan to leave it there"))
	case orphans:
		return f.orphan()
	}
	return f.delete()
}

// delete decides about an object whose user is to be deleted.
func (f *Facts) delete() *Action {
	switch {
	case !f.Connected:
		return &Action{Verb: VerbConnect}
	case f.Seen.Deleted != nil:
		return f.finishDeletion(f.Seen.Deleted)
	case !f.Seen.Admitted:
		return &Action{Verb: VerbAdmit}
	}
	found, next := f.find()
	switch {
	case next != nil:
		return next
	case found == nil || !found.Known: // A user that is found by its address alone is not the object's.
		return f.releaseAbsent()
	case f.Object.Spec.DeletionPolicy == "" && originOfFound(f.Before, &found.User) == v1alpha1.OriginAdopted:
		return f.orphan() // Of the records of the adoption, only the one in Cal.com is left.
	}
	return &Action{Verb: VerbDelete, UserID: found.ID}
}

// finishDeletion decides after the DELETE call. A 404 is success only if the list does not show the user either.
func (f *Facts) finishDeletion(sent *SentDeletion) *Action {
	done := deleted(sent.UserID)
	if sent.Denied == nil {
		return done
	}
	found, next := f.lookUp(sent.UserID)
	switch {
	case next != nil:
		return next
	case found != nil && found.Known:
		return stop(sent.Denied)
	}
	done.Absence = true
	return done
}

// releaseAbsent releases an object that has no user in Cal.com.
func (f *Facts) releaseAbsent() *Action {
	a := release(v1alpha1.EventDeleted, "There was no user of this object left in Cal.com")
	if isHalfMade(f.Before) || HasOpenIntent(f.Object) {
		a.Warns = true
		a.Note = "Cal.com shows no user of this object, and the outcome of its create call is not known; " +
			"a half-made user may be left that keeps the address, which only Cal.com's support or the server's administrator can remove"
	}
	a.Absence = true
	return a
}

// orphan releases the object and leaves the user in Cal.com. Removing the mark is attempted and no more, but for a wait
// for the quota: this way out has to be open without credentials and without a server.
func (f *Facts) orphan() *Action {
	done := release(v1alpha1.EventOrphaned, "The user stays in Cal.com")
	if f.policy() == v1alpha1.ReconcilePolicyObserve || f.Seen.Unmarked {
		return done
	}
	err := f.Seen.UnmarkErr
	if err == nil {
		var next *Action
		if next, err = f.unmark(); next != nil {
			next.Optional = true
			return next
		}
	}
	if p := outcome.Classify(err); p != nil && (p.Reason == v1alpha1.ReasonRateLimited || p.Pace == outcome.InLine) &&
		f.Now.Sub(f.Object.DeletionTimestamp.Time) < UnmarkPatience {
		return stop(p)
	}
	done.Reason = err
	return done
}

// unmark returns what comes next so that another owner can adopt the user; nil when there is nothing to do, and an
// error when it cannot be done.
func (f *Facts) unmark() (*Action, error) {
	if !f.Connected {
		return &Action{Verb: VerbConnect}, nil
	}
	found, next := f.find()
	switch {
	case next != nil && next.Verb == VerbStop:
		return nil, next.Problem
	case next != nil:
		return next, nil
	case found == nil || f.ownership(&found.User) != Ours:
		return nil, nil
	}
	kept, lost := sendable(found.Metadata.Reveal(), map[string]json.RawMessage{v1alpha1.OwnerMetadataKey: nil})
	if len(lost) > 0 {
		return nil, fmt.Errorf("metadata with nested values cannot be written back: %s", outcome.KeyNames(lost))
	}
	return &Action{Verb: VerbUnmark, UserID: found.ID, Metadata: calcom.Hide(kept)}, nil
}
