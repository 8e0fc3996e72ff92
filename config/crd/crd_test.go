// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package crd

import (
	"bytes"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

// What is embedded is what kubectl apply -k installs, no kind more and none less.
func TestObjects(t *testing.T) {
	manifest, err := os.ReadFile("kustomization.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var kustomization struct{ Resources []string }
	if err := yaml.Unmarshal(manifest, &kustomization); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, object := range Objects() {
		file := "bases/" + object.Spec.Group + "_" + object.Spec.Names.Plural + ".yaml"
		names = append(names, file)
		if object.Kind != "CustomResourceDefinition" || object.Name != object.Spec.Names.Plural+"."+object.Spec.Group || len(object.Spec.Versions) == 0 {
			t.Errorf("%s is %s %q with %d versions", file, object.Kind, object.Name, len(object.Spec.Versions))
		}
		shipped, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if embedded, err := FS.ReadFile(file); err != nil || !bytes.Equal(embedded, shipped) {
			t.Errorf("%s is not the file as it is shipped: %v", file, err)
		}
	}
	if d := cmp.Diff(kustomization.Resources, names); d != "" {
		t.Errorf("kinds (-kustomization +embedded):\n%s", d)
	}
}

func TestObjectsAreTheCallersOwn(t *testing.T) {
	Objects()[0].Name = "changed"
	if name := Objects()[0].Name; name == "changed" {
		t.Error("a caller's change is seen by the next one")
	}
}
