// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bundle

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/operator-framework/api/pkg/manifests"
	operatorsv1alpha1 "github.com/operator-framework/api/pkg/operators/v1alpha1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// A rule is a test of operator-sdk's scorecard, by what its documentation says that it looks at. It returns what is
// wrong. The scorecard itself runs in a cluster, as pods, which is more than a test of files takes.
type rule func(*manifests.Bundle) []string

// rules are the tests of the suites basic and olm; that of the bundle's validity is TestValid.
var rules = map[string]rule{
	"basic-check-spec":         specBlocks,
	"olm-crds-have-validation": crdsHaveValidation,
	"olm-crds-have-resources":  crdsHaveResources,
	"olm-spec-descriptors":     specDescriptors,
	"olm-status-descriptors":   statusDescriptors,
}

// example is an object of the annotation alm-examples.
type example struct {
	APIVersion, Kind string
	Spec, Status     map[string]any
}

func examples(b *manifests.Bundle) ([]example, []string) {
	var all []example
	if err := json.Unmarshal([]byte(b.CSV.Annotations["alm-examples"]), &all); err != nil {
		return nil, []string{"alm-examples: " + err.Error()}
	}
	var wrong []string
	for _, kind := range b.CSV.Spec.CustomResourceDefinitions.Owned {
		if !slices.ContainsFunc(all, func(e example) bool { return e.Kind == kind.Kind }) {
			wrong = append(wrong, "no example of "+kind.Kind)
		}
	}
	return all, wrong
}

// specBlocks: every example has a spec.
func specBlocks(b *manifests.Bundle) []string {
	all, wrong := examples(b)
	for _, e := range all {
		if len(e.Spec) == 0 {
			wrong = append(wrong, "an example of "+e.Kind+" has no spec")
		}
	}
	return wrong
}

// schemaOf returns the properties of spec or status of a kind.
func schemaOf(b *manifests.Bundle, kind, version, part string) map[string]apiextensionsv1.JSONSchemaProps {
	for _, crd := range b.V1CRDs {
		for _, v := range crd.Spec.Versions {
			if crd.Spec.Names.Kind == kind && v.Name == version && v.Schema != nil && v.Schema.OpenAPIV3Schema != nil {
				return v.Schema.OpenAPIV3Schema.Properties[part].Properties
			}
		}
	}
	return nil
}

// crdsHaveValidation: each field that an example sets is in the schema of its CRD, and each version has one.
func crdsHaveValidation(b *manifests.Bundle) []string {
	all, wrong := examples(b)
	for _, e := range all {
		version := e.APIVersion[strings.LastIndex(e.APIVersion, "/")+1:]
		for part, fields := range map[string]map[string]any{"spec": e.Spec, "status": e.Status} {
			properties := schemaOf(b, e.Kind, version, part)
			for field := range fields {
				if _, ok := properties[field]; !ok {
					wrong = append(wrong, fmt.Sprintf("%s.%s of %s has no schema", part, field, e.Kind))
				}
			}
		}
	}
	for _, kind := range b.CSV.Spec.CustomResourceDefinitions.Owned {
		if len(schemaOf(b, kind.Kind, kind.Version, "spec")) == 0 {
			wrong = append(wrong, kind.Kind+" has no schema of its spec")
		}
	}
	return wrong
}

// crdsHaveResources: each owned kind says which objects it has to do with.
func crdsHaveResources(b *manifests.Bundle) (wrong []string) {
	for _, kind := range b.CSV.Spec.CustomResourceDefinitions.Owned {
		if len(kind.Resources) == 0 {
			wrong = append(wrong, kind.Kind+" lists no resources")
		}
	}
	return wrong
}

// specDescriptors and statusDescriptors: each field has a descriptor. The scorecard asks for those of the fields that
// examples set; here it is every field of the CRD, and each descriptor has a name, a text and a field.
func specDescriptors(b *manifests.Bundle) []string {
	return descriptors(b, "spec", func(kind operatorsv1alpha1.CRDDescription) map[string]string {
		described := make(map[string]string)
		for _, d := range kind.SpecDescriptors {
			described[d.Path] = d.DisplayName + d.Description
		}
		return described
	})
}

func statusDescriptors(b *manifests.Bundle) []string {
	return descriptors(b, "status", func(kind operatorsv1alpha1.CRDDescription) map[string]string {
		described := make(map[string]string)
		for _, d := range kind.StatusDescriptors {
			described[d.Path] = d.DisplayName + d.Description
		}
		return described
	})
}

