// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command chart copies into the Helm chart what config says already, so that no rule is written twice: CRDs, RBAC
// rules, policies, alerts and the dashboard. And it makes the table of values and the descriptions of the schema from
// the comments in values.yaml.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

const (
	config = "config"
	chart  = "charts/calcom-operator"
	files  = chart + "/files"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

// run generates everything, in the root of the repository.
func run() error {
	made := make(map[string][]byte)
	for _, add := range []func(map[string][]byte) error{addCRDs, addRoles, addPolicies, addMonitoring} {
		if err := add(made); err != nil {
			return err
		}
	}
	if err := os.RemoveAll(files); err != nil {
		return err
	}
	for name, text := range made {
		path := filepath.Join(files, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	return document()
}

func addCRDs(made map[string][]byte) error {
	return copyAll(made, "crds", filepath.Join(config, "crd", "bases", "*.yaml"))
}

// addMonitoring copies what there is; the chart says so when somebody asks for what there is not.
func addMonitoring(made map[string][]byte) error {
	return errors.Join(
		copyAll(made, "monitoring", filepath.Join(config, "monitoring", "prometheusrule.yaml")),
		copyAll(made, "monitoring", filepath.Join(config, "monitoring", "dashboard.json")))
}

func copyAll(made map[string][]byte, folder, pattern string) error {
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	for _, path := range paths {
		if made[filepath.Join(folder, filepath.Base(path))], err = os.ReadFile(path); err != nil {
			return err
		}
	}
	return nil
}

// object is what is of interest in any manifest.
type object struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Rules    []rule
	Spec     struct {
		Group, Scope string
		Names        struct{ Plural string }
	}
	Data map[string]string
}

// rule is an RBAC rule, its fields in the order in which people write them.
type rule struct {
	APIGroups       []string `json:"apiGroups,omitempty"`
	Resources       []string `json:"resources,omitempty"`
	NonResourceURLs []string `json:"nonResourceURLs,omitempty"`
	ResourceNames   []string `json:"resourceNames,omitempty"`
	Verbs           []string `json:"verbs"`
}

// read returns the objects of the files that a pattern matches.
func read(elements ...string) ([]object, error) {
	pattern := filepath.Join(elements...)
	paths, err := filepath.Glob(pattern)
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("finding %s: there is no such file", pattern)
	}
	var objects []object
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var o object
			if err := yaml.Unmarshal(document, &o); err != nil {
				return nil, fmt.Errorf("reading %s: %w", path, err)
			}
			objects = append(objects, o)
		}
	}
	return objects, nil
}

// addRoles writes the rules of each role into a file, those of the operator itself into three: what it needs in every
// namespace that it watches, what it needs for ClusterOAuthClients, and what about namespaces.
func addRoles(made map[string][]byte) error {
	roles, err := read(config, "rbac", "*.yaml")
	if err != nil {
		return err
	}
	clusterScoped, err := clusterScoped()
	if err != nil {
		return err
	}
	for _, role := range roles {
		if len(role.Rules) == 0 {
			continue
		}
		parts := map[string][]rule{strings.TrimPrefix(role.Metadata.Name, "calcom-operator-"): role.Rules}
		if role.Metadata.Name == "calcom-operator-manager" {
			parts = split(role.Rules, clusterScoped)
		}
		for name, rules := range parts {
			text, err := yaml.Marshal(rules)
			if err != nil {
				return err
			}
			made[filepath.Join("rbac", strings.ReplaceAll(name, "-", "_")+".yaml")] = text
		}
	}
	return nil
}

// clusterScoped returns a function that reports whether a resource is in no namespace.
func clusterScoped() (func(string) bool, error) {
	crds, err := read(config, "crd", "bases", "*.yaml")
	if err != nil {
		return nil, err
	}
	return func(resource string) bool {
		plural, _, _ := strings.Cut(resource, "/")
		return plural == "namespaces" || slices.ContainsFunc(crds, func(crd object) bool {
			return crd.Spec.Names.Plural == plural && crd.Spec.Scope == "Cluster"
		})
	}, nil
}

// split sorts the rules by where they are needed.
func split(rules []rule, clusterScoped func(string) bool) map[string][]rule {
	parts := make(map[string][]rule)
	for _, r := range rules {
		byPart := make(map[string][]string)
		for _, resource := range r.Resources {
			part := "manager"
			switch {
			case resource == "namespaces":
				part = "namespaces"
			case clusterScoped(resource):
				part = "cluster_oauth_clients"
			}
			byPart[part] = append(byPart[part], resource)
		}
		for part, resources := range byPart {
			r.Resources = resources
			parts[part] = append(parts[part], r)
		}
	}
	return parts
}
