// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/operator-framework/api/pkg/manifests"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/operator-framework/api/pkg/validation"
	"github.com/operator-framework/api/pkg/validation/errors"
	validator "github.com/operator-framework/api/pkg/validation/interfaces"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

var root = filepath.Join("..", "..")

// read returns the bundle as it is shipped.
func read(t *testing.T) *manifests.Bundle {
	t.Helper()
	bundle, err := manifests.GetBundleFromDir(filepath.Join(root, "bundle"))
	if err != nil {
		t.Fatal(err)
	}
	return bundle
}

// findings returns what the validators of `operator-sdk bundle validate --select-optional suite=operatorframework`
// find, errors and warnings. The one for architectures is left out, since it pulls the image.
func findings(bundle *manifests.Bundle) []string {
	all := validator.Validators{
		validation.BundleValidator, validation.ClusterServiceVersionValidator, validation.CustomResourceDefinitionValidator,
		validation.OperatorHubV2Validator, validation.StandardCapabilitiesValidator, validation.StandardCategoriesValidator,
		validation.GoodPracticesValidator, validation.AlphaDeprecatedAPIsValidator, validation.ObjectValidator,
	}
	objects := []any{bundle, bundle.CSV}
	for _, crd := range bundle.V1CRDs {
		objects = append(objects, crd)
	}
	for _, object := range bundle.Objects {
		objects = append(objects, object)
	}
	var found []string
	for _, v := range all {
		for _, result := range v.Validate(objects...) {
			for _, finding := range slices.Concat(result.Errors, result.Warnings) {
				if text := describe(finding); !slices.Contains(found, text) {
					found = append(found, text)
				}
			}
		}
	}
	return found
}

func describe(finding errors.Error) string { return string(finding.Level) + ": " + finding.Detail }

func TestValid(t *testing.T) {
	for _, finding := range findings(read(t)) {
		t.Error(finding)
	}
}

// The validators are the ones that operator-sdk runs, and they look.
func TestInvalid(t *testing.T) {
	for name, spoil := range map[string]struct {
		change func(*manifests.Bundle)
		words  string
	}{
		"a kind without its CRD": {func(b *manifests.Bundle) { b.V1CRDs = b.V1CRDs[1:] }, "CRD"},
		"no install mode":        {func(b *manifests.Bundle) { b.CSV.Spec.InstallModes = nil }, "install modes"},
		"a capability that is none": {func(b *manifests.Bundle) {
			b.CSV.Annotations["capabilities"] = "Everything"
		}, "capabilities"},
		"a broken example": {func(b *manifests.Bundle) { b.CSV.Annotations["alm-examples"] = "[{" }, "invalid example"},
	} {
		t.Run(name, func(t *testing.T) {
			bundle := read(t)
			spoil.change(bundle)
			if found := findings(bundle); !slices.ContainsFunc(found, func(s string) bool { return strings.Contains(s, spoil.words) }) {
				t.Errorf("nothing is said of %q; found: %v", spoil.words, found)
			}
		})
	}
}

// manifestsIn returns the documents of the YAML files that a pattern matches.
func manifestsIn(t *testing.T, pattern ...string) (documents []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(append([]string{root}, pattern...)...))
	if err != nil || len(names) == 0 {
		t.Fatalf("%v match %v: %v", names, pattern, err)
	}
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		documents = append(documents, strings.Split("\n"+string(text), "\n---\n")...)
	}
	return documents
}

// The operator gets the rights of config/rbac, no more and no less: those of the roles that are bound to its
// ServiceAccount.
func TestRights(t *testing.T) {
	roles := make(map[string][]rbacv1.PolicyRule)
	var bound []string
	for _, document := range manifestsIn(t, "config", "rbac", "*.yaml") {
		var manifest struct {
			Kind     string
			Metadata struct{ Name string }
			Rules    []rbacv1.PolicyRule
			RoleRef  rbacv1.RoleRef
			Subjects []rbacv1.Subject
		}
		if err := yaml.Unmarshal([]byte(document), &manifest); err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(manifest.Kind, "Binding") {
			for _, subject := range manifest.Subjects {
				if subject.Name != "calcom-operator" {
					t.Errorf("%s binds %s", manifest.Metadata.Name, subject.Name)
				}
			}
			bound = append(bound, manifest.RoleRef.Kind+"/"+manifest.RoleRef.Name)
		} else {
			roles[manifest.Kind+"/"+manifest.Metadata.Name] = manifest.Rules
		}
	}
	want := make(map[string][]rbacv1.PolicyRule)
	for _, name := range bound {
		kind, _, _ := strings.Cut(name, "/")
		want[kind] = append(want[kind], roles[name]...)
	}
	strategy := read(t).CSV.Spec.InstallStrategy.StrategySpec
	got := map[string][]rbacv1.PolicyRule{"ClusterRole": rulesOf(t, strategy.ClusterPermissions), "Role": rulesOf(t, strategy.Permissions)}
	byText := cmpopts.SortSlices(func(a, b rbacv1.PolicyRule) bool { return a.String() < b.String() })
	if d := cmp.Diff(want, got, byText); d != "" {
		t.Errorf("rights (-config +bundle):\n%s", d)
	}
}

