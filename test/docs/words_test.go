// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/yuin/goldmark/ast"
)

// vocabulary is what exists, to be looked up.
type vocabulary struct {
	flags   map[string]bool   // Of the operator, the sandbox and kubectl.
	manager map[string]string // Of the operator alone, with their defaults.
	targets map[string]bool   // Of make.
	metrics map[string]bool
	files   map[string]bool // Paths from the root, folders too.
	names   map[string]bool // Last elements of paths.
	source  string          // Everything that is neither Markdown nor in this folder.
	words   map[string]bool // The words of source.
}

var word = regexp.MustCompile(`[A-Za-z0-9_]+`)

var vocabularyOnce = sync.OnceValues(func() (*vocabulary, error) {
	v := &vocabulary{
		flags: make(map[string]bool), manager: make(map[string]string), targets: make(map[string]bool),
		metrics: make(map[string]bool), files: make(map[string]bool), names: make(map[string]bool), words: make(map[string]bool),
	}
	for _, read := range []func() error{v.readFiles, v.readFlags, v.readTargets, v.readMetrics} {
		if err := read(); err != nil {
			return nil, err
		}
	}
	return v, nil
})

func (v *vocabulary) readFiles() error {
	var source strings.Builder
	err := walk(func(name string, entry fs.DirEntry) error {
		for folder := name; folder != "."; folder = path.Dir(folder) {
			v.files[folder] = true
			v.names[path.Base(folder)] = true
		}
		if strings.HasSuffix(name, ".md") || strings.HasPrefix(name, "test/docs/") || !entry.Type().IsRegular() {
			return nil
		}
		content, err := os.ReadFile(filepath.Join(root, name))
		source.Write(content)
		return err
	})
	v.source = source.String()
	for _, w := range word.FindAllString(v.source, -1) {
		v.words[w] = true
	}
	return err
}

var (
	// helpFlag is a flag in the help of a Go program, or of one with pflag.
	helpFlag = regexp.MustCompile(`(?m)^[ \t]+(?:-\w, )?--?([a-z][a-z0-9-]*)`)
	// defaultOf is the end of the explanation of a flag in a Go program.
	defaultOf = regexp.MustCompile(`\(default "?([^")]*)"?\)\n`)
)

// kubectl are the commands whose flags pages mention.
var kubectl = []string{"annotate", "apply", "create secret", "delete", "edit", "get", "label", "patch", "replace", "rollout", "wait"}

func (v *vocabulary) readFlags() error {
	for _, program := range []string{"./cmd", "./cmd/calcom-sandbox"} {
		cmd := exec.Command("go", "run", program, "--help")
		cmd.Dir = root
		out, _ := cmd.CombinedOutput() // It ends with an error by custom.
		v.flags["help"] = true
		found := helpFlag.FindAllSubmatchIndex(out, -1)
		if len(found) == 0 {
			return fmt.Errorf("%s --help shows no flags:\n%s", program, out)
		}
		for i, at := range found {
			name, end := string(out[at[2]:at[3]]), len(out)
			v.flags[name] = true
			if program != "./cmd" {
				continue
			}
			if i+1 < len(found) {
				end = found[i+1][0]
			}
			v.manager[name] = ""
			if match := defaultOf.FindSubmatch(out[at[0]:end]); match != nil {
				v.manager[name] = string(match[1])
			}
		}
	}
	if err := v.readPluginFlags(); err != nil {
		return err
	}
	for _, command := range append([]string{"options"}, kubectl...) {
		args := append(strings.Fields(command), "--help")
		if command == "options" {
			args = args[:1] // Its help is the list of flags that all have.
		}
		out, err := exec.Command(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...).CombinedOutput()
		if err != nil {
			return fmt.Errorf("asking kubectl for its flags (is KUBEBUILDER_ASSETS set?): %w\n%s", err, out)
		}
		for _, match := range helpFlag.FindAllStringSubmatch(string(out), -1) {
			v.flags[match[1]] = true
		}
	}
	return nil
}

// subcommand is a line in the list of commands that a plugin's help shows.
var subcommand = regexp.MustCompile(`(?m)^  ([a-z]+) {2,}`)

