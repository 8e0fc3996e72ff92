// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to end after SIGTERM. The operator finishes a call to Cal.com first.
const stopTimeout = 40 * time.Second

// process is a child in a process group of its own, so that Ctrl-C reaches only its parent, which then ends its
// children in order.
type process struct {
	cmd   *exec.Cmd
	ended chan struct{} // Closed once the process has ended and all its lines were told.
	err   error         // How it ended; read it after ended.
}

// start runs a program and tells each line that it prints.
func start(path string, args, env []string, tell func(string)) (*process, error) {
	cmd := exec.Command(path, args...) //nolint:noctx // It ends by signal, and not with a context: see stop.
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, ended: make(chan struct{})}
	told := make(chan struct{})
	go func() {
		defer close(told)
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			if tell != nil {
				tell(lines.Text())
			}
		}
		_, _ = io.Copy(io.Discard, reader) // A line too long for the scanner must not block the process.
	}()
	go func() {
		p.err = cmd.Wait()
		_ = writer.Close()
		<-told
		close(p.ended)
	}()
	return p, nil
}

// stop ends the process by SIGTERM, and by SIGKILL when that takes too long. Stopping one that has ended, or never
// began, is no error.
func (p *process) stop() error {
	if p == nil || p.hasEnded() {
		return nil
	}
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // It may have ended this moment.
	select {
	case <-p.ended:
		if p.err != nil {
			return fmt.Errorf("stopping %s: %w", p.cmd.Path, p.err)
		}
		return nil
	case <-time.After(stopTimeout):
		p.kill()
		return fmt.Errorf("stopping %s: it took more than %v and was killed", p.cmd.Path, stopTimeout)
	}
}

// kill ends the process without warning.
func (p *process) kill() {
	_ = p.cmd.Process.Kill() // It may have ended this moment.
	<-p.ended
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}
