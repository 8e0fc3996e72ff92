// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// rotate ends all tokens of a user, as a backend with refresh code does.
func (s *story) rotate(mu *v1alpha1.ManagedUser) {
	s.Helper()
	c, err := calcom.New(calcom.Config{
		BaseURL: s.sandbox.URL(), ClientID: s.clientID(), SecretKey: calcom.Hide(calcomtest.DefaultClient().Secret),
		UserAgent: "other", Transport: http.DefaultTransport,
	})
	s.must(err)
	_, err = c.ForceRefresh(s.Context(), mu.Status.User.ID)
	s.must(err)
	s.forgetHistory()
}

// Another program ends the tokens in their first minute: the condition does not say that they are valid, and a request
// brings new ones at once, for which the new pair is no reason to wait.
func TestRequestInTheFirstMinuteOfAPair(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)

	for _, c := range mu.Status.Conditions {
		if c.Type == v1alpha1.ConditionTokensReady && strings.Contains(c.Message, "valid") {
			t.Errorf("TokensReady promises what nothing has verified: %s", c.Message)
		}
	}
	s.advance(10 * time.Second)
	s.rotate(mu)
	s.request(mu, "now")
	s.reconcile(mu)
	s.wantCalls(calcomtest.OpGet, calcomtest.OpRefresh, calcomtest.OpForceRefresh)
	s.wantEvents("TokensForceRefreshed")
	s.wantFresh(mu, "Created")
	s.wantValid()
	s.reconcile(mu)
	s.wantCalls()
}

// One request is one renewal, also when the status that says so could not be written, or a new object comes with a
// request.
func TestRequestRenewsOnce(t *testing.T) {
	t.Run("StatusNotWritten", func(t *testing.T) {
		s := newStory(t)
		mu := s.create(withTokens)
		s.request(mu, "now")
		s.forgetHistory()
		s.writes.failStatus = func(string) error { return errors.New("the API server is away") }
		s.reconcile(mu)
		s.wantCalls(calcomtest.OpGet, calcomtest.OpRefresh)
		s.writes.failStatus = nil
		s.reconcile(mu)
		s.wantCalls(calcomtest.OpGet)
		s.wantFresh(mu, "Created")
	})
	t.Run("NewObject", func(t *testing.T) {
		s := newStory(t)
		mu := s.user(withTokens)
		mu.Annotations = map[string]string{v1alpha1.ReconcileRequestedAtAnnotation: "now"}
		s.must(s.client.Create(t.Context(), mu))
		s.reconcile(mu)
		s.wantCalls(calcomtest.OpCreate)
		s.wantFresh(mu, "Created")
		s.reconcile(mu)
		s.wantCalls()
	})
}

// A renewal that was asked for and fails is told of, long before the token ends, and the request stays open until it
// succeeds.
func TestRequestOutlastsAFailedRenewal(t *testing.T) {
	s := newStory(t)
	mu := s.create(withTokens)
	before := s.wantValid()
	s.request(mu, "now")
	s.forgetHistory()
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpRefresh, Status: http.StatusServiceUnavailable})
	s.reconcile(mu)
	s.wantConditions(mu, "Ready=True/Available", "Synced=True/Created", "CredentialsReady=True/Verified", "TokensReady=False/RefreshFailed")
	s.wantEvents("RefreshFailed")
	if mu.Status.LastHandledReconcileAt == "now" {
		t.Error("the request is used up")
	}
	s.reconcile(mu)
	s.wantFresh(mu, "Created")
	if mu.Status.LastHandledReconcileAt != "now" {
		t.Error("the request stays open")
	}
	if after := s.wantValid(); bytes.Equal(after.Data["accessToken"], before.Data["accessToken"]) {
		t.Error("the token was not renewed")
	}
}

// A process that starts when a pair is near its end, or past it, renews it at once, by the refresh token and without a
// look.
func TestStartNearTheEndOfAPair(t *testing.T) {
	for name, age := range map[string]time.Duration{"NearItsEnd": 58 * time.Minute, "PastItsEnd": 3 * time.Hour} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.config.Jitter = func(most time.Duration) time.Duration { return most }
			mu := s.create(withTokens)
			s.advance(age)
			s.forgetHistory()
			s.restart()
			s.reconcile(mu)
			s.wantCalls(calcomtest.OpRefresh)
			s.wantFresh(mu, "Created")
			s.wantValid()
		})
	}
}
