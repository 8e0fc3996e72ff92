// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

// crowd adds n users of many shapes, as a backend of years has left them, and returns their addresses, one in each
// line.
func crowd(cal *calcomtest.Server, n int) string {
	var addresses strings.Builder
	for i := range n {
		user := calcomtest.User{
			Email: fmt.Sprintf("person%d@example.com", i), Name: new(fmt.Sprintf("Person Ω %d", i)),
			TimeZone: []string{"Europe/London", "America/Port-au-prince", "Europe/Rome", "UTC"}[i%4], WeekStart: []string{"Sunday", "Monday"}[i%2],
			TimeFormat: []*int{new(12), new(24), nil}[i%3], Locale: []*string{nil, new("pt-BR")}[i%2],
		}
		switch i % 5 {
		case 1:
			user.Bio, user.Metadata = new("Lines\nand \"quotes\": # no comment"), map[string]any{"plan": "gold", "seats": float64(i), "beta": true}
		case 2:
			user.Name, user.AvatarURL = nil, new("https://example.com/a.png")
		case 3:
			user.Bio, user.Metadata = new(""), map[string]any{"note": "yes", "number": "007"}
		}
		cal.AddUser(acme.ID, user)
		fmt.Fprintf(&addresses, "person%d@example.com\n", i)
	}
	return addresses.String()
}

// unmarked returns the users of a sandbox by id, without their marks.
func unmarked(cal *calcomtest.Server) map[int64]calcomtest.User {
	users := make(map[int64]calcomtest.User)
	for _, user := range cal.Users(acme.ID) {
		user.Metadata = maps.Clone(user.Metadata)
		delete(user.Metadata, "kubernetesOwner")
		if len(user.Metadata) == 0 {
			user.Metadata = nil
		}
		users[user.ID] = user
	}
	return users
}

