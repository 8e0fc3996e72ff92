// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

// A life between import and leaving: looks are asked for, users are suspended and resumed, tokens are told of and
// shown.
func TestReconcileSuspendResumeTokens(t *testing.T) {
	t.Parallel()
	const n = 30
	cal := newSandbox(t, calcomtest.Options{})
	w := newWorld(t, cal, stack.Config{OperatorArgs: []string{"--rate-limit-share=1"}})
	w.client("sales")
	w.users("sales", "canary", n)
	w.users("sales", "token", 1, "tokens: {secretName: token-calcom}")
	w.users("sales", "watched", 1, "reconcilePolicy: Observe")
	cal.AddUser(acme.ID, calcomtest.User{Email: "watched.0@example.com"})
	w.MustKubectl("", "config", "set-context", "--current", "--namespace=sales")
	w.must("reconcile", "watched-0")
	w.ready("sales")

	// Drift is set back when somebody asks, and not before the command ends.
	for _, user := range cal.Users(acme.ID) {
		cal.UpdateUser(acme.ID, user.ID, func(u *calcomtest.User) { u.Name = new("Changed By Hand") })
	}
	if out := w.must("reconcile", "--all", "--dry-run"); strings.Count(out, "would ask for a look at sales/") != n+2 {
		t.Errorf("reconcile --dry-run prints\n%s", out)
	}
	if out := w.must("reconcile", "canary-0", "oauthclient/acme"); out != "sales/canary-0: Available\noauthclient sales/acme: Available\nLooked at 2 of 2\n" {
		t.Errorf("reconcile prints\n%s", out)
	}
	if out := w.must("reconcile", "--all"); out != "Looked at 32 of 32\n" {
		t.Errorf("reconcile --all prints\n%s", out)
	}
	drifted := 0
	for _, user := range cal.Users(acme.ID) {
		if *user.Name == "Changed By Hand" {
			drifted++
		}
	}
	if drifted != 1 { // Who is observed is not changed.
		t.Errorf("%d users are as they were changed by hand", drifted)
	}

	// What suspend took, resume gives back.
	if out := w.must("suspend", "--all"); out != "Suspended 32 of 32\n" {
		t.Errorf("suspend prints\n%s", out)
	}
	cal.ResetCalls()
	if r := w.calcom("", "reconcile", "canary-1"); r.code != 2 || !strings.Contains(r.err, "sales/canary-1: not Ready, Suspended") {
		t.Errorf("reconcile of a suspended user ends with %+v", r)
	}
	if calls := cal.Calls(); len(calls) > 0 {
		t.Errorf("there were calls for suspended users: %s %s", calls[0].Method, calls[0].Path)
	}
	if out := w.must("resume", "-l", "!none"); out != "Resumed 32 of 32\n" {
		t.Errorf("resume prints\n%s", out)
	}
	policies := w.MustKubectl("", "get", "managedusers", "-o", "jsonpath={.items[*].spec.reconcilePolicy}{.items[*].metadata.annotations.platform\\.cal\\.com/suspended}")
	if strings.TrimSpace(policies) != "Observe" {
		t.Errorf("after resume, the policies are %q", policies)
	}
	w.tokenStories()
	w.mistakes()
}

func (w *world) tokenStories() {
	w.Helper()
	stored := w.MustKubectl("", "get", "secret", "token-calcom", "-o", "jsonpath={.data.accessToken}")
	token, err := base64.StdEncoding.DecodeString(stored)
	if err != nil {
		w.Fatal(err)
	}
	out := w.must("tokens", "token-0")
	if !strings.Contains(out, "m left, until ") || !strings.Contains(out, "TokensReady:    True, Fresh") || strings.Contains(out, string(token)) {
		w.Errorf("tokens prints\n%s", out)
	}
	if out := w.must("tokens", "token-0", "--show"); out != string(token)+"\n" {
		w.Errorf("tokens --show prints %q", out)
	}
	if out := w.must("tokens", "token-0", "--show=all"); !strings.Contains(out, "refreshToken: ") || !strings.Contains(out, "clientID: "+acme.ID) {
		w.Errorf("tokens --show=all prints\n%s", out)
	}
}

// mistakes end with exit code 2 and a sentence that tells the remedy.
func (w *world) mistakes() {
	w.Helper()
	for _, tc := range []struct {
		want string
		args []string
	}{
		{"give names of managed users, or --all", []string{"reconcile"}},
		{"give one or the other", []string{"suspend", "canary-0", "--all"}},
		{"name managed users", []string{"suspend", "oauthclient/acme"}},
		{"kubectl get managedusers", []string{"suspend", "-l", "team=none"}},
		{"write it as -l", []string{"suspend", "-l", "=="}},
		{"nobody", []string{"reconcile", "nobody"}},
		{"set spec.tokens.secretName", []string{"tokens", "canary-0", "--show"}},
		{"it has accessToken", []string{"tokens", "token-0", "--show=password"}},
		{"name the other cluster by --to-context", []string{"move", "--all"}},
		{"--to-kubeconfig", []string{"move", "--all", "--to-context=nowhere"}},
	} {
		r := w.calcom("", tc.args...)
		if r.code != 2 || r.out != "" || !strings.HasPrefix(r.err, "Error: ") || !strings.Contains(r.err, tc.want) {
			w.Errorf("kubectl calcom %s ends with %+v, want %q", strings.Join(tc.args, " "), r, tc.want)
		}
	}
	if err := w.StopOperator(); err != nil {
		w.Error(err)
	}
	if r := w.calcom("", "reconcile", "canary-0"); r.code != 2 || !strings.Contains(r.err, "kubectl -n calcom-system scale deployment/calcom-operator --replicas=1") {
		w.Errorf("reconcile without an operator ends with %+v", r)
	}
}
