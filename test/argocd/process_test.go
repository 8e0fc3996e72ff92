// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"context"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/stack"
)

// patience bounds each wait. The operator itself waits for a Secret for two minutes, before it says that it is missing.
const patience = 4 * time.Minute

// stopTimeout is how long a process may take to end after SIGTERM.
const stopTimeout = 10 * time.Second

// process is a program that runs.
type process struct {
	name    string
	command *exec.Cmd
	log     *os.File
	ended   chan struct{}
}

// start runs a program until stop.
func (w *world) start(t *testing.T, env []string, program string, args ...string) *process {
	t.Helper()
	p := &process{name: filepath.Base(program), ended: make(chan struct{})}
	if strings.HasPrefix(args[0], "argocd-") {
		p.name = args[0]
	}
	var err error
	if p.log, err = os.Create(filepath.Join(t.TempDir(), p.name+".log")); err != nil {
		t.Fatal(err)
	}
	p.command = exec.CommandContext(context.WithoutCancel(t.Context()), program, args...) // It ends by signal.
	p.command.Env = append(os.Environ(), env...)
	p.command.Stdout, p.command.Stderr = p.log, p.log
	p.command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for the test, which ends them in order.
	if err := p.command.Start(); err != nil {
		t.Fatalf("starting %s: %v", p.name, err)
	}
	go func() {
		_ = p.command.Wait() // Its log says more.
		close(p.ended)
	}()
	w.processes = append(w.processes, p)
	return p
}

// stop ends all processes, the last one first. The log of each is shown if the test has failed.
func (w *world) stop(t *testing.T) {
	t.Helper()
	for _, p := range slices.Backward(w.processes) {
		_ = p.command.Process.Signal(syscall.SIGTERM) // It may have ended.
		select {
		case <-p.ended:
		case <-time.After(stopTimeout):
			_ = p.command.Process.Kill()
			<-p.ended
		}
		_ = p.log.Close()
		if t.Failed() {
			showEnd(t, p.name, p.log.Name())
		}
	}
	w.processes = nil
}

// showEnd logs the end of a log, where the trouble is.
func showEnd(t *testing.T, name, path string) {
	t.Helper()
	const most = 40_000
	text, err := os.ReadFile(path)
	if err != nil {
		t.Error(err)
		return
	}
	if keep := os.Getenv("ARGOCD_LOGS"); keep != "" { // A folder for whoever has to look deeper.
		if err := os.WriteFile(filepath.Join(keep, name+".log"), text, 0o600); err != nil {
			t.Error(err)
		}
	}
	t.Logf("the end of the log of %s (all of it goes to the folder ARGOCD_LOGS, if that is set):\n%s",
		name, text[max(0, len(text)-most):])
}

// answering waits until a server answers a GET with 200, or accepts connections if no path is given.
func (p *process) answering(t *testing.T, address, path string) {
	t.Helper()
	answers := func() bool {
		if path == "" {
			connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
			if err == nil {
				_ = connection.Close()
			}
			return err == nil
		}
		response, err := http.Get("http://" + address + path)
		if err == nil {
			_ = response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	}
	late := time.After(patience)
	for tick := time.Tick(50 * time.Millisecond); !answers(); {
		select {
		case <-tick:
		case <-p.ended:
			t.Fatalf("%s ended at once; its log says why", p.name)
		case <-late:
			t.Fatalf("%s did not answer within %v", p.name, patience)
		}
	}
}

// freePort returns a port of 127.0.0.1 that nobody listens on, and the address.
func freePort(t *testing.T) (port, address string) {
	t.Helper()
	address, err := stack.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, port, err = net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return port, address
}
