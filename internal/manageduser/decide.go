// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"fmt"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
	"github.com/calcom-operator/calcom-operator/internal/timezone"
)

// Decide returns the next action for an object. It makes no call and no write: what it has to know first, it asks for
// by an action, and is called again with the answer.
func Decide(f *Facts) Action { return *f.decide() }

func (f *Facts) decide() *Action {
	if !f.Object.DeletionTimestamp.IsZero() {
		return f.decideDeletion()
	}
	if f.policy() == v1alpha1.ReconcilePolicySuspend {
		return stop(suspended("Nothing is compared or changed while reconcilePolicy is Suspend; set it to Manage to go on"))
	}
	if p := checkSpec(f.Object); p != nil {
		return stop(p)
	}
	if !f.Connected {
		return &Action{Verb: VerbConnect}
	}
	if p := checkPlain(f.Object, f.Account.ClientID); p != nil {
		return stop(p)
	}
	switch {
	case f.Seen.Began: // What made the comparison necessary may have changed with the first answer.
	case f.rests():
		return &Action{Verb: VerbRest}
	case f.LacksCredentialsOnly() && f.Verified:
		return &Action{Verb: VerbDone}
	}
	return f.compare()
}

// compare finds the user in Cal.com and brings it to what the spec says.
func (f *Facts) compare() *Action {
	found, next := f.find()
	if next != nil {
		next.Cautious = f.LacksCredentialsOnly()
		return next
	}
	if f.policy() == v1alpha1.ReconcilePolicyObserve {
		return f.observe(found)
	}
	// With the finalizer, the id of a user that the object merely observed would pass for the object's own.
	if f.Object.Status.User != nil && !IsBound(f.Object) && (found == nil || !found.Known) {
		return &Action{Verb: VerbForget}
	}
	if found == nil {
		return f.create()
	}
	return f.take(found)
}

// observe mirrors the user for an object that changes nothing.
func (f *Facts) observe(found *Candidate) *Action {
	// In the status of an object that owns a user, or may own one, another user would pass for its own.
	if found != nil && (found.Known || !IsBound(f.Object)) {
		return with(found, &Action{Verb: VerbMirror})
	}
	return &Action{Verb: VerbMirror, Problem: &outcome.Problem{
		Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonNotFound, Severity: outcome.Resting, Pace: outcome.Slowly,
		Message: "Cal.com has no such user under this OAuth client; it is looked for again at each drift check",
	}}
}

// create decides about an object that has no user.
func (f *Facts) create() *Action {
	if id := f.Object.Spec.UserID; id != 0 {
		return stop(outcome.NotSynced(v1alpha1.ReasonNotFound, fmt.Sprintf(
			"Cal.com has no user %d under this OAuth client; correct it in a new object, or leave userID out to have a user created", id)))
	}
	if f.Object.Spec.Name == "" {
		return stop(outcome.NotSynced(v1alpha1.ReasonInvalidSpec,
			"There is no user with this e-mail, and Cal.com creates none without a name; set name"))
	}
	if standing := f.standingConflict(); standing != nil {
		return stop(standing)
	}
	return &Action{Verb: VerbCreate, Absence: true}
}

// take decides about a user that was found: whether the object owns it, or may adopt it, and what has to be written.
func (f *Facts) take(found *Candidate) *Action {
	own := *found
	if !found.Known {
		if p := f.mayAdopt(&found.User); p != nil {
			return f.refuse(p)
		}
		own.Origin = v1alpha1.OriginAdopted
	} else if next := f.finishCreation(found); next != nil {
		return next
	}
	switch {
	case f.Seen.Adopted:
		own.Origin = v1alpha1.OriginAdopted
	case own.Origin == "":
		own.Origin = originOfFound(f.Before, &found.User)
	}
	if !found.ByID {
		_, known := Identity(f.Object)
		return with(&own, &Action{Verb: VerbClaim, Absence: known && !found.Known})
	}
	if f.hasReturned(&own) {
		return with(&own, &Action{Verb: VerbSettleIntent})
	}
	if id := f.Object.Spec.UserID; id != 0 && id != own.ID {
		return with(&own, stop(outcome.NotSynced(v1alpha1.ReasonInvalidSpec, fmt.Sprintf(
			"The userID is %d, and this object has user %d already; apply a new object for the other one", id, own.ID))))
	}
	return f.update(&own)
}

// update decides what to write of what differs from the spec, and nothing else. What the server has accepted before and
// not stored is not sent again.
func (f *Facts) update(own *Candidate) *Action {
	if f.Seen.Updated && f.ownership(&own.User) == Foreign { // It has come to be another's since it was read.
		return with(own, stop(f.OwnedElsewhere(&own.User)))
	}
	d := Diff(f.Object, own.User, f.Mark.For(own.Origin))
	if d.Empty() {
		if p := metadataBlocked("The metadata is not written", d.blocked); p != nil {
			return with(own, stop(p))
		}
		return with(own, &Action{Verb: VerbDone})
	}
	if left := notStored(d); f.Seen.Updated || f.hasTried(left, &own.User) {
		return with(own, stop(left))
	}
	return with(own, &Action{Verb: VerbUpdate, Change: d})
}

// hasTried reports whether the conditions say, of this generation and of the user as it is, that Cal.com stores other
// values for the same fields. Only the status holds what was tried, so that a restart sends nothing either.
func (f *Facts) hasTried(left *outcome.Problem, user *calcom.User) bool {
	last, was := meta.FindStatusCondition(f.Told, left.Condition), f.Before.Status.User
	return last != nil && last.Status == metav1.ConditionFalse && last.Reason == left.Reason &&
		last.ObservedGeneration == f.Object.Generation && last.Message == outcome.Clip(left.Message, outcome.MaxMessage) &&
		was != nil && Mirrors(was, user) && !f.requested()
}

// checkSpec finds what the API server cannot check, or did not.
func checkSpec(mu *v1alpha1.ManagedUser) *outcome.Problem {
	if zone := mu.Spec.TimeZone; zone != "" && !timezone.Valid(zone) {
		return outcome.NotSynced(v1alpha1.ReasonInvalidSpec,
			"The timeZone is no name in the IANA time zone database; give one like Europe/Rome")
	}
	for _, key := range slices.Sorted(maps.Keys(mu.Spec.Metadata)) {
		if !calcom.IsStorableKey(key) { // The object is older than the rule in the CRD, or was not validated by it.
			return outcome.NotSynced(v1alpha1.ReasonInvalidSpec, fmt.Sprintf(
				"Cal.com does not store the metadata key %s, a name that every JavaScript object has; choose another", key))
		}
	}
	return nil
}

func suspended(message string) *outcome.Problem {
	return &outcome.Problem{
		Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonSuspended, Message: message,
		Severity: outcome.Resting, Pace: outcome.OnChange,
	}
}
