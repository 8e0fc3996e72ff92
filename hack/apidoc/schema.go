// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// definition is what the reference tells of a CustomResourceDefinition.
type definition struct {
	Spec struct {
		Scope string
		Names struct {
			Kind       string
			ShortNames []string
		}
		Versions []struct {
			Name   string
			Schema struct{ OpenAPIV3Schema json.RawMessage }
		}
	}
}

// schema holds every keyword of OpenAPI that the CRDs use. One that is not here is an error, so that no rule is left
// out.
type schema struct {
	Description          string            `json:"description"`
	Type                 string            `json:"type"`
	Format               string            `json:"format"`
	Enum                 []any             `json:"enum"`
	Default              any               `json:"default"`
	Pattern              string            `json:"pattern"`
	Minimum              *json.Number      `json:"minimum"`
	Maximum              *json.Number      `json:"maximum"`
	MinLength            *int              `json:"minLength"`
	MaxLength            *int              `json:"maxLength"`
	MinItems             *int              `json:"minItems"`
	MaxItems             *int              `json:"maxItems"`
	MinProperties        *int              `json:"minProperties"`
	MaxProperties        *int              `json:"maxProperties"`
	Required             []string          `json:"required"`
	Properties           map[string]schema `json:"properties"`
	Items                *schema           `json:"items"`
	AdditionalProperties *schema           `json:"additionalProperties"`
	Rules                []rule            `json:"x-kubernetes-validations"`
	ListType             string            `json:"x-kubernetes-list-type"`
	ListMapKeys          []string          `json:"x-kubernetes-list-map-keys"`
	MapType              string            `json:"x-kubernetes-map-type"`
	PreserveUnknown      bool              `json:"x-kubernetes-preserve-unknown-fields"`
}

// rule is one in CEL.
type rule struct {
	Rule              string `json:"rule"`
	Message           string `json:"message"`
	MessageExpression string `json:"messageExpression"`
	Reason            string `json:"reason"`
	FieldPath         string `json:"fieldPath"`
	OptionalOldSelf   bool   `json:"optionalOldSelf"`
}

func (d *definition) write(page *bytes.Buffer) error {
	if len(d.Spec.Versions) != 1 {
		return fmt.Errorf("it has %d versions, and one is expected", len(d.Spec.Versions))
	}
	decoder := json.NewDecoder(bytes.NewReader(d.Spec.Versions[0].Schema.OpenAPIV3Schema))
	decoder.DisallowUnknownFields()
	var whole schema
	if err := decoder.Decode(&whole); err != nil {
		return err
	}
	names := d.Spec.Names
	fmt.Fprintf(page, "## %s\n\n%s\n\n", names.Kind, prose(whole.Description))
	fmt.Fprintf(page, "%s; short name `%s`; in the category `calcom`.\n\n", d.Spec.Scope, strings.Join(names.ShortNames, "`, `"))
	for _, part := range []string{"spec", "status"} {
		s, ok := whole.Properties[part]
		if !ok {
			return errors.New("it has no " + part)
		}
		fmt.Fprintf(page, "### %s: %s\n\n%s\n\n", names.Kind, part, describe(part, s.Description))
		for _, r := range s.Rules {
			fmt.Fprintf(page, "- %s.\n", prose(r.text()))
		}
		if len(s.Rules) > 0 {
			fmt.Fprintln(page)
		}
		fmt.Fprintf(page, "| field | type | |\n| --- | --- | --- |\n")
		s.rows(page, "")
		fmt.Fprintln(page)
	}
	return nil
}

// rows writes a line for each field, and goes down into objects.
func (s *schema) rows(page *bytes.Buffer, path string) {
	for _, name := range s.fields() {
		field := s.Properties[name]
		shown := path + name
		kind, inner := field.kind()
		text := append([]string{describe(name, field.Description)}, field.limits()...)
		if slices.Contains(s.Required, name) {
			text[0] = "**Required.** " + text[0]
		}
		fmt.Fprintf(page, "| `%s` | %s | %s |\n", shown, kind, strings.Join(text, "<br>"))
		if inner != nil && !isKubernetes(inner) {
			suffix := "."
			if field.Items != nil {
				suffix = "[]."
			}
			inner.rows(page, shown+suffix)
		}
	}
}

// fields returns the names of the properties, those that are required first.
func (s *schema) fields() []string {
	names := slices.Sorted(maps.Keys(s.Properties))
	slices.SortStableFunc(names, func(a, b string) int {
		return rank(s.Required, a) - rank(s.Required, b)
	})
	return names
}

