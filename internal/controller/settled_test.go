// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"net/http"
	"testing"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// A Secret that was away and is back costs no call where its key is known to be good.
func TestTheSecretComesBack(t *testing.T) {
	s := newStory(t)
	mu := s.create()
	s.sandbox.ResetCalls()
	s.deleteSecret()
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=False/SecretNotFound", "Synced=True/Created", "CredentialsReady=False/SecretNotFound", "Reconciling=True/Progressing")
	s.createSecret(calcomtest.DefaultClient().Secret)
	s.reconcile(mu)
	s.wantReady(mu, "Created")
	s.wantCalls()

	s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" })
	s.deleteSecret()
	s.reconcile(mu)
	s.createSecret(calcomtest.DefaultClient().Secret)
	s.reconcile(mu)
	s.wantReady(mu, "Updated")
	s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate)
}

// After a restart nobody knows whether a key that was refused is good by now: one finds out for all.
func TestRefusedUsersAfterARestart(t *testing.T) {
	s := newSweepStory(t, 10)
	s.sandbox.SetSecret(s.clientID(), "rotated")
	s.refuse()
	s.sandbox.SetSecret(s.clientID(), calcomtest.DefaultClient().Secret)
	s.begin()
	s.forgetCalls()
	for _, mu := range s.users {
		s.reconcile(mu)
		s.wantReady(mu, "Created")
	}
	s.wantCalls(calcomtest.OpGet)
}

func (s *sweepStory) refuse() {
	s.Helper()
	for s.woken == nil {
		s.oneStep()
	}
	s.wantWokenAndWaiting(s.users...)
}

// Cal.com's own 403 is about the OAuth client, as a 401 is. One from something in between is about a request.
func TestForbidden(t *testing.T) {
	for name, tc := range map[string]struct {
		body  string
		calls int
	}{
		"ByCalcom":      {"", 1},
		"BySomethingIn": {"<html>Blocked</html>", 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSweepStory(t, 2)
			s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpGet, Status: http.StatusForbidden, Body: tc.body, Times: -1})
			for _, mu := range s.users {
				s.reconciler.sweeper.demand(keyOf(mu))
				s.reconcile(mu)
				s.wantConditions(mu, "Ready=False/Forbidden", "Synced=True/Created", "CredentialsReady=False/Forbidden", "Stalled=True/Forbidden")
			}
			if n := s.sandbox.Count(calcomtest.OpGet); n != tc.calls {
				t.Errorf("there were %d calls, want %d", n, tc.calls)
			}
			s.sandbox.ClearFaults()
			s.advance(resync + 1)
			s.forgetCalls()
			for _, mu := range s.users {
				s.reconcile(mu)
				s.wantReady(mu, "Created")
			}
			s.wantCalls(calcomtest.OpGet)
		})
	}
}
