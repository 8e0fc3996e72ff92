// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// mark begins a comment that describes a value.
const mark = "# -- "

// entry is a described value.
type entry struct {
	path        []string
	description string
}

func (e entry) name() string { return strings.Join(e.path, ".") }

// document makes the table of values and the descriptions of the schema from values.yaml.
func document() error {
	text, err := os.ReadFile(chart + "/values.yaml")
	if err != nil {
		return err
	}
	var values, schema map[string]any
	if err := yaml.UnmarshalStrict(text, &values); err != nil {
		return fmt.Errorf("reading values.yaml: %w", err)
	}
	schemaText, err := os.ReadFile(chart + "/values.schema.json")
	if err != nil {
		return err
	}
	if err := json.Unmarshal(schemaText, &schema); err != nil {
		return fmt.Errorf("reading values.schema.json: %w", err)
	}
	entries := described(string(text))
	if err := errors.Join(check(values, nil, entries), describe(schema, entries), compare(schema, values, nil)); err != nil {
		return err
	}
	require(schema, values)
	return errors.Join(writeSchema(schema), writeTable(entries, values, schema))
}

var key = regexp.MustCompile(`^( *)([A-Za-z]\w*):`)

// described reads the comments that stand above keys.
func described(text string) []entry {
	var entries []entry
	var path []string
	var comment []string
	for line := range strings.Lines(text) {
		trimmed := strings.TrimSpace(line)
		switch found := key.FindStringSubmatch(line); {
		case strings.HasPrefix(trimmed, mark):
			comment = []string{strings.TrimPrefix(trimmed, mark)}
		case strings.HasPrefix(trimmed, "#") && comment != nil:
			comment = append(comment, strings.TrimSpace(strings.TrimPrefix(trimmed, "#")))
		case found != nil:
			path = append(path[:min(len(path), len(found[1])/2)], found[2])
			if comment != nil {
				entries = append(entries, entry{slices.Clone(path), strings.Join(comment, " ")})
			}
			comment = nil
		}
	}
	return entries
}

// check finds values that nothing describes.
func check(values map[string]any, path []string, entries []entry) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(values)) {
		path := append(slices.Clone(path), name)
		if slices.ContainsFunc(entries, func(e entry) bool { return slices.Equal(e.path, path) }) {
			continue
		}
		children, ok := values[name].(map[string]any)
		if !ok || len(children) == 0 {
			errs = append(errs, fmt.Errorf("values.yaml: %s has no comment that begins with %q", strings.Join(path, "."), mark))
			continue
		}
		errs = append(errs, check(children, path, entries))
	}
	return errors.Join(errs...)
}

// describe puts the descriptions into the schema.
func describe(schema map[string]any, entries []entry) error {
	var errs []error
	for _, e := range entries {
		at := property(schema, e.path)
		if at == nil {
			errs = append(errs, fmt.Errorf("values.schema.json: %s is missing", e.name()))
			continue
		}
		at["description"] = e.description
	}
	return errors.Join(errs...)
}

func property(schema map[string]any, path []string) map[string]any {
	for _, name := range path {
		properties, _ := schema["properties"].(map[string]any)
		schema, _ = properties[name].(map[string]any)
	}
	return schema
}

// notInValues are properties that only charts around this one use.
var notInValues = []string{"global", "enabled"}

// compare finds properties of the schema that are no values, down to those whose fields are Kubernetes' own.
func compare(schema, values map[string]any, path []string) error {
	var errs []error
	properties, _ := schema["properties"].(map[string]any)
	for _, name := range slices.Sorted(maps.Keys(properties)) {
		value, ok := values[name]
		if !ok && (len(path) > 0 || !slices.Contains(notInValues, name)) {
			errs = append(errs, fmt.Errorf("values.schema.json: %s is not in values.yaml", strings.Join(append(path, name), ".")))
		}
		children, _ := value.(map[string]any)
		if property, ok := properties[name].(map[string]any); ok && len(children) > 0 && property["description"] == nil {
			errs = append(errs, compare(property, children, append(path, name)))
		}
	}
	return errors.Join(errs...)
}

// require has the schema refuse the null that takes a default away, wherever the templates need a value and would read
// false or zero otherwise: crds.keep is one of these.
func require(schema, values map[string]any) {
	properties, _ := schema["properties"].(map[string]any)
	var required []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		property, _ := properties[name].(map[string]any)
		needed := false
		switch value := values[name].(type) {
		case bool, float64:
			needed = true
		case string:
			needed = value != ""
		case []any:
			needed = property["minItems"] != nil
		case map[string]any:
			if needed = len(value) > 0 && property["description"] == nil; needed {
				require(property, value)
			}
		}
		if needed {
			required = append(required, name)
		}
	}
	if required != nil {
		schema["required"] = required
	}
}

// writeSchema writes the schema in one form: keys in order, two spaces.
func writeSchema(schema map[string]any) error {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(schema); err != nil {
		return err
	}
	return os.WriteFile(chart+"/values.schema.json", out.Bytes(), 0o644)
}

const (
	tableBegin = "<!-- values: made from values.yaml by hack/chart -->\n"
	tableEnd   = "<!-- end of values -->\n"
)

func writeTable(entries []entry, values, schema map[string]any) error {
	var table strings.Builder
	table.WriteString("| value | type | default | meaning |\n| --- | --- | --- | --- |\n")
	for _, e := range entries {
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", e.name(), typeOf(property(schema, e.path)), defaultOf(values, e.path), strings.ReplaceAll(e.description, "|", `\|`))
	}
	path := chart + "/README.md"
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	before, rest, begun := strings.Cut(string(text), tableBegin)
	_, after, ended := strings.Cut(rest, tableEnd)
	if !begun || !ended {
		return fmt.Errorf("%s: the lines around the table are missing: %s%s", path, tableBegin, tableEnd)
	}
	return os.WriteFile(path, []byte(before+tableBegin+"\n"+table.String()+"\n"+tableEnd+after), 0o644)
}

func typeOf(property map[string]any) string {
	switch kind := property["type"].(type) {
	case string:
		return kind
	case []any:
		return fmt.Sprint(kind[0])
	}
	if property["enum"] != nil {
		return "string or integer"
	}
	return "integer or string"
}

func defaultOf(values map[string]any, path []string) string {
	var value any = values
	for _, name := range path {
		value = value.(map[string]any)[name]
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if value == nil || encoder.Encode(value) != nil {
		return ""
	}
	return "`" + strings.TrimSpace(text.String()) + "`"
}
