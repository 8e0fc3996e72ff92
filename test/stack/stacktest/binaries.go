// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package stacktest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/stack"
)

// folder holds the binaries that the tests of a package share; empty without Main.
var folder string

// Each program is compiled when the first test needs it. Linking one takes seconds, which every stack would pay.
var (
	build = sync.OnceValue(func() error {
		return stack.Build(context.Background(), folder) //nolint:forbidigo // It outlives the test that comes first.
	})
	// The plugin is in a folder of its own: kubectl takes it from the first folder of PATH that has it.
	plugin = sync.OnceValues(func() (string, error) {
		dir := filepath.Join(folder, "plugin")
		if err := os.Mkdir(dir, 0o700); err != nil {
			return "", fmt.Errorf("making a folder: %w", err)
		}
		return stack.BuildPlugin(context.Background(), dir) //nolint:forbidigo // It outlives the test that comes first.
	})
)

// Main runs the tests of a package, whose stacks share one set of binaries, and returns the exit code. TestMain calls
// it.
func Main(m *testing.M) int {
	dir, err := os.MkdirTemp("", "calcom-binaries-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "making a folder:", err)
		return 1
	}
	folder = dir
	defer func() { _ = os.RemoveAll(dir) }()
	return m.Run()
}

// Plugin returns the path of the built kubectl plugin. The package's TestMain has to call Main.
func Plugin(tb testing.TB) string {
	tb.Helper()
	if folder == "" {
		tb.Fatal("TestMain does not call stacktest.Main")
	}
	path, err := plugin()
	if err != nil {
		tb.Fatal(err)
	}
	return path
}
