// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package operatortest

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/crdcheck"
	"github.com/calcom-operator/calcom-operator/internal/operator"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// TB is the part of testing.TB that this package needs; GinkgoT() has it too.
type TB interface {
	calcomtest.TB
	Context() context.Context
}

// Operator is an operator that runs.
type Operator struct {
	stop  context.CancelFunc
	ended chan struct{}
	err   error // Of the manager; to be read once ended is closed.
}

// Start runs the operator on a manager of its own until the test and its cleanups that were registered later are over.
// It returns once the operator is ready to work.
func Start(t TB, config *rest.Config, options Options) *Operator {
	t.Helper()
	// The test's context ends before its cleanups, which may want to delete users.
	o, err := Launch(context.WithoutCancel(t.Context()), config, options)
	if err != nil {
		t.Fatalf("starting the operator: %v", err)
	}
	t.Cleanup(func() {
		if err := o.Stop(); err != nil {
			t.Fatalf("running the operator: %v", err)
		}
	})
	return o
}

// Launch runs the operator on a manager of its own until Stop, or until the context ends. It returns once the operator
// is ready to work.
func Launch(ctx context.Context, config *rest.Config, options Options) (*Operator, error) {
	own, err := options.operator()
	if err != nil {
		return nil, err
	}
	logger := options.Logger
	if logger.GetSink() == nil {
		logger = logr.Discard()
	}
	config = rest.CopyConfig(config)
	config.QPS = -1 // As in the program.
	config.UserAgent = operator.UserAgent()
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme:  operator.NewScheme(),
		Cache:   own.Cache(),
		Logger:  logger,
		Metrics: metricsserver.Options{BindAddress: "0"},
		// Each test may have an operator of its own, and names are compared in the whole process.
		Controller: ctrlconfig.Controller{SkipNameValidation: new(true)},
	})
	if err != nil {
		return nil, fmt.Errorf("making the manager: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	o := &Operator{stop: stop, ended: make(chan struct{})}
	if err := setup(ctx, mgr, own); err != nil {
		stop()
		return nil, err
	}
	go func() {
		defer close(o.ended)
		o.err = mgr.Start(ctx)
	}()
	if err := o.ready(ctx, mgr); err != nil {
		return nil, errors.Join(err, o.Stop())
	}
	return o, nil
}

// ready waits until the caches are full, or the manager has ended without.
func (o *Operator) ready(ctx context.Context, mgr ctrl.Manager) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-o.ended:
			cancel()
		case <-ctx.Done():
		}
	}()
	if !mgr.GetCache().WaitForCacheSync(ctx) {
		return errors.New("the operator ended before its caches were full")
	}
	return nil
}

// Stop ends the operator, waits until it is down, and returns the error of its manager, if any. Calling it twice is
// allowed.
func (o *Operator) Stop() error {
	o.stop()
	<-o.ended
	return o.err
}

// SetupWithManager puts the operator's reconcilers on a manager, which the caller starts, with this context. The
// manager's scheme has to know the types of client-go and of api/v1alpha1. A process with several such managers needs
// Controller.SkipNameValidation in their options.
func SetupWithManager(ctx context.Context, mgr ctrl.Manager, options Options) error {
	own, err := options.operator()
	if err != nil {
		return err
	}
	return setup(ctx, mgr, own)
}

// setup adds the reconcilers after a look at what they need: without it, they would wait for two minutes before they
// say so.
func setup(ctx context.Context, mgr ctrl.Manager, own *operator.Options) error {
	kind := v1alpha1.GroupVersion.WithKind("ManagedUser")
	if !mgr.GetScheme().Recognizes(kind) {
		return errors.New("the manager's scheme does not know ManagedUser: add the types by v1alpha1.AddToScheme")
	}
	if _, err := mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version); meta.IsNoMatchError(err) {
		return fmt.Errorf("the API server does not know ManagedUser, so install the CRDs first, with envtest by CRDInstallOptions{CRDs: crd.Objects()}: %w", err)
	} else if err != nil {
		return fmt.Errorf("asking the API server for ManagedUser: %w", err)
	}
	if err := current(ctx, mgr, own); err != nil {
		return err
	}
	return operator.Add(ctx, mgr, own)
}

const (
	// publishing is the longest time in which the API server publishes the schema of CRDs that were just installed.
	publishing = 5 * time.Second
	// publishingPace is the time between two checks of it.
	publishingPace = 100 * time.Millisecond
)

// current returns an error when the CRDs lack fields that the operator needs, as those of another version do.
func current(ctx context.Context, mgr ctrl.Manager, own *operator.Options) error {
	checker, err := crdcheck.NewChecker(mgr.GetConfig(), mgr.GetHTTPClient(), own.ClusterClients)
	if err != nil {
		return err
	}
	err = checker.Check(ctx)
	for began := time.Now(); err != nil && time.Since(began) < publishing; {
		select {
		case <-time.After(publishingPace):
			err = checker.Check(ctx)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if err != nil {
		return fmt.Errorf("checking the CRDs, which have to be those that crd.Objects() returns: %w", err)
	}
	return nil
}
