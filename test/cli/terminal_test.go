// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// screen runs a command in a real terminal of 80 columns and returns what it shows, line by line. No line may be longer
// than the terminal is wide.
func (w *world) screen(t *testing.T, args ...string) []string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "tmux")
	tmux := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "tmux", append([]string{"-S", socket, "-f", os.DevNull}, args...)...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Kubeconfig, "TERM=xterm-256color", "LC_ALL=C.UTF-8")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("tmux %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	line := stacktest.Plugin(t)
	for _, arg := range args {
		line += fmt.Sprintf(" '%s'", arg)
	}
	tmux("new-session", "-d", "-x", "80", "-y", "100", fmt.Sprintf("%s; tmux -S %s wait-for -S done; exec cat", line, socket))
	defer tmux("kill-server")
	tmux("wait-for", "done")
	lines := trimmed(tmux("capture-pane", "-p"))
	// What the terminal had to wrap is one line again with -J.
	if joined := trimmed(tmux("capture-pane", "-p", "-J")); len(joined) != len(lines) {
		t.Errorf("the terminal wraps lines of kubectl calcom %s:\n%s", strings.Join(args, " "), strings.Join(joined, "\n"))
	}
	return lines
}

func trimmed(screen string) []string {
	lines := strings.Split(strings.TrimRight(screen, " \n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return lines
}

// terminal looks at the output of the commands as a person does.
func (w *world) terminal(t *testing.T, manifests string) {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		t.Log("tmux is not installed: no terminal is looked at")
		return
	}
	for _, args := range [][]string{
		{"status", "-n", "team"}, {"status", "-A"}, {"status", "-n", "team", "gus"}, {"explain", "-n", "team", "gus"}, {"explain", "-n", "team", "ada"},
		{"plan", "-f", manifests},
	} {
		lines := w.screen(t, args...)
		t.Logf("$ kubectl calcom %s\n%s", strings.Join(args, " "), strings.Join(lines, "\n"))
		if len(lines) < 3 {
			t.Errorf("kubectl calcom %s shows\n%s", strings.Join(args, " "), strings.Join(lines, "\n"))
		}
	}
}

// completion asks as a shell does: kubectl itself, which asks the plugin by way of kubectl_complete-calcom.
func (w *world) completion(t *testing.T) {
	t.Helper()
	script, err := filepath.Abs("../../cmd/kubectl-calcom")
	if err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"status\t": {"__complete", "calcom", "sta"},
		"\ngus\n":  {"__complete", "calcom", "explain", "-n", "team", ""},
	} {
		cmd := exec.CommandContext(t.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
		cmd.Env = append(os.Environ(), "KUBECONFIG="+w.Kubeconfig, "PATH="+filepath.Dir(stacktest.Plugin(w))+":"+script+":"+os.Getenv("PATH"))
		out, err := cmd.Output()
		if err != nil || !strings.Contains("\n"+string(out), want) {
			t.Errorf("kubectl %q prints %q, %v; want %q in it", args, out, err, want)
		}
	}
}
