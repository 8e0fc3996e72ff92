// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package chart tests the Helm chart as it is rendered: by both majors of helm, and for a real API server. What the
// operator does with the rights that the chart gives it is tested in test/e2e.
package chart

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/calcom-operator/calcom-operator/test/stack"
)

const (
	namespace   = "calcom-system"
	releaseName = "calcom-operator"
	// kubeVersion is what helm 3 takes the cluster for while it renders; it does not ask.
	kubeVersion = "1.31.0"
)

var (
	root = filepath.Join("..", "..")
	// helm is helm 4, and helm3 the one before it.
	helm, helm3 *stack.Helm
	// admin may do everything.
	admin client.Client
	// kubeconfig is the administrator's, for kubectl.
	kubeconfig string
	// manager is the operator's binary.
	manager string
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		return complain("finding the control plane", fmt.Errorf(`KUBEBUILDER_ASSETS is not set: run "make test", or export KUBEBUILDER_ASSETS=$(hack/controlplane/assets.sh)`))
	}
	ctrl.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "chart")
	if err != nil {
		return complain("making a folder", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	environment := &envtest.Environment{}
	cluster, err := environment.Start()
	if err != nil {
		return complain("starting the control plane", err)
	}
	defer func() {
		if err := environment.Stop(); err != nil {
			code = complain("stopping the control plane", err)
		}
	}()
	kubeconfig, manager = filepath.Join(dir, "kubeconfig"), filepath.Join(dir, "manager")
	if err := os.WriteFile(kubeconfig, environment.KubeConfig, 0o600); err != nil {
		return complain("writing the kubeconfig", err)
	}
	if admin, err = client.New(cluster, client.Options{}); err != nil {
		return complain("making a client", err)
	}
	if err := prepare(context.Background(), dir); err != nil { //nolint:forbidigo // TestMain has no context.
		return complain("preparing", err)
	}
	return m.Run()
}

func complain(what string, err error) int {
	fmt.Fprintf(os.Stderr, "%s: %v\n", what, err)
	return 1
}

// prepare builds the programs and makes the namespaces that the values name; the operator's own enforces Pod Security,
// as docs/install.md says.
func prepare(ctx context.Context, dir string) (err error) {
	build := exec.CommandContext(ctx, "go", "build", "-o", manager, "./cmd")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building the operator: %w\n%s", err, out)
	}
	if helm, err = stack.FindHelm(ctx, 4, dir, kubeconfig); err != nil {
		return err
	}
	if helm3, err = stack.FindHelm(ctx, 3, dir, kubeconfig); err != nil {
		return err
	}
	for _, name := range []string{namespace, "team-a", "team-b", "monitoring"} {
		if out, err := kubectl(ctx, "", "create", "namespace", name); err != nil {
			return fmt.Errorf("making a namespace: %w\n%s", err, out)
		}
	}
	if out, err := kubectl(ctx, "", "label", "namespace", namespace, "pod-security.kubernetes.io/enforce=restricted"); err != nil {
		return fmt.Errorf("labelling the namespace: %w\n%s", err, out)
	}
	return nil
}

func kubectl(ctx context.Context, stdin string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	command.Stdin = strings.NewReader(stdin)
	out, err := command.CombinedOutput()
	return string(out), err
}

// valuesFiles are the values that the chart is tested with, by name.
func valuesFiles(t *testing.T) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "charts", "calcom-operator", "ci", "*-values.yaml"))
	must(t, err)
	if len(paths) < 6 {
		t.Fatalf("there are only %d files of values", len(paths))
	}
	files := make(map[string]string)
	for _, path := range paths {
		files[strings.TrimSuffix(filepath.Base(path), "-values.yaml")] = path
	}
	return files
}

// render renders the chart with values, which are YAML, and further arguments of helm.
func render(t *testing.T, by *stack.Helm, values string) []*unstructured.Unstructured {
	t.Helper()
	out, err := template(t, by, values)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return parse(t, out)
}

func template(t *testing.T, by *stack.Helm, values string) ([]byte, error) {
	t.Helper()
	all := []string{"template", releaseName, by.Chart(), "--namespace=" + namespace, "--kube-version=" + kubeVersion, "--values=-"}
	return by.Run(t.Context(), values, all...)
}

// parse reads a stream of objects strictly: a key that is there twice is an error.
func parse(t *testing.T, text []byte) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var content map[string]any
		if err := yaml.UnmarshalStrict(document, &content); err != nil {
			t.Fatalf("%v\n%s", err, document)
		}
		if len(content) > 0 {
			objects = append(objects, &unstructured.Unstructured{Object: content})
		}
	}
	return objects
}

// find returns the one object of a kind, with a name if one is given.
func find(t *testing.T, objects []*unstructured.Unstructured, kind, name string) *unstructured.Unstructured {
	t.Helper()
	var found []*unstructured.Unstructured
	for _, object := range objects {
		if object.GetKind() == kind && (name == "" || object.GetName() == name) {
			found = append(found, object)
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d objects %s %s, want one", len(found), kind, name)
	}
	return found[0]
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
