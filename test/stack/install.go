// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// applyDefault applies config/default, as a user would.
func applyDefault(ctx context.Context, s *Stack) error {
	if out, err := s.Kubectl(ctx, "", "apply", "--server-side", "-k", filepath.Join(s.root, "config", "default")); err != nil {
		return fmt.Errorf("installing the operator: %w\n%s", err, out)
	}
	return nil
}

// install installs the operator's objects.
func (s *Stack) install(ctx context.Context) error {
	install := s.config.Install
	if install == nil {
		install = applyDefault
	}
	if err := install(ctx, s); err != nil {
		return err
	}
	if err := s.awaitCRDs(ctx); err != nil {
		return err
	}
	return s.Authorize(ctx)
}

// awaitCRDs waits until the API server serves the kinds. kubectl wait gives up at once on a CRD so new that it has no
// conditions.
func (s *Stack) awaitCRDs(ctx context.Context) error {
	var last error
	err := wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		out, err := s.Kubectl(ctx, "", "wait", "--for=condition=Established",
			"crd/managedusers.platform.cal.com", "crd/oauthclients.platform.cal.com", "crd/clusteroauthclients.platform.cal.com", "--timeout=30s")
		last = fmt.Errorf("waiting for the CRDs: %w\n%s", err, out)
		return err == nil, nil
	})
	if err != nil {
		return errors.Join(err, last)
	}
	return nil
}

// Authorize makes a kubeconfig for the operator's ServiceAccount, as is needed when that was made anew.
func (s *Stack) Authorize(ctx context.Context) error {
	token, err := s.Kubectl(ctx, "", "create", "token", "calcom-operator", "-n", Namespace, "--duration=24h")
	if err != nil {
		return fmt.Errorf("making the operator's token: %w\n%s", err, token)
	}
	// --kubeconfig comes last and wins over the administrator's, which Kubectl gives in the environment.
	own := s.operatorKubeconfig()
	if err := os.WriteFile(own, s.controlPlane.KubeConfig, 0o600); err != nil {
		return fmt.Errorf("writing the operator's kubeconfig: %w", err)
	}
	for _, args := range [][]string{
		{"config", "set-credentials", "operator", "--token=" + strings.TrimSpace(string(token))},
		{"config", "set-context", "--current", "--user=operator", "--namespace=" + Namespace},
	} {
		if out, err := s.Kubectl(ctx, "", append(args, "--kubeconfig="+own)...); err != nil {
			return fmt.Errorf("writing the operator's kubeconfig: %w\n%s", err, out)
		}
	}
	return nil
}

// Reinstall stops the operator, installs it anew after somebody deleted it from the cluster, and starts it.
func (s *Stack) Reinstall(ctx context.Context) error {
	if err := s.StopOperator(); err != nil {
		return err
	}
	if err := s.install(ctx); err != nil {
		return err
	}
	return s.StartOperator(ctx)
}
