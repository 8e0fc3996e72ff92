// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// respelled returns other spellings of an API URL that has a port.
func respelled(t *testing.T, apiURL string) []string {
	t.Helper()
	u, err := url.Parse(apiURL)
	if err != nil {
		t.Fatal(err)
	}
	host, port := u.Hostname(), u.Port()
	return []string{
		apiURL, "HTTP://" + host + ":" + port, "http://" + host + ":0" + port + "/", "http://" + host + ".:" + port + "//v2",
		"http://[::ffff:" + host + "]:" + port + "/%76%32", "http://" + host + ":" + port + "/./v2/", "http://" + host + ":" + port + "/a/%2E./v2",
	}
}

// Users of one server share everything, however each of them writes its address: the quota, the limit of mass deletions
// and the sweep.
func TestSpellingsOfOneServer(t *testing.T) {
	const limit = 2
	s := newSweepStory(t, 0, func(c *Config) { c.MassDeleteLimit, c.Namespace = limit, "operator" })
	var users []*v1alpha1.ManagedUser
	for i, apiURL := range respelled(t, s.sandbox.URL()) {
		mu := s.user(func(spec *v1alpha1.ManagedUserSpec) {
			spec.Email, spec.OAuthClient.APIURL = fmt.Sprintf("user%d@example.com", i), apiURL
		})
		mu.Name = fmt.Sprint("user-", i)
		s.apply(mu)
		s.settle(mu)
		s.wantReady(mu, "Created")
		users = append(users, mu)
	}
	if quotas := s.reconciler.Quotas(); len(quotas) != 1 {
		t.Errorf("%d quotas of one server: %v", len(quotas), quotas)
	}
	if sweeps := s.reconciler.Sweeps(); len(sweeps) != 1 {
		t.Errorf("%d sweeps of one server: %v", len(sweeps), sweeps)
	}
	for _, mu := range users {
		s.delete(mu)
	}
	if left := s.remoteUsers(); left != len(users)-limit {
		t.Errorf("%d users are left of %d, and %d may be deleted", left, len(users), limit)
	}
}

// The record of deletions and the accounts have one key for all spellings, and different ones for different servers.
func TestAccountOfEachSpelling(t *testing.T) {
	s := newSweepStory(t, 0)
	reached := func(apiURL string) account.Name {
		t.Helper()
		found, err := s.reconciler.credentials.targetOf(v1alpha1.OAuthClientCredentials{ID: s.clientID(), APIURL: apiURL}, "team", nil)
		s.must(err)
		return found.account
	}
	accounts, keys := map[account.Name]bool{}, map[string]bool{}
	for _, apiURL := range respelled(t, "http://127.0.0.1:5555/v2") {
		accounts[reached(apiURL)], keys[reached(apiURL).RecordKey()] = true, true
	}
	if len(accounts) != 1 || len(keys) != 1 {
		t.Errorf("one server has the accounts %v and the keys %v", accounts, slices.Collect(maps.Keys(keys)))
	}
	for _, apiURL := range []string{"http://127.0.0.1", "http://127.0.0.1:5556", "https://127.0.0.1:5555", "http://127.0.0.1:5555/V2", "http://127.0.0.1:5555/a%2Fv2"} {
		if accounts[reached(apiURL)] || keys[reached(apiURL).RecordKey()] {
			t.Errorf("%s has the account of another server", apiURL)
		}
	}
}

// A status or a create intent that an older version wrote with another spelling names the same server, and is not
// written anew.
func TestOldSpellingHasNotMoved(t *testing.T) {
	base, err := calcom.BaseURL("http://127.0.0.1:5555")
	if err != nil {
		t.Fatal(err)
	}
	others := []string{"http://127.0.0.1:5556/v2", "https://127.0.0.1:5555/v2", "http://127.0.0.1:5555/a/v2", "http://127.0.0.1:0/v2"}
	for apiURL, moved := range joined(respelled(t, base), others) {
		known, unresolved := pureUser(), pureUser()
		standsFor(known, 7)
		known.Status.APIURL = apiURL
		unresolved.Finalizers = known.Finalizers
		i := manageduser.Intent{Time: pureNow, Email: calcom.Hide("alice@example.com"), Client: pureClientID, APIURL: apiURL}
		unresolved.Annotations = map[string]string{v1alpha1.CreateIntentAnnotation: i.Encode()}
		for what, mu := range map[string]*v1alpha1.ManagedUser{"status": known, "create intent": unresolved} {
			if manageduser.HasMoved(mu, account.Name{APIURL: base, ClientID: pureClientID}) != moved {
				t.Errorf("%s in the %s: hasMoved is %t", apiURL, what, !moved)
			}
		}
		if !moved {
			manageduser.Mirror(known, calcom.User{ID: 7, ClientID: pureClientID, APIURL: base})
			if known.Status.APIURL != apiURL {
				t.Errorf("the status has %s, and had %s", known.Status.APIURL, apiURL)
			}
		}
	}
}

func joined(same, others []string) map[string]bool {
	all := make(map[string]bool)
	for _, apiURL := range same {
		all[apiURL] = false
	}
	for _, apiURL := range others {
		all[apiURL] = true
	}
	return all
}

// Without any change in Cal.com, an object whose status has an older spelling rests, and costs neither a call nor a
// write.
func TestOldSpellingAtRest(t *testing.T) {
	s := newSweepStory(t, 1)
	mu := s.users[0]
	mu.Status.APIURL = strings.Replace(mu.Status.APIURL, "/v2", "//%76%32/", 1)
	s.must(s.client.Status().Update(t.Context(), mu))
	s.begin()
	s.forgetCalls()
	s.reconcile(mu)
	s.advance(time.Minute)
	s.reconcile(mu)
	s.wantCalls()
	s.wantWrites()
}

// What has no canonical form is not called, and the message says what to do.
func TestURLThatCannotBeNormalized(t *testing.T) {
	s := newSweepStory(t, 0)
	mu := s.user(func(spec *v1alpha1.ManagedUserSpec) { spec.OAuthClient.APIURL = "https://api.cal.com/a%2f..%2fb" })
	s.apply(mu)
	s.reconcile(mu)
	s.wantMessage(mu, "The operator does not call this API URL; correct apiURL in a new object")
	s.wantCalls()
}
