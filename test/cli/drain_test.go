// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// marks counts the users in Cal.com that carry a mark.
func (w *world) marks() (n int) {
	for _, user := range w.cal.Users(acme.ID) {
		if user.Metadata[v1alpha1.OwnerMetadataKey] != nil {
			n++
		}
	}
	return n
}

// Hundreds of users are released, with the command killed on the way, and the operator is uninstalled. Nobody is
// deleted in Cal.com and no mark stays but one that cannot go; the inventories take everybody back.
func TestDrainAndUninstall(t *testing.T) {
	t.Parallel()
	const n = 300
	cal := newSandbox(t, calcomtest.Options{})
	w := newWorld(t, cal, stack.Config{ControllerManager: true, OperatorArgs: []string{"--rate-limit-share=1", "--mass-delete-limit=1"}})
	w.client("team")
	w.client("other")
	w.users("team", "canary", n)
	w.users("other", "paused", 2)
	w.users("other", "watched", 1, "reconcilePolicy: Observe")
	w.users("other", "never", 1, "timeZone: Europe/Nowhere")
	w.ready("team")
	w.MustKubectl("", "wait", "-n", "other", "--for=condition=Ready", "manageduser/paused-0", "manageduser/paused-1", "--timeout="+stacktest.Patience.String())
	w.must("suspend", "paused-0", "paused-1", "-n", "other")
	// What Cal.com keeps in a nested value keeps the mark from being taken off.
	nested, ok := cal.UserByEmail(acme.ID, "canary.99@example.com") // Who comes last.
	if !ok || !cal.UpdateUser(acme.ID, nested.ID, func(u *calcomtest.User) { u.Metadata["nested"] = map[string]any{"a": 1.0} }) {
		t.Fatal("there is no user to change")
	}
	w.wantUsers(n + 2)
	before := cal.Users(acme.ID)

	if r := w.calcom("", "drain", "--yes"); r.code != 2 || !strings.Contains(r.err, "name a namespace by -n, or give -A") {
		t.Errorf("drain without a scope ends with %+v", r)
	}
	if r := w.calcom("y\n", "drain", "-A"); r.code != 2 || !strings.Contains(r.err, "say so by --yes") {
		t.Errorf("drain without a terminal and without --yes ends with %+v", r)
	}
	if out := w.must("drain", "-A", "--clients", "--dry-run"); strings.Count(out, "would release") != n+4 || strings.Count(out, "would delete oauthclient") != 2 {
		t.Errorf("drain --dry-run prints\n%s", out)
	}
	w.refusesToDrain()

	dir := t.TempDir()
	var inventories []string
	for _, atMost := range []int{n - 20, n - 60} { // Killed twice, in the middle of the work.
		path := filepath.Join(dir, fmt.Sprintf("killed-%d.yaml", atMost))
		inventories = append(inventories, path)
		drain := w.command("drain", "-A", "--yes", "--inventory="+path)
		if err := drain.Start(); err != nil {
			t.Fatal(err)
		}
		w.Eventually("some users to be released", func() bool { return w.marks() <= atMost })
		if err := drain.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = drain.Wait() // It was killed.
	}
	last := filepath.Join(dir, "last.yaml")
	inventories = append(inventories, last)
	r := w.calcom("", "drain", "-A", "--clients", "--yes", "--inventory="+last)
	if r.code != 0 || !strings.Contains(r.out, "all stay in Cal.com") || !strings.Contains(r.out, "Deleted 2 of 2 OAuth clients") {
		t.Fatalf("drain ends with %+v", r)
	}
	if want := fmt.Sprintf("1 users still carry this cluster's mark: %d", nested.ID); !strings.Contains(r.err, want) {
		t.Errorf("drain tells nothing of the mark that stayed:\n%s", r.err)
	}
	if strings.Contains(r.out+r.err, "@example.com") {
		t.Errorf("drain shows addresses:\n%s%s", r.out, r.err)
	}
	if info, err := os.Stat(last); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the inventory has the mode %v, %v", info.Mode(), err)
	}
	if r := w.calcom("", "drain", "-A", "--yes", "--inventory="+last); r.code != 0 || !strings.Contains(r.out, "nothing to drain") {
		t.Errorf("drain of nothing ends with %+v", r)
	}
	if n := w.marks(); n != 1 {
		t.Errorf("%d users carry a mark still", n)
	}

	if held := w.MustKubectl("", "get", "secrets", "-A", "-o", "jsonpath={.items[*].metadata.finalizers}"); strings.Contains(held, "platform.cal.com") {
		t.Errorf("Secrets have finalizers that nobody will take off: %s", held)
	}
	w.MustKubectl("", "delete", "-k", filepath.Join("..", "..", "config", "default"), "--timeout="+stacktest.Patience.String())
	w.wantSame(before)
	cal.UpdateUser(acme.ID, nested.ID, func(u *calcomtest.User) { delete(u.Metadata, "nested") })
	w.comeBack(inventories)
}

