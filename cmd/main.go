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
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/controller"
	"github.com/calcom-operator/calcom-operator/internal/metrics"
	"github.com/calcom-operator/calcom-operator/internal/metricsauth"
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
	restConfig.UserAgent = "calcom-operator/" + version.Version

	mgr, err := ctrl.NewManager(restConfig, o.manager())
	if err != nil {
		return fmt.Errorf("making the manager: %w", err)
	}
	if err := addController(ctx, mgr, o); err != nil {
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
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // Only two types of one name could fail here, at compile time in all but name.
		}
	}
	stop := gracefulStop
	options := ctrl.Options{
		Scheme: scheme,
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
		Cache: cache.Options{
			DefaultTransform:  strip,
			DefaultNamespaces: o.namespaces(),
			ByObject:          o.secretNamespaces(),
		},
	}
	if o.secureMetrics {
		options.Metrics.FilterProvider = metricsauth.Filter
	}
	return options
}

// strip takes off what the cache need not hold: managed fields; of Secrets and namespaces, of which only metadata is watched,
// all annotations but the operator's own, since kubectl apply leaves the data of a Secret in one, and owners, but for managed
// users, which own the Secrets with their tokens; and what kubectl apply leaves in an annotation of a managed user. Labels stay where ClusterOAuthClients select by them.
func strip(in any) (any, error) {
	if object, ok := in.(metav1.Object); ok {
		object.SetManagedFields(nil)
	}
	switch object := in.(type) {
	case *metav1.PartialObjectMetadata:
		keep := []string{v1alpha1.AllowMassDeletionAnnotation}
		if object.Kind != "Namespace" {
			keep, object.Labels = []string{v1alpha1.ReleasingAnnotation, v1alpha1.TokensAnnotation}, nil
		}
		maps.DeleteFunc(object.Annotations, func(key, _ string) bool { return !slices.Contains(keep, key) })
		object.OwnerReferences = slices.DeleteFunc(object.OwnerReferences, func(owner metav1.OwnerReference) bool {
			return owner.Kind != "ManagedUser"
		})
		if len(object.OwnerReferences) == 0 {
			object.OwnerReferences = nil
		}
	case *v1alpha1.ManagedUser:
		// The spec once more, as text. Patches are made from two copies that both lack it, so they do not touch it.
		delete(object.Annotations, corev1.LastAppliedConfigAnnotation)
	}
	return in, nil
}

// namespaces returns the watched namespaces as the cache takes them; nil means all.
func (o *options) namespaces() map[string]cache.Config {
	if o.watchNamespaces == "" {
		return nil
	}
	watched := make(map[string]cache.Config)
	for name := range strings.SplitSeq(o.watchNamespaces, ",") {
		watched[strings.TrimSpace(name)] = cache.Config{}
	}
	return watched
}

// secretNamespaces adds to the watched namespaces the operator's own, where the Secrets of ClusterOAuthClients are.
func (o *options) secretNamespaces() map[client.Object]cache.ByObject {
	watched := o.namespaces()
	if watched == nil || !o.clusterClients || o.operatorNamespace == "" {
		return nil
	}
	watched[o.operatorNamespace] = cache.Config{}
	return map[client.Object]cache.ByObject{&corev1.Secret{}: {Namespaces: watched}}
}

func addController(ctx context.Context, mgr ctrl.Manager, o *options) error {
	ownerID, err := o.owner(ctx, mgr.GetAPIReader())
	if err != nil {
		return err
	}
	counts := metrics.New()
	config := controller.Config{
		OwnerID:                 ownerID,
		AllowedAPIURLs:          o.allowed,
		ResyncInterval:          o.resyncInterval,
		RateLimitShare:          o.rateLimitShare,
		QuotaWindow:             o.quotaWindow,
		UnknownOutcomeGrace:     o.unknownOutcomeGrace,
		MassDeleteLimit:         o.massDeleteLimit,
		Namespace:               o.operatorNamespace,
		ProtectSecrets:          o.protectSecrets,
		ClusterClients:          o.clusterClients,
		WatchNamespaces:         slices.Sorted(maps.Keys(o.namespaces())),
		MaxConcurrentReconciles: o.workers,
		UserAgent:               "calcom-operator/" + version.Version,
		Transport:               controller.NewTransport(o.workers),
		Clock:                   clock.RealClock{},
		Jitter:                  jitter,
		Metrics:                 counts,
	}
	r, err := controller.New(mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("calcom-operator"), config)
	if err != nil {
		return fmt.Errorf("making the reconciler: %w", err)
	}
	errs := []error{
		register(append(r.Collectors(ctx, func() bool { return isClosed(mgr.Elected()) }), counts, metrics.NewBuild(version.Version))),
		r.SetupWithManager(ctx, mgr),
		r.OAuthClients(v1alpha1.KindOAuthClient).SetupWithManager(mgr),
		controller.NewSecretReconciler(mgr.GetClient(), mgr.GetAPIReader(), config).SetupWithManager(mgr),
	}
	if config.ClusterClients {
		errs = append(errs, r.OAuthClients(v1alpha1.KindClusterOAuthClient).SetupWithManager(mgr))
	}
	return errors.Join(errs...)
}

// register has metrics served beside those of controller-runtime.
func register(collectors []prometheus.Collector) error {
	var errs []error
	for _, c := range collectors {
		errs = append(errs, ctrlmetrics.Registry.Register(c))
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

// owner returns what begins the mark of every user: the flag, or the UID of kube-system, which is as good as an id of
// the cluster.
func (o *options) owner(ctx context.Context, reader client.Reader) (string, error) {
	if o.ownerID != "" {
		return o.ownerID, nil
	}
	var namespace corev1.Namespace
	if err := reader.Get(ctx, client.ObjectKey{Name: "kube-system"}, &namespace); err != nil {
		return "", fmt.Errorf("reading the namespace kube-system, whose UID marks this cluster's users (--owner-id makes do without): %w", err)
	}
	return string(namespace.UID), nil
}

// jitter returns a random time from 0 up to most.
func jitter(most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	return rand.N(most) //nolint:gosec // It spreads load and guards nothing.
}
