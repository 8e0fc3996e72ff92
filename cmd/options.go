// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	ctrlmetrics "sigs.k8s.io/controller-runtime/pkg/metrics"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/controller"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/operator"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// options are the flags.
type options struct {
	metricsAddress, probeAddress string
	pprofAddress                 string
	secureMetrics                bool
	leaderElect                  bool
	leaderElectionID             string
	leaderElectionNamespace      string
	version                      bool
	zap                          zap.Options

	// These two are checked and parsed into operator.
	allowedAPIURLs, watchNamespaces string
	operator                        operator.Options
}

// bodyLevel is the level of detail at which k8s.io/client-go logs the bodies of its requests and answers, with the
// logger of whoever asks.
const bodyLevel = 8

// defaultWorkers leaves one OAuth client 24 places for calls, of which four are for create calls. On two cores shared
// with the API server, more workers create users no faster: the CPU of the API server is used up.
const defaultWorkers = 48

func parseOptions(args []string) (*options, error) {
	o := &options{operator: operator.Options{Registerer: ctrlmetrics.Registry}}
	flags := flag.NewFlagSet("calcom-operator", flag.ContinueOnError)
	config.RegisterFlags(flags)
	flags.StringVar(&o.metricsAddress, "metrics-bind-address", ":8443", "address of the metrics endpoint; 0 turns it off")
	flags.BoolVar(&o.secureMetrics, "metrics-secure", true, "serve metrics by HTTPS, and only to whom the API server authenticates and authorizes")
	flags.StringVar(&o.probeAddress, "health-probe-bind-address", ":8081", "address of /healthz and /readyz; 0 turns them off")
	flags.StringVar(&o.pprofAddress, "pprof-bind-address", "0", "address of Go's profiles, for debugging, as 127.0.0.1:6060; 0 turns it off. They show no objects, but serve anybody who can reach the address: bind it to 127.0.0.1")
	flags.BoolVar(&o.leaderElect, "leader-elect", false, "let only one of several replicas work at a time")
	flags.StringVar(&o.leaderElectionID, "leader-election-id", "calcom-operator.platform.cal.com", "name of the lease; give operators for different namespaces different ones")
	flags.StringVar(&o.leaderElectionNamespace, "leader-election-namespace", "", "namespace of the lease; the pod's own when empty")
	flags.StringVar(&o.operator.OwnerID, "owner-id", "", "what marks the users of this cluster in Cal.com, at most 63 characters; the UID of the namespace kube-system when empty. Set it before a cluster is rebuilt, so that the new one takes the users over")
	flags.StringVar(&o.allowedAPIURLs, "allowed-api-urls", "https://", "comma-separated beginnings of the API URLs that may be called, as https://api.cal.com")
	flags.StringVar(&o.watchNamespaces, "watch-namespaces", "", "comma-separated namespaces to work in; all when empty")
	flags.DurationVar(&o.operator.ResyncInterval, "resync-interval", 10*time.Minute, "time in which the drift sweep looks at every user once, with lists of up to 250 users that are spread evenly over it; also how often users that wait for a person are looked at again")
	flags.DurationVar(&o.operator.UnknownOutcomeGrace, "unknown-outcome-grace", manageduser.UnknownOutcomeGrace, "after a create call whose outcome is unknown, how long a user that cannot be found is waited for. Cal.com can finish such a call late; a server that is slower than most needs more")
	flags.IntVar(&o.operator.Workers, "max-concurrent-reconciles", defaultWorkers, "number of users that are worked on at a time. One OAuth client has calls under way for at most half of them, four of which may be create calls")
	flags.Float64Var(&o.operator.RateLimitShare, "rate-limit-share", 0.8, "part of each OAuth client's quota that the operator uses, above 0 and up to 1; the rest is left to your own backend")
	flags.DurationVar(&o.operator.QuotaWindow, "quota-window", quota.DefaultWindow, "time over which the server counts calls; only for test servers whose time is scaled, never for Cal.com")
	flags.BoolVar(&o.operator.ProtectSecrets, "protect-secrets", true, "keep credentials Secrets and OAuth clients from being deleted before the users that need them, by the finalizer platform.cal.com/in-use; without it, delete users before their Secret and their namespace")
	flags.BoolVar(&o.operator.ClusterClients, "cluster-oauth-clients", true, "serve ClusterOAuthClients, whose Secrets are in the operator's own namespace. An operator without rights in the whole cluster has to be started without")
	flags.IntVar(&o.operator.MassDeleteLimit, "mass-delete-limit", 0, "how many users of one OAuth client are deleted in any 10 minutes; the others wait, and say so, until their time comes or somebody sets the annotation "+v1alpha1.AllowMassDeletionAnnotation+"=true on them or their namespace. 0 means any number")
	flags.IntVar(&o.operator.MassAbsenceLimit, "mass-absence-limit", 10, "how many users of one OAuth client may be gone from Cal.com in any 10 minutes, as when a database was lost or a proxy leads to another server. When more are, none is created anew, and no object is released for it, until they show again or somebody sets the annotation "+v1alpha1.AllowMassAbsenceAnnotation+"=true on the objects, their namespace or their OAuth client. 0 means any number. Without --operator-namespace it counts in memory")
	flags.StringVar(&o.operator.Namespace, "operator-namespace", "", "namespace of the operator's own records, and of the Secrets of ClusterOAuthClients; the pod's own when empty")
	flags.BoolVar(&o.version, "version", false, "print the version and exit")
	o.zap.BindFlags(flags)
	// Times for people; and no stack traces for what is expected to fail now and then, as a call to Cal.com.
	for name, value := range map[string]string{"zap-time-encoding": "rfc3339nano", "zap-stacktrace-level": "panic"} {
		if err := flags.Set(name, value); err != nil {
			return nil, fmt.Errorf("--%s: %w", name, err)
		}
	}
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if o.operator.Namespace == "" {
		o.operator.Namespace = ownNamespace()
	}
	if o.zap.Level != nil && o.zap.Level.Enabled(-bodyLevel) {
		return nil, fmt.Errorf("--zap-log-level must be below %d: from there on the Kubernetes client logs what it reads and writes, Secrets and addresses included", bodyLevel)
	}
	return o, o.check(flags.Args())
}