// readPluginFlags reads the flags of all commands of kubectl calcom.
func (v *vocabulary) readPluginFlags() error {
	help := func(args ...string) (string, error) {
		cmd := exec.Command("go", append([]string{"run", "./cmd/kubectl-calcom"}, args...)...)
		cmd.Dir = root
		out, err := cmd.CombinedOutput()
		if err != nil {
			return "", fmt.Errorf("asking the plugin for its flags: %w\n%s", err, out)
		}
		return string(out), nil
	}
	overview, err := help("--help")
	for _, command := range subcommand.FindAllStringSubmatch(overview, -1) {
		var text string
		if err == nil {
			text, err = help(command[1], "--help")
		}
		for _, match := range helpFlag.FindAllStringSubmatch(text, -1) {
			v.flags[match[1]] = true
		}
	}
	return err
}

func (v *vocabulary) readTargets() error {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	for _, match := range regexp.MustCompile(`(?m)^([a-z][a-z0-9-]*):`).FindAllSubmatch(makefile, -1) {
		v.targets[string(match[1])] = true
	}
	return err
}

// readMetrics reads docs/metrics.md, which a test of internal/metrics compares with what the operator serves.
func (v *vocabulary) readMetrics() error {
	content, err := os.ReadFile(filepath.Join(root, "docs", "metrics.md"))
	for _, match := range regexp.MustCompile("(?m)^\\| `(calcom_operator_\\w+)`").FindAllSubmatch(content, -1) {
		v.metrics[string(match[1])] = true
	}
	return err
}

// foreignWords are names of Kubernetes and other projects that look like ours.
var foreignWords = []string{
	"ConfigMap", "ContainerCreating", "CrashLoopBackOff", "CreateContainerConfigError", "GitOps", "ImagePullBackOff",
}

// foreignFlags are flags of programs that are not asked for theirs: of cosign and Helm.
var foreignFlags = []string{"certificate-identity", "create-namespace", "take-ownership"}

var (
	flagWord   = regexp.MustCompile(`^--([a-z][a-z0-9-]*)(?:=.*)?$`)
	makeWord   = regexp.MustCompile(`(?:^|[$;&|(])\s*make ((?:[a-z][a-z0-9-]*(?: |$))+)`)
	metricWord = regexp.MustCompile(`calcom_operator_\w+`)
	groupWord  = regexp.MustCompile(`\bplatform\.cal\.com/[a-z0-9-]*[a-z0-9]`)
	testWord   = regexp.MustCompile(`^((?:Test|Fuzz)\w+)(…?)$`)
	camelWord  = regexp.MustCompile(`^[A-Z][a-z]+(?:[A-Z]+[a-z]+)+$`)
	pathWord   = regexp.MustCompile(`^[\w.*-]+(?:/[\w.*-]+)*/?$`)
)

// flagOf returns the name of the flag that a word sets; empty if it sets none.
func flagOf(argument string) string {
	if match := flagWord.FindStringSubmatch(argument); len(match) > 1 {
		return match[1]
	}
	return ""
}

func (v *vocabulary) isManagers(flag string) bool {
	_, ok := v.manager[flag]
	return ok || flag == "help"
}

// check returns what is wrong with a code span or a line of code.
func (v *vocabulary) check(code string) []string {
	var wrong []string
	missing := func(what, name string) { wrong = append(wrong, fmt.Sprintf("there is no %s %s", what, name)) }
	if name := flagOf(code); name != "" && !v.flags[name] && !slices.Contains(foreignFlags, name) {
		missing("flag", "--"+name)
	}
	if rest, ok := strings.CutPrefix(code, "manager "); ok {
		for argument := range strings.FieldsSeq(rest) {
			if name := flagOf(argument); name != "" && !v.isManagers(name) {
				missing("flag of the operator", "--"+name)
			}
		}
	}
	for _, match := range makeWord.FindAllStringSubmatch(code, -1) {
		for target := range strings.FieldsSeq(match[1]) {
			if !v.targets[target] {
				missing("make target", target)
			}
		}
	}
	for _, name := range metricWord.FindAllString(code, -1) {
		base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
		if !v.metrics[name] && !v.metrics[base] {
			missing("metric", name)
		}
	}
	for _, name := range groupWord.FindAllString(code, -1) {
		if !strings.Contains(v.source, name) {
			missing("annotation, label, finalizer or type", name)
		}
	}
	return append(wrong, v.checkName(code)...)
}

