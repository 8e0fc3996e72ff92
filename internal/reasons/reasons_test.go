// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package reasons

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Every reason that the API declares is explained, once, and nothing else is.
func TestAllReasons(t *testing.T) {
	var explained []string
	for _, r := range All {
		explained = append(explained, r.Name)
		for _, text := range []string{r.Meaning, r.Remedy} {
			if text != "" && !strings.HasSuffix(text, ".") {
				t.Errorf("%s: %q is no sentence", r.Name, text)
			}
		}
	}
	slices.Sort(explained)
	if d := cmp.Diff(declared(t), explained); d != "" {
		t.Errorf("reasons of the API (-) and explained ones (+):\n%s", d)
	}
}

// declared reads the reasons off the API's source.
func declared(t *testing.T) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "api", "v1alpha1", "conditions.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(spec.Names[0].Name, "Reason") {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, value)
		}
		return true
	})
	slices.Sort(names)
	return names
}

// Every reason for which there is something to do has a place in the documentation: a row of a table, or a section.
func TestReasonsAreDocumented(t *testing.T) {
	var pages strings.Builder
	for _, path := range []string{"README.md", filepath.Join("docs", "troubleshooting.md")} {
		page, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
		pages.Write(page)
	}
	entry := regexp.MustCompile(`(?m)^(?:### |\| ).*$`)
	entries := strings.Join(entry.FindAllString(pages.String(), -1), "\n")
	for _, r := range All {
		if r.Remedy != "" && r.Remedy != "Wait." && !regexp.MustCompile(`\b`+r.Name+`\b`).MatchString(entries) {
			t.Errorf("%s has neither a row nor a section in README.md or docs/troubleshooting.md", r.Name)
		}
	}
}
