// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// perNamespace is how many users each namespace has.
const perNamespace = 20

// Namespaces go, whatever is deleted first and whatever becomes of the operator meanwhile: kube-controller-manager
// deletes their content in no certain order, and nothing may stay, neither in Kubernetes nor in Cal.com.
func TestNamespacesGo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Config{
		ControllerManager: true,
		SandboxArgs:       []string{"--latency=50ms", "--rate-limit=0"},
		OperatorArgs:      []string{"--leader-elect=false", "--unknown-outcome-grace=5s"},
	})
	begin := func(namespaces ...string) {
		for _, namespace := range namespaces {
			w.fillNamespace(namespace)
		}
		for _, namespace := range namespaces {
			w.MustKubectl("", "wait", "-n", namespace, "--for=condition=Ready", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
		}
	}
	deleteNamespaces := func(namespaces ...string) {
		w.MustKubectl("", append([]string{"delete", "namespace", "--wait=false"}, namespaces...)...)
	}
	secretFirst := func(namespaces ...string) {
		for _, namespace := range namespaces {
			w.MustKubectl("", "delete", "secret", "calcom", "-n", namespace, "--wait=false")
		}
		deleteNamespaces(namespaces...)
	}
	usersFirst := func(namespaces ...string) {
		for _, namespace := range namespaces {
			w.MustKubectl("", "delete", "managedusers", "--all", "-n", namespace, "--wait=false")
		}
		deleteNamespaces(namespaces...)
	}

	begin("running", "running-secret-first", "running-users-first")
	deleteNamespaces("running")
	secretFirst("running-secret-first")
	usersFirst("running-users-first")
	w.gone("running", "running-secret-first", "running-users-first")
	w.wantUsers(0)

	begin("down", "down-secret-first", "down-users-first")
	w.KillOperator()
	deleteNamespaces("down")
	secretFirst("down-secret-first")
	usersFirst("down-users-first")
	// The namespace controller has done what it can, and what is left waits for the operator.
	for _, namespace := range []string{"down", "down-secret-first", "down-users-first"} {
		w.MustKubectl("", "wait", "namespace", namespace, "--for=condition=NamespaceFinalizersRemaining", "--timeout="+stacktest.Patience.String())
	}
	w.wantUsers(3 * perNamespace)
	w.startOperator()
	w.gone("down", "down-secret-first", "down-users-first")
	w.wantUsers(0)

	begin("restarted", "restarted-secret-first", "restarted-users-first")
	deleteNamespaces("restarted")
	secretFirst("restarted-secret-first")
	usersFirst("restarted-users-first")
	for _, atMost := range []int{50, 35, 20} {
		w.Eventually("some deletions", func() bool { return len(w.remoteUsers()) <= atMost })
		w.KillOperator()
		w.startOperator()
	}
	w.gone("restarted", "restarted-secret-first", "restarted-users-first")
	w.wantUsers(0)
	w.wantNothingShown("the operator's log", strings.Join(w.Printed(), "\n"))
}

