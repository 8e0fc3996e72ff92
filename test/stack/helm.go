// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Root returns the folder of the operator's module, also to a test in a module of its own.
func Root(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/calcom-operator/calcom-operator").Output()
	if err != nil {
		return "", fmt.Errorf("finding the module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// Helm is a built helm.
type Helm struct {
	path, root string
	env        []string
}

// FindHelm returns helm of a major version, 3 or 4, which is compiled if Go's build cache does not have it. It keeps
// its files in dir and acts with a kubeconfig, if one is given.
func FindHelm(ctx context.Context, major int, dir, kubeconfig string) (*Helm, error) {
	root, err := Root(ctx)
	if err != nil {
		return nil, err
	}
	module := filepath.Join(root, "hack", "tools", "helm", "go.mod")
	tool := exec.CommandContext(ctx, "go", "tool", "-n", "-modfile="+module, fmt.Sprintf("helm.sh/helm/v%d/cmd/helm", major))
	tool.Dir = root
	var stderr bytes.Buffer
	tool.Stderr = &stderr
	path, err := tool.Output()
	if err != nil {
		return nil, fmt.Errorf("building helm: %w\n%s", err, stderr.Bytes())
	}
	h := &Helm{path: strings.TrimSpace(string(path)), root: root, env: append(os.Environ(), "KUBECONFIG="+kubeconfig)}
	for _, name := range []string{"CACHE", "CONFIG", "DATA"} {
		h.env = append(h.env, "HELM_"+name+"_HOME="+filepath.Join(dir, "helm"))
	}
	return h, nil
}

// Chart returns the folder of the operator's chart.
func (h *Helm) Chart() string { return filepath.Join(h.root, "charts", "calcom-operator") }

// Run runs helm with the given standard input, and returns what it printed: standard output, and with an error the rest
// as well.
func (h *Helm) Run(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	helm := exec.CommandContext(ctx, h.path, args...)
	helm.Env = h.env
	helm.Stdin = strings.NewReader(stdin)
	var stdout, stderr bytes.Buffer
	helm.Stdout, helm.Stderr = &stdout, &stderr
	if err := helm.Run(); err != nil {
		return append(stdout.Bytes(), stderr.Bytes()...), fmt.Errorf("helm %s: %w", strings.Join(args, " "), err)
	}
	return stdout.Bytes(), nil
}
