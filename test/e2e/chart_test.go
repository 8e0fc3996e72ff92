// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// release is helm, at work on the release calcom-operator in the operator's namespace.
type release struct {
	*stack.Helm

	chart string
	// values are given to every command; SANDBOX stands for the sandbox's address.
	values string
}

// install makes the namespace, as people do who want Pod Security, and installs the chart.
func (r *release) install(ctx context.Context, s *stack.Stack) error {
	helm, err := stack.FindHelm(ctx, 4, filepath.Dir(s.Kubeconfig), s.Kubeconfig)
	if err != nil {
		return err
	}
	r.Helm, r.chart, r.values = helm, helm.Chart(), strings.ReplaceAll(r.values, "SANDBOX", s.API)
	if out, err := s.Kubectl(ctx, "", "create", "namespace", stack.Namespace); err != nil {
		return fmt.Errorf("making the namespace: %w\n%s", err, out)
	}
	return r.run(ctx, "install")
}

func (r *release) run(ctx context.Context, command string, args ...string) error {
	args = append([]string{command, "calcom-operator", "--namespace=" + stack.Namespace}, args...)
	if command != "uninstall" {
		args = append(args, r.chart, "--values=-")
	}
	if out, err := r.Run(ctx, r.values, args...); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// The operator does with the rights that the chart gives it, for the whole cluster, for some namespaces and without
// anything in the cluster, all that it does; it is never refused, by the chart's policies neither, and needs every
// right.
func TestRightsOfChart(t *testing.T) {
	const fast = `
allowedAPIURLs: [SANDBOX]
resyncInterval: 1s
rateLimitShare: 1
`
	for name, tc := range map[string]struct {
		values         string
		metrics        bool
		clusterClients bool
	}{
		"Cluster": {`
massDeleteLimit: 10
policies: {apiURLs: {enabled: true, prefixes: [SANDBOX]}}
`, true, true},
		"Namespaces": {`
massDeleteLimit: 10
watchNamespaces: [default]
`, true, false},
		"NamespacesAndClusterClients": {`
watchNamespaces: [default]
clusterOAuthClients: true
`, true, true},
		"NamespacedOnly": {`
watchNamespaces: [default]
ownerID: tests
crds: {install: false}
metrics: {enabled: false}
rbac: {namespacedOnly: true}
policies: {enabled: false}
`, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &release{values: fast + tc.values}
			config := stack.Config{
				AuditLog:    true,
				SandboxArgs: []string{"--latency=200ms", "--rate-limit=0"},
				Install: func(ctx context.Context, s *stack.Stack) error {
					if strings.Contains(tc.values, "crds: {install: false}") {
						if out, err := s.Kubectl(ctx, "", "apply", "--server-side", "-k", filepath.Join("..", "..", "config", "crd")); err != nil {
							return fmt.Errorf("applying the CRDs: %w\n%s", err, out)
						}
					}
					return r.install(ctx, s)
				},
			}
			life := life{clusterClients: tc.clusterClients}
			if tc.metrics {
				life.metrics = freeAddress(t)
				config.OperatorArgs = []string{"--metrics-bind-address=" + life.metrics}
			}
			w := newWorld(t, config)
			stranger := ""
			if strings.Contains(tc.values, "watchNamespaces") {
				stranger = w.stranger()
			}
			w.live(life)
			if !strings.Contains(tc.values, "policies: {enabled: false}") {
				w.policiesHold()
			}
			if strings.Contains(tc.values, "prefixes: [SANDBOX]") {
				w.listHolds()
			}
			if now := w.strangerNow(stranger); now != stranger {
				t.Errorf("the user in a namespace that is not watched is %s, and was %s", now, stranger)
			}
			w.checkRights()
		})
	}
}

// stranger makes a user, and all that it needs, where the operator does not look.
func (w *world) stranger() string {
	w.Helper()
	w.MustKubectl("", "create", "namespace", "elsewhere")
	w.MustKubectl("", "create", "secret", "generic", "calcom", "-n", "elsewhere", "--from-literal=secretKey="+calcomtest.DefaultClient().Secret)
	w.MustKubectl(strings.ReplaceAll(w.users(1), "canary-0", "stranger"), "apply", "-n", "elsewhere", "-f", "-")
	return w.strangerNow("elsewhere")
}

func (w *world) strangerNow(before string) string {
	w.Helper()
	if before == "" {
		return ""
	}
	return w.MustKubectl("", "get", "managedusers,secrets", "-n", "elsewhere", "-o", `jsonpath={range .items[*]}{.kind} {.metadata.resourceVersion} {.metadata.finalizers}{"; "}{end}`)
}

// policiesHold tries what the policies refuse.
func (w *world) policiesHold() {
	w.Helper()
	w.MustKubectl(w.users(1), "apply", "-f", "-")
	w.MustKubectl("", "wait", "--for=condition=Ready", "manageduser/canary-0", "--timeout="+stacktest.Patience.String())
	w.MustKubectl("", "label", "manageduser", "canary-0", "platform.cal.com/deletion-protection=true")
	for _, try := range [][]string{
		{"delete", "manageduser", "canary-0", "--dry-run=server"},
		{"patch", "manageduser", "canary-0", "--type=merge", `--patch={"metadata":{"finalizers":null}}`, "--dry-run=server"},
		{"patch", "secret", "calcom", "--type=merge", `--patch={"metadata":{"finalizers":null}}`, "--dry-run=server"},
	} {
		out, err := w.Kubectl(w.Context(), "", try...)
		if err == nil || !strings.Contains(string(out), "ValidatingAdmissionPolicy 'calcom-operator-") {
			w.Errorf("kubectl %s is not refused by a policy: %v\n%s", strings.Join(try, " "), err, out)
		}
	}
	w.MustKubectl("", "label", "manageduser", "canary-0", "platform.cal.com/deletion-protection-")
	w.MustKubectl("", "delete", "manageduser", "canary-0", "--timeout="+stacktest.Patience.String())
}

