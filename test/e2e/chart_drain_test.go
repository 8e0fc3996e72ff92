// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	"sigs.k8s.io/yaml"

	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// The hook before an uninstall releases everybody and deletes nobody, with no more rights than the chart gives it.
// There is no kubelet here, so that its containers are run by hand.
func TestChartDrainsBeforeUninstall(t *testing.T) {
	for name, values := range map[string]string{
		"Cluster":    "drainOnUninstall: {enabled: true, oauthClients: true}\n",
		"Namespaces": "drainOnUninstall: {enabled: true}\nwatchNamespaces: [default]\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &release{values: "allowedAPIURLs: [SANDBOX]\nmassDeleteLimit: 1\n" + values}
			w := newWorld(t, stack.Config{
				SandboxArgs: []string{"--rate-limit=0"},
				Install:     func(ctx context.Context, s *stack.Stack) error { return r.install(ctx, s) },
			})
			w.createSecret("default")
			w.MustKubectl(w.users(5), "apply", "-f", "-")
			w.MustKubectl("", "wait", "--for=condition=Ready", "managedusers", "--all", "--timeout="+stacktest.Patience.String())

			job := w.hooks(r)
			kubeconfig := w.kubeconfigOf(job.Spec.Template.Spec.ServiceAccountName)
			for i := range job.Spec.Template.Spec.Containers {
				container := &job.Spec.Template.Spec.Containers[i]
				drain := exec.CommandContext(t.Context(), filepath.Join(filepath.Dir(stacktest.Plugin(t)), filepath.Base(container.Command[0])), append(container.Args, "--kubeconfig="+kubeconfig)...)
				out, err := drain.CombinedOutput()
				if err != nil {
					t.Fatalf("draining: %v\n%s", err, out)
				}
				if !strings.Contains(string(out), "kind: ManagedUser") || !strings.Contains(string(out), "Released 5 of 5") || strings.Contains(string(out), "orbidden") {
					t.Errorf("the hook prints\n%s", out)
				}
			}
			if left := w.MustKubectl("", "get", "managedusers", "-o", "name"); left != "" {
				t.Errorf("objects are left:\n%s", left)
			}
			w.wantUsers(5)
		})
	}
}

// hooks applies the objects of the release's hooks, but the Job, and returns that.
func (w *world) hooks(r *release) batchv1.Job {
	w.Helper()
	text, err := r.Run(w.Context(), "", "get", "hooks", "calcom-operator", "--namespace="+stack.Namespace)
	if err != nil {
		w.Fatalf("%v\n%s", err, text)
	}
	var job batchv1.Job
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		if strings.Contains(document, "\nkind: Job\n") {
			if err := yaml.UnmarshalStrict([]byte(document), &job); err != nil {
				w.Fatal(err)
			}
			w.MustKubectl(document, "apply", "--dry-run=server", "-f", "-")
		} else {
			w.MustKubectl(document, "apply", "-f", "-")
		}
	}
	if len(job.Spec.Template.Spec.Containers) == 0 {
		w.Fatalf("the release has no Job:\n%s", text)
	}
	return job
}

// kubeconfigOf makes a kubeconfig for a ServiceAccount of the operator's namespace.
func (w *world) kubeconfigOf(account string) string {
	w.Helper()
	admin, err := os.ReadFile(w.Kubeconfig)
	if err != nil {
		w.Fatal(err)
	}
	path := filepath.Join(w.TempDir(), account)
	if err := os.WriteFile(path, admin, 0o600); err != nil {
		w.Fatal(err)
	}
	token := strings.TrimSpace(w.MustKubectl("", "create", "token", account, "-n", stack.Namespace))
	w.MustKubectl("", "config", "set-credentials", "account", "--token="+token, "--kubeconfig="+path)
	w.MustKubectl("", "config", "set-context", "--current", "--user=account", "--namespace="+stack.Namespace, "--kubeconfig="+path)
	return path
}
