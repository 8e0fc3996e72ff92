// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// reasons are those for which a block may be left alone. There is no other.
var reasons = []string{
	"an illustration",            // Nothing that could be run: a drawing, a template.
	"needs a container registry", // It pushes or pulls an image.
	"needs a published release",  // It takes what only a release has.
	"needs a kubelet",            // It looks at, or waits for, running pods.
	"needs a second cluster",     // test/cli has two.
	"needs the argocd CLI",
	"needs the flux CLI",
	"needs the internet",
	"opens an editor",
	"runs until interrupted",
	"takes minutes",
	"changes the pages",
}

// elsewhere are the languages that other tests look at.
var elsewhere = map[string]string{
	"promql": "test/monitoring",
}

// TestEveryBlockIsTested fails for a block that nobody runs, and lists those that have a reason.
func TestEveryBlockIsTested(t *testing.T) {
	all, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		for i := range p.steps {
			s := &p.steps[i]
			treated, err := s.treatment()
			if err != nil {
				t.Errorf("%s:%d: %v", p.path, s.line, err)
			}
			if treated != "" {
				t.Logf("%s:%d: %s", p.path, s.line, treated)
			}
		}
	}
}

// treatment says why a block is not run here; empty when it is.
func (s *step) treatment() (string, error) {
	if reason, ok := s.mark("not run"); ok {
		if !slices.Contains(reasons, reason) {
			return "", fmt.Errorf("%q is none of the reasons in exempt_test.go", reason)
		}
		return "not run: " + reason, nil
	}
	if files, ok := s.mark("run by"); ok {
		return "run by " + files, runBy(s.text, files)
	}
	if path, ok := s.mark("from"); ok {
		return "from " + path, excerpt(s.text, path)
	}
	if folder, ok := elsewhere[s.language]; ok {
		return "tested by " + folder, nil
	}
	if s.language == "go" {
		return compiled(s.text)
	}
	if !s.needsCluster() {
		return "", fmt.Errorf("nothing runs a block of the language %q: make it sh, console or yaml, or say what it is by a comment (see doc.go)", s.language)
	}
	return "", nil
}

// commands returns the lines of a script without comments.
func commands(script string) []string {
	var all []string
	for line := range strings.Lines(script) {
		line, _, _ = strings.Cut(line, " #")
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			all = append(all, line)
		}
	}
	return all
}

// runBy checks that each command is run by each file, as the end of a line.
func runBy(script, files string) error {
	for file := range strings.SplitSeq(files, ",") {
		content, err := os.ReadFile(filepath.Join(root, strings.TrimSpace(file)))
		if err != nil {
			return err
		}
		for _, command := range commands(script) {
			if !regexp.MustCompile(`(?m)(?:^|\s)` + regexp.QuoteMeta(command) + `\s*$`).Match(content) {
				return fmt.Errorf("%s does not run %q", strings.TrimSpace(file), command)
			}
		}
	}
	return nil
}

// excerpt checks that a file holds the lines of a block, however they are indented there.
func excerpt(block, path string) error {
	content, err := os.ReadFile(filepath.Join(root, path))
	if err != nil {
		return err
	}
	if !strings.Contains("\n"+trimmed(string(content)), "\n"+trimmed(block)) {
		return fmt.Errorf("%s does not hold these lines", path)
	}
	return nil
}

// compiled looks for the Go file that holds the lines of a block.
func compiled(block string) (string, error) {
	found := ""
	err := walk(func(path string, _ fs.DirEntry) error {
		if found == "" && strings.HasSuffix(path, ".go") && excerpt(block, path) == nil {
			found = path
		}
		return nil
	})
	if err == nil && found == "" {
		err = errors.New("no Go file of the repository holds these lines")
	}
	return "from " + found, err
}

// trimmed leaves indentation out.
func trimmed(text string) string {
	var b strings.Builder
	for line := range strings.Lines(strings.TrimSpace(text)) {
		b.WriteString(strings.TrimSpace(line) + "\n")
	}
	return b.String()
}

func TestTreatment(t *testing.T) {
	tests := map[string]struct {
		page string
		want string // Empty for an error.
	}{
		"NoLanguage":   {"```\nx\n```\n", ""},
		"Unknown":      {"```toml\nx\n```\n", ""},
		"OtherReason":  {"<!-- not run: too lazy -->\n```sh\nx\n```\n", ""},
		"Reason":       {"<!-- not run: an illustration -->\n```\nx\n```\n", "not run: an illustration"},
		"RunBy":        {"<!-- run by: .ci/run, .github/workflows/ci.yml -->\n```sh\nmake test # all\n```\n", "run by .ci/run, .github/workflows/ci.yml"},
		"NotRunBy":     {"<!-- run by: .ci/run -->\n```sh\nmake tests\n```\n", ""},
		"NotRunByBoth": {"<!-- run by: .ci/run, .github/workflows/ci.yml -->\n```sh\nmake fuzz FUZZTIME=3s\n```\n", ""},
		"NoFile":       {"<!-- run by: .ci/runs -->\n```sh\nmake test\n```\n", ""},
		"From":         {"<!-- from: Makefile -->\n```make\n.PHONY: clean\nclean: ## Remove what was built\n```\n", "from Makefile"},
		"NotFrom":      {"<!-- from: Makefile -->\n```make\n.PHONY: dirty\n```\n", ""},
		"Go":           {"```go\n// trimmed leaves indentation out.\nfunc trimmed(text string) string {\n```\n", "from test/docs/exempt_test.go"},
		"OtherGo":      {"```go\nfunc trimmed(text int) {\n```\n", ""},
		"Elsewhere":    {"```promql\nup\n```\n", "tested by test/monitoring"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p, err := parse("page.md", []byte(tc.page))
			if err != nil {
				t.Fatal(err)
			}
			got, err := p.steps[0].treatment()
			if err != nil {
				got = ""
			}
			if got != tc.want {
				t.Errorf("treatment: %q (%v), want %q", got, err, tc.want)
			}
		})
	}
	for name, page := range map[string]string{
		"UnknownComment": "<!-- nut run: an illustration -->\n```\nx\n```\n",
		"NoBlock":        "<!-- file: a.yaml -->\n\nText.\n\n```yaml\nx: y\n```\n",
		"AtTheEnd":       "<!-- file: a.yaml -->\n",
		"EmptySetup":     "<!-- setup: -->\n```sh\nx\n```\n",
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parse("page.md", []byte(page)); err == nil {
				t.Error("the page is taken as it is")
			}
		})
	}
}