// checkName looks up a span that is one name: of a test, of a path, or a word such as a reason.
func (v *vocabulary) checkName(code string) []string {
	if match := testWord.FindStringSubmatch(code); match != nil {
		after := `\(`
		if match[2] != "" {
			after = `\w*\(`
		}
		if !regexp.MustCompile(`func ` + match[1] + after).MatchString(v.source) {
			return []string{"there is no test " + code}
		}
		return nil
	}
	if camelWord.MatchString(code) && !v.words[code] && !slices.Contains(foreignWords, code) {
		return []string{"nothing in the repository is called " + code}
	}
	if strings.HasSuffix(code, ".go") && pathWord.MatchString(code) && !strings.Contains(code, "/") && !v.names[code] {
		return []string{"there is no file " + code}
	}
	first, _, deep := strings.Cut(code, "/")
	if !deep || !pathWord.MatchString(code) || !v.files[first] || first == "platform.cal.com" {
		return nil
	}
	if matches, err := filepath.Glob(filepath.Join(root, code)); err != nil || len(matches) == 0 {
		if first == "bin" || first == "dist" {
			return nil // To be built.
		}
		return []string{"there is no path " + code}
	}
	return nil
}

// TestWords looks up the names in code spans and blocks of all pages.
func TestWords(t *testing.T) {
	v, err := vocabularyOnce()
	if err != nil {
		t.Fatal(err)
	}
	all, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		p.walk(func(node ast.Node) {
			switch node := node.(type) {
			case *ast.CodeSpan:
				for _, wrong := range v.check(p.textOf(node)) {
					t.Errorf("%s: %s", p.path, wrong)
				}
			case *ast.FencedCodeBlock:
				for line := range strings.Lines(string(node.Lines().Value(p.source))) {
					code, _, _ := strings.Cut(strings.TrimSpace(strings.TrimPrefix(line, "$ ")), " #")
					for _, wrong := range v.check(code) {
						t.Errorf("%s: %s", p.path, wrong)
					}
				}
			}
		})
	}
}

func TestCheck(t *testing.T) {
	v, err := vocabularyOnce()
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]int{
		"--owner-id":                          0,
		"--owner-name":                        1,
		"--mass-delete-limit=10":              0,
		"--as-group":                          0, // kubectl's.
		"manager --owner-id=x --owner-name=y": 1,
		"make test":                           0,
		"make tests":                          1,
		"make test-e2e":                       0,
		"make test-e3e":                       1,
		"make install run":                    0,
		"make test PKG=./internal/controller": 0,
		"rate(calcom_operator_quota_wait_seconds_bucket)": 0,
		"calcom_operator_quota_waits":                     1,
		"platform.cal.com/in-use":                         0,
		"platform.cal.com/in-used":                        1,
		"TestParseOptions":                                0,
		"TestNothingShown…":                               0,
		"TestNothingAtAllShown…":                          1,
		"MassDeletion":                                    0,
		"MassCreation":                                    1,
		"config/default":                                  0,
		"config/nowhere":                                  1,
		"internal/calcom/hidden.go":                       0,
		"mask.go":                                         0,
		"masque.go":                                       1,
		"api/v1alpha1/*.go":                               0,
	} {
		if got := v.check(code); len(got) != want {
			t.Errorf("%s: %q, want %d", code, got, want)
		}
	}
}

// TestFlags compares docs/flags.md with manager --help.
func TestFlags(t *testing.T) {
	v, err := vocabularyOnce()
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(filepath.Join(root, "docs", "flags.md"))
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]string)
	for _, row := range regexp.MustCompile("(?m)^\\| (`--[^|]+) \\|([^|]*)\\|").FindAllStringSubmatch(string(content), -1) {
		for _, flag := range regexp.MustCompile("`--([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			if _, twice := listed[flag[1]]; twice {
				t.Errorf("docs/flags.md lists --%s twice", flag[1])
			}
			listed[flag[1]] = strings.Trim(row[2], " `")
		}
	}
	if d := cmp.Diff(v.manager, listed); d != "" {
		t.Errorf("flags and their defaults (-manager --help +docs/flags.md):\n%s", d)
	}
}
