// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

var update = flag.Bool("update", false, "write what commands print into the pages")

func TestMain(m *testing.M) { os.Exit(stacktest.Main(m)) }

// TestPages follows every page.
func TestPages(t *testing.T) {
	all, err := pages()
	if err != nil {
		t.Fatal(err)
	}
	shared := newCluster(t)
	for _, p := range all {
		if !slices.ContainsFunc(p.steps, func(s step) bool { return s.needsCluster() }) {
			continue
		}
		t.Run(p.path, func(t *testing.T) {
			c := shared
			if p.ownCluster {
				c = newCluster(t)
			} else {
				defer c.resetAfter(t)
			}
			follow(t, p, c)
		})
	}
}

func (c *cluster) resetAfter(t *testing.T) {
	t.Helper()
	if t.Failed() {
		t.Logf("the end of the operator's log:\n%s", c.lines())
	}
	c.reset(t)
}

// needsCluster tells whether the step does something.
func (s *step) needsCluster() bool {
	for _, name := range []string{"not run", "run by", "from"} {
		if _, ok := s.mark(name); ok {
			return false
		}
	}
	return s.language == "" || slices.Contains([]string{"sh", "console", "yaml"}, s.language)
}

// reader is somebody who follows a page.
type reader struct {
	*testing.T
	page    *page
	cluster *cluster
	dir     string // A clone of the repository.
	state   string // A script that brings variables and folder back.
	objects []object
	env     []string
}

func follow(t *testing.T, p *page, c *cluster) {
	t.Helper()
	r := &reader{T: t, page: p, cluster: c, dir: copyOfRepository(t), state: filepath.Join(t.TempDir(), "state")}
	r.env = r.environment()
	printed := make(map[int]string)
	for i := range p.steps {
		s := &p.steps[i]
		if !s.needsCluster() {
			continue
		}
		if _, err := exec.LookPath("curl"); err != nil && strings.Contains(s.text, "curl ") {
			t.Logf("%s:%d: not run, since this machine has no curl", p.path, s.line)
			continue
		}
		var err error
		switch s.language {
		case "":
			err = r.prepare(s.text)
		case "sh":
			err = r.perform(s.text)
		case "console":
			printed[i], err = r.converse(s)
		case "yaml":
			err = r.check(s)
		}
		if err != nil {
			r.Errorf("%s:%d: %v", p.path, s.line, err)
			break // What follows builds upon it.
		}
	}
	if *update {
		if err := p.replace(printed); err != nil {
			r.Error(err)
		}
	}
}

// environment is what a reader has: kubectl, a cluster, and the key of an OAuth client.
func (r *reader) environment() []string {
	kubeconfig := filepath.Join(r.TempDir(), "kubeconfig") // Pages may change the context.
	content, err := os.ReadFile(r.cluster.Kubeconfig)
	if err == nil {
		err = os.WriteFile(kubeconfig, content, 0o600)
	}
	if err != nil {
		r.Fatal(err)
	}
	path := []string{os.Getenv("KUBEBUILDER_ASSETS"), r.cluster.Binaries(), r.tools(), os.Getenv("PATH")}
	return append(os.Environ(),
		"PATH="+strings.Join(path, string(os.PathListSeparator)),
		"KUBECONFIG="+kubeconfig,
		"CAL_CLIENT_ID="+calcomtest.DefaultClient().ID,
		"CAL_SECRET_KEY="+calcomtest.DefaultClient().Secret,
		"CURL_HOME="+r.cluster.dir,
		"GOFLAGS=-buildvcs=false", // The copy is no clone.
	)
}

// tools returns a folder with Helm and the kubectl plugin, if any block uses them.
func (r *reader) tools() string {
	dir := r.TempDir()
	var errs []error
	if r.uses("helm ") {
		binary, err := helm(r.Context())
		errs = append(errs, err, os.Symlink(binary, filepath.Join(dir, "helm")))
	}
	if r.uses("kubectl calcom ") {
		errs = append(errs, r.plugin(dir))
	}
	if err := errors.Join(errs...); err != nil {
		r.Fatal(err)
	}
	return dir
}

// uses tells whether a block that is run has these words.
func (r *reader) uses(words string) bool {
	return slices.ContainsFunc(r.page.steps, func(s step) bool { return s.needsCluster() && strings.Contains(s.text, words) })
}

// plugin puts kubectl-calcom into a folder, in a script that leads it, and nobody else, to the look-alike.
func (r *reader) plugin(dir string) error {
	binary := stacktest.Plugin(r)
	script := "#!/bin/sh\n" + strings.Join(r.cluster.remote.environment(), " ") + ` exec '` + binary + `' "$@"` + "\n"
	return os.WriteFile(filepath.Join(dir, "kubectl-calcom"), []byte(script), 0o700)
}