// refusesToDrain sees what is told of what keeps a drain from being one.
func (w *world) refusesToDrain() {
	w.Helper()
	w.MustKubectl("", "label", "manageduser", "canary-1", "-n", "team", "kustomize.toolkit.fluxcd.io/name=users", "kustomize.toolkit.fluxcd.io/namespace=flux-system")
	if r := w.calcom("", "drain", "-n", "team", "--yes"); r.code != 2 || !strings.Contains(r.err, "flux suspend kustomization users -n flux-system") {
		w.Errorf("drain of what Flux manages ends with %+v", r)
	}
	w.MustKubectl("", "label", "manageduser", "canary-1", "-n", "team", "kustomize.toolkit.fluxcd.io/name-", "kustomize.toolkit.fluxcd.io/namespace-")

	w.MustKubectl("", "label", "manageduser", "canary-2", "-n", "team", "platform.cal.com/deletion-protection=true")
	w.Eventually("the protection", func() bool {
		r := w.calcom("", "drain", "-n", "team", "--dry-run")
		return r.code == 2 && r.out == "" && strings.Contains(r.err, "kubectl label manageduser canary-2 -n team platform.cal.com/deletion-protection-")
	})
	if r := w.calcom("", "drain", "-n", "team", "--yes", "--inventory=-"); r.code != 2 || r.out != "" {
		w.Errorf("drain of what is protected ends with %+v", r)
	}
	w.MustKubectl("", "label", "manageduser", "canary-2", "-n", "team", "platform.cal.com/deletion-protection-")

	if err := w.StopOperator(); err != nil {
		w.Fatal(err)
	}
	if r := w.calcom("", "drain", "-n", "team", "--yes", "--inventory=-"); r.code != 2 || r.out != "" || !strings.Contains(r.err, "does not run") || !strings.Contains(r.err, "finalizers") {
		w.Errorf("drain without an operator ends with %+v", r)
	}
	if err := w.StartOperator(w.Context()); err != nil {
		w.Fatal(err)
	}
	if n := w.marks(); n != len(w.cal.Users(acme.ID)) {
		w.Errorf("only %d users carry a mark after refusals", n)
	}
}

// wantSame wants the users of Cal.com to be what they were, but for marks.
func (w *world) wantSame(before []calcomtest.User) {
	w.Helper()
	after := w.cal.Users(acme.ID)
	if len(after) != len(before) || w.cal.Count(calcomtest.OpDelete) != 0 {
		w.Fatalf("Cal.com has %d users, and had %d; there were %d calls to delete", len(after), len(before), w.cal.Count(calcomtest.OpDelete))
	}
	for i := range after {
		if after[i].ID != before[i].ID || after[i].Email != before[i].Email || *after[i].Name != *before[i].Name {
			w.Errorf("user %d has changed", after[i].ID)
		}
	}
}

// comeBack installs the operator again and takes everybody back by the inventories: without a call that makes or
// deletes somebody.
func (w *world) comeBack(inventories []string) {
	w.Helper()
	made := w.cal.Count(calcomtest.OpCreate)
	if err := w.Reinstall(w.Context()); err != nil {
		w.Fatal(err)
	}
	for _, path := range inventories {
		w.MustKubectl("", "apply", "-f", path)
	}
	w.ready("team")
	w.Eventually("the suspended ones", func() bool {
		return strings.Count(w.MustKubectl("", "get", "managedusers", "-n", "other"), "Suspended") == 2
	})
	if got := w.cal.Count(calcomtest.OpCreate); got != made || w.cal.Count(calcomtest.OpDelete) != 0 {
		w.Errorf("%d users were made anew", got-made)
	}
	if policy := w.MustKubectl("", "get", "manageduser", "canary-5", "-n", "team", "-o", "jsonpath={.spec.deletionPolicy} {.metadata.annotations}"); !strings.HasPrefix(policy, "Delete ") || strings.Contains(policy, "handover") {
		w.Errorf("canary-5 came back with %s", policy)
	}
}
