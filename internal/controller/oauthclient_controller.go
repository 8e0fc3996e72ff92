// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// +kubebuilder:rbac:groups=platform.cal.com,resources=oauthclients;clusteroauthclients,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=platform.cal.com,resources=oauthclients/status;clusteroauthclients/status,verbs=patch

// OAuthClientReconciler tells in the status of OAuthClients, or of ClusterOAuthClients, whether they can be used and
// how they are used, and keeps those that are needed from going.
type OAuthClientReconciler struct {
	kind string
	// users is the reconciler of the users, whose logins and quotas these are.
	users *ManagedUserReconciler

	mu sync.Mutex
	// counted is when numbers were written last.
	counted map[client.ObjectKey]time.Time
	// answered are the requests for a look that were met, of which the cache may not have heard yet.
	answered map[client.ObjectKey]string
	// retries spaces out the reconciles that end in conflicts.
	retries *retries
}

// OAuthClients returns the reconciler of a kind of OAuth client, KindOAuthClient or KindClusterOAuthClient.
func (r *ManagedUserReconciler) OAuthClients(kind string) *OAuthClientReconciler {
	return &OAuthClientReconciler{
		kind: kind, users: r, counted: make(map[client.ObjectKey]time.Time), answered: make(map[client.ObjectKey]string), retries: newRetries(r.config),
	}
}

// clientVisit is one reconcile of one OAuth client.
type clientVisit struct {
	oauthClient

	key    client.ObjectKey
	before v1alpha1.OAuthClientStatus
}

// Reconcile brings one OAuth client's finalizer and status up to date.
func (r *OAuthClientReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), reconcileTimeout)
	defer cancel()
	c, err := newOAuthClient(r.kind)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.users.client.Get(ctx, request.NamespacedName, c.object); err != nil {
		if apierrors.IsNotFound(err) {
			r.forget(request.NamespacedName)
		}
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if r.users.writes.lacks(c.object) {
		return ctrl.Result{RequeueAfter: ownWritePace}, nil
	}
	v := &clientVisit{oauthClient: c, key: request.NamespacedName, before: *c.status.DeepCopy()}
	held, wait, err := r.hold(ctx, v)
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: r.retries.next(v.key)}, nil
	case apierrors.IsNotFound(err), err == nil && !held && !v.object.GetDeletionTimestamp().IsZero():
		r.forget(v.key)
		return ctrl.Result{}, nil
	case err != nil:
		return ctrl.Result{}, err
	}
	result, err := r.tell(ctx, v)
	if wait > 0 && err == nil {
		result.RequeueAfter = min(wait, cmp.Or(result.RequeueAfter, wait))
	}
	return result, err
}

func (r *OAuthClientReconciler) forget(key client.ObjectKey) {
	r.users.sweeper.unkeep(r.ticket(key))
	r.users.rivals.forget(r.kind, key)
	r.users.held.forget(r.kind, key)
	r.users.accounts.leave(r.ticket(key))
	r.users.credentials.leave(r.ticket(key))
	r.retries.reset(key)
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.counted, key)
	delete(r.answered, key)
}

// hold brings the in-use finalizer into step with the users that need the client, and reports whether it is there. wait
// is the time until the next attempt to put it back, if another writer removes it again and again.
func (r *OAuthClientReconciler) hold(ctx context.Context, v *clientVisit) (held bool, wait time.Duration, err error) {
	object := v.metadata()
	wait, err = r.users.protector().protectOrRelease(ctx, object, func(ctx context.Context, live bool) (string, error) {
		users, err := r.boundUsers(ctx, v, live)
		at := slices.IndexFunc(users, func(mu v1alpha1.ManagedUser) bool { return manageduser.IsBound(&mu) || r.users.intents.isOpen(&mu) })
		switch {
		case at < 0:
			return "", err
		case r.kind == v1alpha1.KindClusterOAuthClient:
			return "ManagedUser " + client.ObjectKeyFromObject(&users[at]).String(), err
		}
		return "ManagedUser " + users[at].Name, err
	})
	return isInUse(object), wait, err
}

// boundUsers returns users that refer to a client and, if there is one, one at least that may have a user in Cal.com:
// from the cache, or from the API server itself, which selects by name alone.
func (r *OAuthClientReconciler) boundUsers(ctx context.Context, v *clientVisit, live bool) ([]v1alpha1.ManagedUser, error) {
	if live {
		return r.list(ctx, r.users.reader, v, client.MatchingFields{"spec.oauthClientRef.name": v.key.Name})
	}
	return r.list(ctx, r.users.client, v, client.MatchingFields{boundByClient: clientKey(r.kind, v.key.Name)}, client.Limit(1), client.UnsafeDisableDeepCopy)
}

