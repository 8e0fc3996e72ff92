// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package chart

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/stack"
)

// Older CRDs that kubectl applied are not taken over by accident, and are when somebody says so, as docs/install.md
// does; by both majors of helm. An uninstalled release leaves them, and the next one takes them up again without
// further words.
func TestCRDsAreTakenOver(t *testing.T) {
	for name, tc := range map[string]struct {
		helm *stack.Helm
		take []string
	}{
		"Helm4": {helm, []string{"--take-ownership", "--force-conflicts"}},
		"Helm3": {helm3, []string{"--take-ownership"}},
	} {
		t.Run(name, func(t *testing.T) {
			const release, space = "--namespace=monitoring", "ownership"
			older, err := kubectl(t.Context(), "", "kustomize", filepath.Join(root, "config", "crd"))
			if err != nil {
				t.Fatalf("%v\n%s", err, older)
			}
			older = strings.ReplaceAll(older, "name: User ID\n", "name: Number\n")
			if out, err := kubectl(t.Context(), older, "apply", "--server-side", "-f", "-"); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			install := []string{"install", space, tc.helm.Chart(), release}
			if out, err := tc.helm.Run(t.Context(), "", install...); err == nil || !strings.Contains(string(out), "ownership") {
				t.Errorf("CRDs of somebody else: %v\n%s", err, out)
			}
			for _, args := range [][]string{append(install, tc.take...), {"uninstall", space, release}, install, {"uninstall", space, release}} {
				if out, err := tc.helm.Run(t.Context(), "", args...); err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				if out, err := kubectl(t.Context(), "", "get", "crd", "managedusers.platform.cal.com", "-o", "yaml"); err != nil || !strings.Contains(out, "name: User ID") {
					t.Fatalf("after %s: %v\n%s", args[0], err, out)
				}
			}
			if out, err := kubectl(t.Context(), "", "delete", "-k", filepath.Join(root, "config", "crd")); err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
		})
	}
}
