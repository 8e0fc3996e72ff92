// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// +kubebuilder:rbac:groups=platform.cal.com,resources=oauthclients;clusteroauthclients,verbs=get;list;watch;patch
// +kubebuilder:rbac:groups=platform.cal.com,resources=oauthclients/status;clusteroauthclients/status,verbs=patch

// countPace is the shortest time between two writes of a status in which only numbers change.
const countPace = time.Minute

// OAuthClientReconciler tells in the status of OAuthClients, or of ClusterOAuthClients, whether they can be used and how they are
// used, and keeps those that are needed from going.
type OAuthClientReconciler struct {
	kind string
	// users is the reconciler of the users, whose logins and quotas these are.
	users *ManagedUserReconciler

	mu sync.Mutex
	// counted is when numbers were written last.
	counted map[client.ObjectKey]time.Time
	// answered are the requests for a look that were met, of which the cache may not have heard yet.
	answered map[client.ObjectKey]string
}

// OAuthClients returns the reconciler of a kind of OAuth client, KindOAuthClient or KindClusterOAuthClient.
func (r *ManagedUserReconciler) OAuthClients(kind string) *OAuthClientReconciler {
	return &OAuthClientReconciler{kind: kind, users: r, counted: make(map[client.ObjectKey]time.Time), answered: make(map[client.ObjectKey]string)}
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
		r.forget(request.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	v := &clientVisit{oauthClient: c, key: request.NamespacedName, before: *c.status.DeepCopy()}
	held, err := r.hold(ctx, v)
	switch {
	case apierrors.IsConflict(err):
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	case apierrors.IsNotFound(err), err == nil && !held && !v.object.GetDeletionTimestamp().IsZero():
		r.forget(v.key)
		return ctrl.Result{}, nil
	case err != nil:
		return ctrl.Result{}, err
	}
	return r.tell(ctx, v)
}

func (r *OAuthClientReconciler) forget(key client.ObjectKey) {
	r.users.accounts.forgetTicket(r.ticket(key))
	r.users.sweeper.unkeep(r.ticket(key))
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.counted, key)
	delete(r.answered, key)
}

// hold brings the in-use finalizer into step with the users that need the client, and reports whether it is there.
func (r *OAuthClientReconciler) hold(ctx context.Context, v *clientVisit) (bool, error) {
	object := v.metadata()
	err := protectOrRelease(ctx, r.users.client, object, r.users.config.ProtectSecrets, func(ctx context.Context, live bool) (bool, error) {
		users, err := r.boundUsers(ctx, v, live)
		return slices.ContainsFunc(users, func(mu v1alpha1.ManagedUser) bool { return isBound(&mu) }), err
	})
	return controllerutil.ContainsFinalizer(object, v1alpha1.InUseFinalizer), err
}

// boundUsers returns users that refer to a client and, if there is one, one at least that may have a user in Cal.com: from the
// cache, or from the API server itself, which selects by name alone.
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
	account, err := r.verify(ctx, v)
	if !waitsForQuota(err) {
		r.users.accounts.forgetTicket(r.ticket(v.key))
	}
	p := classify(err)
	if err != nil && p == nil {
		return ctrl.Result{}, withoutValues(err)
	}
	users, err := r.usersOf(ctx, v)
	if err != nil {
		return ctrl.Result{}, err
	}
	v.status.Users = int32(len(users)) //nolint:gosec // Nobody has two thousand million users.
	if account != (accountName{}) {
		r.users.sweeper.keep(r.ticket(v.key), account)
	}
	r.judge(v, p)
	r.measure(v, account)
	wait, err := r.write(ctx, v)
	switch {
	case apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	case err != nil:
		return ctrl.Result{}, withoutValues(err)
	}
	again, err := r.resume(p)
	if wait > 0 {
		again.RequeueAfter = min(wait, again.RequeueAfter)
	}
	return again, err
}

// resume says when to look again. Nothing has to be asked then: it is for what changed without a watch telling of it.
func (r *OAuthClientReconciler) resume(p *problem) (ctrl.Result, error) {
	switch {
	case p == nil, p.pace == slowly, p.pace == onChange:
		return ctrl.Result{RequeueAfter: r.users.slowPace()}, nil
	case p.pace == later && !p.at.IsZero():
		return ctrl.Result{RequeueAfter: max(p.at.Sub(r.users.clock.Now()), 1)}, nil
	case p.pace == later:
		return ctrl.Result{RequeueAfter: p.after}, nil
	}
	return ctrl.Result{}, p
}

