// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package controller reconciles ManagedUser objects with the managed users of Cal.com.
//
// The way from an object to a call: Reconcile reads the object and repeats two steps until an action ends it. Decide
// (decide.go) returns the next action, a value, from what is known so far (facts.go). The reconciler carries it out
// (act.go): it asks Cal.com, writes to Kubernetes, or changes the user, each call through the session of accounts.go,
// which asks the quota first. status.go then writes how it went.
package controller

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// +kubebuilder:rbac:groups=platform.cal.com,resources=managedusers,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=platform.cal.com,resources=managedusers/status,verbs=patch
// +kubebuilder:rbac:groups="",resources=secrets,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get;list;watch
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// ManagedUserReconciler keeps managed users in step with their objects.
type ManagedUserReconciler struct {
	client   client.Client // Cached.
	reader   client.Reader // Not cached, for Secrets.
	recorder events.EventRecorder
	config   Config
	clock    clock.PassiveClock
	accounts *accounts
	sweeper  *Sweeper
	// credentials finds the way to Cal.com; it is shared with the reconcilers of OAuth clients.
	credentials *credentials
	// deletions is asked before each deletion in Cal.com, if there is a limit.
	deletions *deletions
	// absences is asked before anything follows from a user that is gone.
	absences *absences
	tokens   *tokensMemory
	intents  *unsettledIntents
	rivals   *rivals
	marks    *ownMarks
	writes   *ownWrites
	held     *heldDeletions
	lifted   *lifted
	// gone are the UIDs, by name, of objects that were let go and that the cache has not heard of yet. Another look at
	// one of them would only find out once more that its user is gone.
	gone sync.Map
	// retries spaces out the reconciles that end in conflicts.
	retries *retries
	// process names this process in the create intents.
	process string
}

// New returns a reconciler. Objects are read from c, which may be a cache, and Secrets from reader, which must be none.
func New(c client.Client, reader client.Reader, recorder events.EventRecorder, config Config) (*ManagedUserReconciler, error) {
	if c == nil || reader == nil || recorder == nil {
		return nil, errors.New("client, reader and recorder are needed")
	}
	if err := config.check(); err != nil {
		return nil, err
	}
	accounts := newAccounts(config)
	writes := newOwnWrites(config.Clock)
	c = writes.over(c)
	deletions, absences := newLimits(c, reader, config)
	sweeper := newSweeper(c, reader, accounts, config)
	sweeper.missing = absences.suspect
	return &ManagedUserReconciler{
		client: c, reader: reader, recorder: recorder, config: config, clock: config.Clock,
		accounts: accounts, credentials: newCredentials(c, reader, config, accounts), sweeper: sweeper,
		deletions: deletions, absences: absences, tokens: newTokensMemory(config), retries: newRetries(config),
		intents: newUnsettledIntents(), rivals: newRivals(reader, recorder, config), marks: newOwnMarks(), writes: writes, held: newHeldDeletions(), lifted: &lifted{},
		process: cmp.Or(config.Process, string(uuid.NewUUID())[:8]),
	}, nil
}

// Reconcile brings one user and its object into step. Whatever happens on the way, finish writes the status and
// decides when to look again.
func (r *ManagedUserReconciler) Reconcile(ctx context.Context, request ctrl.Request) (result ctrl.Result, err error) {
	// When the operator is told to stop, what is under way is finished: a create call that is cut off would have to be
	// cleared up by the next process.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reconcileTimeout)
	defer cancel()
	mu := &v1alpha1.ManagedUser{}
	if err := r.client.Get(ctx, request.NamespacedName, mu); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(request.NamespacedName)
			r.gone.Delete(request.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if uid, ok := r.gone.Load(request.NamespacedName); ok && uid == mu.UID {
		return ctrl.Result{}, nil
	}
	if r.writes.lacks(mu) {
		return ctrl.Result{RequeueAfter: ownWritePace}, nil
	}
	v := &visit{
		mu: mu, before: mu.DeepCopy(), told: slices.Clone(mu.Status.Conditions), mark: r.markOf(mu), began: r.beginningOf(mu),
		demand: r.sweeper.demandOf(request.NamespacedName), cut: r.accounts.cutOf(request.NamespacedName),
		lifted: r.lifted.take(request.NamespacedName),
	}
	ended := false
	defer func() {
		if !ended { // It panics, which the caller of Reconcile catches.
			r.accounts.leavePlace(request.NamespacedName, false)
			return
		}
		result, err = r.finish(ctx, v, err)
		if !v.retried {
			r.retries.reset(request.NamespacedName)
		}
		if v.again > 0 && err == nil {
			result.RequeueAfter = min(v.again, cmp.Or(result.RequeueAfter, v.again))
		}
		r.measure(v)
	}()
	err = r.advance(ctx, v)
	ended = true
	return ctrl.Result{}, err
}

// advance does what there is to do for an object that is to stay or to go.
func (r *ManagedUserReconciler) advance(ctx context.Context, v *visit) error {
	if name := client.ObjectKeyFromObject(v.mu); !v.mu.DeletionTimestamp.IsZero() {
		r.sweeper.withdraw(name) // It must not miss a user that is just being deleted.
		r.tokens.rest(name)
		return r.pursue(ctx, v)
	}
	if err := r.restoreRecords(ctx, v); err != nil {
		return err
	}
	return r.reconcile(ctx, v)
}

// forget drops what is kept in memory of an object that is gone.
func (r *ManagedUserReconciler) forget(name client.ObjectKey) {
	r.sweeper.forget(name)
	r.deletions.forget(name)
	r.absences.forget(name)
	r.accounts.forget(name)
	r.credentials.leave(name.String())
	r.tokens.forget(name)
	r.intents.forget(name)
	r.lifted.take(name)
	r.rivals.forget("ManagedUser", name)
	r.retries.reset(name)
}

// reconcile is the way of an object that is to stay: its user first, and then its tokens.
func (r *ManagedUserReconciler) reconcile(ctx context.Context, v *visit) error {
	err := r.pursue(ctx, v)
	if v.did == v1alpha1.ReasonCreated {
		v.cal.leave() // The calls for tokens need no place among the create calls.
	}
	if v.policy() == v1alpha1.ReconcilePolicySuspend {
		r.tokens.rest(client.ObjectKeyFromObject(v.mu))
		return err
	}
	tending := r.tend(ctx, v, err)
	if errors.Is(tending, errLookFirst) && err == nil {
		v.rests, v.demanded, v.cal.class = false, true, quota.Change
		if err = r.pursue(ctx, v); !errors.Is(err, errAgain) {
			tending = r.tend(ctx, v, err)
		}
	}
	if err == nil {
		return tending
	}
	return err
}
