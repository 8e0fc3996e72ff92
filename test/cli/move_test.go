// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

// Two clusters under one API URL. The built plugin is killed several times while it moves users from one to the other,
// with what they need; then it ends what it began, and brings them back.
func TestMoveBetweenClusters(t *testing.T) {
	t.Parallel()
	const n = 60
	cal := newSandbox(t, calcomtest.Options{Latency: 20 * time.Millisecond})
	// The tokens' Secret of an object that is gone goes by the garbage collector.
	config := stack.Config{OperatorArgs: []string{"--rate-limit-share=1"}, ControllerManager: true}
	here, there := newWorld(t, cal, config), newWorld(t, cal, config)
	here.client("team")
	here.users("team", "canary", n)
	here.users("team", "token", 1, "tokens: {secretName: token-calcom}")
	here.ready("team")
	here.must("suspend", "canary-7", "-n", "team")
	to := []string{"move", "--all", "-n", "team", "--to-kubeconfig=" + there.Kubeconfig, "--yes", "--rate-limit-share=1"}
	back := []string{"move", "--all", "-n", "team", "--to-kubeconfig=" + here.Kubeconfig, "--yes", "--rate-limit-share=1"}
	here.refusesToMove(there, to)

	there.MustKubectl("", "create", "namespace", "team")
	cal.ResetCalls()
	dry := here.must(append(to, "--dry-run", "--with-clients", "--with-secrets")...)
	if strings.Count(dry, "would move team/") != n+1 || !strings.Contains(dry, "would make oauthclient team/acme there") || !strings.Contains(dry, "would copy secret team/calcom") {
		t.Errorf("move --dry-run prints\n%s", dry)
	}
	if got := there.MustKubectl("", "get", "managedusers,oauthclients,secrets", "-n", "team", "-o", "name"); got != "" {
		t.Errorf("--dry-run made %s", got)
	}
	ownerThere := there.ownerID()
	moved := func() int { return there.markedBy(ownerThere) }
	for _, atLeast := range []int{0, 5, 20, 35} {
		move := here.command(append(to, "--with-clients", "--with-secrets")...)
		if err := move.Start(); err != nil {
			t.Fatal(err)
		}
		here.Eventually("some users to be moved", func() bool { return moved() >= atLeast })
		if err := move.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = move.Wait() // It was killed.
	}
	r := here.calcom("", append(to, "--with-clients", "--with-secrets")...)
	if r.code != 0 || strings.Contains(r.out+r.err, "@example.com") || strings.Contains(r.out+r.err, acme.Secret) {
		t.Fatalf("move ends with %+v", r)
	}
	here.wantNoUsers()
	there.wantAll(n+1, there.ownerID())
	here.Eventually("the Secret to be let go", func() bool {
		return !strings.Contains(here.MustKubectl("", "get", "secret,oauthclient", "-n", "team", "-o", "jsonpath={.items[*].metadata.finalizers}"), "in-use")
	})
	if secret := there.MustKubectl("", "get", "secret", "token-calcom", "-n", "team", "-o", "name"); secret == "" {
		t.Error("the tokens are not published there")
	}

	there.must(back...)
	there.wantNoUsers()
	here.wantAll(n+1, here.ownerID())
	if got := cal.Count(calcomtest.OpCreate) + cal.Count(calcomtest.OpDelete); got != 0 {
		t.Errorf("there were %d calls that make or delete somebody", got)
	}
}

// markedBy counts the users in Cal.com that carry an operator's mark.
func (w *world) markedBy(ownerID string) (n int) {
	for _, user := range w.cal.Users(acme.ID) {
		if mark, _ := user.Metadata[v1alpha1.OwnerMetadataKey].(string); strings.HasPrefix(mark, ownerID+"/") {
			n++
		}
	}
	return n
}

func (w *world) wantNoUsers() {
	w.Helper()
	if left := w.MustKubectl("", "get", "managedusers", "-A", "-o", "name"); left != "" {
		w.Errorf("in the cluster that all have left, there are\n%s", left)
	}
}

