// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// finalizer is the deletion of objects with their Application.
const finalizer = "resources-finalizer.argocd.argoproj.io"

// protection is the label without which nobody is deleted, by config/policy.
const protection = "platform.cal.com/deletion-protection"

// stories are told by namespace.
var stories = []struct {
	namespace string
	tell      func(*story)
}{
	{"first-sync", firstSync},
	{"edit", edit},
	{"wrong-key", wrongKey},
	{"wrong-key-old-revision", wrongKeyOldRevision},
	{"missing-secret", missingSecret},
	{"prune", prune},
	{"empty-folder", emptyFolder},
	{"leave", leave},
	{"cascade-secret-first", cascadeSecretFirst},
	{"cascade-one-wave", cascadeOneWave},
	{"cascade-secret-last", cascadeSecretLast},
	{"replace", replace},
	{"replace-under-policies", replaceUnderPolicies},
	{"force-invalid", forceInvalid},
	{"force-invalid-protected", forceInvalidProtected},
	{"force-replace", forceReplace},
	{"rename", rename},
	{"rename-kept", renameKept},
	{"hundred-users", hundredUsers},
	{"actions", actions},
	{"application-set", applicationSet},
}

// TestStories runs all stories at once: each waits for Argo CD most of the time.
func TestStories(t *testing.T) {
	w := newWorld(t)
	for i, one := range stories {
		t.Run(one.namespace, func(t *testing.T) {
			t.Parallel()
			s := &story{T: t, world: w, namespace: one.namespace, clientID: clientID(i)}
			s.folder, s.app = "tenants/"+s.namespace, s.namespace+"-users"
			s.repo = w.git.repository(t, s.namespace)
			t.Cleanup(func() {
				if t.Failed() {
					s.show()
				}
			})
			one.tell(s)
		})
	}
}

// The example and the sample, as they are: waves in order, nothing OutOfSync afterwards, and no second sync.
func firstSync(s *story) {
	s.sample()
	revision := s.apply()
	s.settled(revision)
	if d := cmp.Diff(map[string]string{"alice": "Alice", "dora": "Dora"}, s.people(s.namespace)); d != "" {
		s.Errorf("users in Cal.com (-want +got):\n%s", d)
	}
	oauthClient := &v1alpha1.OAuthClient{}
	s.get("acme", oauthClient)
	ready := meta.FindStatusCondition(oauthClient.Status.Conditions, "Ready")
	if alice := s.managedUser("alice"); ready == nil || alice.CreationTimestamp.Before(&ready.LastTransitionTime) {
		s.Errorf("alice was created at %v, before the OAuth client was Ready: %+v", alice.CreationTimestamp, ready)
	}
	// A hard refresh reads manifests and objects anew, so that nothing that the operator wrote is overlooked.
	s.annotate("argocd.argoproj.io/refresh", "hard")
	s.refreshed()
	s.settled(revision)
	if history := s.read().Status.History; len(history) != 1 {
		s.Errorf("Argo CD has synced %d times, want once", len(history))
	}
}

// refreshed waits until Argo CD has done what the annotation asks for.
func (s *story) refreshed() {
	s.Helper()
	s.eventually("the refresh", func() (string, bool) {
		found := s.kubectl(s.T, "", "get", "application", s.app, "--namespace="+control,
			`--output=jsonpath={.metadata.annotations.argocd\.argoproj\.io/refresh}`)
		return "it asks for " + found, found == ""
	})
}

func edit(s *story) {
	s.sample()
	s.settled(s.apply())
	id := s.id("alice")
	s.repo.edit(s.folder+"/users/alice.yaml", "name: Alice", "name: Alice Liddell")
	s.settled(s.push("Alice has a second name"))
	if name := s.people(s.namespace)["alice"]; name != "Alice Liddell" {
		s.Errorf("Cal.com has the name %q", name)
	}
	if now := s.id("alice"); now != id {
		s.Errorf("alice was the user %d and is the user %d", id, now)
	}
}

