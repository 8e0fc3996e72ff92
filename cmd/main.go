// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// The operator for Cal.com managed users.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"

	"github.com/calcom-operator/calcom-operator/internal/operator"
	"github.com/calcom-operator/calcom-operator/internal/version"
)

// gracefulStop is the time for work under way when the operator is told to stop: one call to Cal.com may take 30 s.
const gracefulStop = 35 * time.Second

// gracefulMargin is what the manager of probes and metrics waits longer for the other one.
const gracefulMargin = 2 * time.Second

// The leader's lease. A replica that waits takes over no later than 20 s after the last sign of a leader that was
// killed, and at once from one that was told to stop. A leader that cannot reach the API server gives up after 10 s,
// well before anybody can take over; a restart costs little. It is one write every two seconds.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// gcPercent is how much garbage there may be for what is in use. Most of what is in use are caches that stay; with Go's
// 100 they would take half as much memory again, and the operator has little to do most of the time. The variable GOGC
// wins.
const gcPercent = 40

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	err := run(ctrl.SetupSignalHandler(), os.Args[1:])
	if errors.Is(err, flag.ErrHelp) {
		return
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "calcom-operator:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	o, err := parseOptions(args)
	if err != nil {
		return err
	}
	if o.version {
		fmt.Println("calcom-operator", version.Version)
		return nil
	}
	ctrl.SetLogger(operator.Logger(zap.New(zap.UseFlagOptions(&o.zap)), clock.RealClock{}))

	restConfig, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	// The API server's own priority and fairness does the limiting; the client's default of 20 a second would be
	// felt with a few hundred users.
	restConfig.QPS = -1
	restConfig.UserAgent = operator.UserAgent()

	return o.serve(ctx, restConfig, clock.RealClock{})
}
