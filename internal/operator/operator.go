// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package operator puts the operator's reconcilers on a manager. The program does so by its flags, and
// test/operatortest for the tests of others.
package operator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/controller"
	"github.com/calcom-operator/calcom-operator/internal/metrics"
	"github.com/calcom-operator/calcom-operator/internal/version"
)

// UserAgent is what the operator calls itself, before Cal.com and the API server.
func UserAgent() string { return "calcom-operator/" + version.Version }

// Options are what the operator is started with. Those that are not explained here are those of controller.Config.
type Options struct {
	// OwnerID begins the mark of every user; the UID of the namespace kube-system when empty.
	OwnerID             string
	AllowedAPIURLs      controller.URLPrefixes
	ResyncInterval      time.Duration
	RateLimitShare      float64
	QuotaWindow         time.Duration
	UnknownOutcomeGrace time.Duration
	MassDeleteLimit     int
	MassAbsenceLimit    int
	Namespace           string
	ProtectSecrets      bool
	ClusterClients      bool
	// WatchNamespaces are the namespaces to work in; all when empty. The manager's cache has to be made for them, see
	// Cache.
	WatchNamespaces []string
	// Workers is the number of users that are worked on at a time.
	Workers int
	// Registerer takes the metrics; nothing is counted when nil.
	Registerer prometheus.Registerer
}

// Add puts the reconcilers on a manager. The context is that in which the manager will run.
func Add(ctx context.Context, mgr ctrl.Manager, o *Options) error {
	config, err := o.config(ctx, mgr.GetAPIReader())
	if err != nil {
		return err
	}
	// A field that the served CRD lacks makes a write fail. By default the API server would drop it without an error.
	writer := client.WithFieldValidation(mgr.GetClient(), client.FieldValidation(metav1.FieldValidationStrict))
	r, err := controller.New(writer, mgr.GetAPIReader(), mgr.GetEventRecorder("calcom-operator"), config)
	if err != nil {
		return fmt.Errorf("making the reconciler: %w", err)
	}
	errs := []error{
		o.register(append(r.Collectors(ctx, func() bool { return isClosed(mgr.Elected()) }), config.Metrics, metrics.NewBuild(version.Version))),
		r.SetupWithManager(ctx, mgr),
		r.OAuthClients(v1alpha1.KindOAuthClient).SetupWithManager(mgr),
		r.Secrets().SetupWithManager(mgr),
	}
	if config.ClusterClients {
		errs = append(errs, r.OAuthClients(v1alpha1.KindClusterOAuthClient).SetupWithManager(mgr))
	}
	return errors.Join(errs...)
}

func (o *Options) config(ctx context.Context, reader client.Reader) (controller.Config, error) {
	ownerID, err := o.owner(ctx, reader)
	if err != nil {
		return controller.Config{}, err
	}
	return controller.Config{
		OwnerID:                 ownerID,
		AllowedAPIURLs:          o.AllowedAPIURLs,
		ResyncInterval:          o.ResyncInterval,
		RateLimitShare:          o.RateLimitShare,
		QuotaWindow:             o.QuotaWindow,
		UnknownOutcomeGrace:     o.UnknownOutcomeGrace,
		MassDeleteLimit:         o.MassDeleteLimit,
		MassAbsenceLimit:        o.MassAbsenceLimit,
		Namespace:               o.Namespace,
		ProtectSecrets:          o.ProtectSecrets,
		ClusterClients:          o.ClusterClients,
		WatchNamespaces:         slices.Sorted(maps.Keys(o.namespaces())),
		MaxConcurrentReconciles: o.Workers,
		UserAgent:               UserAgent(),
		Transport:               controller.NewTransport(o.Workers),
		Clock:                   clock.RealClock{},
		Jitter:                  jitter,
		Metrics:                 metrics.New(),
	}, nil
}

// owner returns what begins the mark of every user: the option, or the UID of kube-system, which is as good as an id of
// the cluster.
func (o *Options) owner(ctx context.Context, reader client.Reader) (string, error) {
	if o.OwnerID != "" {
		return o.OwnerID, nil
	}
	var namespace corev1.Namespace
	if err := reader.Get(ctx, client.ObjectKey{Name: "kube-system"}, &namespace); err != nil {
		return "", fmt.Errorf("reading the namespace kube-system, whose UID marks this cluster's users (--owner-id makes do without): %w", err)
	}
	return string(namespace.UID), nil
}

func (o *Options) register(collectors []prometheus.Collector) error {
	if o.Registerer == nil {
		return nil
	}
	var errs []error
	for _, c := range collectors {
		errs = append(errs, o.Registerer.Register(c))
	}
	return errors.Join(errs...)
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// jitter returns a random time from 0 up to most.
func jitter(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return rand.N(most) //nolint:gosec // It spreads load and guards nothing.
}
