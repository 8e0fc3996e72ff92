// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// An OAuthClient keeps its API URL. But one that was deleted, by force or because nothing is protected, can be made anew with
// another one: the same server under a new name, or a server that has never heard of the users.

// hasMoved reports whether the object's OAuth client calls another API URL than the one at which the object's user exists, or
// may exist. A status may hold an older spelling of the same URL. Of an object from before the URL was recorded nobody can tell.
func (v *visit) hasMoved() bool {
	was := recordedURL(v.mu)
	return isBound(v.mu) && was != "" && v.account.apiURL != "" && !calcom.SameURL(was, v.account.apiURL)
}

func recordedURL(mu *v1alpha1.ManagedUser) string {
	if mu.Status.OAuthClientID != "" {
		return mu.Status.APIURL
	}
	i, _ := recordedIntent(mu)
	return i.APIURL
}

// atAnotherServer judges what was found at another API URL than before. A user with the object's mark shows that it is the same
// server. That there is none, or somebody else's with the same id, says nothing of the user at the old one.
func atAnotherServer(v *visit, found *sighting, err error) (*sighting, error) {
	if err != nil && !isForeign(err) {
		return nil, err
	}
	if err == nil && found != nil && v.mark.ownershipOf(found.User) == ours {
		return found, nil
	}
	where := "The OAuth client"
	if ref := v.mu.Spec.OAuthClientRef; ref != nil {
		where = kindOf(*ref) + " " + ref.Name
	}
	return nil, clientProblem(v1alpha1.ReasonClientNotFound, stalled, fmt.Sprintf(
		"%s calls %s, which does not show the user of this object; that one belongs to %s: make the OAuth client anew with that apiURL",
		where, v.account.apiURL, recordedURL(v.mu)))
}
