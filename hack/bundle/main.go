// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command bundle makes the bundle for the Operator Lifecycle Manager from what `kustomize build config/manifests`
// prints, as `operator-sdk generate bundle` would: nothing is said in the bundle that config does not say.
//
//	kustomize build config/manifests | go run ./hack/bundle [-version v1.2.3] [-image name:tag] [-out folder]
package main

import (
	"encoding/base64"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

const (
	packageName = "calcom-operator"
	csvName     = packageName + ".clusterserviceversion.yaml"
	icon        = "config/manifests/bases/icon.svg"
)

// object is a manifest, or a part of one.
type object = map[string]any

// options are the flags.
type options struct{ version, image, out string }

func main() {
	var o options
	flag.StringVar(&o.version, "version", "", "version of the bundle, as v1.2.3; that of the base when empty")
	flag.StringVar(&o.image, "image", "", "image of the operator; ghcr.io/calcom-operator/calcom-operator with the version as tag when empty")
	flag.StringVar(&o.out, "out", "bundle", "folder to write, which is emptied first")
	flag.Parse()
	if err := run(o, os.Stdin); err != nil {
		fmt.Fprintln(os.Stderr, "bundle:", err)
		os.Exit(1)
	}
}

func run(o options, manifests io.Reader) error {
	objects, err := read(manifests)
	if err != nil {
		return fmt.Errorf("reading the manifests: %w", err)
	}
	picture, err := os.ReadFile(icon)
	if err != nil {
		return fmt.Errorf("reading the icon: %w", err)
	}
	csv, rest, err := build(objects, o)
	if err != nil {
		return err
	}
	csv["spec"].(object)["icon"] = []any{object{"base64data": base64.StdEncoding.EncodeToString(picture), "mediatype": "image/svg+xml"}}
	files := map[string]any{filepath.Join("manifests", csvName): csv}
	for _, manifest := range rest {
		files[filepath.Join("manifests", fileName(manifest))] = manifest
	}
	files["metadata/annotations.yaml"] = object{"annotations": annotations}
	files["tests/scorecard/config.yaml"] = scorecard()
	return write(o.out, files)
}

// read returns the objects of a stream of YAML documents.
func read(manifests io.Reader) ([]object, error) {
	decoder := utilyaml.NewYAMLOrJSONDecoder(manifests, 4096)
	var objects []object
	for {
		var manifest object
		err := decoder.Decode(&manifest)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, err
		}
		if len(manifest) > 0 {
			objects = append(objects, manifest)
		}
	}
}

// write replaces the folder.
func write(folder string, files map[string]any) error {
	for _, part := range []string{"manifests", "metadata", "tests", "bundle.Dockerfile"} {
		if err := os.RemoveAll(filepath.Join(folder, part)); err != nil {
			return err
		}
	}
	for name, content := range files {
		text, err := yaml.Marshal(content)
		if err != nil {
			return fmt.Errorf("writing %s: %w", name, err)
		}
		if err := writeFile(filepath.Join(folder, name), text); err != nil {
			return err
		}
	}
	return writeFile(filepath.Join(folder, "bundle.Dockerfile"), []byte(dockerfile()))
}

func writeFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}

// fileName is how operator-sdk names the manifests that are no ClusterServiceVersion.
func fileName(manifest object) string {
	if kindOf(manifest) == "CustomResourceDefinition" {
		group, plural := text(manifest, "spec", "group"), text(manifest, "spec", "names", "plural")
		return group + "_" + plural + ".yaml"
	}
	group, version, found := strings.Cut(text(manifest, "apiVersion"), "/")
	if found {
		version = group + "_" + version
	} else {
		version = group
	}
	return nameOf(manifest) + "_" + version + "_" + strings.ToLower(kindOf(manifest)) + ".yaml"
}
