// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

// found is what orphans prints for programs.
type found struct {
	Users, Objects []struct {
		UserID          int64
		Namespace, Name string
	}
	Complete bool
}

func (w *world) orphans() (found, int) {
	w.Helper()
	r := w.calcom("", "orphans", "--client", "acme", "-n", "team", "-o", "json")
	var f found
	if err := json.Unmarshal([]byte(r.out), &f); err != nil {
		w.Fatalf("%v\n%s%s", err, r.out, r.err)
	}
	return f, r.code
}

// abandon takes an object away by force, as people do whose finalizer "hangs".
func (w *world) abandon(name string) {
	w.Helper()
	if err := w.StopOperator(); err != nil {
		w.Fatal(err)
	}
	w.MustKubectl("", "delete", "manageduser", name, "-n", "team", "--wait=false")
	w.MustKubectl("", "patch", "manageduser", name, "-n", "team", "--type=merge", `--patch={"metadata":{"finalizers":null}}`,
		"--as=somebody", "--as-group=system:masters", "--as-group=calcom-operator:break-glass")
	if err := w.StartOperator(w.Context()); err != nil {
		w.Fatal(err)
	}
}

func TestOrphans(t *testing.T) {
	t.Parallel()
	cal := newSandbox(t, calcomtest.Options{})
	w := newWorld(t, cal, stack.Config{})
	w.client("team")
	w.users("team", "canary", 4)
	w.ready("team")
	cal.AddUser(acme.ID, calcomtest.User{Email: "free@example.com"})
	cal.AddUser(acme.ID, calcomtest.User{Email: "foreign@example.com", Metadata: map[string]any{"kubernetesOwner": "other/team/foreign/uid"}})
	if f, code := w.orphans(); code != 0 || len(f.Users)+len(f.Objects) != 0 || !f.Complete {
		t.Errorf("of a cluster in order, orphans says %+v with exit code %d", f, code)
	}

	w.abandon("canary-1")
	w.abandon("canary-2")
	f, code := w.orphans()
	var names []string
	for _, user := range f.Users {
		names = append(names, user.Namespace+"/"+user.Name)
	}
	slices.Sort(names) // Who is created first gets the smaller id.
	if d := cmp.Diff([]string{"team/canary-1", "team/canary-2"}, names); d != "" || code != 1 || len(f.Objects) != 0 {
		t.Errorf("exit code %d, %+v\n%s", code, f, d)
	}
	r := w.calcom("", "orphans", "--client", "acme", "-n", "team")
	if r.code != 1 || !strings.Contains(r.out, "2 users have no object") || strings.Contains(r.out, "@") {
		t.Errorf("orphans prints %+v", r)
	}

	// Deleting wants the number, and the certainty whose they are.
	deletion := []string{"orphans", "--client", "acme", "-n", "team", "--delete"}
	for words, args := range map[string][]string{
		"give --confirm 2":         deletion,
		"there are 2":              append(deletion, "--confirm=3"),
		"would delete 2 users":     append(deletion, "--dry-run"),
		"exclude each other":       append(deletion, "--adopt", "x"),
		"No user lacks its object": append(deletion, "--confirm=2", "--owner-id=nobody"),
	} {
		if r := w.calcom("2\n", args...); !strings.Contains(r.err+r.out, words) {
			t.Errorf("%v ends with %+v, want %q", args, r, words)
		}
	}
	w.wantUsers(6)

	// One is taken over again, and then the other is deleted.
	dir := t.TempDir()
	w.must("orphans", "--client", "acme", "-n", "team", "--adopt", dir)
	w.MustKubectl("", "apply", "-f", dir+"/canary-1.yaml")
	w.ready("team")
	w.wantUsers(6)
	if r := w.calcom("", append(deletion, "--confirm=1")...); r.code != 0 || !strings.Contains(r.err, "deleted 1 user") {
		t.Errorf("the deletion ends with %+v", r)
	}
	w.wantUsers(5)

	// Somebody deletes a user in Cal.com whose object is not looked at.
	w.MustKubectl("", "patch", "manageduser", "canary-3", "-n", "team", "--type=merge", `--patch={"spec":{"reconcilePolicy":"Suspend"}}`)
	user, ok := cal.UserByEmail(acme.ID, "canary.3@example.com")
	if !ok || !cal.RemoveUser(acme.ID, user.ID) {
		t.Fatal("the user is not there")
	}
	f, code = w.orphans()
	if code != 1 || len(f.Users) != 0 || len(f.Objects) != 1 || f.Objects[0].Name != "canary-3" || f.Objects[0].UserID != user.ID {
		t.Errorf("exit code %d, %+v", code, f)
	}
}
