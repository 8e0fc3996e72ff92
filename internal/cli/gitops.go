// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// manager returns the GitOps tool's object that manages another object, and how to pause it. It is empty for an object
// that none does.
func manager(object client.Object) (name, pause string) {
	labels := object.GetLabels()
	if id := object.GetAnnotations()["argocd.argoproj.io/tracking-id"]; id != "" {
		application, _, _ := strings.Cut(id, ":")
		return "Argo CD's Application " + application, fmt.Sprintf("argocd app set %s --sync-policy none", application)
	}
	if application := labels["argocd.argoproj.io/instance"]; application != "" {
		return "Argo CD's Application " + application, fmt.Sprintf("argocd app set %s --sync-policy none", application)
	}
	for _, tool := range []struct{ kind, command, prefix string }{
		{"Kustomization", "kustomization", "kustomize.toolkit.fluxcd.io/"},
		{"HelmRelease", "helmrelease", "helm.toolkit.fluxcd.io/"},
	} {
		if name := labels[tool.prefix+"name"]; name != "" {
			namespace := labels[tool.prefix+"namespace"]
			return fmt.Sprintf("Flux's %s %s/%s", tool.kind, namespace, name), fmt.Sprintf("flux suspend %s %s -n %s", tool.command, name, namespace)
		}
	}
	return "", ""
}

// refuseManaged returns an error when GitOps tools manage some of the objects: they would set back what the command
// does, or make anew what it deletes.
func refuseManaged(objects []client.Object) error {
	pauses := make(map[string]string)
	managed := 0
	for _, object := range objects {
		if name, pause := manager(object); name != "" {
			pauses[name] = pause
			managed++
		}
	}
	if managed == 0 {
		return nil
	}
	names := slices.Sorted(maps.Keys(pauses))
	return complain(
		fmt.Sprintf("%d of the %d managed users are managed by %s, which would set back what is done here", managed, len(objects), strings.Join(names, ", ")),
		fmt.Sprintf("pause it first (as by %s), and take the manifests out of Git before it goes on; --ignore-gitops goes on all the same", pauses[names[0]]))
}
