// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"net/http"
	"strings"
	"time"

	"github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// now is the present time as Argo CD's annotations have it.
func now() string { return time.Now().UTC().Format(time.RFC3339) }

// A wrong key ends the sync in the wave of the OAuth client, and no user is created. Once the key is right in Git, a
// retry takes it, because the example has "refresh: true".
func wrongKey(s *story) {
	s.sample()
	s.repo.edit(s.folder+"/secrets/calcom.yaml", clientSecret, "wrong")
	s.apply()
	s.failing()
	s.repo.edit(s.folder+"/secrets/calcom.yaml", "wrong", clientSecret)
	s.settled(s.push("The right key"))
	s.wantPeople("alice", "dora")
}

// Without "refresh: true" each retry is of the revision that failed, although Git has the right key: until the retries
// are used up, after about 20 minutes, or somebody ends the operation.
func wrongKeyOldRevision(s *story) {
	s.sample()
	s.repo.edit(s.folder+"/secrets/calcom.yaml", clientSecret, "wrong")
	old := s.apply(s.set(false, "spec", "syncPolicy", "retry", "refresh"))
	s.failing()
	tries := s.read().Status.OperationState.RetryCount
	s.repo.edit(s.folder+"/secrets/calcom.yaml", "wrong", clientSecret)
	revision := s.push("The right key")
	s.until("one more try", func(a *application) bool { return a.Status.OperationState.RetryCount > tries })
	if tried := s.read().Status.OperationState.SyncResult.Revision; tried != old {
		s.Errorf("the retry was of %s, and not of the old %s", tried, old)
	}
	s.wantPeople()
	s.call(http.MethodDelete, "/operation", nil)
	s.settled(revision)
	s.wantPeople("alice", "dora")
}

// failing waits until a try has failed because the OAuth client is Degraded.
func (s *story) failing() {
	s.Helper()
	s.until("a failed try", func(a *application) bool {
		return a.Status.Health.Status == "Degraded" && a.Status.OperationState.Phase == "Running" &&
			strings.Contains(a.Status.OperationState.Message, "Retrying attempt")
	})
	if s.get("alice", &v1alpha1.ManagedUser{}) {
		s.Error("there is a user, although the wave before failed")
	}
}

// A Secret that is missing is waited for, and then the sync fails, so that a retry takes the commit that has it.
func missingSecret(s *story) {
	s.sample()
	s.repo.edit(s.folder+"/secrets/calcom.yaml", "name: calcom", "name: calcon")
	s.apply()
	s.until("the OAuth client to be Progressing", func(a *application) bool {
		return a.Status.Health.Status == "Progressing" && a.Status.OperationState.Phase == "Running"
	})
	s.repo.edit(s.folder+"/secrets/calcom.yaml", "name: calcon", "name: calcom")
	revision := s.push("The right name")
	s.until("the OAuth client to be Degraded", func(a *application) bool {
		return a.Status.Health.Status == "Degraded"
	})
	s.settled(revision)
	s.wantPeople("alice", "dora")
}

// The example has no finalizer: when the Application goes, everything else stays.
func leave(s *story) {
	s.sample()
	s.settled(s.apply())
	s.kubectl(s.T, "", "delete", "application", s.app, "--namespace="+control, "--timeout="+patience.String())
	s.managedUser("alice")
	s.secret()
	s.wantPeople("alice", "dora")
}

// With the finalizer, and the Secret in the first wave, all goes with the Application: waves go in the opposite order.
func cascadeSecretFirst(s *story) {
	s.sample()
	s.confirmNothing()
	s.settled(s.apply(s.set([]any{finalizer}, "metadata", "finalizers")))
	s.kubectl(s.T, "", "delete", "application", s.app, "--namespace="+control, "--timeout="+patience.String())
	s.wantNothing()
	s.wantPeople("dora")
}

// Without waves too, all goes: the Secret waits for the last user.
func cascadeOneWave(s *story) {
	s.sample()
	s.confirmNothing()
	for _, folder := range []string{"clients", "users"} {
		s.repo.edit(s.folder+"/"+folder+"/kustomization.yaml", "argocd.argoproj.io/sync-wave", "example.com/wave")
	}
	s.settled(s.apply(s.set([]any{finalizer}, "metadata", "finalizers")))
	s.kubectl(s.T, "", "delete", "application", s.app, "--namespace="+control, "--timeout="+patience.String())
	s.wantNothing()
	s.wantPeople("dora")
}

// confirmNothing lets everybody go without asking; dora stays in Cal.com.
func (s *story) confirmNothing() {
	s.Helper()
	s.repo.edit(s.folder+"/users/dora.yaml", "Prune=confirm,Delete=confirm", "")
	s.unprotect()
}

func (s *story) wantNothing() {
	s.Helper()
	left := s.kubectl(s.T, "", "get", "managedusers,oauthclients,secrets", "--namespace="+s.namespace, "--output=name")
	if left != "" {
		s.Errorf("there is still\n%s", left)
	}
}

// With the Secret in a later wave than its users, the cascade waits for ever: the Secret is to go first, and waits for
// the users that need it, whose turn comes when it is gone. Deleting the users by hand ends it. To give the Secret
// another wave does not, because Argo CD goes on only when nothing is being deleted.
func cascadeSecretLast(s *story) {
	s.sample()
	s.confirmNothing()
	s.settled(s.apply(s.set([]any{finalizer}, "metadata", "finalizers")))
	s.repo.edit(s.folder+"/secrets/calcom.yaml", `sync-wave: "0"`, `sync-wave: "3"`)
	s.settled(s.push("Put the Secret into the last wave"))
	s.kubectl(s.T, "", "delete", "application", s.app, "--namespace="+control, "--wait=false")
	s.eventually("the Secret to be on its way out", func() (string, bool) {
		return "it is not", s.secret().DeletionTimestamp != nil
	})
	s.annotate("argocd.argoproj.io/refresh", "normal")
	s.refreshed()
	if user := s.managedUser("alice"); user.DeletionTimestamp != nil {
		s.Error("alice is being deleted while the Secret waits for her: the cascade has an end")
	}
	s.wantPeople("alice", "dora")

	s.kubectl(s.T, "", "delete", "managedusers", "--all", "--namespace="+s.namespace, "--wait=false")
	s.eventually("the end of the Application", func() (string, bool) {
		return "it is there", s.read() == nil
	})
	s.wantNothing()
	s.wantPeople("dora")
}

