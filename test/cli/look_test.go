// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

// allowSandbox puts the sandbox among the URLs that the operator's Deployment allows, where the plugin reads them: the
// operator of the stack is a process beside the cluster, with flags of its own.
func (w *world) allowSandbox() {
	w.Helper()
	w.MustKubectl("", "patch", "deployment", "calcom-operator", "-n", stack.Namespace, "--type=json",
		"-p", fmt.Sprintf(`[{"op":"add","path":"/spec/template/spec/containers/0/args/-","value":"--allowed-api-urls=%s"}]`, w.API))
}

// undisturbed is an operator whose drift sweep does not come by in the middle of a test.
var undisturbed = stack.Config{OperatorArgs: []string{"--resync-interval=24h"}}

// manifest is that of a user in namespace team, with more lines in its spec if there are any.
func manifest(name, email string, spec ...string) string {
	return fmt.Sprintf(`---
apiVersion: platform.cal.com/v1alpha1
kind: ManagedUser
metadata: {name: %s, namespace: team}
spec:
  oauthClientRef: {name: acme}
  email: %s
  name: Canary Name
  %s
`, name, email, strings.Join(spec, "\n  "))
}

// write writes manifests into a folder and returns its path.
func write(t *testing.T, manifests ...string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "users.yaml"), []byte(strings.Join(manifests, "")), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// versions are the resource versions of everything that a plan could have touched. The operator counts users in the
// status of OAuth clients when it likes; of these, it is what else there is.
func (w *world) versions() string {
	w.Helper()
	return w.MustKubectl("", "get", "managedusers,secrets,namespaces", "-A", "--no-headers", "-o", "custom-columns=:kind,:metadata.namespace,:metadata.name,:metadata.resourceVersion") +
		w.MustKubectl("", "get", "oauthclients", "-A", "--no-headers", "-o", "custom-columns=:metadata.name,:metadata.generation,:metadata.finalizers,:metadata.annotations")
}

// look runs the plugin with an exit code that has to come, and wants that nobody wrote anything, that Cal.com saw reads
// alone, and how many. It returns the standard output.
func (w *world) look(code, calls int, args ...string) string {
	w.Helper()
	before := w.versions()
	w.cal.ResetCalls()
	r := w.calcom("", args...)
	if r.code != code {
		w.Errorf("kubectl calcom %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), r.code, code, r.out, r.err)
	}
	if d := cmp.Diff(before, w.versions()); d != "" {
		w.Errorf("kubectl calcom %s wrote something (-before +after):\n%s", strings.Join(args, " "), d)
	}
	made := w.cal.Calls()
	for _, call := range made {
		if call.Method != http.MethodGet {
			w.Errorf("kubectl calcom %s sent %s", strings.Join(args, " "), call.Method)
		}
	}
	if len(made) != calls {
		w.Errorf("kubectl calcom %s made %d calls to Cal.com, want %d", strings.Join(args, " "), len(made), calls)
	}
	for line := range strings.Lines(r.out) {
		if len([]rune(strings.TrimRight(line, "\n"))) > 80 && !slices.Contains(args, "-o") {
			w.Errorf("a line is longer than a terminal: %s", line)
		}
	}
	return r.out
}

func wantLines(t *testing.T, output string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains("\n"+output, "\n"+line+"\n") {
			t.Errorf("the output lacks the line %q:\n%s", line, output)
		}
	}
}

// setup is what users need, as manifests of a namespace that does not exist yet.
func (w *world) setup() string {
	return fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: team}
---
apiVersion: v1
kind: Secret
metadata: {name: calcom, namespace: team}
stringData: {secretKey: %s}
---
apiVersion: platform.cal.com/v1alpha1
kind: OAuthClient
metadata: {name: acme, namespace: team}
spec:
  id: %s
  secretKeyRef: {name: calcom, key: secretKey}
  apiURL: %s
