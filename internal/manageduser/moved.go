// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"fmt"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// An OAuthClient keeps its API URL. But one that was deleted, by force or because nothing is protected, can be made
// anew with another one: the same server under a new name, or a server that has never heard of the users.

// HasMoved reports whether the object's OAuth client calls another API URL than the one at which the object's user
// exists, or may exist. A status may hold an older spelling of the same URL. Of an object from before the URL was
// recorded it cannot be told.
func HasMoved(mu *v1alpha1.ManagedUser, of account.Name) bool {
	was := recordedURL(mu)
	return IsBound(mu) && was != "" && of.APIURL != "" && !calcom.SameURL(was, of.APIURL)
}

func (f *Facts) hasMoved() bool { return HasMoved(f.Object, f.Account) }

func recordedURL(mu *v1alpha1.ManagedUser) string {
	if mu.Status.OAuthClientID != "" {
		return mu.Status.APIURL
	}
	i, _ := RecordedIntent(mu)
	return i.APIURL
}

// atAnotherServer judges what was found at another API URL than before. A user with the object's mark shows that it is
// the same server. That there is none, or another's with the same id, says nothing of the user at the old one.
func (f *Facts) atAnotherServer(found *Candidate, next *Action) (*Candidate, *Action) {
	if next != nil && (next.Verb != VerbStop || !outcome.IsOfAnother(next.Problem)) {
		return nil, next
	}
	if next == nil && found != nil && f.ownership(&found.User) == Ours {
		return found, nil
	}
	where := "The OAuth client"
	if ref := f.Object.Spec.OAuthClientRef; ref != nil {
		where = KindOf(*ref) + " " + ref.Name
	}
	return nil, stop(outcome.NotUsable(v1alpha1.ReasonClientNotFound, outcome.Stalled, fmt.Sprintf(
		"%s calls %s, which does not show the user of this object; that one belongs to %s: make the OAuth client anew with that apiURL",
		where, f.Account.APIURL, recordedURL(f.Object))))
}
