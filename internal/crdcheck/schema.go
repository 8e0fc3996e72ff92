// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package crdcheck compares the schemas that the API server serves for the operator's kinds with those that this
// build was made for. A field that the served schema lacks is dropped by the API server without an error, from what
// is written and from what is read. The operator would then act on incomplete facts: create a user a second time,
// or delete one that is to be kept. So it does not start before every field is served.
package crdcheck

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// schema is the part of an OpenAPI v3 schema that decides which fields the API server keeps.
type schema struct {
	Type                 string            `json:"type"`
	Properties           map[string]schema `json:"properties"`
	Items                *schema           `json:"items"`
	AdditionalProperties *anyOrSchema      `json:"additionalProperties"`
	// PreserveUnknown: fields that the schema does not name are kept.
	PreserveUnknown bool `json:"x-kubernetes-preserve-unknown-fields"`
	// IntOrString: the value is a number or a string, and Type is empty.
	IntOrString bool `json:"x-kubernetes-int-or-string"`
}

// anyOrSchema is what OpenAPI allows for additionalProperties: a boolean or a schema. True is the schema that
// allows everything.
type anyOrSchema struct {
	schema
	allowed bool
}

func (a *anyOrSchema) UnmarshalJSON(data []byte) error {
	switch {
	case bytes.Equal(data, []byte("true")):
		a.allowed, a.PreserveUnknown = true, true
		return nil
	case bytes.Equal(data, []byte("false")):
		return nil
	}
	a.allowed = true
	return json.Unmarshal(data, &a.schema)
}

// standard are the fields of every object, which the API server defines itself.
var standard = []string{"apiVersion", "kind", "metadata"}

// compareObject returns what the served schema of a kind lacks of the known one, sorted by field. A served schema
// with more fields lacks nothing.
func compareObject(known, served *schema) []string {
	fields := maps.Clone(known.Properties)
	for _, name := range standard {
		delete(fields, name)
	}
	return compareFields("", fields, served)
}

// compareFields compares an object's fields. Of a field that is missing as a whole, its own fields are not listed.
func compareFields(path string, known map[string]schema, served *schema) []string {
	var lacking []string
	for _, name := range slices.Sorted(maps.Keys(known)) {
		want, field := known[name], strings.TrimPrefix(path+"."+name, ".")
		have, ok := served.Properties[name]
		switch {
		case ok:
			lacking = append(lacking, compare(field, &want, &have)...)
		case !served.PreserveUnknown:
			lacking = append(lacking, field)
		}
	}
	return lacking
}

// compare compares one field, and what is in it.
func compare(path string, known, served *schema) []string {
	switch {
	case served.PreserveUnknown && served.Type == "":
		return nil // The API server keeps whatever is there.
	case known.Type != served.Type || known.IntOrString != served.IntOrString:
		return []string{fmt.Sprintf("%s (its type is %s instead of %s)", path, served.kind(), known.kind())}
	case known.PreserveUnknown && !served.PreserveUnknown:
		return []string{path + " (it lacks x-kubernetes-preserve-unknown-fields)"}
	}
	lacking := compareFields(path, known.Properties, served)
	if served.PreserveUnknown {
		return lacking
	}
	lacking = append(lacking, compareInner(path+"[]", known.Items, served.Items)...)
	return append(lacking, compareInner(path+"[*]", known.values(), served.values())...)
}

// compareInner compares the schemas of the elements of a list, or of the values of a map. Without a served schema
// they are not kept.
func compareInner(path string, known, served *schema) []string {
	switch {
	case known == nil:
		return nil
	case served == nil:
		return []string{path}
	}
	return compare(path, known, served)
}

// values returns the schema of a map's values, and nil for an object that has only named fields.
func (s *schema) values() *schema {
	if s.AdditionalProperties == nil || !s.AdditionalProperties.allowed {
		return nil
	}
	return &s.AdditionalProperties.schema
}

func (s *schema) kind() string {
	switch {
	case s.Type != "":
		return s.Type
	case s.IntOrString:
		return "integer or string"
	}
	return "undefined"
}
