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

	synccommon "github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/argoproj/gitops-engine/pkg/sync/resource"
	helmv2 "github.com/fluxcd/helm-controller/api/v2"
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
	sources, namespaces := make(map[string]bool), make(map[string]bool)
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
			if strings.Contains(text, "kind: Namespace\nmetadata") {
				var namespace corev1.Namespace
				if err := yaml.UnmarshalStrict([]byte(text), &namespace); err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				namespaces[namespace.Name] = true
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
			if target := k.Spec.TargetNamespace; target != "" && !namespaces[target] {
				t.Errorf("%s applies into namespace %s, which nothing creates", k.Name, target)
			}
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
	if policy := k.GetDeletionPolicy(); policy != kustomizev1.DeletionPolicyOrphan {
		t.Errorf("%s has the deletionPolicy %s: deleting it deletes users, or what they need", k.Name, policy)
	}
	if len(k.Spec.DependsOn) > 0 && k.Spec.RetryInterval == nil {
		t.Errorf("%s is tried again after %v only", k.Name, k.Spec.Interval.Duration)
	}
}

// The HelmRelease has fields that Flux knows, a source, and values that the chart takes.
func TestFluxHelmRelease(t *testing.T) {
	var release helmv2.HelmRelease
	var source sourcev1.GitRepository
	for text := range strings.SplitSeq(string(readFile(t, "config", "flux", "helmrelease.yaml")), "\n---\n") {
		var into any
		switch {
		case strings.Contains(text, "kind: HelmRelease"):
			into = &release
		case strings.Contains(text, "kind: GitRepository\nmetadata"):
			into = &source
		default:
			into = &corev1.Namespace{}
		}
		if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	if release.APIVersion != helmv2.GroupVersion.String() {
		t.Errorf("the HelmRelease has the version %s", release.APIVersion)
	}
	chart := release.Spec.Chart.Spec
	if chart.SourceRef.Kind != sourcev1.GitRepositoryKind || chart.SourceRef.Name != source.Name {
		t.Errorf("the chart comes from %v, and the source is %s", chart.SourceRef, source.Name)
	}
	checkChart(t, chart.Chart, release.GetValues())
}

// checkChart looks up values in those of a chart of this repository. What the chart makes of them is tested in
// test/chart.
func checkChart(t *testing.T, folder string, values map[string]any) {
	t.Helper()
	var known map[string]any
	if err := yaml.UnmarshalStrict(readFile(t, folder, "values.yaml"), &known); err != nil {
		t.Fatal(err)
	}
	if len(values) == 0 {
		t.Error("there are no values")
	}
	for name, value := range values {
		of, ok := known[name]
		if !ok {
			t.Errorf("the chart has no value %s", name)
		}
		below, _ := value.(map[string]any)
		for name := range below {
			if _, ok := of.(map[string]any)[name]; !ok {
				t.Errorf("the chart has no such value: %s", name)
			}
		}
	}
}

// A CRD that went would take all objects along, and with them the users. Neither tool takes one away by itself, which
// for Argo CD is more than Helm's annotation says.
func TestCRDsStay(t *testing.T) {
	crds := 0
	for _, object := range documents(t, kustomize(t, absolute(t, "config", "default"))) {
		if object.GetKind() != "CustomResourceDefinition" {
			continue
		}
		crds++
		for _, option := range []string{synccommon.SyncOptionDisablePrune, synccommon.SyncOptionDisableDeletion} {
			if !resource.HasAnnotationOption(object, synccommon.AnnotationSyncOptions, option) {
				t.Errorf("%s: Argo CD is not told %s", object.GetName(), option)
			}
		}
		if prune := object.GetAnnotations()[kustomizev1.GroupVersion.Group+"/prune"]; prune != kustomizev1.DisabledValue {
			t.Errorf("%s: Flux is told prune: %s", object.GetName(), prune)
		}
	}
	if crds != 3 {
		t.Errorf("there are %d CRDs", crds)
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
