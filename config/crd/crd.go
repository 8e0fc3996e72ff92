// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package crd holds the operator's CustomResourceDefinitions, for programs and tests that install them:
//
//	environment := &envtest.Environment{CRDInstallOptions: envtest.CRDInstallOptions{CRDs: crd.Objects()}}
package crd

import (
	"embed"
	"fmt"
	"io/fs"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

// FS holds the manifests as they are shipped, bases/*.yaml, one CustomResourceDefinition each.
//
//go:embed bases/*.yaml
var FS embed.FS

// Objects returns the definitions of all kinds, in the order of their names, read anew by each call: the caller may
// change them.
func Objects() []*apiextensionsv1.CustomResourceDefinition {
	files, err := fs.Glob(FS, "bases/*.yaml")
	if err != nil {
		panic(err) // Only the pattern can be wrong.
	}
	objects := make([]*apiextensionsv1.CustomResourceDefinition, len(files))
	for i, name := range files {
		if objects[i], err = read(name); err != nil {
			panic(fmt.Sprintf("reading the embedded %s: %v", name, err)) // A test reads them all.
		}
	}
	return objects
}

func read(name string) (*apiextensionsv1.CustomResourceDefinition, error) {
	manifest, err := FS.ReadFile(name)
	if err != nil {
		return nil, err
	}
	object := &apiextensionsv1.CustomResourceDefinition{}
	return object, yaml.UnmarshalStrict(manifest, object)
}
