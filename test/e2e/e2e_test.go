// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package e2e tests the built binaries on a real control plane: installed from config/default or the Helm chart, under
// the operator's own ServiceAccount.
package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// defaultClient is the OAuth client that the sandbox has.
var defaultClient = calcomtest.DefaultClient()

func TestMain(m *testing.M) { os.Exit(stacktest.Main(m)) }

// world is a stack and what users of it do.
type world struct{ *stacktest.World }

func newWorld(t *testing.T, config stack.Config) *world {
	t.Helper()
	return &world{stacktest.Start(t, config)}
}

// remoteUser is a user as the sandbox shows it to any client.
type remoteUser struct {
	ID         int64
	Email, Bio string
}

// remoteUsers lists all users; Cal.com shows the first 500 at most, in two pages.
func (w *world) remoteUsers() []remoteUser {
	w.Helper()
	return append(w.remotePage(0), w.remotePage(250)...)
}

func (w *world) remotePage(offset int) []remoteUser {
	w.Helper()
	url := fmt.Sprintf("%s/oauth-clients/%s/users?limit=250&offset=%d", w.API, defaultClient.ID, offset)
	request, err := http.NewRequestWithContext(w.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		w.Fatal(err)
	}
	request.Header.Set("x-cal-secret-key", defaultClient.Secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	var list struct{ Data []remoteUser }
	if err := json.NewDecoder(response.Body).Decode(&list); err != nil {
		w.Fatal(err)
	}
	return list.Data
}

// users returns a manifest of n users.
func (w *world) users(n int) string { return w.usersOf("canary", n) }

// usersOf returns a manifest of n users whose addresses begin with a prefix.
func (w *world) usersOf(prefix string, n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `---
apiVersion: platform.cal.com/v1alpha1
kind: ManagedUser
metadata: {name: canary-%d}
spec:
  oauthClient: {id: %s, secretKeyRef: {name: calcom, key: secretKey}, apiURL: %s}
  email: %s.%d@example.com
  name: Canary Name
  bio: Canary Bio
`, i, defaultClient.ID, w.API, prefix, i)
	}
	return b.String()
}

// The operator is killed again and again while it creates users, and once more while it deletes them: everybody is
// there once, and then nobody is. Nothing that anybody can read shows an address or a secret.
func TestKilledWhileCreatingAndDeleting(t *testing.T) {
	t.Parallel()
	const n = 20
	w := newWorld(t, stack.Config{
		SandboxArgs: []string{"--latency=300ms", "--rate-limit=0"}, // Slow enough to be killed in the middle of a call.
		// Time is real here: neither the lease of a killed operator nor a call of unknown outcome may take minutes.
		OperatorArgs: []string{"--leader-elect=false", "--unknown-outcome-grace=5s", "--zap-log-level=7"},
	})
	w.createSecret("default")
	w.MustKubectl(w.users(n), "apply", "-f", "-")
	for _, atLeast := range []int{2, 8, 14} {
		w.Eventually("some users", func() bool { return len(w.remoteUsers()) >= atLeast })
		w.KillOperator()
		w.startOperator()
	}
	w.MustKubectl("", "wait", "--for=condition=Ready", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
	seen := make(map[string]bool)
	for _, user := range w.remoteUsers() {
		if seen[user.Email] {
			t.Errorf("%s exists twice", user.Email)
		}
		seen[user.Email] = true
	}
	if len(seen) != n {
		t.Errorf("Cal.com has %d users, want %d", len(seen), n)
	}

	w.MustKubectl("", "delete", "managedusers", "--all", "--wait=false")
	w.Eventually("some deletions", func() bool { return len(w.remoteUsers()) < n-4 })
	w.KillOperator()
	w.startOperator()
	w.MustKubectl("", "wait", "--for=delete", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
	w.wantUsers(0)

	if err := w.StopOperator(); err != nil {
		t.Error(err)
	}
	events := w.MustKubectl("", "get", "events", "-o", "json")
	if !strings.Contains(events, "Created user") {
		t.Error("there is no event of a creation to look into")
	}
	w.wantNothingShown("the operator's log", strings.Join(w.Printed(), "\n"))
	w.wantNothingShown("events", events)
}

// wantNothingShown searches a text for what belongs to the users and to the client.
func (w *world) wantNothingShown(where, text string) {
	w.Helper()
	canaries := regexp.MustCompile(`(?i)canary\.\d+|\S*@example|%40example|canary name|canary bio|` + regexp.QuoteMeta(defaultClient.Secret))
	for line := range strings.SplitSeq(text, "\n") {
		if found := canaries.FindString(line); found != "" {
			w.Errorf("%s shows %q: %.300s", where, found, line)
		}
	}
}

// kubectl explain is documentation, kubectl get tells how things are, and the metrics are for those who may see them.
func TestWhatUsersSee(t *testing.T) {
	t.Parallel()
	const metrics = "127.0.0.1:18443"
	w := newWorld(t, stack.Config{OperatorArgs: []string{"--metrics-bind-address=" + metrics}})
	w.Eventually("the documentation", func() bool { // Published some time after the CRD is established.
		text, err := w.Kubectl(t.Context(), "", "explain", "manageduser.spec.createOnly")
		return err == nil && strings.Contains(strings.Join(strings.Fields(string(text)), " "), "time zone from the browser")
	})
	w.MustKubectl(w.users(1), "apply", "-f", "-")
	w.Eventually("the reason", func() bool {
		return strings.Contains(w.MustKubectl("", "get", "calusr"), "SecretNotFound")
	})
	table := w.MustKubectl("", "get", "calcom", "-o", "wide")
	for _, part := range []string{"NAME", "READY", "REASON", "USER ID", "AGE", "CLIENT", "POLICY", "MESSAGE", "False", "There is no Secret calcom"} {
		if !strings.Contains(table, part) {
			t.Errorf("the table lacks %q:\n%s", part, table)
		}
	}
	w.wantNothingShown("kubectl get", table)

	if status, _ := w.getMetrics(metrics, ""); status != http.StatusUnauthorized {
		t.Errorf("metrics without a token answer %d, want 401", status)
	}
	if status, _ := w.getMetrics(metrics, w.token("stranger")); status != http.StatusForbidden {
		t.Errorf("metrics without the role answer %d, want 403", status)
	}
	token := w.token("prometheus")
	w.MustKubectl("", "create", "clusterrolebinding", "prometheus", "--clusterrole=calcom-operator-metrics-reader", "--serviceaccount=default:prometheus")
	w.Eventually("the metrics", func() bool {
		status, body := w.getMetrics(metrics, token)
		w.wantNothingShown("metrics", body)
		for _, name := range []string{ // One of each collector.
			"controller_runtime_reconcile_total", "calcom_operator_build_info{", "calcom_operator_api_requests_total{", "calcom_operator_quota_clients ",
			`calcom_operator_managed_users{condition="Ready",reason="SecretNotFound",status="False"} 1`,
		} {
			if !strings.Contains(body, name) {
				return false
			}
		}
		return status == http.StatusOK
	})
}

// token makes a ServiceAccount and returns a token for it.
func (w *world) token(name string) string {
	w.Helper()
	w.MustKubectl("", "create", "serviceaccount", name)
	return strings.TrimSpace(w.MustKubectl("", "create", "token", name))
}

func (w *world) getMetrics(address, token string) (int, string) {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "https://"+address+"/metrics", http.NoBody)
	if err != nil {
		w.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	client := http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // The certificate is self-signed and new.
	}}
	response, err := client.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	return response.StatusCode, string(body)
}
