// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// A value that Cal.com accepts and does not store is sent once for each generation and each state of the user, after
// restarts too.
func TestValueThatIsNotStored(t *testing.T) {
	for name, tc := range map[string]struct {
		spec  func(*v1alpha1.ManagedUserSpec)
		drop  func(body map[string]any)
		words string
	}{
		"MetadataKey":   {full, func(body map[string]any) { delete(metadataIn(body), "plan") }, "metadata (plan)"},
		"MetadataValue": {full, func(body map[string]any) { metadataIn(body)["plan"] = "Gold" }, "metadata (plan)"},
		"Field":         {full, func(body map[string]any) { delete(body, "bio") }, "for bio;"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			s.config.Transport = losing(s, tc.drop)
			s.restart()
			mu := s.create(tc.spec)
			s.wantCalls(calcomtest.OpCreate, calcomtest.OpUpdate)
			s.wantConditions(mu, "Ready=False/UnexpectedResponse", "Synced=False/UnexpectedResponse", "CredentialsReady=True/Verified", "Stalled=True/UnexpectedResponse")
			s.wantMessage(mu, tc.words, "createOnly")
			s.wantQuiet(mu)
			s.restart()
			s.wantQuiet(mu)

			s.request(mu, "now")
			s.reconcile(mu)
			s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate)
			s.wantQuiet(mu)

			s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.WeekStart = "Friday" })
			s.reconcile(mu)
			s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate)
			s.wantQuiet(mu)

			s.sandbox.UpdateUser(s.clientID(), mu.Status.User.ID, func(u *calcomtest.User) { u.Name = new("By hand") })
			s.due(mu)
			s.wantCalls(calcomtest.OpGet, calcomtest.OpUpdate)
			s.wantQuiet(mu)
			if got := *mu.Status.User.Name; got != "Alice" {
				t.Errorf("the name is %q: what is stored was not put right", got)
			}
		})
	}
}

// metadataIn returns the metadata of a body, a new one if there is none.
func metadataIn(body map[string]any) map[string]any {
	metadata, ok := body["metadata"].(map[string]any)
	if !ok {
		metadata = map[string]any{}
	}
	return metadata
}

// wantQuiet lets some drift checks pass, in which the user is read and nothing is changed.
func (s *story) wantQuiet(mu *v1alpha1.ManagedUser) {
	s.Helper()
	s.sandbox.ResetCalls()
	s.writes.take()
	for range 3 {
		s.due(mu)
	}
	s.wantCalls(calcomtest.OpGet, calcomtest.OpGet, calcomtest.OpGet)
	s.wantWrites()
}

// losing is the way to a server that accepts every body and loses something of it.
func losing(s *story, drop func(body map[string]any)) http.RoundTripper {
	return roundTrip(func(r *http.Request) (*http.Response, error) {
		if r.Body == nil {
			return http.DefaultTransport.RoundTrip(r)
		}
		var body map[string]any
		s.must(json.NewDecoder(r.Body).Decode(&body))
		drop(body)
		raw, err := json.Marshal(body)
		s.must(err)
		lossy := r.Clone(r.Context())
		lossy.Body, lossy.ContentLength = io.NopCloser(bytes.NewReader(raw)), int64(len(raw))
		return http.DefaultTransport.RoundTrip(lossy)
	})
}
