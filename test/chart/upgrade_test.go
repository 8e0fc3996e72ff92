// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/calcom-operator/calcom-operator/test/stack"
)

// A release changes its shape and changes back. Where no lease tells who works, the old pod is ended before the new one
// is made: two that work would spend the quota twice, and end each other's tokens.
func TestChangesOfShape(t *testing.T) {
	for major, by := range map[int]*stack.Helm{3: helm3, 4: helm} {
		name := fmt.Sprintf("shape-%d", major)
		t.Run(name, func(t *testing.T) {
			run := func(values string, args ...string) {
				t.Helper()
				args = append(args, "--namespace="+namespace)
				if values != "" {
					args = append(args, "--values=-")
				}
				if out, err := by.Run(t.Context(), values, args...); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
			}
			surge := func() string {
				var deployment appsv1.Deployment
				must(t, admin.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: name + "-calcom-operator"}, &deployment))
				return deployment.Spec.Strategy.RollingUpdate.MaxSurge.String()
			}
			const many, one = "crds: {install: false}\n", "crds: {install: false}\nreplicas: 1\nleaderElection: {enabled: false}\nwatchNamespaces: [team-a]\n"
			run(many, "install", name, by.Chart())
			run(one, "upgrade", name, by.Chart())
			if got := surge(); got != "0" {
				t.Errorf("without leader election, %s new pods work beside the old one", got)
			}
			run(many, "upgrade", name, by.Chart())
			if got := surge(); got != "25%" {
				t.Errorf("with leader election, the surge is %s, want the API server's default", got)
			}
			run("", "uninstall", name)
		})
	}
}
