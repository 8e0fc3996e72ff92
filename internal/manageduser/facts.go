// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package manageduser holds the rules for ManagedUser objects: what an object's records mean (records.go, intent.go,
// mark.go), how a user in Cal.com differs from its spec (diff.go), what the status shows of it (mirror.go), and what
// comes next (decide.go). It makes no call and no write.
package manageduser

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// Facts are what Decide decides by. Decide changes nothing in them.
type Facts struct {
	// Object is the object with the changes that this reconcile has made so far. Before is the object with the status
	// that was written last, and Told are the conditions that were read at the beginning.
	Object, Before *v1alpha1.ManagedUser
	Told           []metav1.Condition
	// Mark is the ownership mark of the object.
	Mark Mark
	// Account is the OAuth client and the server that the object's calls go to. It counts once Connected is set.
	Account   account.Name
	Connected bool
	// Trusted: there is no reason to verify the secret key. Verified: Cal.com accepted it.
	Trusted, Verified bool
	// Demanded: the drift sweep or the renewal of tokens demands a comparison with Cal.com.
	Demanded bool
	// Lifted: the conflict that Cal.com reported before may have ended.
	Lifted bool
	// CreateCall is what this process knows of its create calls for the object.
	CreateCall CreateCall
	// AbsenceCountsIn is how long it takes until a user that cannot be found proves to be gone; 0 means now.
	AbsenceCountsIn time.Duration
	Now             time.Time
	// Seen are the answers of Cal.com in this reconcile.
	Seen Evidence
}

// Format prints the object's name whatever the format, since the object holds addresses.
func (f *Facts) Format(s fmt.State, _ rune) { _, _ = fmt.Fprintf(s, "[facts of %s]", f.name()) }

// MarshalLog writes the object's name.
func (f *Facts) MarshalLog() any { return "facts of " + f.name() }

// MarshalJSON writes the object's name.
func (f *Facts) MarshalJSON() ([]byte, error) { return json.Marshal(f.MarshalLog()) }

func (f *Facts) name() string { return client.ObjectKeyFromObject(f.Object).String() }

// CreateCall is what this process knows of its create calls for one object.
type CreateCall struct {
	// Unsent: the recorded call was not sent, nor an earlier one, so there is no user.
	Unsent bool
	// Failed: Cal.com answered the last call with an error of its own.
	Failed bool
	// Unfinished: a call may have left a user without all that a finished creation leaves.
	Unfinished bool
	// Intent is the record of a call that was sent and whose outcome is not in the status; nil if there is none.
	Intent *Intent
}

// Evidence are the answers of Cal.com in one reconcile since the last call that changed something there.
type Evidence struct {
	// Began is set with the first question.
	Began bool
	// users are the answers to the questions for one id, in order; nil where Cal.com denied it.
	users map[int64][]*calcom.User
	// lists are the answers to the questions for addresses.
	lists []listed
	// Own is the user that the object owns by now, after a create call, a claim or an update in this reconcile.
	Own *Candidate
	// Adopted is set when this reconcile recorded that the object adopts the user in the status.
	Adopted bool
	// Updated is set once the update was accepted.
	Updated bool
	// Absent is set when this reconcile deleted the user to create it anew.
	Absent bool
	// Conflict is set when Cal.com refused the create call because of another user.
	Conflict *CreateConflict
	// Admitted is set when the limit of mass deletions allows the deletion.
	Admitted bool
	// Deleted is the deletion that was sent.
	Deleted *SentDeletion
	// Unmarked is set when the mark was removed from a user that is to stay, and UnmarkErr is why it was not.
	Unmarked  bool
	UnmarkErr error
}

// listed is the answer to a question for some addresses.
type listed struct {
	emails calcom.Hidden[[]string]
	rows   []calcom.User
}

// CreateConflict is a create call that Cal.com refused because of another user.
type CreateConflict struct {
	// UserID is the user that the answer names, 0 if it names none.
	UserID int64
	// Renewed: an earlier create call may have been sent.
	Renewed bool
}

// SentDeletion is a DELETE call that was sent.
type SentDeletion struct {
	UserID int64
	// Denied is the answer that there is no such user; nil when the user was deleted.
	Denied *outcome.Problem
}

// Candidate is a user that may be the object's own.
type Candidate struct {
	calcom.User

	// Known: the id stands in the status, or the user carries the object's mark.
	Known bool
	// ByID: the id stands in the status, so that the user is the object's own even without the mark.
	ByID bool
	// Origin is set once the object owns the user.
	Origin v1alpha1.Origin
}

// KeepUser adds the answer to a question for an id.
func (e *Evidence) KeepUser(id int64, user *calcom.User) {
	if e.users == nil {
		e.users = make(map[int64][]*calcom.User)
	}
	e.users[id] = append(e.users[id], user)
}

// KeepList adds the answer to a question for addresses.
func (e *Evidence) KeepList(emails []string, rows []calcom.User) {
	slices.SortFunc(rows, func(a, b calcom.User) int { return int(a.ID - b.ID) })
	e.lists = append(e.lists, listed{calcom.Hide(emails), rows})
}

// user returns the user with an id, nil for one that Cal.com denies, or the question for it. again asks for a second
// answer.
func (f *Facts) user(id int64, again bool) (*calcom.User, *Action) {
	answers, at := f.Seen.users[id], 0
	if again {
		at = 1
	}
	if at < len(answers) {
		return answers[at], nil
	}
	return nil, &Action{Verb: VerbGet, UserID: id}
}

// list returns the users with some addresses, in the order of their ids, or the question for them. calls is how many
// calls may follow from the answer, this one included.
func (f *Facts) list(emails []string, calls int) ([]calcom.User, *Action) {
	for _, l := range f.Seen.lists {
		if slices.Equal(l.emails.Reveal(), emails) {
			return l.rows, nil
		}
	}
	return nil, &Action{Verb: VerbList, Emails: calcom.Hide(emails), Calls: calls}
}

func (f *Facts) policy() v1alpha1.ReconcilePolicy { return PolicyOf(f.Object) }

func (f *Facts) requested() bool {
	return RequestedLook(f.Object, f.Object.Status.LastHandledReconcileAt)
}

// ownership says whose a user is.
func (f *Facts) ownership(user *calcom.User) Ownership { return f.Mark.OwnershipOf(*user) }

// addresses returns the plain addresses under which the object's user can be found: the ones of status, create intent
// and spec, and the one of a call of this process whose record another process replaced.
func (f *Facts) addresses() []string {
	all := addresses(f.Object, f.Now)
	if i := f.CreateCall.Intent; i != nil && !slices.Contains(all, i.Email.Reveal()) {
		all = append(all, i.Email.Reveal())
	}
	return all
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
		add(PlainAddress(mu))
	}
	if i, ok := IntentOf(mu, now); ok {
		add(i.Email.Reveal())
	}
	add(mu.Spec.Email)
	return all
}