// What a person holds back stays until the person lets it go, says so, and takes nothing else with it.
func TestNamespaceWithHeldUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Config{
		ControllerManager: true,
		SandboxArgs:       []string{"--rate-limit=0"},
		OperatorArgs:      []string{"--leader-elect=false"},
	})
	const namespace = "held"
	w.fillNamespace(namespace)
	w.MustKubectl("", "wait", "-n", namespace, "--for=condition=Ready", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
	patch := func(name, spec string) {
		w.MustKubectl("", "patch", "manageduser", name, "-n", namespace, "--type=merge", "-p", `{"spec":`+spec+`}`)
	}
	patch("canary-0", `{"reconcilePolicy":"Suspend"}`)
	patch("canary-1", `{"deletionPolicy":"Orphan"}`)
	// Protection from a deletion of its own; with the whole namespace it goes, since nothing could let it go later.
	w.MustKubectl("", "label", "manageduser", "canary-2", "-n", namespace, "platform.cal.com/deletion-protection=true")
	w.Eventually("the protection", func() bool {
		out, err := w.Kubectl(t.Context(), "", "delete", "manageduser", "canary-2", "-n", namespace, "--dry-run=server")
		return err != nil && strings.Contains(string(out), "deletion-protection")
	})
	w.MustKubectl("", "wait", "-n", namespace, "--for=jsonpath={.status.conditions[?(@.type==\"Ready\")].reason}=Suspended", "manageduser/canary-0", "--timeout="+stacktest.Patience.String())

	w.MustKubectl("", "delete", "namespace", namespace, "--wait=false")
	w.Eventually("the others' deletion", func() bool {
		return w.MustKubectl("", "get", "managedusers", "-n", namespace, "-o", "name") == "manageduser.platform.cal.com/canary-0\n"
	})
	w.wantUsers(2) // The suspended one and the orphan.
	// The Secret waits for the suspended user, which will need it.
	if finalizers := w.MustKubectl("", "get", "secret", "calcom", "-n", namespace, "-o", "jsonpath={.metadata.finalizers}"); !strings.Contains(finalizers, "platform.cal.com/in-use") {
		t.Errorf("the Secret has the finalizers %s", finalizers)
	}
	w.Eventually("the reason", func() bool {
		return strings.Contains(w.MustKubectl("", "get", "managedusers", "-n", namespace, "-o", "wide"), "The deletion waits while reconcilePolicy is Suspend")
	})

	// Somebody takes the protection off by force: the credentials are lost. Now the deletion needs a person.
	const unprotect = `[{"op":"remove","path":"/metadata/finalizers"}]`
	if out, err := w.Kubectl(t.Context(), "", "patch", "secret", "calcom", "-n", namespace, "--type=json", "-p", unprotect); err == nil {
		t.Errorf("anybody can take the protection off the Secret: %s", out)
	}
	w.MustKubectl("", "patch", "secret", "calcom", "-n", namespace, "--type=json", "-p", unprotect,
		"--as=somebody", "--as-group=system:masters", "--as-group=calcom-operator:break-glass")
	w.MustKubectl("", "wait", "--for=delete", "secret/calcom", "-n", namespace, "--timeout="+stacktest.Patience.String())
	patch("canary-0", `{"reconcilePolicy":"Manage"}`)
	w.Eventually("DeletionBlocked", func() bool {
		table := w.MustKubectl("", "get", "managedusers", "-n", namespace, "-o", "wide")
		return strings.Contains(table, "DeletionBlocked") && strings.Contains(table, "There is no Secret calcom") &&
			strings.Contains(table, "set deletionPolicy to Orphan")
	})
	w.wantUsers(2)
	patch("canary-0", `{"deletionPolicy":"Orphan"}`)
	w.gone(namespace)
	w.wantUsers(2)
}

// fillNamespace makes a namespace with a Secret and users whose addresses are their own.
func (w *world) fillNamespace(namespace string) {
	w.Helper()
	w.MustKubectl("", "create", "namespace", namespace)
	w.createSecret(namespace)
	w.MustKubectl(w.usersOf(namespace, perNamespace), "apply", "-n", namespace, "-f", "-")
}

// gone waits until namespaces are gone, and says what holds one that stays.
func (w *world) gone(namespaces ...string) {
	w.Helper()
	for _, namespace := range namespaces {
		if out, err := w.Kubectl(w.Context(), "", "wait", "--for=delete", "namespace/"+namespace, "--timeout="+stacktest.Patience.String()); err != nil {
			left, _ := w.Kubectl(w.Context(), "", "get", "managedusers,secrets", "-n", namespace, "-o", "wide")
			w.Fatalf("namespace %s stays: %v\n%s\n%s", namespace, err, out, left)
		}
	}
}

func (w *world) wantUsers(n int) {
	w.Helper()
	if have := len(w.remoteUsers()); have != n {
		w.Errorf("Cal.com has %d users, want %d", have, n)
	}
}

func (w *world) startOperator() {
	w.Helper()
	if err := w.StartOperator(w.Context()); err != nil {
		w.Fatal(err)
	}
}

func (w *world) createSecret(namespace string) {
	w.Helper()
	w.MustKubectl("", "create", "secret", "generic", "calcom", "-n", namespace, "--from-literal=secretKey="+defaultClient.Secret)
}
