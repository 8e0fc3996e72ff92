// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// The operator for Cal.com managed users.
package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/calcom-operator/calcom-operator/internal/metricsauth"
	"github.com/calcom-operator/calcom-operator/internal/operator"
	"github.com/calcom-operator/calcom-operator/internal/version"
)

// gracefulStop is the time for work under way when the operator is told to stop: one call to Cal.com may take 30 s.
const gracefulStop = 35 * time.Second

// The leader's lease. A replica that waits takes over no later than 20 s after the last sign of a leader that was killed, and at
// once from one that was told to stop. A leader that cannot reach the API server gives up after 10 s, well before anybody
// can take over; a restart costs little. It is one write every two seconds.
const (
	leaseDuration = 15 * time.Second
	renewDeadline = 10 * time.Second
	retryPeriod   = 2 * time.Second
)

// gcPercent is how much garbage there may be for what is in use. Most of what is in use are caches that stay; with Go's 100 they would
// take half as much memory again, and the operator has little to do most of the time. The variable GOGC wins.
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
	ctrl.SetLogger(zap.New(zap.UseFlagOptions(&o.zap)))
	logger := ctrl.Log.WithName("setup")

	restConfig, err := ctrl.GetConfig()
	if err != nil {
		return fmt.Errorf("finding the cluster: %w", err)
	}
	// The API server's own priority and fairness does the limiting; the client's default of 20 a second would be
	// felt with a few hundred users.
	restConfig.QPS = -1
	restConfig.UserAgent = operator.UserAgent()

	mgr, err := ctrl.NewManager(restConfig, o.manager())
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	if err := operator.Add(ctx, mgr, &o.operator); err != nil {
		return err
	}
	if err := errors.Join(
		mgr.AddHealthzCheck("healthz", healthz.Ping),
		mgr.AddReadyzCheck("caches", full(mgr.GetCache())),
	); err != nil {
		return fmt.Errorf("adding probes: %w", err)
	}
	logger.Info("Starting operator", "version", version.Version)
	return mgr.Start(ctx)
}

// manager returns the options of the manager.
func (o *options) manager() ctrl.Options {
	stop := gracefulStop
	options := ctrl.Options{
		Scheme: operator.NewScheme(),
		Metrics: metricsserver.Options{
			BindAddress:   o.metricsAddress,
			SecureServing: o.secureMetrics,
			// HTTP/2 is off because of its rapid-reset weakness; nothing here needs it.
			TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
		},
		HealthProbeBindAddress:        o.probeAddress,
		PprofBindAddress:              o.pprofAddress,
		LeaderElection:                o.leaderElect,
		LeaderElectionID:              o.leaderElectionID,
		LeaderElectionNamespace:       o.leaderElectionNamespace,
		LeaderElectionReleaseOnCancel: true, // The process ends with the manager, so the next one may start at once.
		LeaseDuration:                 new(leaseDuration),
		RenewDeadline:                 new(renewDeadline),
		RetryPeriod:                   new(retryPeriod),
		// A replica that does not lead keeps its caches full, so that it goes on at once where the leader stopped.
		Controller:              ctrlconfig.Controller{EnableWarmup: new(true)},
		GracefulShutdownTimeout: &stop,
		Cache:                   o.operator.Cache(),
	}
	if o.secureMetrics {
		options.Metrics.FilterProvider = metricsauth.Filter
	}
	return options
}

// full is a check for whether the caches hold all there is. So a rollout ends the replica before only when the next one can go
// on in its place.
func full(c cache.Cache) healthz.Checker {
	return func(request *http.Request) error {
		ctx, cancel := context.WithTimeout(request.Context(), 500*time.Millisecond) // The kubelet waits for a second.
		defer cancel()
		if !c.WaitForCacheSync(ctx) {
			return errors.New("the caches are not full yet")
		}
		return nil
	}
}
