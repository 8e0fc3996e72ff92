// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
)

// Build compiles manager and calcom-sandbox into an existing folder, which can be the Binaries of any number of stacks.
func Build(ctx context.Context, dir string) error {
	return errors.Join(
		compile(ctx, filepath.Join(dir, "manager"), "./cmd"),
		compile(ctx, filepath.Join(dir, "calcom-sandbox"), "./cmd/calcom-sandbox"),
	)
}

// BuildPlugin compiles the kubectl plugin into an existing folder and returns the path of the binary.
func BuildPlugin(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, "kubectl-calcom")
	return path, compile(ctx, path, "./cmd/kubectl-calcom")
}

func compile(ctx context.Context, path, pkg string) error {
	root, err := Root(ctx)
	if err != nil {
		return err
	}
	build := exec.CommandContext(ctx, "go", "build", "-o", path, pkg)
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("building %s: %w\n%s", filepath.Base(path), err, out)
	}
	return nil
}
