// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package onboarding

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The Go code of docs/testing-with-calcomtest.md is this suite's own, line for line but for its indentation. (This test is of
// no use to whoever copies the suite.)
func TestCodeOfTheDocumentation(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "testing-with-calcomtest.md"))
	if err != nil {
		t.Fatal(err)
	}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	more, err := filepath.Glob(filepath.Join("*", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, name := range append(sources, more...) {
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		code.WriteString(flat(string(source)))
	}
	_, rest, found := strings.Cut(string(page), "```go\n")
	blocks := 0
	for ; found; _, rest, found = strings.Cut(rest, "```go\n") {
		block, _, closed := strings.Cut(rest, "```\n")
		blocks++
		if !closed || !strings.Contains(code.String(), flat(block)) {
			t.Errorf("this block is in none of the suite's files as it stands:\n%s", block)
		}
	}
	if blocks < 5 {
		t.Errorf("the page has %d blocks of Go; were they marked otherwise?", blocks)
	}
}

// flat returns the lines without their indentation, each between line feeds.
func flat(code string) string {
	lines := strings.Split(strings.Trim(code, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimLeft(lines[i], "\t ")
	}
	return "\n" + strings.Join(lines, "\n") + "\n"
}
