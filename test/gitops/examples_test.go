// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	kustomizev1 "github.com/fluxcd/kustomize-controller/api/v1"
	sourcev1 "github.com/fluxcd/source-controller/api/v1"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// kustomize builds a folder with the tool that the Makefile uses.
func kustomize(t *testing.T, folder string) []byte {
	t.Helper()
	build := exec.CommandContext(t.Context(), "go", "tool", "-modfile="+absolute(t, "hack", "tools", "go.mod"), "kustomize", "build", folder)
	build.Dir = absolute(t) // The tool belongs to the repository's module.
	var out, problems bytes.Buffer
	build.Stdout, build.Stderr = &out, &problems
	if err := build.Run(); err != nil {
		t.Fatalf("building %s: %v\n%s", folder, err, &problems)
	}
	return out.Bytes()
}

// absolute is the path of something in the repository.
func absolute(t *testing.T, parts ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{root}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t *testing.T, parts ...string) []byte {
	t.Helper()
	content, err := os.ReadFile(absolute(t, parts...))
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// documents splits a file of YAML documents.
func documents(t *testing.T, content []byte) []*unstructured.Unstructured {
	t.Helper()
	var objects []*unstructured.Unstructured
	for text := range strings.SplitSeq(string(content), "\n---\n") {
		object := make(map[string]any)
		if err := yaml.UnmarshalStrict([]byte(text), &object); err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if len(object) > 0 {
			objects = append(objects, &unstructured.Unstructured{Object: object})
		}
	}
	return objects
}

// The component adds its keys to those that Argo CD's ConfigMap has, and they are those of the ready-made patch.
func TestComponentMergesIntoArgoCD(t *testing.T) {
	var merged, patch corev1.ConfigMap
	if err := yaml.UnmarshalStrict(kustomize(t, absolute(t, "test", "gitops", "testdata", "argocd")), &merged); err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalStrict(readFile(t, "config", "argocd", "argocd-cm-patch.yaml"), &patch); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"url": "https://argocd.example.com", "resource.customizations.health.example.com_Other": "return {status = \"Healthy\"}\n"}
	maps.Copy(want, patch.Data)
	if d := cmp.Diff(want, merged.Data); d != "" {
		t.Errorf("argocd-cm (-want +got):\n%s", d)
	}
	if merged.Name != "argocd-cm" || merged.Namespace != "argocd" || merged.Labels["app.kubernetes.io/part-of"] != "argocd" {
		t.Errorf("the ConfigMap is %s/%s with labels %v", merged.Namespace, merged.Name, merged.Labels)
	}
}

// The examples for Flux have fields that Flux knows, and order Secret, client and users, each of which is waited for.
func TestFluxExamples(t *testing.T) {
	depends := make(map[string]string)
	sources := make(map[string]bool)
	for _, name := range []string{"operator.yaml", "tenant.yaml"} {
		for text := range strings.SplitSeq(string(readFile(t, "config", "flux", name)), "\n---\n") {
			if strings.Contains(text, "kind: GitRepository\nmetadata") {
				var source sourcev1.GitRepository
				if err := yaml.UnmarshalStrict([]byte(text), &source); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if source.APIVersion != sourcev1.GroupVersion.String() {
					t.Errorf("GitRepository %s has the version %s", source.Name, source.APIVersion)
				}
				sources[source.Name] = true
				continue
			}
			var k kustomizev1.Kustomization
			if err := yaml.UnmarshalStrict([]byte(text), &k); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			depends[k.Name] = ""
			if len(k.Spec.DependsOn) > 0 {
				depends[k.Name] = k.Spec.DependsOn[0].Name
			}
			checkKustomization(t, &k, sources)
		}
	}
	want := map[string]string{"calcom-operator": "", "team-a-secrets": "calcom-operator", "team-a-clients": "team-a-secrets", "team-a-users": "team-a-clients"}
	if d := cmp.Diff(want, depends); d != "" {
		t.Errorf("order of Kustomizations (-want +got):\n%s", d)
	}
}

func checkKustomization(t *testing.T, k *kustomizev1.Kustomization, sources map[string]bool) {
	t.Helper()
	if k.APIVersion != kustomizev1.GroupVersion.String() || k.Kind != kustomizev1.KustomizationKind {
		t.Errorf("%s is a %s of %s", k.Name, k.Kind, k.APIVersion)
	}
	if !k.Spec.Wait || k.Spec.Timeout == nil || !k.Spec.Prune {
		t.Errorf("%s does not wait, has no timeout or does not prune", k.Name)
	}
	if !sources[k.Spec.SourceRef.Name] {
		t.Errorf("%s has the source %s, which is not there", k.Name, k.Spec.SourceRef.Name)
	}
	switch policy := k.GetDeletionPolicy(); policy {
	case kustomizev1.DeletionPolicyOrphan:
	case kustomizev1.DeletionPolicyMirrorPrune:
		if k.Name == "calcom-operator" || k.Name == "team-a-users" {
			t.Errorf("deleting %s deletes users", k.Name)
		}
	default:
		t.Errorf("%s has the deletionPolicy %s", k.Name, policy)
	}
}

// The sample tenant has its waves in order.
func TestTenantHasWaves(t *testing.T) {
	waves := make(map[string][]string)
	for _, object := range documents(t, kustomize(t, absolute(t, "config", "samples", "tenant"))) {
		wave := object.GetAnnotations()["argocd.argoproj.io/sync-wave"]
		waves[wave] = append(waves[wave], object.GetKind()+"/"+object.GetName())
	}
	want := map[string][]string{"1": {"OAuthClient/acme"}, "2": {"ManagedUser/alice", "ManagedUser/dora"}}
	if d := cmp.Diff(want, waves); d != "" {
		t.Errorf("waves (-want +got):\n%s", d)
	}
}
