// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
)

// A user whose own call is refused in the middle of a round closes the client for the sweep too: a round that nobody is
// left in has not looked at anybody, and the sweep does not go on as if it had.
func TestSweepOfAClosedClient(t *testing.T) {
	s := newSweepStory(t, 520)
	name := account.Name{APIURL: s.sandbox.URL(), ClientID: s.clientID()}
	s.reconciler.sweeper.keep("OAuthClient//team/acme", name, "")
	s.round()
	s.oneStep()
	s.oneStep() // The census. The twenty others are still to be asked for.
	completed := s.findings().Completed
	s.sandbox.SetSecret(s.clientID(), "rotated")
	s.reconciler.sweeper.demand(keyOf(s.users[0]))
	for _, mu := range s.users {
		s.reconcile(mu)
	}
	for range 3 {
		s.oneStep()
		if f := s.findings(); f.LastError != v1alpha1.ReasonUnauthorized || f.Completed != completed {
			t.Errorf("findings are %+v, want those of the last round and Unauthorized", f)
		}
		for _, mu := range s.users {
			s.reconcile(mu)
		}
	}
}

// An OAuth client whose Secret is missing says so in its sweep's findings, which the alerts are made of.
func TestSweepWithoutAKey(t *testing.T) {
	s := newSweepStory(t, 0)
	name := account.Name{APIURL: "https://api.cal.com/v2", ClientID: "one"}
	s.reconciler.sweeper.keep("OAuthClient//team/acme", name, v1alpha1.ReasonSecretNotFound)
	s.oneStep()
	s.oneStep()
	if f, _ := s.reconciler.sweeper.findings(name); f.LastError != v1alpha1.ReasonSecretNotFound {
		t.Errorf("findings are %+v", f)
	}
}
