// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package crdcheck

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

func decode(tb testing.TB, text string) *schema {
	tb.Helper()
	var s schema
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		tb.Fatal(err)
	}
	return &s
}

// want is a schema with each way to hold values.
const want = `{"type": "object", "properties": {
	"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},
	"spec": {"type": "object", "properties": {
		"name": {"type": "string"},
		"port": {"x-kubernetes-int-or-string": true},
		"labels": {"type": "object", "additionalProperties": {"type": "string"}},
		"any": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
		"hours": {"type": "array", "items": {"type": "object", "properties": {"start": {"type": "string"}, "end": {"type": "string"}}}}
	}}
}}`

func TestCompare(t *testing.T) {
	for name, tc := range map[string]struct {
		old, served string // In want, the first is replaced by the second.
		lacking     []string
	}{
		"Same": {},
		"More": {old: `"name": {`, served: `"other": {"type": "object", "properties": {"a": {"type": "string"}}}, "name": {`},
		"Standard": {
			old:    `"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"},`,
			served: `"metadata": {"allOf": [{"$ref": "#/components/schemas/ObjectMeta"}]},`,
		},
		"Field":       {old: `"name": {"type": "string"},`, lacking: []string{"spec.name"}},
		"Whole":       {old: `"spec": {`, served: `"other": {`, lacking: []string{"spec"}},
		"Type":        {old: `"name": {"type": "string"}`, served: `"name": {"type": "integer"}`, lacking: []string{"spec.name (its type is integer instead of string)"}},
		"NoType":      {old: `"name": {"type": "string"}`, served: `"name": {}`, lacking: []string{"spec.name (its type is undefined instead of string)"}},
		"IntOrString": {old: `"x-kubernetes-int-or-string": true`, served: `"type": "integer"`, lacking: []string{"spec.port (its type is integer instead of integer or string)"}},
		"InList":      {old: `, "end": {"type": "string"}`, lacking: []string{"spec.hours[].end"}},
		"List":        {old: `"items": {"type": "object", "properties"`, served: `"x": {"p"`, lacking: []string{"spec.hours[]"}},
		"ListType":    {old: `"items": {"type": "object"`, served: `"items": {"type": "array"`, lacking: []string{"spec.hours[] (its type is array instead of object)"}},
		"Preserve":    {old: `, "x-kubernetes-preserve-unknown-fields": true`, lacking: []string{"spec.any (it lacks x-kubernetes-preserve-unknown-fields)"}},
		"Map":         {old: `, "additionalProperties": {"type": "string"}`, lacking: []string{"spec.labels[*]"}},
		"MapClosed":   {old: `"additionalProperties": {"type": "string"}`, served: `"additionalProperties": false`, lacking: []string{"spec.labels[*]"}},
		"MapOfAll":    {old: `"additionalProperties": {"type": "string"}`, served: `"additionalProperties": true`},
		"MapType":     {old: `"additionalProperties": {"type": "string"}`, served: `"additionalProperties": {"type": "integer"}`, lacking: []string{"spec.labels[*] (its type is integer instead of string)"}},
		"MapPreserve": {old: `"additionalProperties": {"type": "string"}`, served: `"x-kubernetes-preserve-unknown-fields": true`},
		"AllKept":     {old: `"spec": {"type": "object", "properties": {`, served: `"spec": {"x-kubernetes-preserve-unknown-fields": true, "x": {`},
		"Several": {
			old:     `"start": {"type": "string"}, "end": {"type": "string"}`,
			served:  `"start": {"type": "number"}`,
			lacking: []string{"spec.hours[].end", "spec.hours[].start (its type is number instead of string)"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			if tc.old != "" && strings.Count(want, tc.old) != 1 {
				t.Fatalf("%s is %d times in the schema", tc.old, strings.Count(want, tc.old))
			}
			served := want
			if tc.old != "" {
				served = strings.Replace(want, tc.old, tc.served, 1)
			}
			if d := cmp.Diff(tc.lacking, compareObject(decode(t, want), decode(t, served))); d != "" {
				t.Errorf("lacking fields (-want +got):\n%s", d)
			}
		})
	}
}

// The embedded CRDs hold every field of the Go types, so that a field that is added to a type is compared without
// further work.
func TestKnownHoldsAllFields(t *testing.T) {
	kinds, err := known()
	if err != nil {
		t.Fatal(err)
	}
	for kind, object := range map[string]any{
		"ManagedUser": v1alpha1.ManagedUser{}, "OAuthClient": v1alpha1.OAuthClient{}, "ClusterOAuthClient": v1alpha1.ClusterOAuthClient{},
	} {
		is, ok := kinds[kind]
		if !ok {
			t.Errorf("%s is not known", kind)
			continue
		}
		checkType(t, kind, reflect.TypeOf(object), &is.schema)
	}
	if len(kinds) != 3 {
		t.Errorf("%d kinds are known; add the new one here", len(kinds))
	}
}

// checkType walks through a Go type and a schema.
func checkType(t *testing.T, path string, of reflect.Type, s *schema) {
	t.Helper()
	switch of.Kind() { //nolint:exhaustive // All others are values.
	case reflect.Pointer:
		checkType(t, path, of.Elem(), s)
	case reflect.Slice:
		if s.Items == nil {
			t.Errorf("%s has no items", path)
			return
		}
		checkType(t, path+"[]", of.Elem(), s.Items)
	case reflect.Struct:
		switch of {
		case reflect.TypeFor[metav1.Time](), reflect.TypeFor[metav1.ObjectMeta]():
			return
		case reflect.TypeFor[runtime.RawExtension]():
			if !s.PreserveUnknown {
				t.Errorf("%s does not keep unknown fields", path)
			}
			return
		}
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if name == "" { // Embedded.
				checkType(t, path, field.Type, s)
				continue
			}
			inner, ok := s.Properties[name]
			if !ok {
				t.Errorf("%s.%s is not in the schema", path, name)
				continue
			}
			checkType(t, path+"."+name, field.Type, &inner)
		}
	}
}