// Six hundred users come under the operator, and nothing of them changes but the mark.
func TestImport(t *testing.T) {
	t.Parallel()
	const users = 600
	cal := newSandbox(t, calcomtest.Options{})
	w := newWorld(t, cal, stack.Config{})
	w.allowSandbox()
	w.client("team")
	addresses := crowd(cal, users)
	before := unmarked(cal)
	dir := filepath.Join(t.TempDir(), "acme")

	// Without addresses the list shows 500, and the command says so.
	r := w.calcom("", "import", "--client", "acme", "-n", "team", "-o", dir)
	if r.code != 1 || r.out != "" || !strings.Contains(r.err, "NOT COMPLETE: Cal.com lists no more than 500") || !strings.Contains(r.err, "wrote 500 manifests") {
		t.Fatalf("an import of what the list shows ends with %+v", r)
	}
	// With them it reaches all; those who have a manifest are left alone.
	r = w.calcom("address\n"+addresses, "import", "--client", "acme", "-n", "team", "--emails-from", "-", "-o", dir)
	if r.code != 0 || !strings.Contains(r.err, "wrote 100 manifests") || !strings.Contains(r.err, "left alone 500 users") || !strings.Contains(r.err, "Reading users: 600 of 600") {
		t.Fatalf("an import by addresses ends with %+v", r)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != users+1 {
		t.Fatalf("the directory has %d files, %v", len(files), err)
	}
	if calls := cal.Calls(); slices.ContainsFunc(calls, func(c calcomtest.Call) bool { return c.Effect }) {
		t.Error("an import has written to Cal.com")
	}

	// What applying would do is foretold, by a few calls.
	cal.ResetCalls()
	if r = w.calcom("", "plan", "-f", dir); r.code != 1 || !strings.Contains(r.out, "Plan: 0 to create, 600 to adopt, 0 to change, 0 unchanged, 0 conflicts.") {
		t.Errorf("the plan ends with %d\n%s%s", r.code, r.out, r.err)
	}
	if calls := cal.Calls(); len(calls) > 4 {
		t.Errorf("the plan took %d calls", len(calls))
	}

	cal.ResetCalls()
	w.MustKubectl("", "apply", "-k", dir)
	w.ready("team")
	marks := make(map[int64]int)
	for _, call := range cal.Calls() {
		if !call.Effect {
			continue
		}
		var body map[string]json.RawMessage
		if err := json.Unmarshal(call.Body, &body); err != nil || call.Op != calcomtest.OpUpdate || len(body) != 1 || body["metadata"] == nil {
			t.Fatalf("Cal.com was sent %s %s, %v", call.Method, call.Path, slices.Sorted(maps.Keys(body)))
		}
		marks[call.UserID]++
	}
	if len(marks) != users || slices.Max(slices.Collect(maps.Values(marks))) != 1 {
		t.Errorf("%d users were marked, some of them %d times", len(marks), slices.Max(slices.Collect(maps.Values(marks))))
	}
	if d := cmp.Diff(before, unmarked(cal)); d != "" {
		t.Errorf("users have changed by more than their marks:\n%s", d)
	}

	if r = w.calcom("", "plan", "-f", dir); r.code != 0 || !strings.Contains(r.out, "600 unchanged") {
		t.Errorf("the plan afterwards ends with %d\n%s%s", r.code, r.out, r.err)
	}
	if out := w.must("status", "-n", "team"); !strings.Contains(out, "600/600") {
		t.Errorf("status says\n%s", out)
	}

	// Another import, wherever to, finds nobody new.
	r = w.calcom(addresses, "import", "--client", "acme", "-n", "team", "--emails-from", "-", "-o", filepath.Join(t.TempDir(), "again"))
	if r.code != 0 || !strings.Contains(r.err, "wrote 0 manifests") || !strings.Contains(r.err, "left alone 600 users") {
		t.Errorf("a later import ends with %+v", r)
	}
	// And they can leave again: nobody is deleted.
	w.MustKubectl("", "delete", "-k", dir)
	if d := cmp.Diff(before, unmarked(cal)); d != "" {
		t.Errorf("users have changed when their objects were deleted:\n%s", d)
	}
}

// What cannot be imported is told, by id, and names are given by the rules.
func TestImportOfTheUnusual(t *testing.T) {
	t.Parallel()
	cal := newSandbox(t, calcomtest.Options{})
	w := newWorld(t, cal, stack.Config{})
	w.client("team")
	w.users("team", "canary", 1)
	w.ready("team")
	for _, user := range []calcomtest.User{
		{Email: "alice@example.com", Name: new("Alice")},
		{Email: "alice@mail.example.org", Name: new("Another Alice")},
		{Email: "Capital@example.com", Name: new("Capital")},
		{Email: "nested@example.com", Metadata: map[string]any{"defaultConferencingApp": map[string]any{"appSlug": "zoom"}}},
		{Email: "foreign@example.com", Metadata: map[string]any{"kubernetesOwner": "other-cluster/team/foreign/uid"}},
		{Email: "kustomization@example.com"},
	} {
		cal.AddUser(acme.ID, user)
	}
	dir := t.TempDir()
	r := w.calcom("", "import", "--client", "oauthclient/acme", "-n", "team", "-o", dir, "--dry-run")
	if files, err := os.ReadDir(dir); err != nil || len(files) != 0 || !strings.Contains(r.err, "would write 3 manifests") {
		t.Errorf("a dry run leaves %d files, %v, and says\n%s", len(files), err, r.err)
	}
	r = w.calcom("", "import", "--client", "acme", "-n", "team", "-o", dir)
	for _, words := range []string{
		"read 7 users in 1 call", "wrote 3 manifests", "left alone 1 user that", "skipped user 4: its address has capitals", "skipped user 5: its metadata has nested values",
		"skipped user 6: it is managed by another cluster, with the owner id other-cluster",
	} {
		if !strings.Contains(r.err, words) {
			t.Errorf("the import does not say %q:\n%s", words, r.err)
		}
	}
	if r.code != 1 || strings.Contains(r.err, "@example") || strings.Contains(r.err, "NOT COMPLETE") {
		t.Errorf("the import ends with %+v", r)
	}
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	for i := range files {
		files[i] = filepath.Base(files[i])
	}
	if d := cmp.Diff([]string{"alice-3.yaml", "alice.yaml", "kustomization-7.yaml", "kustomization.yaml"}, files); d != "" || err != nil {
		t.Errorf("files: %v\n%s", err, d)
	}
	w.MustKubectl("", "apply", "-k", dir)
	w.ready("team")
	if _, err := exec.LookPath("tmux"); err == nil {
		for _, args := range [][]string{
			{"import", "--client", "acme", "-n", "team", "-o", "-"}, {"import", "--client", "acme", "-o", "-", "--emails-from", "/nowhere"},
			{"orphans", "--client", "acme", "-n", "team"}, {"suspend", "--all", "-n", "team"}, {"reconcile", "--all", "-n", "team"},
			{"tokens", "alice", "-n", "team"}, {"drain", "-n", "team", "--yes", "--dry-run"},
		} {
			t.Logf("$ kubectl calcom %s\n%s", strings.Join(args, " "), strings.Join(w.screen(t, args...), "\n"))
		}
		w.must("resume", "--all", "-n", "team")
	}

	r = w.calcom("", "import", "--client-id", acme.ID, "--secret", "calcom", "--api-url", w.API, "-n", "team", "-o", "-")
	if r.code != 1 || r.out != "" {
		t.Errorf("an import of the rest to the standard output ends with %+v", r)
	}
	r = w.calcom("nobody@example.com\nalice@example.com\n", "import", "--client", "acme", "-n", "team", "-o", "-", "--emails-from", "-")
	if r.code != 1 || !strings.Contains(r.err, "no user has the address in line 1") {
		t.Errorf("an import of a stranger ends with %+v", r)
	}
}

// What a person may do wrong, and what they are told.
func TestImportMistakes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newSandbox(t, calcomtest.Options{}), stack.Config{})
	w.client("team")
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "notes.yaml"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for words, args := range map[string][]string{
		"name the OAuth client by one of them":       {"-o", "x"},
		"give a directory by --output":               {"--client", "acme"},
		"see kubectl get oauthclients -n team":       {"--client", "acne", "-o", "x"},
		"name its Secret by --secret":                {"--client-id", "x", "-o", "x"},
		"notes.yaml":                                 {"--client", "acme", "-o", broken},
		"give --emails-from the file":                {"--client", "acme", "-o", "x", "--emails-from", "/nowhere"},
		"line 2 of the addresses is none":            {"--client", "acme", "-o", "x", "--emails-from", "-"},
		"create the Secret":                          {"--client-id", "x", "--secret", "none", "-o", "x"},
		"has nothing under other":                    {"--client-id", "x", "--secret", "calcom", "--secret-key", "other", "-o", "x"},
		"see that the Secret holds the OAuth client": {"--client-id", "cltestclient0000000000009", "--secret", "calcom", "--api-url", w.API, "-o", "-"},
	} {
		r := w.calcom("a@example.com\nno address\n", append([]string{"import", "-n", "team"}, args...)...)
		if r.code != 2 || !strings.Contains(r.err, words) || strings.Contains(r.err, acme.Secret) {
			t.Errorf("%v ends with %+v, want it to say %q", args, r, words)
		}
	}
}
