// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const values = `# About the file.

# -- Replicas
# of the operator.
replicas: 2
image:
  # -- Image.
  repository: example
# -- As a whole.
resources:
  limits:
    memory: 1Mi
# A remark.
`

func TestDescribed(t *testing.T) {
	want := []entry{
		{[]string{"replicas"}, "Replicas of the operator."},
		{[]string{"image", "repository"}, "Image."},
		{[]string{"resources"}, "As a whole."},
	}
	if d := cmp.Diff(want, described(values), cmp.AllowUnexported(entry{})); d != "" {
		t.Errorf("descriptions (-want +got):\n%s", d)
	}
}

// Values, comments and schema have to tell of the same things.
func TestCompareValuesWithSchema(t *testing.T) {
	const schema = `{"properties": {"global": {}, "replicas": {}, "image": {"properties": {"repository": {}}}, "resources": {"properties": {"requests": {}}}}}`
	for name, tc := range map[string]struct {
		values, schema string
		want           string
	}{
		"Equal":           {values, schema, ""},
		"NotDescribed":    {values + "tag: x\n", schema, `values.yaml: tag has no comment that begins with "# -- "`},
		"NotInSchema":     {values + "# -- Tag.\ntag: x\n", schema, "values.schema.json: tag is missing"},
		"NotInValues":     {values, strings.Replace(schema, `"repository": {}`, `"repository": {}, "tag": {}`, 1), "values.schema.json: image.tag is not in values.yaml"},
		"NotInValuesRoot": {values, strings.Replace(schema, `"global"`, `"extra"`, 1), "values.schema.json: extra is not in values.yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			var values, schema map[string]any
			for text, into := range map[string]*map[string]any{tc.values: &values, tc.schema: &schema} {
				if err := yaml.Unmarshal([]byte(text), into); err != nil {
					t.Fatal(err)
				}
			}
			entries := described(tc.values)
			var got []string
			for _, err := range []error{check(values, nil, entries), describe(schema, entries), compare(schema, values, nil)} {
				if err != nil {
					got = append(got, err.Error())
				}
			}
			if d := cmp.Diff(tc.want, strings.Join(got, "\n")); d != "" {
				t.Errorf("errors (-want +got):\n%s", d)
			}
		})
	}
}

// A default that a null would turn into false or zero cannot be taken away; what is empty, or Kubernetes' own, can.
func TestRequire(t *testing.T) {
	var values, schema map[string]any
	for text, into := range map[string]*map[string]any{
		"keep: true\nlimit: 0\nlevel: info\ntag: ''\nlabels: {}\nspread: [a]\nurls: [a]\nresources: {cpu: 1}\nimage: {pull: x, tag: ''}\nclients:\n": &values,
		`{"properties": {"urls": {"minItems": 1}, "resources": {"description": "All."}, "image": {"properties": {"pull": {}}}}}`:                     &schema,
	} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	require(schema, values)
	if d := cmp.Diff([]string{"image", "keep", "level", "limit", "urls"}, schema["required"]); d != "" {
		t.Errorf("required (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"pull"}, property(schema, []string{"image"})["required"]); d != "" {
		t.Errorf("required of image (-want +got):\n%s", d)
	}
}

func TestSplit(t *testing.T) {
	verbs := []string{"get"}
	got := split([]rule{
		{APIGroups: []string{""}, Resources: []string{"namespaces", "secrets"}, Verbs: verbs},
		{APIGroups: []string{"g"}, Resources: []string{"users/status", "clusters/status"}, Verbs: verbs},
	}, func(resource string) bool { return strings.HasPrefix(resource, "clusters") })
	want := map[string][]rule{
		"manager":               {{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: verbs}, {APIGroups: []string{"g"}, Resources: []string{"users/status"}, Verbs: verbs}},
		"namespaces":            {{APIGroups: []string{""}, Resources: []string{"namespaces"}, Verbs: verbs}},
		"cluster_oauth_clients": {{APIGroups: []string{"g"}, Resources: []string{"clusters/status"}, Verbs: verbs}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("rules (-want +got):\n%s", d)
	}
}
