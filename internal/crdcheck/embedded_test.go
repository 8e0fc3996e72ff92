// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package crdcheck

import (
	"encoding/json"
	"testing"

	"github.com/calcom-operator/calcom-operator/config/crd"
)

// embeddedSchema returns the schema of an embedded CRD with everything in it, for a test to change.
func embeddedSchema(t *testing.T, plural string) map[string]any {
	t.Helper()
	for _, object := range crd.Objects() {
		if object.Spec.Names.Plural != plural {
			continue
		}
		text, err := json.Marshal(object.Spec.Versions[0].Schema.OpenAPIV3Schema)
		if err != nil {
			t.Fatal(err)
		}
		var s map[string]any
		if err := json.Unmarshal(text, &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	t.Fatalf("there is no CRD of %s", plural)
	return nil
}
