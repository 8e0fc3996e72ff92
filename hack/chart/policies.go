// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// addPolicies copies the policies with a placeholder wherever config/policy/kustomization.yaml fills in a setting, and for the beginning of
// names.
func addPolicies(made map[string][]byte) error {
	objects, err := read(config, "policy", "settings.yaml")
	if err != nil {
		return err
	}
	settings := objects[0].Data
	if settings["namespace"] == "" || settings["serviceAccount"] == "" || settings["breakGlassGroup"] == "" {
		return errors.New("config/policy/settings.yaml: namespace, serviceAccount and breakGlassGroup are needed")
	}
	fill := strings.NewReplacer(
		"'"+settings["breakGlassGroup"]+"'", "'$(breakGlassGroup)'",
		"'"+settings["serviceAccount"]+"'", "'$(serviceAccount)'",
		"'"+settings["namespace"]+"'", "'$(namespace)'",
		"namespace: "+settings["namespace"], `namespace: "$(namespace)"`,
		"name: calcom-operator-", "name: $(name)-",
		"policyName: calcom-operator-", "policyName: $(name)-",
	)
	for _, name := range []string{"allowed_api_urls.yaml", "deletion_protection.yaml", "finalizers.yaml", "secret_finalizers.yaml"} {
		text, err := os.ReadFile(filepath.Join(config, "policy", name))
		if err != nil {
			return err
		}
		filled := fill.Replace(string(text))
		for _, left := range []string{settings["namespace"], "calcom-operator"} {
			if strings.Contains(filled, left) {
				return fmt.Errorf("config/policy/%s: %q stands where the chart cannot put another name; teach hack/chart about it", name, left)
			}
		}
		made[filepath.Join("policy", name)] = []byte(filled)
	}
	return nil
}
