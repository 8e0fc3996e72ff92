// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// root is the repository's, seen from here.
const root = "../.."

// alert is a rule as PrometheusRule has it.
type alert struct {
	Alert         string            `json:"alert"`
	Expr          string            `json:"expr"`
	For           string            `json:"for"`
	KeepFiringFor string            `json:"keep_firing_for,omitempty"`
	Labels        map[string]string `json:"labels"`
	Annotations   map[string]string `json:"annotations"`
}

// spec is that of a PrometheusRule, and all that Prometheus itself reads.
type spec struct {
	Groups []struct {
		Name  string  `json:"name"`
		Rules []alert `json:"rules"`
	} `json:"groups"`
}

// read returns a file of the repository.
func read(t *testing.T, path ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// shippedRules returns the shipped rules, and writes them to a file as Prometheus reads them.
func shippedRules(t *testing.T) (file string, all []alert) {
	t.Helper()
	var resource struct {
		APIVersion string `json:"apiVersion"`
		Kind       string `json:"kind"`
		Spec       spec   `json:"spec"`
	}
	if err := yaml.UnmarshalStrict(withoutMetadata(t, read(t, "config", "monitoring", "prometheusrule.yaml")), &resource); err != nil {
		t.Fatal(err)
	}
	if resource.APIVersion != "monitoring.coreos.com/v1" || resource.Kind != "PrometheusRule" {
		t.Fatalf("the rules are a %s of %s", resource.Kind, resource.APIVersion)
	}
	content, err := yaml.Marshal(resource.Spec)
	if err != nil {
		t.Fatal(err)
	}
	file = filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, group := range resource.Spec.Groups {
		all = append(all, group.Rules...)
	}
	if len(all) < 15 {
		t.Fatalf("only %d alerts were read", len(all))
	}
	return file, all
}

// alertNames returns the names of the shipped alerts.
func alertNames(t *testing.T) []string {
	t.Helper()
	_, all := shippedRules(t)
	names := make([]string, len(all))
	for i, a := range all {
		names[i] = a.Alert
	}
	return names
}

// withoutMetadata drops what Kubernetes checks and these tests do not look at, so that any other field that is not
// known is an error.
func withoutMetadata(t *testing.T, content []byte) []byte {
	t.Helper()
	var resource map[string]any
	if err := yaml.Unmarshal(content, &resource); err != nil {
		t.Fatal(err)
	}
	delete(resource, "metadata")
	content, err := yaml.Marshal(resource)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// promtool runs the tool that is built from go.mod, without service discovery, which takes minutes to compile and is
// not needed.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	find := exec.CommandContext(t.Context(), "go", "tool", "-n", "promtool")
	find.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -tags=remove_all_sd"))
	path, err := find.Output()
	if err != nil {
		t.Fatalf("building promtool: %v", err)
	}
	out, err := exec.CommandContext(t.Context(), strings.TrimSpace(string(path)), args...).CombinedOutput()
	return string(out), err
}