func rulesOf(t *testing.T, permissions []operatorsv1alpha1.StrategyDeploymentPermissions) []rbacv1.PolicyRule {
	t.Helper()
	if len(permissions) != 1 || permissions[0].ServiceAccountName != "calcom-operator" {
		t.Fatalf("rights are given to %v", permissions)
	}
	return permissions[0].Rules
}

// The Deployment is that of config/manager, but for the image's tag, which is the version.
func TestDeployment(t *testing.T) {
	csv := read(t).CSV
	var want appsv1.Deployment
	if err := yaml.Unmarshal([]byte(manifestsIn(t, "config", "manager", "deployment.yaml")[0]), &want); err != nil {
		t.Fatal(err)
	}
	image := want.Spec.Template.Spec.Containers[0].Image + ":v" + csv.Spec.Version.String()
	want.Spec.Template.Spec.Containers[0].Image = image
	deployments := csv.Spec.InstallStrategy.StrategySpec.DeploymentSpecs
	if len(deployments) != 1 || deployments[0].Name != want.Name {
		t.Fatalf("the deployments are %v", deployments)
	}
	if d := cmp.Diff(want.Spec, deployments[0].Spec); d != "" {
		t.Errorf("(-config +bundle):\n%s", d)
	}
	related := []operatorsv1alpha1.RelatedImage{{Name: "manager", Image: image}}
	if d := cmp.Diff(related, csv.Spec.RelatedImages); d != "" || csv.Annotations["containerImage"] != image {
		t.Errorf("images are %v and %s, want %s", csv.Spec.RelatedImages, csv.Annotations["containerImage"], image)
	}
	if deployments[0].Spec.Template.Spec.ServiceAccountName != "calcom-operator" {
		t.Error("the Deployment runs under another ServiceAccount than the one with the rights")
	}
}

// The CRDs are those that kubectl installs.
func TestCRDs(t *testing.T) {
	shipped, err := filepath.Glob(filepath.Join(root, "config", "crd", "bases", "*.yaml"))
	if err != nil || len(shipped) != len(read(t).V1CRDs) {
		t.Fatalf("there are the CRDs %v: %v", shipped, err)
	}
	for _, path := range shipped {
		var want, got map[string]any
		for path, into := range map[string]*map[string]any{path: &want, filepath.Join(root, "bundle", "manifests", filepath.Base(path)): &got} {
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := yaml.Unmarshal(text, into); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(want["spec"], got["spec"]); d != "" {
			t.Errorf("%s (-config +bundle):\n%s", filepath.Base(path), d)
		}
	}
}

// Nothing but what the lifecycle manager makes itself is missing.
func TestOtherObjects(t *testing.T) {
	var names []string
	for _, object := range read(t).Objects {
		if object.GetNamespace() != "" {
			t.Errorf("%s has a namespace, which only the lifecycle manager knows", object.GetName())
		}
		if kind := object.GetKind(); kind == "ClusterRole" || kind == "Service" {
			names = append(names, kind+"/"+object.GetName())
		}
	}
	slices.Sort(names)
	want := []string{
		"ClusterRole/calcom-operator-managedusers-edit", "ClusterRole/calcom-operator-managedusers-view",
		"ClusterRole/calcom-operator-metrics-reader", "Service/calcom-operator-metrics",
	}
	if d := cmp.Diff(want, names); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	var service corev1.Service
	if err := yaml.Unmarshal([]byte(manifestsIn(t, "bundle", "manifests", "*_service.yaml")[0]), &service); err != nil {
		t.Fatal(err)
	}
	labels := read(t).CSV.Spec.InstallStrategy.StrategySpec.DeploymentSpecs[0].Spec.Template.Labels
	for key, value := range service.Spec.Selector {
		if labels[key] != value {
			t.Errorf("the Service selects %s=%s, the pods have %v", key, value, labels)
		}
	}
}