// listHolds tries a server that is not on the list.
func (w *world) listHolds() {
	w.Helper()
	elsewhere := strings.ReplaceAll(strings.ReplaceAll(w.users(1), w.API, "https://cal.example.com"), "canary-0", "elsewhere")
	if out, err := w.Kubectl(w.Context(), elsewhere, "create", "-f", "-"); err == nil || !strings.Contains(string(out), "ConfigMap calcom-operator-allowed-api-urls in namespace "+stack.Namespace) {
		w.Errorf("another server is not refused by the policy: %v\n%s", err, out)
	}
}

// An older chart is upgraded, the release is uninstalled and installed anew: CRDs change with the chart, and stay
// without it, and so do objects and their users in Cal.com, who are the same all the time.
func TestChartIsUpgradedAndUninstalled(t *testing.T) {
	t.Parallel()
	r := &release{values: "allowedAPIURLs: [SANDBOX]\nmassDeleteLimit: 10\n"}
	w := newWorld(t, stack.Config{
		SandboxArgs: []string{"--rate-limit=0"},
		Install: func(ctx context.Context, s *stack.Stack) error {
			if err := r.install(ctx, s); err != nil {
				return err
			}
			// The release of another time: with a CRD that lacks a column.
			old := olderChart(t, r.chart)
			r.chart, old = old, r.chart
			defer func() { r.chart = old }()
			return r.run(ctx, "upgrade")
		},
	})
	w.createSecret("default")
	w.MustKubectl(w.users(3), "apply", "-f", "-")
	w.MustKubectl("", "wait", "--for=condition=Ready", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
	if table := w.MustKubectl("", "get", "managedusers"); strings.Contains(table, "USER ID") {
		t.Fatalf("the older chart's CRD has all columns:\n%s", table)
	}
	before := w.identities()

	restart := func(step string, change func() error) {
		t.Helper()
		if err := w.StopOperator(); err != nil {
			t.Error(err)
		}
		if err := change(); err != nil {
			t.Fatalf("%s: %v", step, err)
		}
	}
	// Upgraded, with other values: the CRDs and the operator's flags are new.
	r.values += "resyncInterval: 1s\ncommonLabels: {example.com/stage: upgraded}\n"
	restart("upgrading", func() error { return r.run(t.Context(), "upgrade") })
	w.startOperator()
	if table := w.MustKubectl("", "get", "managedusers"); !strings.Contains(table, "USER ID") {
		t.Errorf("the CRD was not upgraded:\n%s", table)
	}
	if labels := w.MustKubectl("", "get", "crd", "managedusers.platform.cal.com", "-o", "jsonpath={.metadata.labels}"); !strings.Contains(labels, "upgraded") {
		t.Errorf("the CRD has the labels %s", labels)
	}
	w.drift(0)
	w.Eventually("the drift to be corrected within the new interval", func() bool { return w.remote(0).Bio == "Canary Bio" })
	w.wantIdentities(before)

	// CRDs that are not the chart's any more stay.
	if err := r.run(t.Context(), "upgrade", "--set=crds.install=false"); err != nil {
		t.Fatal(err)
	}
	w.wantIdentities(before)

	// Uninstalled, and installed anew: nobody noticed, and deletions work.
	restart("uninstalling", func() error { return r.run(t.Context(), "uninstall") })
	if left := w.MustKubectl("", "get", "all,roles,rolebindings,poddisruptionbudgets", "-n", stack.Namespace, "-o", "name"); strings.TrimSpace(left) != "" {
		t.Errorf("the release left behind:\n%s", left)
	}
	w.wantIdentities(before)
	restart("installing anew", func() error { return r.run(t.Context(), "install") })
	if err := w.Authorize(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.startOperator()
	w.wantIdentities(before)
	w.MustKubectl("", "delete", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
	w.wantUsers(0)
}

// olderChart returns a copy of the chart in which ManagedUsers have no column with the id.
func olderChart(t *testing.T, chart string) string {
	t.Helper()
	older := filepath.Join(t.TempDir(), "calcom-operator")
	if err := os.CopyFS(older, os.DirFS(chart)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(older, "files", "crds", "platform.cal.com_managedusers.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	const column = "    - jsonPath: .status.user.id\n      name: User ID\n      type: integer\n"
	if !strings.Contains(string(text), column) {
		t.Fatalf("the CRD has no such column:\n%s", column)
	}
	if err := os.WriteFile(file, []byte(strings.Replace(string(text), column, "", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	return older
}

// identities are the objects with their UIDs and their users' ids.
func (w *world) identities() map[string]string {
	w.Helper()
	var list struct {
		Items []struct {
			Metadata struct{ Name, UID string }
			Status   struct{ User struct{ ID int64 } }
		}
	}
	if err := json.Unmarshal([]byte(w.MustKubectl("", "get", "managedusers", "-o", "json")), &list); err != nil {
		w.Fatal(err)
	}
	identities := make(map[string]string)
	for _, item := range list.Items {
		identities[item.Metadata.Name] = fmt.Sprintf("%s %d", item.Metadata.UID, item.Status.User.ID)
	}
	return identities
}

func (w *world) wantIdentities(want map[string]string) {
	w.Helper()
	if d := cmp.Diff(want, w.identities()); d != "" {
		w.Errorf("the users (-want +got):\n%s", d)
	}
	w.wantUsers(len(want))
}