// usersOf returns the users that refer to a client, from the cache. They are not to be changed.
func (r *OAuthClientReconciler) usersOf(ctx context.Context, v *clientVisit) ([]v1alpha1.ManagedUser, error) {
	return r.list(ctx, r.users.client, v, client.MatchingFields{byClient: clientKey(r.kind, v.key.Name)}, client.UnsafeDisableDeepCopy)
}

func (r *OAuthClientReconciler) list(ctx context.Context, reader client.Reader, v *clientVisit, options ...client.ListOption) ([]v1alpha1.ManagedUser, error) {
	var list v1alpha1.ManagedUserList
	if err := reader.List(ctx, &list, append(options, client.InNamespace(v.key.Namespace))...); err != nil {
		return nil, fmt.Errorf("listing the users of an OAuth client: %w", err)
	}
	users := list.Items[:0]
	for i := range list.Items {
		if clientKeyOf(&list.Items[i]) == clientKey(r.kind, v.key.Name) {
			users = append(users, list.Items[i])
		}
	}
	return users, nil
}

// tell writes what there is to say about a client, and says when to look again.
func (r *OAuthClientReconciler) tell(ctx context.Context, v *clientVisit) (ctrl.Result, error) {
	name, err := r.verify(ctx, v)
	if !outcome.WaitsForQuota(err) {
		r.users.accounts.forgetTicket(r.ticket(v.key))
	}
	p := outcome.Classify(err).Escalate(v.before.Conditions, r.users.clock.Now())
	if err != nil && p == nil {
		return ctrl.Result{}, withoutValues(err)
	}
	users, err := r.usersOf(ctx, v)
	if err != nil {
		return ctrl.Result{}, err
	}
	v.status.Users = int32(len(users)) //nolint:gosec // Nobody has two thousand million users.
	if name != (account.Name{}) {
		r.users.sweeper.keep(r.ticket(v.key), name, lackOf(p))
	}
	r.judge(v, p)
	r.measure(v, name)
	wait, err := r.write(ctx, v)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return ctrl.Result{RequeueAfter: r.retries.next(v.key)}, nil
	case err != nil:
		return ctrl.Result{}, withoutValues(err)
	}
	r.retries.reset(v.key)
	again, err := r.resume(p)
	if wait > 0 {
		again.RequeueAfter = min(wait, again.RequeueAfter)
	}
	return again, err
}

// lackOf is the reason of a problem with the credentials, if it is one.
func lackOf(p *outcome.Problem) string {
	if p == nil || p.Condition != v1alpha1.ConditionCredentialsReady {
		return ""
	}
	return p.Reason
}

// resume says when to look again. Nothing has to be asked then: it is for what changed without a watch telling of it.
func (r *OAuthClientReconciler) resume(p *outcome.Problem) (ctrl.Result, error) {
	if p == nil || p.Pace == outcome.OnChange {
		return ctrl.Result{RequeueAfter: r.users.slowPace()}, nil
	}
	return r.users.resume(p)
}

// ticket is the key under which a client waits for the quota. No user has such a name.
func (r *OAuthClientReconciler) ticket(key client.ObjectKey) string {
	return r.kind + "//" + key.String()
}

// verify makes the one call that shows whether Cal.com takes the credentials, unless that is known: a secret key that
// is new is tried once, and after a restart what stands in status is believed until a call fails.
func (r *OAuthClientReconciler) verify(ctx context.Context, v *clientVisit) (account.Name, error) {
	t, err := r.users.credentials.targetOf(*v.credentials, v.key.Namespace, v.metadata())
	if err != nil {
		return account.Name{}, err
	}
	login, _, err := r.users.credentials.login(ctx, r.ticket(v.key), t)
	if err != nil {
		return t.account, err
	}
	request := v.object.GetAnnotations()[v1alpha1.ReconcileRequestedAtAnnotation]
	requested := manageduser.RequestedLook(v.object, v.status.LastHandledReconcileAt) && !r.hasAnswered(v.key, request)
	if !requested && (login.isVerified() || login.isTrusted() && r.isVerified(v)) {
		return t.account, nil
	}
	s := &session{login: login, probing: requested, turn: turn{class: quota.Change, namespace: v.key.Namespace, key: r.ticket(v.key), first: 1}}
	defer s.giveBack()
	_, err = s.Users(ctx, 1, 0)
	if s.called {
		s.account.outage.note(ctx, t.account, r.users.clock.Now(), err)
	}
	if err == nil && requested {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.answered[v.key] = request
	}
	return t.account, err
}

func (r *OAuthClientReconciler) hasAnswered(key client.ObjectKey, request string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.answered[key] == request
}

// isVerified reports whether the status says that Cal.com takes the credentials as the spec gives them now.
func (r *OAuthClientReconciler) isVerified(v *clientVisit) bool {
	c := meta.FindStatusCondition(v.status.Conditions, v1alpha1.ConditionCredentialsReady)
	return c != nil && c.Status == metav1.ConditionTrue && c.ObservedGeneration == v.object.GetGeneration()
}
