// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/controller"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// Hooks are the places where a saboteur can stand. None is set in a fair run.
type Hooks struct {
	// RepeatCreate sends each create call twice.
	RepeatCreate bool
	// RepeatRefresh sends each call for new tokens twice. ForceFirst ends all tokens of the user before it.
	RepeatRefresh, ForceFirst bool
	// ReadSecret changes a Secret on its way from the API server to a reconciler.
	ReadSecret func(*process, *corev1.Secret)
	// DeafToSecrets lets nobody hear of Secrets with tokens.
	DeafToSecrets bool
	// WithoutTokens takes away what is written to a Secret with tokens, and reports success.
	WithoutTokens bool
	// Grace replaces the time that the operator waits after an unknown outcome.
	Grace time.Duration
	// Read changes an object on its way from the cache to the reconciler.
	Read func(client.Object)
	// List changes a list of objects on its way to a reconciler.
	List func(*v1alpha1.ManagedUserList)
	// Write changes a patch on its way to the API server, or takes it away and reports success.
	Write func(data []byte, status bool) (changed []byte, taken bool)
	// WriteError changes the API server's refusal.
	WriteError func(error, runtime.Object) error
	// Fault decides what happens to a call of Cal.com.
	Fault func(*World, *exchange) fault
	// Request changes a call of Cal.com on its way there.
	Request func(*exchange)
	// Response changes an answer of Cal.com.
	Response func(*World, *task, *exchange)
	// Disaster happens often, in every world, and no other one does.
	Disaster func(*World, context.Context)
	// Unlimited lets the operator, and not the ledger, take any number of users for gone.
	Unlimited bool
	// Stops lets creates stop in their middle often, in every world.
	Stops bool
	// Lossy lets the server of every world accept what it does not store.
	Lossy bool
	// DeafToPlaces drops the news that a place is free, as if it had not been given back.
	DeafToPlaces bool
	// ManyPlaces has the operator allow more calls at a time than its workers are for.
	ManyPlaces bool
	// DeafToSweep lets nobody hear whom the sweep wakes.
	DeafToSweep bool
	// Swept does something more in a step of the sweep, with an answer that it got.
	Swept func(*transport, *http.Request, *exchange)
}

// configOf returns the settings of a process, as far as no saboteur changes them.
func (w *World) configOf(p *process) controller.Config {
	allowed, err := controller.ParseURLPrefixes("https://")
	if err != nil {
		panic("simulation: " + err.Error())
	}
	config := controller.Config{
		OwnerID: p.cluster.ownerID, Process: p.name, AllowedAPIURLs: allowed, ResyncInterval: resync, RateLimitShare: 0.8,
		ProtectSecrets: true, MassDeleteLimit: w.massLimit, MassAbsenceLimit: w.disasters.limit, Namespace: "operator",
		UnknownOutcomeGrace: manageduser.UnknownOutcomeGrace, MaxConcurrentReconciles: w.workers, UserAgent: "simulation",
		Transport: &transport{process: p}, Clock: w.clock,
		Jitter: func(d time.Duration) time.Duration { return time.Duration(w.random.Int64N(int64(d) + 1)) },
	}
	hooks := w.options.Hooks
	if hooks.Grace > 0 {
		config.UnknownOutcomeGrace = hooks.Grace
	}
	if hooks.Unlimited {
		config.MassAbsenceLimit = 0
	}
	if hooks.ManyPlaces {
		config.MaxConcurrentReconciles = 64
	}
	return config
}
