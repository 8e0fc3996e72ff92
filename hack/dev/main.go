// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Dev runs a throw-away control plane, a sandbox of Cal.com and the operator on this machine: "demo" shows the
// operator at work and ends, "up" leaves everything running until it is interrupted.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "dev:", err)
		os.Exit(1) //nolint:gocritic // The signal handler needs no clean-up at the end of the process.
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 1 && args[0] == "demo" {
		return withStack(ctx, demo, "--resync-interval=3s")
	}
	if len(args) == 1 && args[0] == "up" {
		return withStack(ctx, up, "--zap-encoder=console", "--resync-interval=30s")
	}
	return errors.New(`one argument is needed, "demo" or "up"`)
}

// withStack starts everything, does the work, and stops everything whatever came of it.
func withStack(ctx context.Context, work func(context.Context, *session) error, operatorArgs ...string) (err error) {
	dir, err := os.MkdirTemp("", "calcom-dev-")
	if err != nil {
		return fmt.Errorf("making a folder: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s := &session{}
	s.say("Starting a Kubernetes API server, a Cal.com sandbox and the operator (some seconds; the first time it compiles)")
	s.stack, err = stack.Start(ctx, stack.Config{
		Dir: dir, OperatorArgs: operatorArgs, Sandbox: s.sandboxLine, Operator: s.operatorLine,
	})
	if err != nil {
		s.showOperatorLog()
		return err
	}
	defer func() { err = errors.Join(err, s.stack.Stop()) }()
	if err := work(ctx, s); err != nil {
		s.showOperatorLog()
		return err
	}
	return nil
}

// session is what runs and what is shown of it.
type session struct {
	stack *stack.Stack

	mu          sync.Mutex // Guards standard output and the fields below.
	follow      bool       // Whether the operator's log is shown as it comes.
	operatorLog []string
}

// keptLines is how much of the operator's log is shown after a failure.
const keptLines = 40

func (s *session) say(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fmt.Println(text)
}

func (s *session) sandboxLine(line string) { s.say("    cal.com  | " + line) }

func (s *session) operatorLine(line string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.operatorLog = append(s.operatorLog, line)
	if len(s.operatorLog) > keptLines {
		s.operatorLog = s.operatorLog[1:]
	}
	if s.follow {
		fmt.Println("    operator | " + line)
	}
}

func (s *session) showOperatorLog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.follow {
		return
	}
	for _, line := range s.operatorLog {
		fmt.Fprintln(os.Stderr, "    operator |", line)
	}
}

// up leaves everything running until the context ends.
func up(ctx context.Context, s *session) error {
	client := calcomtest.DefaultClient()
	s.mu.Lock()
	s.follow = true
	s.mu.Unlock()
	s.say(fmt.Sprintf(`
Everything runs. In another terminal:

  export KUBECONFIG=%s
  kubectl create secret generic calcom --from-literal=secretKey=%s
  kubectl apply -f - <<EOF
%sEOF
  kubectl get managedusers --watch

kubectl itself is in %s. The sandbox answers at %s, as Cal.com would; with
its key, curl changes a user behind the operator's back:

  curl -X PATCH %s/oauth-clients/%s/users/1 \
    -H 'x-cal-secret-key: %s' -H 'content-type: application/json' -d '{"timeFormat": 12}'

Ctrl-C stops all of it.
`, s.stack.Kubeconfig, client.Secret, manifest(s.stack.API), os.Getenv("KUBEBUILDER_ASSETS"), s.stack.API, s.stack.API, client.ID, client.Secret))
	<-ctx.Done()
	s.say("Stopping")
	return nil
}
