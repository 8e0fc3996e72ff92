// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode"

	"github.com/yuin/goldmark/ast"
)

// TestLinks follows every relative link of every Markdown file.
func TestLinks(t *testing.T) {
	paths, err := markdownFiles()
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]*page)
	for _, path := range paths {
		source, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		all[path] = read(path, source)
	}
	for _, path := range paths {
		for _, link := range all[path].links() {
			if err := follows(all, path, link); err != nil {
				t.Errorf("%s: (%s): %v", path, link, err)
			}
		}
	}
}

// TestLayout has the layout in CONTRIBUTING.md name every package that others import, and every suite.
func TestLayout(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, layout, _ := strings.Cut(string(source), "## Layout")
	layout, _, _ = strings.Cut(layout, "\n## ")
	for _, parent := range []string{"internal", "test"} {
		entries, err := os.ReadDir(filepath.Join(root, parent))
		if err != nil {
			t.Fatal(err)
		}
		for _, entry := range entries {
			if name := parent + "/" + entry.Name() + "/"; entry.IsDir() && !strings.Contains(layout, "`"+name+"`") {
				t.Errorf("the layout does not name %s", name)
			}
		}
	}
}

var htmlLink = regexp.MustCompile(`(?:src|srcset|href)="([^"]+)"`)

// links returns the targets of links and pictures.
func (p *page) links() []string {
	var links []string
	p.walk(func(node ast.Node) {
		switch node := node.(type) {
		case *ast.Link:
			links = append(links, string(node.Destination))
		case *ast.Image:
			links = append(links, string(node.Destination))
		case *ast.RawHTML:
			for _, match := range htmlLink.FindAllSubmatch(node.Segments.Value(p.source), -1) {
				links = append(links, string(match[1]))
			}
		case *ast.HTMLBlock:
			for _, match := range htmlLink.FindAllSubmatch(node.Lines().Value(p.source), -1) {
				links = append(links, string(match[1]))
			}
		}
	})
	return links
}

func (p *page) walk(visit func(ast.Node)) {
	_ = ast.Walk(p.document, func(node ast.Node, entering bool) (ast.WalkStatus, error) {
		if entering {
			visit(node)
		}
		return ast.WalkContinue, nil
	})
}

// follows checks one link. Those to other sites are not followed.
func follows(all map[string]*page, from, link string) error {
	target, err := url.Parse(link)
	if err != nil || target.Scheme != "" {
		return err
	}
	file := from
	if target.Path != "" {
		file = path.Join(path.Dir(from), target.Path)
		if strings.HasPrefix(file, "..") {
			return errors.New("it leaves the repository")
		}
		if _, err := os.Stat(filepath.Join(root, file)); err != nil {
			return errors.New("there is no such file")
		}
	}
	if target.Fragment == "" {
		return nil
	}
	p, ok := all[file]
	if !ok {
		return errors.New("only Markdown files have headings")
	}
	if !slices.Contains(p.anchors(), target.Fragment) {
		return fmt.Errorf("%s has no such heading", file)
	}
	return nil
}

// anchors returns what GitHub makes of the headings.
func (p *page) anchors() []string {
	var anchors []string
	seen := make(map[string]int)
	p.walk(func(node ast.Node) {
		heading, ok := node.(*ast.Heading)
		if !ok {
			return
		}
		anchor := slug(p.textOf(heading))
		if n := seen[anchor]; n > 0 {
			anchors = append(anchors, anchor+"-"+strconv.Itoa(n))
		} else {
			anchors = append(anchors, anchor)
		}
		seen[anchor]++
	})
	return anchors
}

// textOf returns the text of a node without markup.
func (p *page) textOf(node ast.Node) string {
	var b strings.Builder
	for child := node.FirstChild(); child != nil; child = child.NextSibling() {
		if leaf, ok := child.(*ast.Text); ok {
			b.Write(leaf.Segment.Value(p.source))
			if leaf.SoftLineBreak() {
				b.WriteByte(' ')
			}
			continue
		}
		b.WriteString(p.textOf(child))
	}
	return b.String()
}

func slug(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
}

func TestFollows(t *testing.T) {
	p := read("docs/page.md", []byte("# A `--flag`, and more\n\n## Twice\n\n## Twice\n\n[x](y.md) <a href=\"z.md\">z</a>\n"))
	if want := []string{"y.md", "z.md"}; !slices.Equal(p.links(), want) {
		t.Errorf("links: %v, want %v", p.links(), want)
	}
	all := map[string]*page{"docs/page.md": p}
	for link, good := range map[string]bool{
		"https://example.com/nowhere": true,
		"#a---flag-and-more":          true,
		"#twice-1":                    true,
		"#twice-2":                    false,
		"../README.md":                true,
		"decisions":                   true,
		"nowhere.md":                  false,
		"../../README.md":             false,
		"../go.mod#line":              false,
	} {
		if err := follows(all, "docs/page.md", link); (err == nil) != good {
			t.Errorf("%s: %v", link, err)
		}
	}
}