// prepare does a setup: "clean" removes everything, lines that begin with cal.com change the look-alike, and all others
// are for bash, with the functions of testdata/setup.sh.
func (r *reader) prepare(script string) error {
	var shell strings.Builder
	flush := func() error {
		defer shell.Reset()
		if shell.Len() == 0 {
			return nil
		}
		return r.run(". " + filepath.Join(r.dir, "test", "docs", "testdata", "setup.sh") + "\n" + shell.String())
	}
	for line := range strings.Lines(script) {
		if strings.TrimSpace(line) == "clean" {
			if err := flush(); err != nil {
				return err
			}
			r.cluster.reset(r.T)
			continue
		}
		if !strings.HasPrefix(line, "cal.com ") {
			shell.WriteString(line)
			continue
		}
		if err := errors.Join(flush(), r.cluster.remote.change(strings.TrimSpace(line))); err != nil {
			return err
		}
	}
	return flush()
}

// onlyLooks matches commands that change nothing, and whose answers may need some time: the API server publishes what
// kubectl explain reads some time after it knows a kind.
var onlyLooks = regexp.MustCompile(`\A(\s*kubectl (get|explain) [^|;&><]*\n)+\z`)

// poll does what is only looked at again until it is as expected, as a reader would.
func (r *reader) poll(commands string, limit time.Duration, done func() bool) error {
	again := onlyLooks.MatchString(strings.TrimSpace(commands) + "\n")
	err := wait.PollUntilContextTimeout(r.Context(), 500*time.Millisecond, limit, true, func(context.Context) (bool, error) {
		return done() || !again, nil
	})
	if wait.Interrupted(err) && r.Context().Err() == nil {
		return nil // The last answer counts.
	}
	return err
}

// perform runs a script that has to succeed in the end.
func (r *reader) perform(script string) error {
	var last error
	err := r.poll(script, patience, func() bool {
		last = r.run(script)
		return last == nil
	})
	return errors.Join(err, last)
}

// run runs a script that has to succeed.
func (r *reader) run(script string) error {
	out, err := r.bash("set -euo pipefail", script)
	if err != nil {
		return fmt.Errorf("%w:\n%s\n%s", err, strings.TrimSpace(script), out)
	}
	return nil
}

// noMatch lets grep find nothing: for a reader that is an answer, and no failure. A grep -q asks a question.
const noMatch = `grep() { command grep "$@" || [[ $? = 1 && " $* " != *" -q"* ]]; }`

// background is a command that goes on after the script.
var background = regexp.MustCompile(`(?m)[^&]&$`)

// bash goes on where the last script ended.
func (r *reader) bash(options, script string) (string, error) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Minute) // A tool may have to be compiled.
	defer cancel()
	state := "'" + r.state + "'"
	script = strings.Join([]string{
		options, "set -a", noMatch, "[ ! -e " + state + " ] || . " + state, script,
		"{ export -p; printf 'cd %q\\n' \"$PWD\"; } >" + state,
	}, "\n")
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir, cmd.Env = r.dir, r.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	if background.MatchString(script) && cmd.Process != nil {
		r.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }) // If the page has not ended it.
	}
	return out.String(), err
}

// converse runs the commands of a console block and compares what they print. It returns the block as it is printed
// now, where it differs, and as it is otherwise.
func (r *reader) converse(s *step) (string, error) {
	all := exchanges(s.text)
	if all == nil {
		return "", errors.New(`a console block begins with a command, "$ …"`)
	}
	var now strings.Builder
	for _, e := range all {
		got, err := r.answer(e)
		if err != nil {
			return "", err
		}
		output := e.output
		if !matches(e.output, got) {
			output = strings.TrimSuffix(got, "\n") + "\n"
			if !*update {
				return "", fmt.Errorf("%s prints something else (-page +printed):\n%s", strings.TrimSpace(e.command), cmp.Diff(normalise(e.output), normalise(got)))
			}
		}
		now.WriteString("$ " + strings.ReplaceAll(strings.TrimSpace(e.command), "\n", "\n> ") + "\n" + output)
	}
	return now.String(), nil
}

// answer runs a command and returns what it prints.
func (r *reader) answer(e exchange) (string, error) {
	limit := patience
	if *update {
		limit = 2 * time.Second // What is there then is what is printed.
	}
	var got string
	err := r.poll(e.command, limit, func() bool {
		got, _ = r.bash("set -uo pipefail", e.command) // A failure shows in what is printed.
		return matches(e.output, got)
	})
	return got, err
}
