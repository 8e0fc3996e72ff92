// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// root is the repository's folder, seen from this one.
var root = filepath.Join("..", "..")

// The generations in the objects that are made of shapes.
const generation, oldGeneration = 2, 1

// shape is the state of an object, as package shapes writes one down:
//
//	ManagedUser/Manage deleted observed=old Ready=False/Deleting@current …
type shape struct {
	text         string
	kind, policy string
	deleted      bool
	observed     string
	conditions   map[string]condition // By type.
}

type condition struct{ status, reason, observed string }

func parseShape(text string) (shape, error) {
	s := shape{text: text, conditions: make(map[string]condition)}
	words := strings.Fields(text)
	if len(words) < 2 {
		return s, fmt.Errorf("shape %q is no shape", text)
	}
	s.kind, s.policy, _ = strings.Cut(words[0], "/")
	for _, word := range words[1:] {
		name, value, _ := strings.Cut(word, "=")
		switch {
		case word == "deleted":
			s.deleted = true
		case name == "observed":
			s.observed = value
		default:
			var c condition
			value, c.observed, _ = strings.Cut(value, "@")
			c.status, c.reason, _ = strings.Cut(value, "/")
			if c.status == "" || c.reason == "" || c.observed == "" {
				return s, fmt.Errorf("shape %q has the condition %q", text, word)
			}
			s.conditions[name] = c
		}
	}
	return s, nil
}

// is reports whether a condition of the present generation has a status.
func (s shape) is(kind, status string) bool {
	c := s.conditions[kind]
	return c.status == status && c.observed == "current"
}

// object makes an object of the shape. Messages are those that were seen with such conditions.
func (s shape) object(kind string, messages map[string][]string) *unstructured.Unstructured {
	metadata := map[string]any{"name": "example", "generation": int64(generation), "uid": "1"}
	if kind != kindClusterClient {
		metadata["namespace"] = "default"
	}
	if s.deleted {
		metadata["deletionTimestamp"] = "2026-01-05T09:00:00Z"
	}
	status := map[string]any{}
	setGeneration(status, s.observed)
	var conditions []any
	for _, kind := range slices.Sorted(maps.Keys(s.conditions)) {
		c := s.conditions[kind]
		is := map[string]any{"type": kind, "status": c.status, "reason": c.reason, "lastTransitionTime": "2026-01-05T09:00:00Z"}
		if seen := messages[kind+"="+c.status+"/"+c.reason]; len(seen) > 0 {
			is["message"] = seen[0]
		}
		setGeneration(is, c.observed)
		conditions = append(conditions, is)
	}
	if conditions != nil {
		status["conditions"] = conditions
	}
	spec := map[string]any{}
	if s.policy != "" {
		spec["reconcilePolicy"] = s.policy
	}
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": group + "/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec, "status": status,
	}}
}

func setGeneration(in map[string]any, age string) {
	switch age {
	case "never":
		in["observedGeneration"] = int64(-1)
	case "old":
		in["observedGeneration"] = int64(oldGeneration)
	case "current":
		in["observedGeneration"] = int64(generation)
	}
}

// kinds are those that have the shape: one reconciler writes OAuthClients and ClusterOAuthClients.
func (s shape) kinds() []string {
	if s.kind == kindClient {
		return []string{kindClient, kindClusterClient}
	}
	return []string{s.kind}
}

// readTable returns the columns of a file by the first of them.
func readTable(t *testing.T, name string) map[string][]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	table := make(map[string][]string)
	for line := range strings.Lines(string(content)) {
		columns := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		table[columns[0]] = columns[1:]
	}
	return table
}

func writeTable(t *testing.T, name string, table map[string][]string) {
	t.Helper()
	var b strings.Builder
	for _, first := range slices.Sorted(maps.Keys(table)) {
		b.WriteString(strings.Join(append([]string{first}, table[first]...), "\t") + "\n")
	}
	if err := os.WriteFile(filepath.Join("testdata", name), []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
