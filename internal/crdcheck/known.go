// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package crdcheck

import (
	"fmt"
	"io/fs"

	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/config/crd"
)

// definition is the part of a CustomResourceDefinition that is compared.
type definition struct {
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Names struct {
			Kind string `json:"kind"`
		} `json:"names"`
		Versions []struct {
			Name   string `json:"name"`
			Schema struct {
				OpenAPIV3Schema schema `json:"openAPIV3Schema"`
			} `json:"schema"`
		} `json:"versions"`
	} `json:"spec"`
}

// knownKind is a kind as this build was made for.
type knownKind struct {
	crd    string // The name of its CustomResourceDefinition.
	schema schema
}

// known returns the kinds of the embedded CRDs, which are generated from the Go types, by name.
func known() (map[string]knownKind, error) {
	files, err := fs.Glob(crd.FS, "bases/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("listing the embedded CRDs: %w", err)
	}
	kinds := make(map[string]knownKind, len(files))
	for _, file := range files {
		manifest, err := crd.FS.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the embedded CRD: %w", err)
		}
		var d definition
		if err := yaml.Unmarshal(manifest, &d); err != nil {
			return nil, fmt.Errorf("decoding the embedded %s: %w", file, err)
		}
		for _, version := range d.Spec.Versions {
			if version.Name == v1alpha1.GroupVersion.Version {
				kinds[d.Spec.Names.Kind] = knownKind{crd: d.Metadata.Name, schema: version.Schema.OpenAPIV3Schema}
			}
		}
	}
	return kinds, nil
}
