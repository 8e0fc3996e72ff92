// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// A hundred users come, change and go by three commits. The last is a mass deletion, which somebody has to allow.
func hundredUsers(s *story) {
	const n = 100
	s.sample()
	s.unprotect()
	for i := range n {
		s.user(fmt.Sprintf("u%02d", i), "")
	}
	s.settled(s.apply())
	if have := len(s.people(s.namespace)); have != n+2 {
		s.Errorf("Cal.com has %d users, want %d", have, n+2)
	}
	for i := range n {
		s.repo.edit(fmt.Sprintf("%s/users/u%02d.yaml", s.folder, i), "The first name", "The second name")
	}
	s.settled(s.push("Other names"))
	for name, has := range s.people(s.namespace) {
		if strings.HasPrefix(name, "u") && has != "The second name" {
			s.Errorf("%s has the name %q", name, has)
		}
	}
	for i := range n {
		s.drop(fmt.Sprintf("u%02d", i))
	}
	revision := s.push("They leave")
	// The operator has massDeleteLimit: 10 of the example.
	s.eventually("the others to be held", func() (string, bool) {
		held := 0
		for _, user := range s.users() {
			if strings.Contains(summary(&user, "Ready"), "MassDeletion") {
				held++
			}
		}
		return fmt.Sprintf("%d are", held), held == n-10
	})
	if have := len(s.people(s.namespace)); have != n+2-10 {
		s.Errorf("Cal.com has %d users, want %d: the limit is 10", have, n+2-10)
	}
	s.kubectl(s.T, "", "annotate", "namespace", s.namespace, "platform.cal.com/allow-mass-deletion=true")
	s.settled(revision)
	s.wantPeople("alice", "dora")
}

// The actions change one field of an object, and leave the Application in sync.
func actions(s *story) {
	s.sample()
	revision := s.apply()
	s.settled(revision)
	s.wantActions("reconcile", "suspend")
	s.act("ManagedUser", "alice", "suspend")
	s.until("the Application to be Suspended", func(a *application) bool {
		return a.has(revision) && a.Status.Health.Status == "Suspended"
	})
	s.wantActions("-reconcile", "resume")
	s.act("ManagedUser", "alice", "resume")
	s.settled(revision)
	if reason := summary(s.managedUser("alice"), "Ready"); reason != "True Available" {
		s.Errorf("alice is %s", reason)
	}
	s.act("ManagedUser", "alice", "reconcile")
	s.eventually("the look at alice", func() (string, bool) {
		user := s.managedUser("alice")
		asked := user.Annotations["platform.cal.com/reconcile-requested-at"]
		return fmt.Sprintf("%q was asked for", asked), asked != "" && user.Status.LastHandledReconcileAt == asked
	})
	s.act("OAuthClient", "acme", "reconcile")
	s.eventually("the look at the OAuth client", func() (string, bool) {
		oauthClient := &v1alpha1.OAuthClient{}
		s.get("acme", oauthClient)
		asked := oauthClient.Annotations["platform.cal.com/reconcile-requested-at"]
		return fmt.Sprintf("%q was asked for", asked), asked != "" && oauthClient.Status.LastHandledReconcileAt == asked
	})
	s.settled(revision)
	if history := s.read().Status.History; len(history) != 1 {
		s.Errorf("Argo CD has synced %d times, want once: an action made a difference", len(history))
	}
}

func (s *story) wantActions(want ...string) {
	s.Helper()
	s.eventually("the actions "+strings.Join(want, " and "), func() (string, bool) {
		have := s.actions("alice")
		slices.Sort(have)
		return cmp.Diff(want, have), cmp.Equal(want, have)
	})
}

// Each folder is an Application. One that goes takes its Application along, and none of its users.
func applicationSet(s *story) {
	tenants := []string{s.namespace + "-a", s.namespace + "-b"}
	for _, tenant := range tenants {
		s.sampleIn("tenants/"+tenant, tenant)
	}
	revision := s.repo.commit("Two tenants")
	if err := s.client.Create(s.Context(), s.example("applicationset.yaml")); err != nil {
		s.Fatal(err)
	}
	for _, tenant := range tenants {
		s.app = tenant + "-users"
		s.settled(revision)
		if have := len(s.people(tenant)); have != 2 {
			s.Errorf("Cal.com has %d users of %s, want 2", have, tenant)
		}
	}
	s.repo.remove("tenants/" + tenants[1])
	s.repo.commit("The second tenant leaves")
	s.kubectl(s.T, "", "annotate", "applicationset", "calcom-tenants", "--namespace="+control,
		"argocd.argoproj.io/application-set-refresh=true")
	s.eventually("the end of the Application", func() (string, bool) { return "it is there", s.read() == nil })
	s.namespace = tenants[1]
	s.managedUser("alice")
	s.wantPeople("alice", "dora")
}