// ticket is the key under which a client waits for the quota. No user has such a name.
func (r *OAuthClientReconciler) ticket(key client.ObjectKey) string {
	return r.kind + "//" + key.String()
}

// verify makes the one call that shows whether Cal.com takes the credentials, unless that is known: a secret key that is new is
// tried once, and after a restart what stands in status is believed until a call fails.
func (r *OAuthClientReconciler) verify(ctx context.Context, v *clientVisit) (accountName, error) {
	t, err := r.users.credentials.targetOf(*v.credentials, v.key.Namespace, v.metadata())
	if err != nil {
		return accountName{}, err
	}
	login, _, err := r.users.credentials.login(ctx, t)
	if err != nil {
		return t.account, err
	}
	request := v.object.GetAnnotations()[v1alpha1.ReconcileRequestedAtAnnotation]
	requested := requestedLook(v.object, v.status.LastHandledReconcileAt) && !r.hasAnswered(v.key, request)
	if !requested && (login.isVerified() || login.isTrusted() && r.isVerified(v)) {
		return t.account, nil
	}
	s := &session{login: login, probing: requested, turn: turn{class: quota.Change, namespace: v.key.Namespace, key: r.ticket(v.key), first: 1}}
	defer s.giveBack()
	if _, err = s.Users(ctx, 1, 0); err == nil && requested {
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

// judge writes the conditions.
func (r *OAuthClientReconciler) judge(v *clientVisit, p *problem) {
	switch {
	case p == nil:
		r.set(v, v1alpha1.ConditionCredentialsReady, metav1.ConditionTrue, v1alpha1.ReasonVerified, "Cal.com accepts the credentials")
	case p.condition == v1alpha1.ConditionCredentialsReady:
		r.set(v, v1alpha1.ConditionCredentialsReady, metav1.ConditionFalse, p.reason, p.message)
	case meta.FindStatusCondition(v.status.Conditions, v1alpha1.ConditionCredentialsReady) == nil:
		r.set(v, v1alpha1.ConditionCredentialsReady, metav1.ConditionUnknown, v1alpha1.ReasonProgressing, "The credentials have not been tried yet")
	}
	switch {
	case p != nil && p.quiet:
		// The call waits for its turn, seconds as a rule.
	case !v.object.GetDeletionTimestamp().IsZero():
		r.unready(v, v1alpha1.ConditionReconciling, v1alpha1.ReasonDeleting, fmt.Sprintf(
			"%s is in use and goes when the last of its users has gone; %d refer to it", describeObject(v.metadata()), v.status.Users))
	case p == nil:
		r.set(v, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonAvailable, "Cal.com accepts the credentials")
		meta.RemoveStatusCondition(&v.status.Conditions, v1alpha1.ConditionReconciling)
		meta.RemoveStatusCondition(&v.status.Conditions, v1alpha1.ConditionStalled)
		r.handled(v)
	case p.severity == stalled:
		r.unready(v, v1alpha1.ConditionStalled, p.reason, p.message)
		r.handled(v)
	case p.severity == transient && r.isSettled(v):
		// It heals by itself and says nothing about the credentials.
	default:
		r.unready(v, v1alpha1.ConditionReconciling, p.reason, p.message)
	}
}

// isSettled reports whether it is known what to think of the client with the spec as it is now.
func (r *OAuthClientReconciler) isSettled(v *clientVisit) bool {
	return v.status.ObservedGeneration == v.object.GetGeneration()
}

// unready writes Ready=False and the condition that tells kstatus tools what to wait for.
func (r *OAuthClientReconciler) unready(v *clientVisit, because, reason, message string) {
	r.set(v, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message)
	other := v1alpha1.ConditionStalled
	if because == other {
		other = v1alpha1.ConditionReconciling
		r.set(v, because, metav1.ConditionTrue, reason, message)
	} else {
		r.set(v, because, metav1.ConditionTrue, v1alpha1.ReasonProgressing, message)
	}
	meta.RemoveStatusCondition(&v.status.Conditions, other)
}

func (r *OAuthClientReconciler) handled(v *clientVisit) {
	v.status.ObservedGeneration = v.object.GetGeneration()
	v.status.LastHandledReconcileAt = v.object.GetAnnotations()[v1alpha1.ReconcileRequestedAtAnnotation]
}

func (r *OAuthClientReconciler) set(v *clientVisit, kind string, status metav1.ConditionStatus, reason, message string) {
	setCondition(&v.status.Conditions, metav1.Condition{
		Type: kind, Status: status, Reason: reason, Message: message,
		ObservedGeneration: v.object.GetGeneration(), LastTransitionTime: metav1.NewTime(r.users.clock.Now()),
	})
}

// measure writes the numbers: what the last sweep found, and what Cal.com told of the quota. What is not known since the start
// stays as it is.
func (r *OAuthClientReconciler) measure(v *clientVisit, account accountName) {
	if found, ok := r.users.sweeper.findings(account); ok {
		v.status.Sweep = found.status(v.status.Sweep)
	}
	seen, ok := r.users.accounts.quota(account)
	switch {
	case !ok || !seen.Known:
	case seen.Limit == 0:
		v.status.Quota = nil
	default:
		v.status.Quota = &v1alpha1.QuotaStatus{Limit: int32(seen.Limit), Allowed: int32(seen.Allowed)} //nolint:gosec // Bounded by the client.
	}
}

// write writes the status if it has changed, and tells of new trouble. While only numbers change, it does so now and then, and
// returns the time until the next.
func (r *OAuthClientReconciler) write(ctx context.Context, v *clientVisit) (wait time.Duration, err error) {
	if equality.Semantic.DeepEqual(v.before, *v.status) {
		return 0, nil
	}
	now := r.users.clock.Now()
	r.mu.Lock()
	since := now.Sub(r.counted[v.key])
	r.mu.Unlock()
	if since < countPace && onlyNumbers(&v.before, v.status) {
		return countPace - since, nil
	}
	object, ok := v.object.DeepCopyObject().(client.Object)
	if !ok {
		return 0, errors.New("copying an OAuth client made something else of it")
	}
	if err := patchStatus(ctx, r.users.client, object, &v.before, v.status); err != nil {
		return 0, err
	}
	r.mu.Lock()
	r.counted[v.key] = now
	r.mu.Unlock()
	r.warnOf(v)
	return 0, nil
}

// onlyNumbers reports whether two statuses differ in nothing that somebody waits for.
func onlyNumbers(before, after *v1alpha1.OAuthClientStatus) bool {
	numbers := before.DeepCopy()
	numbers.Users, numbers.Quota, numbers.Sweep = after.Users, after.Quota, after.Sweep
	return leakedIn(after) <= leakedIn(before) && equality.Semantic.DeepEqual(numbers, after)
}

// warnOf sends an event of what is newly wrong.
func (r *OAuthClientReconciler) warnOf(v *clientVisit) {
	ready := meta.FindStatusCondition(v.status.Conditions, v1alpha1.ConditionReady)
	was := meta.FindStatusCondition(v.before.Conditions, v1alpha1.ConditionReady)
	if ready != nil && ready.Status == metav1.ConditionFalse && ready.Reason != v1alpha1.ReasonDeleting && (was == nil || was.Reason != ready.Reason) {
		r.warn(v, ready.Reason, ready.Message)
	}
	if n := leakedIn(v.status); n > leakedIn(&v.before) {
		r.warn(v, v1alpha1.EventUsersLeaked, fmt.Sprintf(
			"%d users in Cal.com carry the mark of an object that does not exist; apply the object again to take a user over, or remove the user in Cal.com. Their ids are in status.sweep", n))
	}
}

func (r *OAuthClientReconciler) warn(v *clientVisit, reason, message string) {
	r.users.recorder.Eventf(v.object, nil, corev1.EventTypeWarning, reason, "Reconcile", "%s", message)
}

func leakedIn(status *v1alpha1.OAuthClientStatus) int32 {
	if status.Sweep == nil {
		return 0
	}
	return status.Sweep.Leaked
}
