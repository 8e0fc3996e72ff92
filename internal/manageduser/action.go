// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"fmt"
	"slices"
	"strings"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// Verb is what an Action does.
type Verb string

const (
	// VerbConnect finds the OAuth client and reads its credentials.
	VerbConnect Verb = "connect"
	// VerbGet asks Cal.com for the user with an id.
	VerbGet Verb = "get"
	// VerbList asks Cal.com for the users with some addresses.
	VerbList Verb = "list"

	// VerbRepairIntent replaces a create intent that cannot be right.
	VerbRepairIntent Verb = "repair intent"
	// VerbSettleIntent replaces the create intent of a user that was taken for gone and is there after all.
	VerbSettleIntent Verb = "settle intent"
	// VerbForget removes a user from the status that the object merely observed, before the object comes to own one.
	VerbForget Verb = "forget"
	// VerbClaim records that the object owns a user that exists already.
	VerbClaim Verb = "claim"

	// VerbCreate creates the user.
	VerbCreate Verb = "create"
	// VerbRecreate deletes a user whose creation Cal.com did not finish; it is created anew after that.
	VerbRecreate Verb = "recreate"
	// VerbUpdate writes what differs from the spec.
	VerbUpdate Verb = "update"
	// VerbUnmark removes the ownership mark from a user that is to stay.
	VerbUnmark Verb = "unmark"
	// VerbAdmit asks the limit of mass deletions.
	VerbAdmit Verb = "admit"
	// VerbDelete deletes the user.
	VerbDelete Verb = "delete"

	// VerbRelease removes the finalizer: the last action for an object that is being deleted.
	VerbRelease Verb = "release"
	// VerbGone ends the reconcile of an object that owns nothing in Cal.com and is being deleted.
	VerbGone Verb = "gone"
	// VerbRest ends the reconcile of an object for which nothing has to be done.
	VerbRest Verb = "rest"
	// VerbMirror ends the reconcile of an object that observes: the user is copied into the status.
	VerbMirror Verb = "mirror"
	// VerbDone ends the reconcile of an object whose user is as the spec says.
	VerbDone Verb = "done"
	// VerbStop ends the reconcile with a problem.
	VerbStop Verb = "stop"
)

// Action is the next step for an object: what to do, and what it would change. The problem says why, where the verb
// does not.
type Action struct {
	Verb Verb
	// UserID is the user in Cal.com that the action is about, 0 for none.
	UserID int64
	// Problem is what VerbStop ends with.
	Problem *outcome.Problem

	// User is the user that the object owns, or comes to own with this action; nil where there is none. VerbMirror
	// copies it.
	User *Candidate
	// Change is what VerbUpdate writes.
	Change *Difference
	// Metadata is what VerbUnmark leaves.
	Metadata calcom.Hidden[calcom.Metadata]
	// Emails and Calls are the addresses of VerbList and how many calls to take together.
	Emails calcom.Hidden[[]string]
	Calls  int
	// Cautious: no call is made with a secret key that another reconcile is trying.
	Cautious bool
	// Retracts: VerbStop takes the create intent back, since the call had no effect.
	Retracts bool
	// Optional: the reconcile goes on when the action fails.
	Optional bool
	// Absence: the action follows from a user that is gone, and the limit of those decides first.
	Absence bool
	// Event is the reason of the event of VerbRelease, which sends none where it is empty. Note is what the event says,
	// and Warns makes it a warning.
	Event, Note string
	Warns       bool
	// Reason is why the mark stays on the user, for the log.
	Reason error
}

// Ends reports whether the reconcile is over after the action.
func (a Action) Ends() bool {
	return slices.Contains([]Verb{VerbRelease, VerbGone, VerbRest, VerbMirror, VerbDone, VerbStop, VerbForget}, a.Verb)
}

// String returns the verb, the user and the fields or the reason.
func (a Action) String() string {
	words := []string{string(a.Verb)}
	if a.UserID != 0 {
		words = append(words, fmt.Sprint(a.UserID))
	}
	if a.Change != nil {
		words = append(words, strings.Join(a.Change.Fields, ","))
	}
	if a.Problem != nil {
		words = append(words, a.Problem.Condition+"/"+a.Problem.Reason)
	}
	return strings.Join(words, " ")
}

// Format prints what String returns whatever the format, since an action holds addresses.
func (a Action) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, a.String()) }

// stop ends the reconcile with a problem.
func stop(p *outcome.Problem) *Action { return &Action{Verb: VerbStop, Problem: p} }

// with returns an action for an object that owns a user by now.
func with(user *Candidate, a *Action) *Action {
	a.User, a.UserID = user, user.ID
	return a
}

// release removes the finalizer and sends an event.
func release(event, note string) *Action {
	return &Action{Verb: VerbRelease, Event: event, Note: note}
}

// deleted is the release of an object whose user was deleted.
func deleted(userID int64) *Action {
	return release(v1alpha1.EventDeleted, fmt.Sprintf("Deleted user %d", userID))
}
