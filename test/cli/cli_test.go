// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package cli tests the kubectl plugin from the outside: the built binary, against a real API server with the built
// operator, and the sandbox of Cal.com in this process, so that its call log can be read.
package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// acme is the OAuth client that the sandbox has.
var acme = calcomtest.DefaultClient()

func TestMain(m *testing.M) { os.Exit(stacktest.Main(m)) }

// world is a cluster with an operator, beside a sandbox that several worlds may share.
type world struct {
	*stacktest.World
	cal *calcomtest.Server
}

// newSandbox starts a sandbox of Cal.com.
func newSandbox(t *testing.T, options calcomtest.Options) *calcomtest.Server {
	t.Helper()
	return calcomtest.New(t, options)
}

// newWorld starts a cluster with the operator. Its users are in the given sandbox.
func newWorld(t *testing.T, cal *calcomtest.Server, config stack.Config) *world {
	t.Helper()
	if config.API == "" {
		config.API = cal.URL()
	}
	return &world{stacktest.Start(t, config), cal}
}

// result is how a run of the plugin ended.
type result struct {
	out, err string
	code     int
}

// calcom runs the plugin, with the standard input that stdin says.
func (w *world) calcom(stdin string, args ...string) result {
	w.Helper()
	var out, errOut bytes.Buffer
	cmd := w.command(args...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errOut
	err := cmd.Run()
	if _, ended := errors.AsType[*exec.ExitError](err); err != nil && !ended {
		w.Fatalf("running the plugin: %v", err)
	}
	return result{out: out.String(), err: errOut.String(), code: cmd.ProcessState.ExitCode()}
}

// command is the plugin, ready to run against this world's cluster.
func (w *world) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(w.Context(), stacktest.Plugin(w), args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Kubeconfig)
	return cmd
}

// must runs the plugin and wants it to succeed. It returns the standard output.
func (w *world) must(args ...string) string {
	w.Helper()
	r := w.calcom("", args...)
	if r.code != 0 {
		w.Fatalf("kubectl calcom %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

// ready waits until all users of a namespace are Ready.
func (w *world) ready(namespace string) {
	w.Helper()
	w.MustKubectl("", "wait", "-n", namespace, "--for=condition=Ready", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
}

// client makes an OAuthClient named acme with its Secret, in a namespace that is made where there is none.
func (w *world) client(namespace string) {
	w.Helper()
	w.MustKubectl(fmt.Sprintf(`
apiVersion: v1
kind: Namespace
metadata: {name: %[1]s}
---
apiVersion: v1
kind: Secret
metadata: {name: calcom, namespace: %[1]s}
stringData: {secretKey: %[2]s}
---
apiVersion: platform.cal.com/v1alpha1
kind: OAuthClient
metadata: {name: acme, namespace: %[1]s}
spec:
  id: %[3]s
  secretKeyRef: {name: calcom, key: secretKey}
  apiURL: %[4]s
`, namespace, acme.Secret, acme.ID, w.API), "apply", "-f", "-")
}

// users applies n users named PREFIX-0, PREFIX-1, … of the OAuthClient acme, with more lines in their spec if there are
// any.
func (w *world) users(namespace, prefix string, n int, spec ...string) {
	w.Helper()
	var manifests strings.Builder
	for i := range n {
		fmt.Fprintf(&manifests, `---
apiVersion: platform.cal.com/v1alpha1
kind: ManagedUser
metadata: {name: %[1]s-%[2]d, namespace: %[3]s}
spec:
  oauthClientRef: {name: acme}
  email: %[1]s.%[2]d@example.com
  name: Canary Name
`, prefix, i, namespace)
		for _, line := range spec {
			fmt.Fprintf(&manifests, "  %s\n", line)
		}
	}
	w.MustKubectl(manifests.String(), "apply", "-f", "-")
}

// wantUsers compares the number of users that Cal.com has.
func (w *world) wantUsers(n int) {
	w.Helper()
	if got := len(w.cal.Users(acme.ID)); got != n {
		w.Errorf("Cal.com has %d users, want %d", got, n)
	}
}

// The plugin is what it says it is, and the world around it works.
func TestHarness(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newSandbox(t, calcomtest.Options{}), stack.Config{})
	w.client("team")
	w.users("team", "canary", 2)
	w.ready("team")
	w.wantUsers(2)
	if out := w.must("--help"); !strings.Contains(out, "managed users of Cal.com") {
		t.Errorf("--help prints\n%s", out)
	}
	if r := w.calcom("", "--dance"); r.code != 2 || r.out != "" || !strings.HasPrefix(r.err, "Error: ") {
		t.Errorf("an unknown flag ends with %+v", r)
	}
}
