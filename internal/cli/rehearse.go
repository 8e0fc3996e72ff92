// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/controller"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/plan"
	"github.com/calcom-operator/calcom-operator/internal/version"
)

// settings are what an operator was started with, and what has to be said about them.
type settings struct {
	controller.Config

	// operator is where they come from.
	operator operator
	notes    []string
}

// settings reads the operator's flags. What nobody can tell is what the flag is without being set.
func (o *operator) settings() (*settings, error) {
	s := &settings{operator: *o}
	urls := o.text("allowed-api-urls", "https://")
	if o.args == nil {
		s.notes = append(s.notes, "The operator's Deployment was not found: its flags are taken to be the defaults, and any API URL to be allowed.")
		urls = "https://,http://"
	}
	allowed, err := controller.ParseURLPrefixes(urls)
	if err != nil {
		return nil, fmt.Errorf("reading the operator's --allowed-api-urls: %w", err)
	}
	s.Config = controller.Config{
		OwnerID: o.ownerID, AllowedAPIURLs: allowed, Namespace: o.namespace, MaxConcurrentReconciles: 1,
		ResyncInterval:      parsed(s, o, "resync-interval", 10*time.Minute, time.ParseDuration),
		RateLimitShare:      parsed(s, o, "rate-limit-share", 0.8, func(v string) (float64, error) { return strconv.ParseFloat(v, 64) }),
		UnknownOutcomeGrace: parsed(s, o, "unknown-outcome-grace", manageduser.UnknownOutcomeGrace, time.ParseDuration),
		MassDeleteLimit:     parsed(s, o, "mass-delete-limit", 0, strconv.Atoi),
		MassAbsenceLimit:    parsed(s, o, "mass-absence-limit", 10, strconv.Atoi),
		ProtectSecrets:      parsed(s, o, "protect-secrets", true, parseBool),
		ClusterClients:      parsed(s, o, "cluster-oauth-clients", true, parseBool),
		UserAgent:           "kubectl-calcom/" + version.Version, Transport: controller.NewTransport(1), Clock: clock.RealClock{},
		Jitter: func(time.Duration) time.Duration { return 0 },
	}
	s.WatchNamespaces = o.watched()
	return s, nil
}

func (o *operator) text(flag, otherwise string) string {
	if value, ok := o.args[flag]; ok {
		return value
	}
	return otherwise
}

// parsed reads a flag, and takes the default for one that cannot be read, as when it comes from the pod's environment.
func parsed[T any](s *settings, o *operator, flag string, otherwise T, parse func(string) (T, error)) T {
	value, ok := o.args[flag]
	if !ok {
		return otherwise
	}
	result, err := parse(value)
	if err != nil {
		s.notes = append(s.notes, fmt.Sprintf("The operator's --%s cannot be read off its Deployment and is taken to be %v.", flag, otherwise))
		return otherwise
	}
	return result
}

// parseBool is strconv.ParseBool for a flag that may stand without a value.
func parseBool(value string) (bool, error) {
	return value == "" || value == "true" || value == "1", nil
}

// watches reports whether the operator looks after objects in a namespace.
func (s *settings) watches(namespace string) bool {
	return len(s.WatchNamespaces) == 0 || slices.Contains(s.WatchNamespaces, namespace)
}

// cautions says why conditions in namespaces may be old, whatever they say.
func (s *session) cautions(ctx context.Context, config *settings, namespaces ...string) []string {
	var notes []string
	unwatched := slices.DeleteFunc(slices.Clone(namespaces), config.watches)
	if len(unwatched) > 0 {
		notes = append(notes, fmt.Sprintf("The operator does not watch namespace %s (--watch-namespaces), so nothing happens there, and conditions may be old.",
			strings.Join(unwatched, ", ")))
	}
	o := &config.operator
	c, err := s.kube()
	if err != nil || o.args == nil {
		return notes
	}
	if runs, err := isAlive(ctx, c, *o); err == nil && !runs {
		notes = append(notes, fmt.Sprintf("The operator in namespace %s does not run, so nothing happens, and conditions are those of when it last did; "+
			"start it by kubectl -n %s scale deployment/%s --replicas=1, or see why it does not start.", o.namespace, o.namespace, o.deployment))
	}
	return notes
}

// settings finds out how the operator of the session's cluster was started.
func (s *session) settings(ctx context.Context) (*settings, error) {
	o, err := s.operator(ctx)
	if err != nil {
		return nil, err
	}
	return o.settings()
}

// rehearsal returns one that reads from the session's cluster, and from Cal.com within the session's share of the
// quota. fetch, if it is not nil, says whom to ask for in lists, when the first call of an account is about to be made.
func (s *session) rehearsal(config *settings, fetch func(context.Context, plan.Account) []string) (*plan.Rehearsal, error) {
	c, err := s.kube()
	if err != nil {
		return nil, err
	}
	if err := s.checkShare(); err != nil {
		return nil, err
	}
	var r *plan.Rehearsal
	connect := func(ctx context.Context, of plan.Account, key calcom.Hidden[string]) (plan.Users, error) {
		users, err := s.usersOf(of, key)
		if err != nil || fetch == nil {
			return users, err
		}
		emails := fetch(ctx, of)
		batched := plan.NewBatched(users, of)
		bar := s.progressOfMany("Reading users from Cal.com", len(emails))
		defer bar.end()
		if err := batched.Fetch(ctx, emails, bar.add); err != nil {
			return nil, fmt.Errorf("reading users from Cal.com: %w", err)
		}
		r.Know(of, batched.Known())
		return batched, nil
	}
	r = plan.New(plan.Options{Cluster: c, Scheme: scheme(), Connect: connect, Config: config.Config})
	return r, nil
}

// usersOf returns the users of an OAuth client, to be read.
func (s *session) usersOf(of plan.Account, key calcom.Hidden[string]) (plan.Users, error) {
	a, err := newAccount(
		oauthClient{credentials: v1alpha1.OAuthClientCredentials{ID: of.ClientID, APIURL: of.APIURL}}, key, s.share, controller.NewTransport(1), clock.RealClock{})
	if err != nil {
		return nil, err
	}
	a.waits = func(d time.Duration) { s.tell("Waiting %v for the quota of the OAuth client", d.Round(time.Second)) }
	return readUsers{a}, nil
}

// readUsers are the users of an account, as a rehearsal reads them.
type readUsers struct{ *account }

func (r readUsers) User(ctx context.Context, id int64) (calcom.User, error) { return r.user(ctx, id) }

func (r readUsers) UsersByEmail(ctx context.Context, emails ...string) ([]calcom.User, error) {
	return r.usersByEmail(ctx, emails...)
}

// foretold is what the operator would do with an object.
type foretold struct {
	// next is what it does when it comes by.
	next *plan.Outcome
	// look, if next is nothing, is what it would do if it looked at Cal.com; nil otherwise.
	look *plan.Outcome
}

// last is what says most.
func (f *foretold) last() *plan.Outcome {
	if f.look != nil {
		return f.look
	}
	return f.next
}

func foretell(ctx context.Context, r *plan.Rehearsal, key client.ObjectKey) (*foretold, error) {
	next, err := r.Reconcile(ctx, key)
	if err != nil {
		return nil, err
	}
	f := &foretold{next: next}
	if next.Rests() {
		f.look, err = r.Look(ctx, key)
	}
	return f, err
}
