// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// An OAuthClient that was made anew with the URL of another server proves nothing about the users of the first: none is
// created there, none counts as deleted, and no token is shown to it.
func TestClientThatMovesToAnotherServer(t *testing.T) {
	for name, tc := range map[string]struct {
		spec     func(*v1alpha1.ManagedUserSpec)
		stranger bool
		lost     bool
	}{
		"Known":          {spec: withTokens},
		"IDOfAnother":    {spec: orphanNot, stranger: true},
		"OutcomeUnknown": {spec: orphanNot, lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			other := calcomtest.New(t, calcomtest.Options{Now: s.clock.Now})
			if tc.stranger {
				other.AddUser(s.clientID(), calcomtest.User{Email: "someone@example.com"})
			}
			if tc.lost {
				s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true})
			}
			there := len(other.Users(s.clientID()))
			c := s.acme()
			mu := s.create(byRef("", "acme"), tc.spec)
			s.must(s.client.Delete(t.Context(), c))
			s.acme(func(spec *v1alpha1.OAuthClientSpec) { spec.APIURL = other.URL() })
			for _, act := range []func(){
				func() { s.advance(time.Hour) },
				func() { s.edit(mu, func(spec *v1alpha1.ManagedUserSpec) { spec.Name = "Alicia" }) },
				func() { s.must(s.client.Delete(t.Context(), mu)) },
			} {
				act()
				s.reconcile(mu)
				s.wantMessage(mu, "OAuthClient acme calls "+other.URL(), "belongs to "+s.sandbox.URL()+": make the OAuth client anew")
			}
			if n := len(other.Users(s.clientID())); n != there || len(other.CallsOf(calcomtest.OpRefresh)) > 0 {
				t.Errorf("the other server has %d users, want %d, and was called %v", n, there, other.Calls())
			}
			s.must(s.client.Delete(t.Context(), &v1alpha1.OAuthClient{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "acme"}}))
			s.acme()
			s.reconcile(mu)
			s.wantGone(mu)
			if n := len(s.sandbox.Users(s.clientID())); n != 0 {
				t.Errorf("%d users left in Cal.com", n)
			}
		})
	}
}

func orphanNot(spec *v1alpha1.ManagedUserSpec) { spec.DeletionPolicy = v1alpha1.DeletionPolicyDelete }

// A server that got another name is known by the users that it shows.
func TestServerThatIsRenamed(t *testing.T) {
	s := newStory(t)
	s.config.AllowedAPIURLs, _ = ParseURLPrefixes("http://")
	s.restart()
	c := s.acme()
	mu := s.create(byRef("", "acme"))
	s.must(s.client.Delete(t.Context(), c))
	renamed := strings.Replace(s.sandbox.URL(), "127.0.0.1", "localhost", 1)
	s.acme(func(spec *v1alpha1.OAuthClientSpec) { spec.APIURL = renamed })
	s.sandbox.ResetCalls()
	s.reconcile(mu)
	s.wantReady(mu, "Created")
	s.wantCalls(calcomtest.OpGet)
	if mu.Status.APIURL != renamed {
		t.Errorf("the status has the URL %s, want %s", mu.Status.APIURL, renamed)
	}
	s.reconcile(mu)
	s.wantCalls()
}
