// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// The worst accident: somebody deletes the CRD, and with it every object at once. With a limit, no more than that
// number of users is lost before somebody notices, even if the operator is killed again and again meanwhile; and then
// they can all be kept, or let go.
func TestDeletedCRDLosesNoMoreThanTheLimit(t *testing.T) {
	t.Parallel()
	const users, limit, kept = 500, 10, 50
	w := newWorld(t, stack.Config{
		SandboxArgs:  []string{"--rate-limit=0"},
		OperatorArgs: []string{"--leader-elect=false", fmt.Sprintf("--mass-delete-limit=%d", limit)},
	})
	w.createSecret("default")
	w.MustKubectl("", "create", "namespace", "kept")
	w.createSecret("kept")
	w.MustKubectl(w.usersOf("canary", users-kept), "apply", "--server-side", "-f", "-")
	w.MustKubectl(w.usersOf("kept", kept), "apply", "--server-side", "-n", "kept", "-f", "-")
	// kubectl wait would ask for each of them one after the other.
	w.Eventually("all users", func() bool {
		return strings.Count(w.MustKubectl("", "get", "managedusers", "-A"), "Available") == users
	})
	w.wantUsers(users)

	w.MustKubectl("", "delete", "crd", "managedusers.platform.cal.com", "--wait=false")
	held := func() bool {
		table := w.MustKubectl("", "get", "managedusers", "-A")
		return strings.Count(table, "MassDeletion") == users-limit
	}
	w.Eventually("the others to be held", held)
	w.wantUsers(users - limit)
	for range 2 {
		w.KillOperator()
		w.startOperator()
		w.Eventually("the others to be held still", held)
		w.wantUsers(users - limit)
	}
	lost := limit
	for range strings.Lines(w.MustKubectl("", "get", "managedusers", "-A", "-o", "name")) {
		lost++
	}
	if lost != users {
		t.Errorf("%d objects are accounted for, want %d", lost, users)
	}

	// Somebody noticed: one team keeps its users, the other's may go.
	left := strings.Fields(w.MustKubectl("", "get", "managedusers", "-n", "kept", "-o", "name"))
	w.MustKubectl("", append([]string{"patch", "-n", "kept", "--type=merge", "-p", `{"spec":{"deletionPolicy":"Orphan"}}`}, left...)...)
	w.MustKubectl("", "annotate", "namespace", "default", "platform.cal.com/allow-mass-deletion=true")
	w.MustKubectl("", "wait", "--for=delete", "crd/managedusers.platform.cal.com", "--timeout="+stacktest.Patience.String())
	w.wantUsers(len(left))
}
