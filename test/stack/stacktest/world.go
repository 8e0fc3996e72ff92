// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package stacktest runs a stack for a test, and stops it at its end.
package stacktest

import (
	"context"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/stack"
)

// Patience bounds every wait; see the operator's benchmarks for how long things take.
const Patience = 2 * time.Minute

// World is a test's stack, with what its operator printed.
type World struct {
	*testing.T
	*stack.Stack

	mu        sync.Mutex
	printed   []string
	inKubectl time.Duration
}

// Start starts a stack, in a folder of its own unless the configuration names one. The log of its operator is kept, and
// shown if the test fails.
func Start(t *testing.T, config stack.Config) *World {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal(`KUBEBUILDER_ASSETS is not set: run "make test", or export KUBEBUILDER_ASSETS=$(hack/controlplane/assets.sh kube-controller-manager)`)
	}
	w := &World{T: t}
	if config.Dir == "" {
		config.Dir = t.TempDir()
	}
	if folder != "" && config.Binaries == "" {
		if err := build(); err != nil {
			t.Fatal(err)
		}
		config.Binaries = folder
	}
	config.Operator = func(line string) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.printed = append(w.printed, line)
	}
	started, err := stack.Start(t.Context(), config)
	if err != nil {
		t.Fatalf("%v\n%s", err, strings.Join(w.Printed(), "\n"))
	}
	w.Stack = started
	t.Cleanup(func() {
		if err := started.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the operator's log:\n%s", strings.Join(w.Printed(), "\n"))
		}
	})
	return w
}

// Printed returns the lines of the operator's log.
func (w *World) Printed() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.printed)
}

// MustKubectl runs a command that has to succeed.
func (w *World) MustKubectl(stdin string, args ...string) string {
	w.Helper()
	out, err := w.Kubectl(w.Context(), stdin, args...)
	if err != nil {
		w.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Kubectl is that of the Stack.
func (w *World) Kubectl(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	begin := time.Now()
	defer func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.inKubectl += time.Since(begin)
	}()
	return w.Stack.Kubectl(ctx, stdin, args...)
}

// Eventually waits until a condition holds. It evaluates the condition every 100 ms; after one that ran kubectl, it
// pauses for twice as long as that took, since kubectl must not take the CPU from what it waits for.
func (w *World) Eventually(what string, holds func() bool) {
	w.Helper()
	const interval, longest = 100 * time.Millisecond, time.Second
	late := time.After(Patience)
	for {
		begin, before := time.Now(), w.kubectlTime()
		if holds() {
			return
		}
		pause := max(interval-time.Since(begin), 2*(w.kubectlTime()-before))
		select {
		case <-time.After(min(pause, longest)):
		case <-late:
			w.Fatalf("waiting for %s: not within %v", what, Patience)
		case <-w.Context().Done():
			w.Fatalf("waiting for %s: %v", what, w.Context().Err())
		}
	}
}

// kubectlTime returns how long the test has waited for kubectl.
func (w *World) kubectlTime() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.inKubectl
}
