// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// image is how config/manager names the operator's image.
const image = "ghcr.io/calcom-operator/calcom-operator"

// managedBy is the label by which config/default says that kustomize installs.
const managedBy = "app.kubernetes.io/managed-by"

// parts are the manifests by what becomes of them.
type parts struct {
	csv         object
	deployments []object
	bindings    []object
	roles       map[string]object // ClusterRoles and Roles, by kind/name.
	crds        []object
	examples    []object
	others      []object
}

// carried are the kinds that the lifecycle manager installs as they are.
var carried = []string{"ConfigMap", "PodDisruptionBudget", "PrometheusRule", "Service", "ServiceMonitor"}

// made are the kinds that the lifecycle manager makes itself, of what the ClusterServiceVersion says.
var made = []string{"Namespace", "ServiceAccount"}

// build returns the ClusterServiceVersion and the manifests beside it.
func build(objects []object, o options) (csv object, rest []object, err error) {
	p, err := sortOut(objects)
	if err != nil {
		return nil, nil, err
	}
	version := text(p.csv, "spec", "version")
	if o.version != "" {
		version = strings.TrimPrefix(o.version, "v")
	}
	reference := cmp.Or(o.image, image+":v"+version)
	metadata, spec := p.csv["metadata"].(object), p.csv["spec"].(object)
	metadata["name"] = packageName + ".v" + version
	spec["version"] = version
	annotations := metadata["annotations"].(object)
	annotations["containerImage"] = reference
	if annotations["alm-examples"], err = examples(p.examples); err != nil {
		return nil, nil, err
	}
	spec["relatedImages"] = []any{object{"name": "manager", "image": reference}}
	used := make(map[string]bool)
	if spec["install"].(object)["spec"], err = p.strategy(reference, used); err != nil {
		return nil, nil, err
	}
	if err := describe(spec, p.crds); err != nil {
		return nil, nil, err
	}
	rest = p.rest(used)
	adapt(rest, objects)
	return p.csv, rest, nil
}

// strategy returns what the lifecycle manager makes itself: the Deployment and its rights. It notes the roles that it
// used.
func (p *parts) strategy(reference string, used map[string]bool) (strategy object, err error) {
	strategy = object{}
	if strategy["clusterPermissions"], err = p.permissions("ClusterRole", used); err != nil {
		return nil, err
	}
	if strategy["permissions"], err = p.permissions("Role", used); err != nil {
		return nil, err
	}
	strategy["deployments"], err = deployments(p.deployments, reference)
	return strategy, err
}

// rest returns the manifests beside the ClusterServiceVersion.
func (p *parts) rest(used map[string]bool) []object {
	rest := slices.Concat(p.crds, p.others)
	for key, role := range p.roles {
		if !used[key] { // For people and for Prometheus, to be bound or aggregated.
			rest = append(rest, role)
		}
	}
	return rest
}

// adapt takes out what only kustomize knows.
func adapt(rest, all []object) {
	for _, manifest := range rest {
		delete(manifest["metadata"].(object), "namespace") // It is where the operator is.
	}
	for _, manifest := range all {
		if labels, ok := manifest["metadata"].(object)["labels"].(object); ok && labels[managedBy] != nil {
			labels[managedBy] = "olm"
		}
	}
}

func sortOut(objects []object) (*parts, error) {
	p := &parts{roles: make(map[string]object)}
	for _, manifest := range objects {
		kind := kindOf(manifest)
		switch {
		case kind == "ClusterServiceVersion":
			p.csv = manifest
		case kind == "Deployment":
			p.deployments = append(p.deployments, manifest)
		case strings.HasSuffix(kind, "Role"):
			p.roles[kind+"/"+nameOf(manifest)] = manifest
		case strings.HasSuffix(kind, "RoleBinding"):
			p.bindings = append(p.bindings, manifest)
		case kind == "CustomResourceDefinition":
			p.crds = append(p.crds, manifest)
		case strings.HasPrefix(text(manifest, "apiVersion"), "platform.cal.com/"):
			p.examples = append(p.examples, manifest)
		case slices.Contains(carried, kind):
			p.others = append(p.others, manifest)
		case !slices.Contains(made, kind):
			return nil, fmt.Errorf("what is a %s to the lifecycle manager? %s is neither carried, nor made by it; say so in csv.go", kind, nameOf(manifest))
		}
	}
	if p.csv == nil {
		return nil, fmt.Errorf("there is no ClusterServiceVersion among the %d manifests; give those of config/manifests", len(objects))
	}
	return p, nil
}

// examples returns the samples as the catalogue shows them.
func examples(samples []object) (string, error) {
	text, err := json.MarshalIndent(samples, "", "  ")
	return string(text), err
}

// permissions returns the rules of all roles of a kind that are bound to a ServiceAccount, by ServiceAccount.
func (p *parts) permissions(kind string, used map[string]bool) ([]any, error) {
	rules := make(map[string][]any)
	for _, binding := range p.bindings {
		if kindOf(binding) != kind+"Binding" {
			continue
		}
		key := text(binding, "roleRef", "kind") + "/" + text(binding, "roleRef", "name")
		role, ok := p.roles[key]
		if !ok || !strings.HasPrefix(key, kind+"/") {
			return nil, fmt.Errorf("%s %s binds %s, which the bundle cannot say", kind+"Binding", nameOf(binding), key)
		}
		used[key] = true
		for _, subject := range binding["subjects"].([]any) {
			account := text(subject.(object), "name")
			rules[account] = append(rules[account], role["rules"].([]any)...)
		}
	}
	var permissions []any
	for account, all := range rules {
		permissions = append(permissions, object{"serviceAccountName": account, "rules": all})
	}
	slices.SortFunc(permissions, func(a, b any) int {
		return cmp.Compare(text(a.(object), "serviceAccountName"), text(b.(object), "serviceAccountName"))
	})
	return permissions, nil
}

// deployments returns the deployments as the strategy has them, with the image.
func deployments(manifests []object, reference string) ([]any, error) {
	var all []any
	for _, manifest := range manifests {
		replaced := false
		for _, container := range manifest["spec"].(object)["template"].(object)["spec"].(object)["containers"].([]any) {
			c := container.(object)
			if c["image"] == image {
				c["image"], replaced = reference, true
			}
		}
		if !replaced {
			return nil, fmt.Errorf("no container of the Deployment %s has the image %s", nameOf(manifest), image)
		}
		deployment := object{"name": nameOf(manifest), "spec": manifest["spec"]}
		if labels, ok := manifest["metadata"].(object)["labels"]; ok {
			deployment["label"] = labels
		}
		all = append(all, deployment)
	}
	return all, nil
}

func kindOf(manifest object) string { return text(manifest, "kind") }

func nameOf(manifest object) string { return text(manifest, "metadata", "name") }

// text returns the string at a path, or nothing.
func text(manifest object, path ...string) string {
	for _, key := range path[:len(path)-1] {
		manifest, _ = manifest[key].(object)
	}
	value, _ := manifest[path[len(path)-1]].(string)
	return value
}
