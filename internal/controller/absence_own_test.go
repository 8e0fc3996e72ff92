// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// A DELETE call that Cal.com refused deleted nothing: users that seem to be gone afterwards are held.
func TestRefusedDeletionIsNoOwn(t *testing.T) {
	s := newAbsenceStory(t, 4, 1)
	s.advance(time.Minute)
	for _, mu := range s.users {
		s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpDelete, Status: http.StatusBadRequest})
		s.delete(mu)
		s.wantMessage(mu, "refuses")
	}
	s.proxy.on = true
	s.advance(resync)
	for _, mu := range s.users {
		s.reconcile(mu)
	}
	for _, mu := range s.users {
		s.wantMessage(mu, "more than 1 users", "not released")
	}
}

// A DELETE call without an answer stays the object's own when the next one is answered that there is no such user.
func TestOwnDeletionThatTookEffectLate(t *testing.T) {
	s := newAbsenceStory(t, 3, 1)
	s.advance(time.Minute)
	for _, mu := range s.users {
		s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpDelete, Status: http.StatusGatewayTimeout})
		s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpDelete, Status: http.StatusNotFound, After: true})
		s.delete(mu)
		s.reconcile(mu)
		s.wantGone(mu)
	}
}

// Where another user is gone, those that were deleted by their objects count for nothing.
func TestOwnDeletionsAreNoEvidence(t *testing.T) {
	s := newAbsenceStory(t, 4, 1)
	s.advance(time.Minute)
	for _, mu := range s.users[:3] {
		s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpDelete, Status: http.StatusGatewayTimeout, After: true})
		s.delete(mu)
	}
	s.wipe(3, 4)
	s.find(s.users[3:])
	s.wantReady(s.users[3], "Created")
}

// Objects whose statuses have an older spelling of the server's URL are evidence like others: the first user that is
// gone is held.
func TestEvidenceOfOlderSpellings(t *testing.T) {
	s := newAbsenceStory(t, 4, 1)
	for _, mu := range s.users {
		mu.Status.APIURL = strings.Replace(mu.Status.APIURL, "/v2", "//%76%32/", 1)
		s.must(s.client.Status().Update(t.Context(), mu))
	}
	s.begin()
	s.advance(time.Minute)
	s.proxy.on = true
	s.delete(s.users[0])
	s.wantMessage(s.users[0], "more than 1 users", "not released")
}
