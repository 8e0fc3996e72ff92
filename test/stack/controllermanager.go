// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// startControllerManager starts those controllers of Kubernetes that delete things: without them a namespace stays
// Terminating for ever. Each acts under its own ServiceAccount, as in a real cluster, so that admission policies see
// who deletes.
func (s *Stack) startControllerManager(ctx context.Context) error {
	if !s.config.ControllerManager {
		return nil
	}
	path, err := exec.LookPath(filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kube-controller-manager"))
	if err != nil {
		return fmt.Errorf(`finding kube-controller-manager (run "hack/controlplane/assets.sh kube-controller-manager" and take its answer for KUBEBUILDER_ASSETS): %w`, err)
	}
	s.controllerManager, err = start(path, []string{
		"--kubeconfig=" + s.Kubeconfig,
		"--controllers=namespace-controller,garbage-collector-controller",
		"--use-service-account-credentials",
		"--leader-elect=false",
		"--bind-address=127.0.0.1", "--secure-port=0",
		// A namespace that still has content is looked at again only some seconds later; nobody else is waiting here.
		"--concurrent-namespace-syncs=20",
		"--kube-api-qps=500", "--kube-api-burst=500",
	}, nil, s.config.ControllerManagerLog)
	if err != nil {
		return fmt.Errorf("starting kube-controller-manager: %w", err)
	}
	// It serves no probe; a namespace that goes shows that it works.
	const probe = "controller-manager-probe"
	if out, err := s.Kubectl(ctx, "", "create", "namespace", probe); err != nil {
		return fmt.Errorf("making a namespace: %w\n%s", err, out)
	}
	if out, err := s.Kubectl(ctx, "", "delete", "namespace", probe, "--wait=false"); err != nil {
		return fmt.Errorf("deleting a namespace: %w\n%s", err, out)
	}
	err = wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		if s.controllerManager.hasEnded() {
			return false, errors.New("it ended at once; its log says why")
		}
		out, err := s.Kubectl(ctx, "", "get", "namespace", probe, "--ignore-not-found")
		return err == nil && len(out) == 0, nil
	})
	if err != nil {
		return fmt.Errorf("waiting for kube-controller-manager: %w", err)
	}
	return nil
}
