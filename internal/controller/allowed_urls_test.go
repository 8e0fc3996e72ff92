// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"os"
	"path/filepath"
	"testing"

	"sigs.k8s.io/yaml"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// The flag decides as the policy in config/policy does, which test/policy asks about the same rows.
func TestAllowedAPIURLsAsThePolicyHasThem(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "..", "test", "policy", "testdata", "api_urls.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var table []struct {
		Prefixes         string
		Allowed, Refused []string
	}
	if err := yaml.UnmarshalStrict(text, &table); err != nil {
		t.Fatal(err)
	}
	if len(table) == 0 {
		t.Fatal("the table is empty")
	}
	for _, list := range table {
		prefixes, err := ParseURLPrefixes(list.Prefixes)
		if err != nil {
			t.Fatal(err)
		}
		allows := func(apiURL string) bool {
			base, err := calcom.BaseURL(apiURL)
			return err == nil && prefixes.allow(base)
		}
		for _, apiURL := range list.Allowed {
			if !allows(apiURL) {
				t.Errorf("%s refuses %s", prefixes, apiURL)
			}
		}
		for _, apiURL := range list.Refused {
			if allows(apiURL) {
				t.Errorf("%s allows %s", prefixes, apiURL)
			}
		}
	}
}