func descriptors(b *manifests.Bundle, part string, of func(operatorsv1alpha1.CRDDescription) map[string]string) (wrong []string) {
	for _, kind := range b.CSV.Spec.CustomResourceDefinitions.Owned {
		described, properties := of(kind), schemaOf(b, kind.Kind, kind.Version, part)
		for _, field := range slices.Sorted(maps.Keys(properties)) {
			if described[field] == "" {
				wrong = append(wrong, fmt.Sprintf("%s.%s of %s is not described", part, field, kind.Kind))
			}
		}
		for path := range described {
			if !exists(properties, strings.Split(path, ".")) {
				wrong = append(wrong, fmt.Sprintf("%s.%s of %s does not exist", part, path, kind.Kind))
			}
		}
	}
	return wrong
}

func exists(properties map[string]apiextensionsv1.JSONSchemaProps, path []string) bool {
	property, ok := properties[path[0]]
	return ok && (len(path) == 1 || exists(property.Properties, path[1:]))
}

func TestScorecard(t *testing.T) {
	for name, rule := range rules {
		for _, wrong := range rule(read(t)) {
			t.Errorf("%s: %s", name, wrong)
		}
	}
}

// The bundle's configuration of the scorecard names these rules, and no others.
func TestScorecardConfiguration(t *testing.T) {
	configuration := manifestsIn(t, "bundle", "tests", "scorecard", "config.yaml")[0]
	for name := range rules {
		if !strings.Contains(configuration, "- "+name+"\n") {
			t.Errorf("%s is not run", name)
		}
	}
	if n := strings.Count(configuration, "- scorecard-test\n"); n != len(rules)+1 {
		t.Errorf("%d tests are run, want %d and olm-bundle-validation", n, len(rules))
	}
}

// Each rule finds what it is there for.
func TestScorecardFinds(t *testing.T) {
	managedUser := func(b *manifests.Bundle) *operatorsv1alpha1.CRDDescription {
		owned := b.CSV.Spec.CustomResourceDefinitions.Owned
		return &owned[slices.IndexFunc(owned, func(kind operatorsv1alpha1.CRDDescription) bool { return kind.Kind == "ManagedUser" })]
	}
	replace := func(old, replacement string) func(*testing.T, *manifests.Bundle) {
		return func(t *testing.T, b *manifests.Bundle) {
			t.Helper()
			text := b.CSV.Annotations["alm-examples"]
			if !strings.Contains(text, old) {
				t.Fatalf("the examples do not have %q", old)
			}
			b.CSV.Annotations["alm-examples"] = strings.ReplaceAll(text, old, replacement)
		}
	}
	for name, tc := range map[string]struct {
		rule  string
		spoil func(*testing.T, *manifests.Bundle)
		words string
	}{
		"example without spec":    {"basic-check-spec", replace(`"spec":`, `"sepc":`), "has no spec"},
		"kind without an example": {"basic-check-spec", replace(`"kind": "OAuthClient"`, `"kind": "ManagedUser"`), "no example of OAuthClient"},
		"unknown field":           {"olm-crds-have-validation", replace(`"timeZone":`, `"zone":`), "spec.zone of ManagedUser"},
		"version without a schema": {"olm-crds-have-validation", func(_ *testing.T, b *manifests.Bundle) {
			b.V1CRDs[0].Spec.Versions[0].Schema = nil
		}, "has no schema of its spec"},
		"kind without resources": {"olm-crds-have-resources", func(_ *testing.T, b *manifests.Bundle) {
			managedUser(b).Resources = nil
		}, "ManagedUser lists no resources"},
		"field of the spec without a descriptor": {"olm-spec-descriptors", func(_ *testing.T, b *manifests.Bundle) {
			managedUser(b).SpecDescriptors = managedUser(b).SpecDescriptors[1:]
		}, "is not described"},
		"descriptor of no field": {"olm-spec-descriptors", func(_ *testing.T, b *manifests.Bundle) {
			user := managedUser(b)
			user.SpecDescriptors = append(user.SpecDescriptors, operatorsv1alpha1.SpecDescriptor{Path: "oauthClient.nothing", DisplayName: "?"})
		}, "spec.oauthClient.nothing of ManagedUser does not exist"},
		"field of the status without a descriptor": {"olm-status-descriptors", func(_ *testing.T, b *manifests.Bundle) {
			managedUser(b).StatusDescriptors = nil
		}, "status.conditions of ManagedUser is not described"},
	} {
		t.Run(name, func(t *testing.T) {
			bundle := read(t)
			tc.spoil(t, bundle)
			wrong := rules[tc.rule](bundle)
			if !slices.ContainsFunc(wrong, func(s string) bool { return strings.Contains(s, tc.words) }) {
				t.Errorf("%s finds %q, and nothing with %q", tc.rule, wrong, tc.words)
			}
		})
	}
}
