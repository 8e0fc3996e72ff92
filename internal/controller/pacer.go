// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// Pacer watches over calls that take long: it writes the conditions of the objects whose own call does, while the call
// goes on, and has those woken that wait without a condition. Each Reconcile checks one OAuth client.
type Pacer struct{ r *ManagedUserReconciler }

// PaceRequest asks for a check of one OAuth client.
type PaceRequest struct{ account account.Name }

// statusNote is a status that was written while a call of the object was under way: the versions of the object before
// and after it, and its conditions.
type statusNote struct {
	from, to   string
	conditions []metav1.Condition
}

// showRetry is when an object is looked at again whose status could not be written, since the cache did not have its
// latest version yet.
const showRetry = 250 * time.Millisecond

// placePriority is above that of everything else: a place is kept free until the object comes.
const placePriority = 100

// Pacer returns the reconciler that watches over calls that take long.
func (r *ManagedUserReconciler) Pacer() *Pacer { return &Pacer{r} }

// Connect says where the gates of the OAuth clients put what they want done: objects that can go on, and checks that
// are due after some time. SetupWithManager connects them with the queues of the controllers.
func (p *Pacer) Connect(wake func(types.NamespacedName), check func(PaceRequest, time.Duration)) {
	p.r.accounts.queue.connect(wake, check)
}

// Reconcile makes one check and says when the next one is due.
func (p *Pacer) Reconcile(ctx context.Context, request PaceRequest) (ctrl.Result, error) {
	acc := p.r.accounts.find(request.account)
	if acc == nil {
		return ctrl.Result{}, nil
	}
	long, next := acc.gate.Check()
	slices.SortFunc(long, func(a, b types.NamespacedName) int { return strings.Compare(a.String(), b.String()) })
	for _, name := range long {
		err := p.show(ctx, acc, name)
		if err != nil && !isOutdated(err) {
			return ctrl.Result{}, err
		}
		if err != nil && acc.gate.Again(name) {
			next = showRetry
		}
	}
	return ctrl.Result{RequeueAfter: next}, nil
}

// isOutdated reports whether a write of a status came to nothing because the object was written meanwhile, or is gone.
func isOutdated(err error) bool {
	return apierrors.IsInvalid(err) || apierrors.IsConflict(err) || apierrors.IsNotFound(err)
}

// show writes the conditions of an object that has none and whose call takes long. Its reconcile goes on meanwhile and
// writes its own: a write that comes after that one is refused because of the version.
func (p *Pacer) show(ctx context.Context, acc *clientAccount, name types.NamespacedName) error {
	mu := &v1alpha1.ManagedUser{}
	if err := p.r.client.Get(ctx, name, mu); err != nil {
		return client.IgnoreNotFound(err)
	}
	if hasVerdict(mu) || !mu.DeletionTimestamp.IsZero() {
		return nil
	}
	v := &visit{mu: mu, before: mu.DeepCopy()}
	waiting := waitForAnswer()
	p.r.tellCondition(v, waiting)
	p.r.unready(v, waiting, waiting.Reason, waiting.Message)
	p.r.tellTokens(v)
	written := mu.DeepCopy()
	version := patchOperation{Op: "test", Path: "/metadata/resourceVersion", Value: mu.ResourceVersion}
	if err := patchStatus(ctx, p.r.client, written, &v.before.Status, &mu.Status, version); err != nil {
		return err
	}
	acc.gate.Note(name, statusNote{from: mu.ResourceVersion, to: written.ResourceVersion, conditions: mu.Status.Conditions})
	return nil
}

// waitForAnswer is a reconcile that goes on while Cal.com takes long to answer it.
func waitForAnswer() *outcome.Problem {
	return &outcome.Problem{
		Condition: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonProgressing,
		Message: "Cal.com has not answered a call about this user yet; waiting for the answer",
	}
}

// find returns an account that was used since the start, or nil.
func (a *accounts) find(name account.Name) *clientAccount {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byName[name]
}

// accountOf returns the account that an object uses, or nil.
func (a *accounts) accountOf(object types.NamespacedName) *clientAccount {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.byName[a.users.of[object.String()]]
}

// paceQueue is where the gates put what they want done; until it is connected, nowhere.
type paceQueue struct {
	mu     sync.Mutex
	wakes  func(types.NamespacedName)
	checks func(PaceRequest, time.Duration)
}

func (q *paceQueue) connect(wake func(types.NamespacedName), check func(PaceRequest, time.Duration)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if wake != nil {
		q.wakes = wake
	}
	if check != nil {
		q.checks = check
	}
}

func (q *paceQueue) wakeNow(name types.NamespacedName) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.wakes != nil {
		q.wakes(name)
	}
}

func (q *paceQueue) check(request PaceRequest, after time.Duration) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.checks != nil {
		q.checks(request, after)
	}
}

// users is the source of the users' controller: it takes the objects that can go on into the queue, before everything
// else.
func (p *Pacer) users() source.Source {
	return queued(placePriority, func(add func(types.NamespacedName)) { p.Connect(add, nil) })
}

// setupWithManager registers the controller of the checks.
func (p *Pacer) setupWithManager(mgr ctrl.Manager) error {
	checks := source.TypedFunc[PaceRequest](func(_ context.Context, queue workqueue.TypedRateLimitingInterface[PaceRequest]) error {
		p.Connect(nil, queue.AddAfter)
		return nil
	})
	err := builder.TypedControllerManagedBy[PaceRequest](mgr).
		Named("slow-calls").
		WatchesRawSource(checks).
		WithOptions(controller.TypedOptions[PaceRequest]{
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[PaceRequest](firstBackOff, lastBackOff),
		}).
		WithLogConstructor(func(*PaceRequest) logr.Logger { return mgr.GetLogger().WithValues("controller", "slow-calls") }).
		Complete(p)
	if err != nil {
		return fmt.Errorf("setting up the checks of slow calls: %w", err)
	}
	return nil
}
