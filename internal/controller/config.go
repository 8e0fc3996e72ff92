// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/utils/clock"

	"github.com/calcom-operator/calcom-operator/internal/metrics"
)

// Config is what the operator is started with.
type Config struct {
	// OwnerID begins the mark of every user: the UID of the namespace kube-system, or a name of the user's choice.
	OwnerID string
	// Process names this process in the records of its create calls. It is a random name when empty.
	Process string
	// AllowedAPIURLs are the beginnings of the API URLs that may be called.
	AllowedAPIURLs URLPrefixes
	// ResyncInterval is the time in which the drift sweep looks at every settled user once, and the pace at which the
	// others are looked at again.
	ResyncInterval time.Duration
	// RateLimitShare is the part of an OAuth client's quota that the operator uses, above 0 and up to 1.
	RateLimitShare float64
	// QuotaWindow is the time over which Cal.com counts calls, 60 s when zero. Only a server whose time is scaled needs
	// another.
	QuotaWindow time.Duration
	// UnknownOutcomeGrace is how long an absent user proves nothing after a create call of unknown outcome, neither for
	// a second call nor for a deletion; see the constant of that name.
	UnknownOutcomeGrace time.Duration
	// MassDeleteLimit is how many users of one OAuth client are deleted in any ten minutes; 0 means any number.
	MassDeleteLimit int
	// MassAbsenceLimit is how many users of one OAuth client may be gone in any ten minutes before none is created
	// anew, and no object released, because of that; 0 means any number. Without a Namespace it counts in memory.
	MassAbsenceLimit int
	// Namespace is the operator's own, where it keeps its records.
	Namespace string
	// ProtectSecrets keeps credentials Secrets and OAuth clients from being deleted before the users that need them.
	ProtectSecrets bool
	// ClusterClients lets users refer to ClusterOAuthClients, which needs rights in the whole cluster.
	ClusterClients bool
	// WatchNamespaces are the namespaces whose objects the client shows; all when empty.
	WatchNamespaces []string
	// MaxConcurrentReconciles is the number of workers.
	MaxConcurrentReconciles int
	// UserAgent is sent to Cal.com.
	UserAgent string
	// Transport carries the calls to Cal.com; see NewTransport.
	Transport http.RoundTripper
	// Clock tells the time.
	Clock clock.PassiveClock
	// Jitter returns a random time from 0 up to the one given.
	Jitter func(time.Duration) time.Duration
	// Metrics counts what happens; nothing does when nil.
	Metrics *metrics.Metrics
}

// watches reports whether the client shows the objects of a namespace. Secrets are shown of the operator's own
// namespace as well.
func (c *Config) watches(namespace string) bool {
	return len(c.WatchNamespaces) == 0 || slices.Contains(c.WatchNamespaces, namespace)
}

// check returns an error that names what is missing or out of bounds.
func (c *Config) check() error {
	switch {
	case c.Clock == nil || c.Jitter == nil || c.Transport == nil:
		return errors.New("clock, jitter and transport are needed")
	case c.OwnerID == "" || len(c.OwnerID) > 63 || strings.ContainsAny(c.OwnerID, "/ \n"):
		return errors.New("owner id must have 1 to 63 characters, none of them a slash or a space")
	case c.ResyncInterval <= 0 || c.UnknownOutcomeGrace <= 0:
		return errors.New("resync interval and unknown outcome grace must be above zero")
	case len(c.AllowedAPIURLs) == 0:
		return errors.New("at least one allowed API URL is needed")
	}
	return c.checkLimits()
}

func (c *Config) checkLimits() error {
	switch {
	case c.RateLimitShare <= 0 || c.RateLimitShare > 1:
		return errors.New("rate limit share must be above 0 and at most 1")
	case c.MassDeleteLimit < 0 || c.MassDeleteLimit > 0 && c.Namespace == "":
		return errors.New("mass delete limit must not be below zero, and needs the operator's namespace")
	case c.MassAbsenceLimit < 0:
		return errors.New("mass absence limit must not be below zero")
	case c.QuotaWindow < 0:
		return errors.New("quota window must not be below zero")
	}
	return nil
}