// wantAll wants all users to be this cluster's, and as they were.
func (w *world) wantAll(n int, ownerID string) {
	w.Helper()
	w.wantUsers(n)
	for _, user := range w.cal.Users(acme.ID) {
		if mark := fmt.Sprint(user.Metadata[v1alpha1.OwnerMetadataKey]); !strings.HasPrefix(mark, ownerID+"/team/") || *user.Name != "Canary Name" {
			w.Errorf("user %d is marked %s", user.ID, mark)
		}
	}
	table := w.MustKubectl("", "get", "managedusers", "-n", "team", "--no-headers")
	if strings.Count(table, "Available") != n-1 || strings.Count(table, "Suspended") != 1 {
		w.Errorf("the users are\n%s", table)
	}
	records := w.MustKubectl("", "get", "managedusers", "-n", "team", "-o", "jsonpath={.items[*].metadata.annotations}")
	if strings.Contains(records, "handover") {
		w.Errorf("there are records of moves left: %s", records)
	}
}

// refusesToMove sees what is told of what keeps a move from being one, each before anything is written.
func (w *world) refusesToMove(there *world, to []string) {
	w.Helper()
	refused := func(what, want string, args ...string) {
		w.Helper()
		if r := w.calcom("", args...); r.code != 2 || !strings.Contains(r.err, want) {
			w.Errorf("a move %s ends with %+v, want %q", what, r, want)
		}
	}
	refused("to a namespace that is not there", "kubectl create namespace team", to...)
	refused("to the same cluster", "name two clusters", "move", "--all", "-n", "team", "--to-kubeconfig="+w.Kubeconfig, "--yes")
	there.MustKubectl("", "create", "namespace", "bare")
	refused("to where no OAuth client is", "--with-clients", append(to, "--to-namespace=bare")...)
	refused("to where no Secret is", "--with-secrets", append(to, "--to-namespace=bare", "--with-clients")...)

	w.MustKubectl("", "annotate", "manageduser", "canary-1", "-n", "team", "argocd.argoproj.io/tracking-id=users:platform.cal.com/ManagedUser:team/canary-1")
	refused("of what Argo CD manages", "argocd app set users --sync-policy none", to...)
	w.MustKubectl("", "annotate", "manageduser", "canary-1", "-n", "team", "argocd.argoproj.io/tracking-id-")

	if err := there.StopOperator(); err != nil {
		w.Fatal(err)
	}
	refused("to where no operator runs", "there: the operator in namespace calcom-system does not run", to...)
	if err := there.StartOperator(w.Context()); err != nil {
		w.Fatal(err)
	}

	// An object of that name is there, which is not this one.
	there.client("taken")
	there.users("taken", "canary", 1, "reconcilePolicy: Observe")
	one := []string{"move", "canary-0", "-n", "team", "--to-namespace=taken", "--to-kubeconfig=" + there.Kubeconfig, "--yes"}
	refused("to where one of that name is", "which is not this one moved", one...)
	there.MustKubectl("", "delete", "namespace", "taken", "--wait=false")
	there.MustKubectl("", "delete", "managedusers", "--all", "-n", "taken")

	// Cal.com keeps something nested in the metadata, of which the status knows nothing yet.
	user := w.cal.Users(acme.ID)[3]
	name := "canary-" + strings.TrimPrefix(strings.Split(user.Email, "+")[0], "canary.")
	w.cal.UpdateUser(acme.ID, user.ID, func(u *calcomtest.User) { u.Metadata["nested"] = map[string]any{"a": 1.0} })
	there.client("nested")
	refused("of a user with nested metadata", "nested values", "move", name, "-n", "team", "--to-namespace=nested", "--to-kubeconfig="+there.Kubeconfig, "--yes")
	w.cal.UpdateUser(acme.ID, user.ID, func(u *calcomtest.User) { delete(u.Metadata, "nested") })
	w.must("reconcile", name, "-n", "team")
	if left := there.MustKubectl("", "get", "managedusers", "-A", "-o", "name"); left != "" {
		w.Errorf("what was refused left %s", left)
	}
	if records := w.MustKubectl("", "get", "managedusers", "-n", "team", "-o", "jsonpath={.items[*].metadata.annotations}"); strings.Contains(records, "handover") {
		w.Errorf("what was refused left a record: %s", records)
	}
}