// Replace=true takes off what the manifest does not have: the operator's finalizer and annotations. The operator puts
// them back, and the user is the same.
func replace(s *story) {
	s.sample()
	s.user("erin", "  annotations:\n    argocd.argoproj.io/sync-options: Replace=true\n")
	s.settled(s.apply())
	id, before := s.id("erin"), s.managedUser("erin")
	s.repo.edit(s.folder+"/users/erin.yaml", "The first name", "The second name")
	s.settled(s.push("Another name"))
	if name := s.people(s.namespace)["erin"]; name != "The second name" {
		s.Errorf("Cal.com has the name %q", name)
	}
	after := s.managedUser("erin")
	if after.UID != before.UID || s.id("erin") != id {
		s.Errorf("erin was %s, user %d, and is %s, user %d", before.UID, id, after.UID, s.id("erin"))
	}
	s.eventually("the finalizer to be back", func() (string, bool) {
		user := s.managedUser("erin")
		back := len(user.Finalizers) == len(before.Finalizers)
		return "there is none", back && summary(user, "Ready") == "True Available"
	})
}

// Under the policies of config/policy, Replace=true is refused, because it takes the finalizer off; everybody stays.
// Argo CD looks for the option in the live object too, from which it goes by hand only.
func replaceUnderPolicies(s *story) {
	s.kubectl(s.T, "", "create", "namespace", s.namespace)
	s.kubectl(s.T, "", "label", "namespace", s.namespace, underPolicies+"=true")
	s.sample()
	s.user("erin", "  annotations:\n    argocd.argoproj.io/sync-options: Replace=true\n")
	s.settled(s.apply())
	s.repo.edit(s.folder+"/users/erin.yaml", "The first name", "The second name")
	s.push("Another name")
	s.untilRefused("erin", "calcom-operator-finalizers")
	s.wantPeople("alice", "dora", "erin")

	s.repo.edit(s.folder+"/users/erin.yaml", "Replace=true", "Replace=false")
	revision := s.push("Without Replace")
	s.until("a try of the new revision", func(a *application) bool {
		return a.Status.OperationState.SyncResult.Revision == revision && a.resource("ManagedUser", "erin") != ""
	})
	s.untilRefused("erin", "calcom-operator-finalizers")
	s.kubectl(s.T, "", "annotate", "manageduser", "erin", "--namespace="+s.namespace,
		"argocd.argoproj.io/sync-options-")
	s.settled(revision)
	if name := s.people(s.namespace)["erin"]; name != "The second name" {
		s.Errorf("Cal.com has the name %q", name)
	}
}

// invalid is what no ManagedUser may have.
const invalid = "  timeFormat: 13\n"

// forceInvalid applies erin with Force=true, and makes the manifest in Git invalid. It returns erin's user and the
// manifest.
func (s *story) forceInvalid() (id int64, path string) {
	s.Helper()
	s.user("erin", "  annotations:\n    argocd.argoproj.io/sync-options: Force=true\n")
	s.settled(s.apply())
	id = s.id("erin")
	path = s.folder + "/users/erin.yaml"
	s.repo.write(path, s.repo.read(path)+invalid)
	s.push("A field that is invalid")
	return id, path
}

// Force=true makes of a manifest that the API server refuses a deletion: the user is gone from Cal.com, until Git has a
// manifest that is valid. It is another user then.
func forceInvalid(s *story) {
	s.sample()
	s.unprotect()
	id, path := s.forceInvalid()
	s.gone("erin", &v1alpha1.ManagedUser{})
	s.wantPeople("alice", "dora")
	s.repo.edit(path, invalid, "")
	s.settled(s.push("Valid again"))
	if now := s.id("erin"); now == id {
		s.Errorf("erin is still the user %d", id)
	}
}

// The label of the deletion protection holds who would go so. The sample's users have it.
func forceInvalidProtected(s *story) {
	s.sample()
	id, path := s.forceInvalid()
	s.untilRefused("erin", "protected from deletion")
	s.repo.edit(path, invalid, "")
	s.settled(s.push("Valid again"))
	if now := s.id("erin"); now != id {
		s.Errorf("erin was the user %d and is the user %d", id, now)
	}
}

// With both options, each edit deletes the object and creates it anew: another user each time.
func forceReplace(s *story) {
	s.sample()
	s.unprotect()
	s.user("erin", "  annotations:\n    argocd.argoproj.io/sync-options: Force=true,Replace=true\n")
	s.settled(s.apply())
	id := s.id("erin")
	s.repo.edit(s.folder+"/users/erin.yaml", "The first name", "The second name")
	s.settled(s.push("Another name"))
	if now := s.id("erin"); now == id {
		s.Errorf("erin is still the user %d", id)
	}
}

// untilRefused waits until the API server has refused to change or delete a user, with a text in its answer.
func (s *story) untilRefused(name, why string) {
	s.Helper()
	s.until("the refusal", func(a *application) bool { return strings.Contains(a.resource("ManagedUser", name), why) })
}
