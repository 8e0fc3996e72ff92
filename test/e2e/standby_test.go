// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// standbyMetrics is where the standby serves its metrics.
const standbyMetrics = "127.0.0.1:18445"

// The leader is killed. Who waited for its lease knows all objects already: it works as soon as it has the lease, asks
// the API server for nothing anew, and neither writes nor calls anything for the users that are as they should be.
func TestStandbyTakesOver(t *testing.T) {
	t.Parallel()
	const n = 20
	var calls atomic.Int64
	w := newWorld(t, stack.Config{
		AuditLog:    true,
		SandboxArgs: []string{"--rate-limit=0"},
		Sandbox:     func(string) { calls.Add(1) },
	})
	w.createSecret("default")
	w.MustKubectl(w.users(n), "apply", "-f", "-")
	w.MustKubectl("", "wait", "--for=condition=Ready", "managedusers", "--all", "--timeout="+stacktest.Patience.String())

	if err := w.StartStandby(t.Context(), "--metrics-bind-address="+standbyMetrics, "--metrics-secure=false"); err != nil {
		t.Fatal(err)
	}
	w.Eventually("the standby to know all users", func() bool {
		return w.metric(`workqueue_depth{controller="manageduser"`) == n
	})
	if w.hasMetric("calcom_operator_managed_users") {
		t.Error("the standby counts users, and so does the leader")
	}
	leader := w.leader()
	before, called := len(w.requests()), calls.Load()
	w.KillOperator()
	killed := time.Now()
	w.Eventually("another leader", func() bool { return w.leader() != leader })
	w.Eventually("all users to be looked at", func() bool {
		return w.metric(`controller_runtime_reconcile_total{controller="manageduser"`) >= n &&
			w.metric(`workqueue_depth{controller="manageduser"`) == 0
	})
	t.Logf("the standby had taken over %v after the kill", time.Since(killed).Round(100*time.Millisecond))
	for _, r := range w.requests()[before:] {
		lease := r.Resource == "leases" || r.Resource == "events" && r.Namespace == stack.Namespace // Of the new leader.
		if r.Writes() && !lease || r.Verb == "list" || r.Verb == "watch" {
			t.Errorf("the takeover made the request %s %s", r.Operation, r.URI)
		}
	}
	if now := calls.Load(); now != called {
		t.Errorf("the takeover made %d calls to Cal.com", now-called)
	}
	if got := w.metric(`calcom_operator_managed_users{condition="Ready",reason="Available",status="True"}`); got != n {
		t.Errorf("the new leader counts %v users, want %d", got, n)
	}

	w.MustKubectl(w.users(n+1), "apply", "-f", "-")
	w.MustKubectl("", "wait", "--for=condition=Ready", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
	w.wantUsers(n + 1)
}

// leader is who holds the lease.
func (w *world) leader() string {
	w.Helper()
	return w.MustKubectl("", "get", "lease", "-n", stack.Namespace, "-o", "jsonpath={.items[0].spec.holderIdentity}")
}

// metric returns the sum of the standby's series whose text begins in some way.
func (w *world) metric(prefix string) float64 {
	w.Helper()
	sum := 0.0
	for _, line := range w.series(prefix) {
		value, err := strconv.ParseFloat(line[strings.LastIndex(line, " ")+1:], 64)
		if err != nil {
			w.Fatal(err)
		}
		sum += value
	}
	return sum
}

func (w *world) hasMetric(prefix string) bool { return len(w.series(prefix)) > 0 }

func (w *world) series(prefix string) []string {
	w.Helper()
	request, err := http.NewRequestWithContext(w.Context(), http.MethodGet, "http://"+standbyMetrics+"/metrics", http.NoBody)
	if err != nil {
		w.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	lines := slices.Collect(strings.Lines(string(body)))
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return slices.DeleteFunc(lines, func(line string) bool { return !strings.HasPrefix(line, prefix) })
}

// kubectl apply keeps what it last applied in an annotation. The operator's cache holds no copy of it, and its patches
// must leave it alone: without it, a field that is taken out of a manifest would stay in the object.
func TestLastAppliedStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Config{OperatorArgs: []string{"--leader-elect=false"}})
	w.createSecret("default")
	lastApplied := func() string {
		return w.MustKubectl("", "get", "manageduser", "canary-0", "-o", `jsonpath={.metadata.annotations.kubectl\.kubernetes\.io/last-applied-configuration}`)
	}
	w.MustKubectl(w.users(1), "apply", "-f", "-") // The finalizer and the record of intent are merge patches.
	w.MustKubectl("", "wait", "--for=condition=Ready", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
	if !strings.Contains(lastApplied(), `"bio":"Canary Bio"`) {
		t.Fatalf("the annotation is %q", lastApplied())
	}
	without := regexp.MustCompile(`(?m)^  bio: .*\n`).ReplaceAllString(w.users(1), "")
	w.MustKubectl(without, "apply", "-f", "-")
	if spec := w.MustKubectl("", "get", "manageduser", "canary-0", "-o", "jsonpath={.spec}"); strings.Contains(spec, "bio") {
		t.Errorf("the bio is still in the spec: %s", spec)
	}
	w.MustKubectl("", "delete", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
	w.wantUsers(0)
}
