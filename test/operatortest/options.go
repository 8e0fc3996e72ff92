// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package operatortest

import (
	"cmp"
	"fmt"
	"time"

	"github.com/go-logr/logr"

	"github.com/calcom-operator/calcom-operator/internal/controller"
	"github.com/calcom-operator/calcom-operator/internal/operator"
)

// What is used where Options say nothing.
const (
	// DefaultAllowedAPIURLs are servers on the machine that runs the test.
	DefaultAllowedAPIURLs = "http://127.0.0.1,http://localhost"
	// DefaultNamespace is where config/default puts the operator.
	DefaultNamespace = "calcom-system"

	defaultResyncInterval      = time.Second
	defaultUnknownOutcomeGrace = time.Second
	defaultRateLimitShare      = 0.8
	defaultWorkers             = 8
)

// Window is the time over which a sandbox of NewSandbox counts calls, and the operator with it; Cal.com counts over a
// minute. That is how long the operator stays away after a 429.
const Window = time.Second

// Options are the operator's flags, as far as they can matter to a test. The zero value suits most tests.
type Options struct {
	// AllowedAPIURLs are the comma-separated beginnings of the API URLs that may be called, DefaultAllowedAPIURLs when
	// empty.
	AllowedAPIURLs string
	// ResyncInterval is the time in which the drift sweep looks at every user once, and after which users that wait for
	// a person are looked at again; 1 s when zero.
	ResyncInterval time.Duration
	// UnknownOutcomeGrace is how long, after a create call whose answer was lost, a user that cannot be found is waited
	// for; 1 s when zero. It has to be longer than any Fault.EffectDelay of a create.
	UnknownOutcomeGrace time.Duration
	// QuotaWindow is the time over which the server counts calls; Window when zero.
	QuotaWindow time.Duration
	// RateLimitShare is the part of a client's quota that is used, above 0 and up to 1; 0.8 when zero.
	RateLimitShare float64
	// MassDeleteLimit is how many users of one OAuth client are deleted in any ten minutes; any number when zero. It
	// needs the namespace Namespace to exist.
	MassDeleteLimit int
	// MassAbsenceLimit is how many users of one OAuth client may be gone in any ten minutes before none is created
	// anew; any number when zero, whereas the operator's own default is 10. It needs the namespace Namespace to exist.
	MassAbsenceLimit int
	// OwnerID begins the mark of every user in Cal.com; the UID of the namespace kube-system when empty.
	OwnerID string
	// Namespace is the operator's own, where the Secrets of ClusterOAuthClients are; DefaultNamespace when empty.
	Namespace string
	// WatchNamespaces are the namespaces to work in; all when empty.
	WatchNamespaces []string
	// Logger is told what the operator logs; nobody is when it is the zero value.
	Logger logr.Logger
}

// operator returns the options of the reconcilers, or an error that names the field.
func (o *Options) operator() (*operator.Options, error) {
	allowed, err := controller.ParseURLPrefixes(cmp.Or(o.AllowedAPIURLs, DefaultAllowedAPIURLs))
	if err != nil {
		return nil, fmt.Errorf("AllowedAPIURLs: %w", err)
	}
	return &operator.Options{
		OwnerID:             o.OwnerID,
		AllowedAPIURLs:      allowed,
		ResyncInterval:      cmp.Or(o.ResyncInterval, defaultResyncInterval),
		RateLimitShare:      cmp.Or(o.RateLimitShare, defaultRateLimitShare),
		QuotaWindow:         cmp.Or(o.QuotaWindow, Window),
		UnknownOutcomeGrace: cmp.Or(o.UnknownOutcomeGrace, defaultUnknownOutcomeGrace),
		MassDeleteLimit:     o.MassDeleteLimit,
		MassAbsenceLimit:    o.MassAbsenceLimit,
		Namespace:           cmp.Or(o.Namespace, DefaultNamespace),
		ProtectSecrets:      true,
		ClusterClients:      true,
		WatchNamespaces:     o.WatchNamespaces,
		Workers:             defaultWorkers,
	}, nil
}