func rank(required []string, name string) int {
	if slices.Contains(required, name) {
		return 0
	}
	return 1
}

// isKubernetes reports whether a schema is one of Kubernetes' own: conditions and label selectors are described
// elsewhere.
func isKubernetes(s *schema) bool {
	_, selector := s.Properties["matchExpressions"]
	_, condition := s.Properties["lastTransitionTime"]
	return selector || condition
}

// kind returns the type in words, and the schema of what is in it, if that has fields.
func (s *schema) kind() (string, *schema) {
	switch {
	case s.Items != nil:
		of, inner := s.Items.kind()
		if isKubernetes(s.Items) {
			return "list of [conditions](troubleshooting.md)", s.Items
		}
		return "list of " + of, inner
	case s.AdditionalProperties != nil:
		of, _ := s.AdditionalProperties.kind()
		return "map of " + of, nil
	case isKubernetes(s):
		return "[label selector](https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors)", s
	case len(s.Enum) > 0:
		values := make([]string, len(s.Enum))
		for i, value := range s.Enum {
			values[i] = fmt.Sprintf("`%v`", value)
		}
		return strings.Join(values, ", "), nil
	case s.Format != "" && s.Type == "string":
		return s.Format, nil
	case s.Type == "object":
		return s.Type, s
	}
	return s.Type, nil
}

// limits says what the API server demands of a value.
func (s *schema) limits() []string {
	limits := s.bounds()
	if s.Pattern != "" {
		limits = append(limits, "Matches `"+s.Pattern+"`.")
	}
	if s.Default != nil {
		limits = append(limits, fmt.Sprintf("Default: `%v`.", s.Default))
	}
	for _, r := range s.Rules {
		limits = append(limits, sentence(r.text()))
	}
	for of, inner := range map[string]*schema{"Each item": s.Items, "Each value": s.AdditionalProperties} { // Of which there is one.
		if inner != nil && !isKubernetes(inner) {
			for _, limit := range inner.limits() {
				limits = append(limits, of+": "+limit)
			}
		}
	}
	return limits
}

// bounds says between which numbers a value, or its size, has to be.
func (s *schema) bounds() []string {
	var bounds []string
	between := func(low, high any, unit string) {
		switch lowest, highest := number(low), number(high); {
		case lowest != "" && highest != "":
			bounds = append(bounds, fmt.Sprintf("%s to %s%s.", lowest, highest, unit))
		case highest != "":
			bounds = append(bounds, fmt.Sprintf("At most %s%s.", highest, unit))
		case lowest != "":
			bounds = append(bounds, fmt.Sprintf("At least %s%s.", lowest, unit))
		}
	}
	between(s.Minimum, s.Maximum, "")
	between(s.MinLength, s.MaxLength, " characters")
	between(s.MinItems, s.MaxItems, " items")
	between(s.MinProperties, s.MaxProperties, " entries")
	return bounds
}

// number returns what a keyword says; empty when it is absent.
func number(keyword any) string {
	switch keyword := keyword.(type) {
	case *int:
		if keyword != nil {
			return strconv.Itoa(*keyword)
		}
	case *json.Number:
		if keyword != nil {
			return keyword.String()
		}
	}
	return ""
}

// text returns the message that the API server shows, else the rule itself.
func (r *rule) text() string {
	if r.Message != "" {
		return r.Message
	}
	return "`" + r.Rule + "`"
}

// describe makes a sentence of a field's comment, which begins with its name.
func describe(name, comment string) string {
	comment = prose(comment)
	if rest, ok := strings.CutPrefix(comment, name+" is "); ok {
		return capital(rest)
	}
	if rest, ok := strings.CutPrefix(comment, name+" "); ok {
		if first, _, _ := strings.Cut(rest, " "); slices.Contains([]string{"of", "that", "in", "as"}, first) {
			return "The `" + name + "` " + rest
		}
		return "`" + name + "` " + rest
	}
	return capital(comment)
}

func sentence(text string) string { return capital(prose(text)) + "." }

func capital(text string) string {
	if text == "" {
		return ""
	}
	return strings.ToUpper(text[:1]) + text[1:]
}

// prose makes Markdown of a comment: one line, in which nothing is markup by accident.
func prose(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	return strings.NewReplacer("|", `\|`, "<", "&lt;", ">", "&gt;", "*", `\*`, "_", `\_`).Replace(text)
}