`, acme.Secret, acme.ID, w.API)
}

// What a plan says before manifests are applied is what then happens, and the status says it afterwards. Neither
// changes anything.
func TestPlanApplyStatus(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newSandbox(t, calcomtest.Options{RateLimit: 500}), undisturbed)
	w.allowSandbox()

	// A plan for a namespace that does not exist yet.
	first := write(t, w.setup(), manifest("ada", "ada@example.com", "timeZone: Europe/Rome"), manifest("bob", "bob@example.com"), manifest("cyd", "cyd@example.com"))
	out := w.look(1, 1, "plan", "-f", first)
	wantLines(t, out, "+ create    team/ada", "    timeZone: Europe/Rome", "    the operator's mark is put on", "Plan: 3 to create, 0 to adopt, 0 to change, 0 unchanged, 0 conflicts.")
	if strings.Contains(out, "@") {
		t.Errorf("a plan for many shows an address:\n%s", out)
	}
	w.MustKubectl("", "apply", "-f", first)
	w.ready("team")
	wantLines(t, w.look(0, 1, "plan", "-f", first), "Plan: 0 to create, 0 to adopt, 0 to change, 3 unchanged, 0 conflicts.")

	// Drift, an adoption, a stranger, a username that is taken and a manifest that the API server refuses.
	ada, _ := w.cal.UserByEmail(acme.ID, "ada@example.com")
	w.cal.UpdateUser(acme.ID, ada.ID, func(u *calcomtest.User) { u.TimeZone, u.Name = "Asia/Tokyo", new("By \x1b[31mhand") })
	dee := w.cal.AddUser(acme.ID, calcomtest.User{Email: "dee@example.com", Name: new("Dee")})
	w.cal.AddUser(acme.ID, calcomtest.User{Email: "eve@example.com"})
	second := write(t, manifest("ada", "ada@example.com", "timeZone: Europe/Rome"), manifest("bob", "robert@example.com"),
		manifest("dee", "dee@example.com", "adoptionPolicy: ByEmail"), manifest("eve", "eve@example.com"), manifest("fay", "fay_x@example.com"),
		manifest("gus", "fay-x@example.com"), manifest("hal", "Hal@example.com"))
	out = w.look(1, 1, "plan", "-f", second)
	wantLines(t, out,
		fmt.Sprintf("~ change    team/ada (user %d)", ada.ID), `    name: "By \x1b[31mhand" -> Canary Name`, "    timeZone: Asia/Tokyo -> Europe/Rome",
		"    email: another address", fmt.Sprintf("> adopt     team/dee (user %d)", dee.ID), "    name: Dee -> Canary Name",
		"! conflict  team/eve: AlreadyExists", "+ create    team/fay", "! conflict  team/gus: UsernameConflict", "! conflict  team/hal: Invalid",
		"Plan: 1 to create, 1 to adopt, 2 to change, 0 unchanged, 3 conflicts.")
	if strings.Contains(out, "@") {
		t.Errorf("a plan for many shows an address:\n%s", out)
	}

	// One user was asked for, so that its addresses are shown.
	wantLines(t, w.look(1, 1, "plan", "-f", write(t, manifest("bob", "robert@example.com"))), "    email: bob@example.com -> robert@example.com")

	if out := w.look(0, 1, "status", "-n", "team", "--quota"); !regexp.MustCompile(`400 of 500, \d+ used`).MatchString(out) {
		t.Errorf("--quota shows no use of the quota:\n%s", out)
	}
	wantLines(t, w.look(0, 1, "status", "-n", "team", "ada"), "  timeZone", "    spec:    Europe/Rome", "    Cal.com: Asia/Tokyo", `    Cal.com: "By \x1b[31mhand"`)
	wantLines(t, w.look(0, 0, "status", "-n", "team", "ada", "--offline"), "Drift: none, by what the operator saw last (status.user).")
	wantLines(t, w.look(0, 1, "explain", "-n", "team", "ada"), "   2. Cal.com    PATCH, update the user ("+fmt.Sprint(ada.ID)+")", "                   timeZone: Asia/Tokyo -> Europe/Rome")

	applied, err := w.Kubectl(t.Context(), "", "apply", "-f", second)
	if err == nil {
		t.Errorf("the API server took everything:\n%s", applied)
	}
	w.MustKubectl("", "annotate", "managedusers", "-n", "team", "--all", "platform.cal.com/reconcile-requested-at=now")
	w.Eventually("what was planned", func() bool {
		reasons := w.MustKubectl("", "get", "managedusers", "-n", "team", "--no-headers", "-o", "custom-columns=:metadata.name,:status.conditions[?(@.type=='Synced')].reason,:status.lastHandledReconcileAt")
		return slices.Equal(strings.Fields(reasons), strings.Fields(
			"ada DriftCorrected now bob Updated now cyd Created now dee Adopted now eve AlreadyExists now fay Created now gus UsernameConflict now"))
	})
	wantLines(t, w.look(1, 1, "plan", "-f", second), "Plan: 0 to create, 0 to adopt, 0 to change, 4 unchanged, 3 conflicts.")

	out = w.look(0, 0, "status", "-n", "team")
	wantLines(t, out, "AlreadyExists: 1 user", "  Users: eve", "UsernameConflict: 1 user")
	if strings.Contains(out, "@") {
		t.Errorf("the status of many shows an address:\n%s", out)
	}
	var view struct {
		Users   []struct{ Name, Ready, Reason, Remedy string }
		Clients []struct {
			Client            string
			Users, ReadyUsers int
		}
	}
	if err := json.Unmarshal([]byte(w.look(0, 0, "status", "-A", "-o", "json")), &view); err != nil {
		t.Fatal(err)
	}
	if len(view.Users) != 7 || view.Users[4].Reason != "AlreadyExists" || view.Users[4].Remedy == "" ||
		len(view.Clients) != 1 || view.Clients[0].Users != 7 || view.Clients[0].ReadyUsers != 5 {
		t.Errorf("status -o json prints %+v", view)
	}
	w.terminal(t, second)
	w.completion(t)
}

// A plan for 600 users asks Cal.com three times, and no more if they exist already.
func TestPlanForMany(t *testing.T) {
	t.Parallel()
	const many = 600
	w := newWorld(t, newSandbox(t, calcomtest.Options{}), undisturbed)
	w.allowSandbox()
	var manifests []string
	for i := range many {
		email := fmt.Sprintf("canary.%d@example.com", i)
		u := w.cal.AddUser(acme.ID, calcomtest.User{Email: email, Name: new("Canary Name")})
		manifests = append(manifests, manifest(fmt.Sprintf("canary-%d", i), email, fmt.Sprintf("userID: %d", u.ID), "deletionPolicy: Orphan"))
	}
	w.client("team")
	dir := write(t, manifests...)
	out := w.look(1, 3, "plan", "-f", dir)
	wantLines(t, out, "Plan: 0 to create, 600 to adopt, 0 to change, 0 unchanged, 0 conflicts.")

	// Without the Secret, the key has to come from elsewhere.
	w.MustKubectl("", "delete", "secret", "calcom", "-n", "team")
	w.Eventually("the Secret's end", func() bool {
		_, err := w.Kubectl(t.Context(), "", "get", "secret", "calcom", "-n", "team")
		return err != nil
	})
	w.cal.ResetCalls()
	if r := w.calcom("", "plan", "-f", dir); r.code != 2 || !strings.Contains(r.err, "--secret-key-from") || r.out != "" {
		t.Errorf("a plan without a secret key ends with %+v", r)
	}
	key := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(key, []byte(acme.Secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	wantLines(t, w.look(1, 3, "plan", "-f", dir, "--secret-key-from=file:"+key), "Plan: 0 to create, 600 to adopt, 0 to change, 0 unchanged, 0 conflicts.")
}
