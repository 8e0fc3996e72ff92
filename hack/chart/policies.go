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

// addPolicies copies the policies with a placeholder wherever config/policy fills in a setting, and for the beginning
// of names.
func addPolicies(made map[string][]byte) error {
	settings, err := read(config, "policy", "default", "settings.yaml")
	if err != nil {
		return err
	}
	list, err := read(config, "policy", "allowed_api_urls_list.yaml")
	if err != nil {
		return err
	}
	operators, group, namespace := settings[0].Data["operators"], settings[0].Data["breakGlassGroup"], list[0].Metadata.Namespace
	if operators == "" || group == "" {
		return errors.New("config/policy/default/settings.yaml: operators and breakGlassGroup are needed")
	}
	if namespace == "" {
		return errors.New("config/policy/allowed_api_urls_list.yaml: metadata.namespace is needed")
	}
	fill := strings.NewReplacer(
		"'"+operators+"'", "'$(operators)'",
		"'"+group+"'", "'$(breakGlassGroup)'",
		"namespace: "+namespace, `namespace: "$(namespace)"`,
		"name: calcom-operator-", "name: $(name)-",
		"policyName: calcom-operator-", "policyName: $(name)-",
	)
	for _, path := range []string{"allowed_api_urls.yaml", "default/deletion_protection.yaml", "default/finalizers.yaml", "default/secret_finalizers.yaml"} {
		text, err := os.ReadFile(filepath.Join(config, "policy", path))
		if err != nil {
			return err
		}
		filled := fill.Replace(string(text))
		for _, left := range []string{namespace, "calcom-operator"} {
			if strings.Contains(filled, left) {
				return fmt.Errorf("config/policy/%s: %q stands where the chart cannot put another name; teach hack/chart about it", path, left)
			}
		}
		made[filepath.Join("policy", filepath.Base(path))] = []byte(filled)
	}
	return nil
}
