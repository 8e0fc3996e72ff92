// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// root is the repository.
var root = filepath.Join("..", "..")

// page is a Markdown file.
type page struct {
	path     string // From the root, with slashes.
	source   []byte
	document ast.Node
	steps    []step
	// ownCluster is set by the comment of that name.
	ownCluster bool
}

// step is something to do on a page: a block of code, or commands that prepare the next one.
type step struct {
	line     int
	language string // Empty for a setup.
	text     string
	// start and end are where the text stands in the source. They are equal if it is indented or empty.
	start, end int
	marks      []mark
}

// mark is a comment that says how a block is treated: "not run: an illustration".
type mark struct{ name, value string }

const setup = "setup"

// blockMarks are the comments that stand before a block.
var blockMarks = []string{"file", "part of", "values of", "from", "run by", "not run"}

func (s *step) mark(name string) (string, bool) {
	for _, m := range s.marks {
		if m.name == name {
			return m.value, true
		}
	}
	return "", false
}

// pages returns what is tested: README.md, CONTRIBUTING.md and everything in docs.
func pages() ([]*page, error) {
	paths, err := markdownFiles()
	if err != nil {
		return nil, err
	}
	var all []*page
	for _, path := range paths {
		if path != "README.md" && path != "CONTRIBUTING.md" && !strings.HasPrefix(path, "docs/") {
			continue
		}
		source, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			return nil, err
		}
		p, err := parse(path, source)
		if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

// markdownFiles returns all Markdown files of the repository, from its root.
func markdownFiles() ([]string, error) {
	var paths []string
	err := walk(func(path string, _ fs.DirEntry) error {
		if strings.HasSuffix(path, ".md") {
			paths = append(paths, path)
		}
		return nil
	})
	return paths, err
}

// walk visits the files of the repository, and nothing that git or make leaves there.
func walk(visit func(path string, entry fs.DirEntry) error) error {
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		switch {
		case slices.Contains([]string{".git", "bin", "dist"}, relative):
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		case entry.IsDir():
			return nil
		}
		return visit(filepath.ToSlash(relative), entry)
	})
}

// read reads a file that has links and headings, and nothing to do.
func read(path string, source []byte) *page {
	markdown := goldmark.New(goldmark.WithExtensions(extension.GFM))
	return &page{path: path, source: source, document: markdown.Parser().Parse(text.NewReader(source))}
}

// parse reads a page.
func parse(path string, source []byte) (*page, error) {
	p := read(path, source)
	var pending []mark // Comments that wait for their block.
	err := ast.Walk(p.document, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering || node.Type() != ast.TypeBlock {
			return ast.WalkContinue, nil
		}
		switch node := node.(type) {
		case *ast.HTMLBlock:
			marks, err := p.comment(node)
			pending = append(pending, marks...)
			return ast.WalkContinue, err
		case *ast.FencedCodeBlock:
			p.steps = append(p.steps, p.block(node, pending))
			pending = nil
		default:
			if len(pending) > 0 {
				return ast.WalkStop, fmt.Errorf("%s: %q stands before no block", path, pending[0].name)
			}
		}
		return ast.WalkContinue, nil
	})
	if err == nil && len(pending) > 0 {
		err = fmt.Errorf("%s: %q stands before no block", path, pending[0].name)
	}
	return p, err
}

func (p *page) block(node *ast.FencedCodeBlock, marks []mark) step {
	s := step{language: cmp.Or(string(node.Language(p.source)), "text"), marks: marks}
	if node.Info != nil {
		s.line = p.lineOf(node.Info.Segment.Start)
	}
	lines := node.Lines()
	s.text = string(lines.Value(p.source))
	if n := lines.Len(); n > 0 {
		start, end := lines.At(0).Start, lines.At(n-1).Stop
		s.line = p.lineOf(start)
		if string(p.source[start:end]) == s.text {
			s.start, s.end = start, end
		}
	}
	return s
}

// comment reads an HTML block, which holds nothing but comments: a setup becomes a step, others are returned.
func (p *page) comment(node *ast.HTMLBlock) ([]mark, error) {
	raw := node.Lines().Value(p.source)
	if node.HasClosure() {
		raw = append(raw, node.ClosureLine.Value(p.source)...)
	}
	line := p.lineOf(node.Lines().At(0).Start)
	var marks []mark
	for rest := strings.TrimSpace(string(raw)); rest != ""; {
		content, after, closed := strings.Cut(strings.TrimPrefix(rest, "<!--"), "-->")
		if !strings.HasPrefix(rest, "<!--") || !closed {
			if len(marks) == 0 && !strings.Contains(rest, "<!--") {
				return nil, nil // HTML for readers, as a picture.
			}
			return nil, fmt.Errorf("%s:%d: a comment has to stand alone", p.path, line)
		}
		rest = strings.TrimSpace(after)
		name, value, _ := strings.Cut(strings.TrimSpace(content), ":")
		value = strings.TrimSpace(value)
		switch {
		case name == "generated": // A note for writers.
		case name == "own cluster":
			p.ownCluster = true
		case name == setup && value != "":
			p.steps = append(p.steps, step{line: line, text: value})
		case slices.Contains(blockMarks, name) && value != "":
			marks = append(marks, mark{name, value})
		default:
			return nil, fmt.Errorf("%s:%d: the comment %q is not understood; see doc.go", p.path, line, content)
		}
	}
	return marks, nil
}

func (p *page) lineOf(offset int) int { return 1 + bytes.Count(p.source[:offset], []byte("\n")) }

// replace writes the page with other texts for some of its steps, by index.
func (p *page) replace(texts map[int]string) error {
	updated := slices.Clone(p.source)
	for i, s := range slices.Backward(p.steps) {
		replacement, ok := texts[i]
		if !ok {
			continue
		}
		if s.start == s.end {
			return errors.New("an indented or empty block cannot be updated")
		}
		updated = slices.Replace(updated, s.start, s.end, []byte(replacement)...)
	}
	return os.WriteFile(filepath.Join(root, p.path), updated, 0o600) // The file keeps its mode.
}
