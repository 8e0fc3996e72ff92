// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"
)

// What the console of the lifecycle manager shows a field with.
const (
	specDescriptor   = "urn:alm:descriptor:com.tectonic.ui:"
	secretDescriptor = "urn:alm:descriptor:io.kubernetes:Secret"
	conditions       = "urn:alm:descriptor:io.kubernetes.conditions"
)

// describe gives each owned kind the descriptors of its fields, made of its CRD.
func describe(spec object, crds []object) error {
	owned := spec["customresourcedefinitions"].(object)["owned"].([]any)
	if len(owned) != len(crds) {
		return fmt.Errorf("the ClusterServiceVersion owns %d kinds, but there are %d CRDs", len(owned), len(crds))
	}
	for _, entry := range owned {
		kind := entry.(object)
		i := slices.IndexFunc(crds, func(crd object) bool { return nameOf(crd) == kind["name"] })
		if i < 0 {
			return fmt.Errorf("the ClusterServiceVersion owns %v, of which there is no CRD", kind["name"])
		}
		schema, err := schemaOf(crds[i], kind["version"])
		if err != nil {
			return err
		}
		kind["specDescriptors"] = descriptors(schema, "spec")
		kind["statusDescriptors"] = descriptors(schema, "status")
	}
	return nil
}

// schemaOf returns the properties of a version's objects.
func schemaOf(crd object, version any) (object, error) {
	for _, v := range crd["spec"].(object)["versions"].([]any) {
		if v := v.(object); v["name"] == version {
			return v["schema"].(object)["openAPIV3Schema"].(object)["properties"].(object), nil
		}
	}
	return nil, fmt.Errorf("%s has no version %v", nameOf(crd), version)
}

// descriptors describes the fields of spec or status, and the Secrets that are named further down.
func descriptors(schema object, part string) []any {
	var all []any
	var add func(properties object, prefix string)
	add = func(properties object, prefix string) {
		for _, name := range slices.Sorted(maps.Keys(properties)) {
			property, path := properties[name].(object), prefix+name
			namesSecret := strings.HasSuffix(path, "secretKeyRef.name") || strings.HasSuffix(path, "ecretName")
			if prefix == "" || namesSecret {
				all = append(all, object{
					"path": path, "displayName": displayName(path), "description": firstParagraph(property),
					"x-descriptors": widgets(property, part, name, namesSecret),
				})
			}
			if inner, ok := property["properties"].(object); ok && part == "spec" {
				add(inner, path+".")
			}
		}
	}
	add(schema[part].(object)["properties"].(object), "")
	return all
}

// widgets says how a field is shown and edited.
func widgets(property object, part, name string, namesSecret bool) []any {
	var all []any
	enum, _ := property["enum"].([]any)
	switch {
	case namesSecret:
		return []any{secretDescriptor}
	case name == "conditions":
		return []any{conditions}
	case part == "status" && property["type"] != "object" && property["type"] != "array":
		return []any{specDescriptor + "text"}
	case part == "status":
		return []any{}
	case len(enum) > 0 && property["type"] == "string":
		for _, value := range enum {
			all = append(all, fmt.Sprintf("%sselect:%v", specDescriptor, value))
		}
		return all
	case property["type"] == "integer":
		return []any{specDescriptor + "number"}
	case property["type"] == "string":
		return []any{specDescriptor + "text"}
	}
	return []any{}
}

func firstParagraph(property object) string {
	description, _, _ := strings.Cut(text(property, "description"), "\n\n")
	return strings.Join(strings.Fields(description), " ")
}

// terms are words that camel case spoils.
var terms = map[string]string{"api": "API", "id": "ID", "oauth": "OAuth", "url": "URL"}

// displayName makes words of a path: "OAuth client ref" of oauthClientRef.
func displayName(path string) string {
	path = strings.ReplaceAll(strings.ReplaceAll(path, "URL", "Url"), "ID", "Id")
	var words []string
	for field := range strings.SplitSeq(path, ".") {
		begin := 0
		for i, r := range field {
			if unicode.IsUpper(r) && i > begin {
				words, begin = append(words, field[begin:i]), i
			}
		}
		words = append(words, field[begin:])
	}
	for i, word := range words {
		word = strings.ToLower(word)
		if term, ok := terms[word]; ok {
			word = term
		} else if i == 0 {
			word = strings.ToUpper(word[:1]) + word[1:]
		}
		words[i] = word
	}
	return strings.Join(words, " ")
}
