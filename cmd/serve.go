// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/calcom-operator/calcom-operator/internal/crdcheck"
	"github.com/calcom-operator/calcom-operator/internal/metricsauth"
	"github.com/calcom-operator/calcom-operator/internal/operator"
	"github.com/calcom-operator/calcom-operator/internal/version"
)

// process is the operator as a process: an outer manager that serves probes, metrics and profiles from the start,
// and an inner one with caches, leader election and controllers, which exists only while the CRDs are current.
type process struct {
	options *options
	config  *rest.Config
	gate    *crdcheck.Gate
	// cache is that of the inner manager, nil until there is one.
	cache atomic.Pointer[cache.Cache]
}

// serve runs the operator until the context ends, or something fails. The clock is that of the checks of the CRDs.
func (o *options) serve(ctx context.Context, config *rest.Config, c clock.Clock) error {
	outer, err := ctrl.NewManager(config, o.outer())
	if err != nil {
		return fmt.Errorf("making the manager of probes and metrics: %w", err)
	}
	checker, err := crdcheck.NewChecker(outer.GetConfig(), outer.GetHTTPClient(), o.operator.ClusterClients)
	if err != nil {
		return fmt.Errorf("making the check of the CRDs: %w", err)
	}
	p := &process{options: o, config: config, gate: crdcheck.NewGate(checker, c, ctrl.Log.WithName("crds"))}
	if err := errors.Join(
		outer.AddHealthzCheck("healthz", healthz.Ping),
		outer.AddReadyzCheck("crds", p.gate.Ready),
		outer.AddReadyzCheck("caches", p.full),
		outer.Add(manager.RunnableFunc(p.run)),
	); err != nil {
		return fmt.Errorf("adding probes: %w", err)
	}
	return outer.Start(ctx)
}

// run waits for current CRDs and then runs the inner manager, until the context ends or the CRDs come to lack a
// field. The process ends with that error; the next one waits again.
func (p *process) run(ctx context.Context) error {
	if err := p.gate.Wait(ctx); err != nil {
		return nil //nolint:nilerr // The context ended, which is how the operator is stopped.
	}
	inner, err := ctrl.NewManager(p.config, p.options.inner())
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	if err := operator.Add(ctx, inner, &p.options.operator); err != nil {
		return err
	}
	if err := inner.Add(watch{p.gate}); err != nil {
		return fmt.Errorf("adding the check of the CRDs: %w", err)
	}
	full := inner.GetCache()
	p.cache.Store(&full)
	ctrl.Log.WithName("setup").Info("Starting operator", "version", version.Version)
	return inner.Start(ctx)
}

// watch checks the CRDs while the operator works. A replica that does not lead does it too.
type watch struct{ *crdcheck.Gate }

func (w watch) Start(ctx context.Context) error { return w.Watch(ctx) }

func (watch) NeedLeaderElection() bool { return false }

// full is a readiness check: it fails until the caches hold every object there is. So a rollout ends the replica
// before only when the next one can go on in its place.
func (p *process) full(request *http.Request) error {
	ctx, cancel := context.WithTimeout(request.Context(), 500*time.Millisecond) // The kubelet waits for a second.
	defer cancel()
	if c := p.cache.Load(); c == nil || !(*c).WaitForCacheSync(ctx) {
		return errors.New("the caches are not full yet")
	}
	return nil
}

// outer returns the options of the manager that serves probes, metrics and profiles.
func (o *options) outer() ctrl.Options {
	stop := gracefulStop + gracefulMargin
	options := ctrl.Options{
		Scheme: operator.NewScheme(),
		Metrics: metricsserver.Options{
			BindAddress:   o.metricsAddress,
			SecureServing: o.secureMetrics,
			// HTTP/2 is off because of its rapid-reset weakness; nothing here needs it.
			TLSOpts: []func(*tls.Config){func(c *tls.Config) { c.NextProtos = []string{"http/1.1"} }},
		},
		HealthProbeBindAddress:  o.probeAddress,
		PprofBindAddress:        o.pprofAddress,
		GracefulShutdownTimeout: &stop,
	}
	if o.secureMetrics {
		options.Metrics.FilterProvider = metricsauth.Filter
	}
	return options
}

// inner returns the options of the manager that reconciles.
func (o *options) inner() ctrl.Options {
	stop := gracefulStop
	return ctrl.Options{
		Scheme:                        operator.NewScheme(),
		Metrics:                       metricsserver.Options{BindAddress: "0"}, // The outer manager serves them.
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
}
