// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark/ast"
)

// TestTroubleshooting compares the headings of docs/troubleshooting.md, the table of those reasons with which nothing
// is wrong, and that of events, with what there is.
func TestTroubleshooting(t *testing.T) {
	conditions, err := os.ReadFile(filepath.Join(root, "api", "v1alpha1", "conditions.go"))
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]int)
	for _, match := range regexp.MustCompile(`(?m)^\t(?:Reason|Event)\w+\s*= "(\w+)"`).FindAllSubmatch(conditions, -1) {
		want[string(match[1])] = 1
	}
	if len(want) < 30 {
		t.Fatalf("conditions.go is read wrong: %v", slices.Sorted(maps.Keys(want)))
	}
	source, err := os.ReadFile(filepath.Join(root, "docs", "troubleshooting.md"))
	if err != nil {
		t.Fatal(err)
	}
	p, err := parse("docs/troubleshooting.md", source)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]int)
	reason := "" // Of the section.
	p.walk(func(node ast.Node) {
		switch node := node.(type) {
		case *ast.Heading:
			if reason = ""; node.Level == 3 {
				reason = p.textOf(node)
				got[reason]++
			}
		case *ast.FencedCodeBlock: // Which is run, so that what it shows is true.
			if shown := string(node.Lines().Value(source)); reason != "" && !strings.Contains(shown, " "+reason+" ") {
				t.Errorf("the section %s shows another reason:\n%s", reason, shown)
			}
		}
	})
	for _, match := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:`\\w+`|any|a user|an OAuth client) \\|").FindAllSubmatch(source, -1) {
		got[string(match[1])]++
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("reasons and how often docs/troubleshooting.md explains them (-conditions.go +page):\n%s", d)
	}
}