// ownNamespace returns the namespace that the process runs in as a pod, or nothing.
func ownNamespace() string {
	const file = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
	name, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(name))
}

// check finds values that no flag type excludes, and names the flag.
func (o *options) check(rest []string) error {
	if len(rest) > 0 {
		return fmt.Errorf("unknown argument %q; everything is set by flags, see --help", rest[0])
	}
	var err error
	if o.operator.AllowedAPIURLs, err = controller.ParseURLPrefixes(o.allowedAPIURLs); err != nil {
		return fmt.Errorf("--allowed-api-urls: %w", err)
	}
	if err := o.checkNumbers(); err != nil {
		return err
	}
	switch {
	case o.operator.MassDeleteLimit > 0 && o.operator.Namespace == "":
		return fmt.Errorf("--mass-delete-limit outside of a pod also needs --operator-namespace, where deletions are recorded")
	case len(o.operator.OwnerID) > 63 || strings.ContainsAny(o.operator.OwnerID, "/ \t\n"):
		return fmt.Errorf("--owner-id must have at most 63 characters, none of them a slash or a space")
	}
	return o.parseNamespaces()
}

// parseNamespaces refuses what can be no namespace. The operator would watch it all the same, and nothing would ever
// happen there: a mistyped name would look like an operator that does nothing.
func (o *options) parseNamespaces() error {
	if o.watchNamespaces == "" {
		return nil
	}
	for i, name := range strings.Split(o.watchNamespaces, ",") {
		name = strings.TrimSpace(name)
		if name == "" {
			return fmt.Errorf("--watch-namespaces: entry %d of %q is empty; remove the comma that is too many, or leave the flag out to work in all namespaces",
				i+1, o.watchNamespaces)
		}
		if flaws := validation.IsDNS1123Label(name); len(flaws) > 0 {
			return fmt.Errorf("--watch-namespaces: %q is no name of a namespace (%s); write names as kubectl get namespaces shows them, and separate the names by commas",
				name, strings.Join(flaws, "; "))
		}
		o.operator.WatchNamespaces = append(o.operator.WatchNamespaces, name)
	}
	return nil
}

func (o *options) checkNumbers() error {
	switch {
	case o.operator.ResyncInterval < time.Second:
		return fmt.Errorf("--resync-interval is %v; it must be at least 1s", o.operator.ResyncInterval)
	case o.operator.UnknownOutcomeGrace < time.Second:
		return fmt.Errorf("--unknown-outcome-grace is %v; it must be at least 1s", o.operator.UnknownOutcomeGrace)
	case o.operator.Workers < 1:
		return fmt.Errorf("--max-concurrent-reconciles is %d; it must be at least 1", o.operator.Workers)
	case !(o.operator.RateLimitShare > 0 && o.operator.RateLimitShare <= 1):
		return fmt.Errorf("--rate-limit-share is %v; it must be above 0 and at most 1", o.operator.RateLimitShare)
	case o.operator.QuotaWindow < time.Second:
		return fmt.Errorf("--quota-window is %v; it must be at least 1s, and 1m for Cal.com", o.operator.QuotaWindow)
	case o.operator.MassDeleteLimit < 0:
		return fmt.Errorf("--mass-delete-limit is %d; it must not be below 0", o.operator.MassDeleteLimit)
	case o.operator.MassAbsenceLimit < 0:
		return fmt.Errorf("--mass-absence-limit is %d; it must not be below 0", o.operator.MassAbsenceLimit)
	}
	return nil
}