// A manifest that goes takes its object and its user along, unless a label, an annotation or deletionPolicy keeps them.
func prune(s *story) {
	s.sample()
	s.settled(s.apply())
	alice := s.repo.read(s.folder + "/users/alice.yaml")
	s.drop("alice")
	s.push("Alice has left, and has the label")
	s.untilRefused("alice", "protected from deletion")
	s.user("alice", "")
	s.repo.write(s.folder+"/users/alice.yaml", alice)
	s.unprotect()
	s.settled(s.push("Take the label off"))
	s.wantPeople("alice", "dora")
	s.drop("alice")
	s.settled(s.push("Alice has left"))
	s.gone("alice", &v1alpha1.ManagedUser{})

	s.drop("dora")
	revision := s.push("Dora has left")
	s.until("the prune of dora to wait for somebody", func(a *application) bool {
		return a.Status.OperationState.Phase == "Running" && a.Status.OperationState.SyncResult.Revision == revision
	})
	s.managedUser("dora")
	s.annotate("argocd.argoproj.io/deletion-approved", now())
	s.settled(revision)
	s.gone("dora", &v1alpha1.ManagedUser{})
	if d := cmp.Diff(map[string]string{"dora": "Dora"}, s.people(s.namespace)); d != "" {
		s.Errorf("users in Cal.com (-want +got):\n%s", d)
	}
}

// All manifests go at once by mistake: allowEmpty: false of the example keeps everybody.
func emptyFolder(s *story) {
	s.sample()
	s.settled(s.apply())
	for _, name := range []string{"clients", "users", "secrets", "kustomization.yaml"} {
		s.repo.remove(s.folder + "/" + name)
	}
	s.repo.write(s.folder+"/README.md", "Everything is gone.\n")
	s.push("Empty the folder")
	s.until("Argo CD to refuse", func(a *application) bool {
		refused := slices.ContainsFunc(a.Status.Conditions, func(c appCondition) bool { return c.Type == "SyncError" })
		return refused && a.Status.Sync.Status == "OutOfSync"
	})
	s.wantPeople("alice", "dora")
}

func (s *story) wantPeople(names ...string) {
	s.Helper()
	var have []string
	for name := range s.people(s.namespace) {
		have = append(have, name)
	}
	slices.Sort(have)
	if d := cmp.Diff(names, have); d != "" {
		s.Errorf("users in Cal.com (-want +got):\n%s", d)
	}
}

// The name of an object is who it is: with another name it is another user, and the first one goes.
func rename(s *story) {
	s.sample()
	s.unprotect()
	s.settled(s.apply())
	id := s.id("alice")
	s.moveAlice("")
	s.wantPeople("alice", "dora") // The address is the same.
	if now := s.id("alicia"); now == id {
		s.Errorf("alicia is the user %d, as alice was: the name of an object is not who it is any more", id)
	}
}

// In two commits the user stays who it is: the old name lets go of it, and the new name adopts it.
func renameKept(s *story) {
	s.sample()
	s.unprotect()
	s.settled(s.apply())
	id := s.id("alice")
	path := s.folder + "/users/alice.yaml"
	s.repo.write(path, s.repo.read(path)+"  deletionPolicy: Orphan\n")
	s.settled(s.push("Alice is to stay"))
	s.moveAlice("  adoptionPolicy: ByEmail\n")
	s.wantPeople("alice", "dora")
	if now := s.id("alicia"); now != id {
		s.Errorf("alice was the user %d, and alicia is the user %d", id, now)
	}
}

// moveAlice renames the object, with lines to add to its spec.
func (s *story) moveAlice(spec string) {
	s.Helper()
	text := strings.ReplaceAll(s.repo.read(s.folder+"/users/alice.yaml"), "  name: alice\n", "  name: alicia\n")
	s.drop("alice")
	s.user("alicia", "")
	s.repo.write(s.folder+"/users/alicia.yaml", text+spec)
	s.settled(s.push("Rename alice to alicia"))
	s.gone("alice", &v1alpha1.ManagedUser{})
}
