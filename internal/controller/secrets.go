// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// SecretReconciler lets go of credentials Secrets that nobody needs any more, and protects those that came to be
// needed by another way than a creation: made anew, or named by an edited spec.
type SecretReconciler struct {
	client    client.Client
	reader    client.Reader // Not cached.
	config    Config
	protector *protector
	tokens    *tokensMemory
	intents   *unsettledIntents
	// retries spaces out the reconciles that end in conflicts.
	retries *retries
}

// Secrets returns the reconciler of the Secrets that the users need; with a Config that does not protect Secrets, it
// takes the protection off wherever it is.
func (r *ManagedUserReconciler) Secrets() *SecretReconciler {
	return &SecretReconciler{
		client: r.client, reader: r.reader, config: r.config, protector: r.protector(), tokens: r.tokens, intents: r.intents, retries: newRetries(r.config),
	}
}

// protector returns what protects the objects that the users need.
func (r *ManagedUserReconciler) protector() *protector {
	return &protector{
		client: r.client, recorder: r.recorder, rivals: r.rivals, marks: r.marks, held: r.held, protect: r.config.ProtectSecrets,
	}
}

// Reconcile brings one Secret's in-use finalizer into step with the users and OAuth clients that need it.
func (r *SecretReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	wait, err := r.reconcile(ctx, request)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: r.retries.next(request.NamespacedName)}, nil
	}
	r.retries.reset(request.NamespacedName)
	return ctrl.Result{RequeueAfter: wait}, client.IgnoreNotFound(err)
}

// reconcile returns the time until the next attempt to protect the Secret, or 0.
func (r *SecretReconciler) reconcile(ctx context.Context, request ctrl.Request) (wait time.Duration, err error) {
	secret := secretMetadata(metav1.ObjectMeta{})
	if err := r.client.Get(ctx, request.NamespacedName, secret); err != nil {
		if apierrors.IsNotFound(err) {
			r.protector.rivals.forget("Secret", request.NamespacedName)
			r.protector.held.forget("Secret", request.NamespacedName)
		}
		return 0, err
	}
	tokens, err := r.removeStray(ctx, secret)
	if !tokens && err == nil {
		wait, err = r.protector.protectOrRelease(ctx, secret, func(ctx context.Context, live bool) (string, error) {
			return r.neededBy(ctx, request.NamespacedName, live)
		})
	}
	return wait, err
}

// neededBy returns an object whose deletion will need the Secret: one that has the finalizer has, or may have, a user
// in Cal.com, and an OAuth client that is in use has such users.
func (r *SecretReconciler) neededBy(ctx context.Context, secret client.ObjectKey, live bool) (string, error) {
	by, err := r.neededByUsers(ctx, secret, live)
	if by != "" || err != nil {
		return by, err
	}
	kinds := []client.ObjectList{&v1alpha1.OAuthClientList{}}
	if r.config.ClusterClients && secret.Namespace == r.config.Namespace {
		kinds = append(kinds, &v1alpha1.ClusterOAuthClientList{})
	}
	for _, list := range kinds {
		if by, err := r.neededByClients(ctx, secret, list, live); by != "" || err != nil {
			return by, err
		}
	}
	return "", nil
}

func (r *SecretReconciler) neededByUsers(ctx context.Context, secret client.ObjectKey, live bool) (string, error) {
	var users v1alpha1.ManagedUserList
	if err := r.list(ctx, &users, live, secret.Namespace, client.MatchingFields{boundBySecret: secret.Name}, client.Limit(1)); err != nil {
		return "", fmt.Errorf("listing the users of a Secret: %w", err)
	}
	for i := range users.Items {
		if mu := &users.Items[i]; secretOf(mu) == secret.Name && (manageduser.IsBound(mu) || r.intents.isOpen(mu)) {
			return "ManagedUser " + mu.Name, nil
		}
	}
	return "", nil
}

func (r *SecretReconciler) neededByClients(ctx context.Context, secret client.ObjectKey, list client.ObjectList, live bool) (string, error) {
	namespace := secret.Namespace
	if _, ok := list.(*v1alpha1.ClusterOAuthClientList); ok {
		namespace = ""
	}
	if err := r.list(ctx, list, live, namespace, client.MatchingFields{bySecret: secret.Name}); err != nil {
		return "", fmt.Errorf("listing the OAuth clients of a Secret: %w", err)
	}
	for _, c := range oauthClientsIn(list) {
		if c.credentials.SecretKeyRef.Name == secret.Name && isInUse(c.object) {
			return describeObject(c.metadata()), nil
		}
	}
	return "", nil
}

// list lists from the cache by its indexes, or from the API server, which has none and is asked for all of a namespace.
// A namespace that is not watched has no objects that count.
func (r *SecretReconciler) list(ctx context.Context, list client.ObjectList, live bool, namespace string, indexed ...client.ListOption) error {
	if namespace != "" && !r.config.watches(namespace) {
		return nil
	}
	if live {
		return r.reader.List(ctx, list, client.InNamespace(namespace))
	}
	return r.client.List(ctx, list, append(indexed, client.InNamespace(namespace), client.UnsafeDisableDeepCopy)...)
}

// secretOf returns the name of the Secret that a user's own credentials are in.
func secretOf(mu *v1alpha1.ManagedUser) string {
	if mu.Spec.OAuthClient == nil {
		return ""
	}
	return mu.Spec.OAuthClient.SecretKeyRef.Name
}

// SetupWithManager registers the reconciler. The indexes are the ManagedUserReconciler's, which has to be set up first.
func (r *SecretReconciler) SetupWithManager(mgr ctrl.Manager) error {
	ofUser := func(_ context.Context, user client.Object) []reconcile.Request {
		mu, ok := user.(*v1alpha1.ManagedUser)
		if !ok || secretOf(mu) == "" {
			return nil
		}
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: mu.Namespace, Name: secretOf(mu)}}}
	}
	ofClient := func(_ context.Context, object client.Object) []reconcile.Request {
		namespace := object.GetNamespace()
		if namespace == "" {
			namespace = r.config.Namespace
		}
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: namespace, Name: asOAuthClient(object).credentials.SecretKeyRef.Name}}}
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("credentials-secret").
		For(&corev1.Secret{}, builder.OnlyMetadata, builder.WithPredicates(notJustMarked())).
		WatchesMetadata(&corev1.Secret{}, whenJustMarked()).
		Watches(&v1alpha1.ManagedUser{}, gather(ofUser, nameOfSecret), builder.WithPredicates(changesNeed(manageduser.Bound, nameOfSecret))).
		Watches(&v1alpha1.ManagedUser{}, handler.EnqueueRequestsFromMapFunc(secretsOfTokens), builder.WithPredicates(changesTokensSecret())).
		Watches(&v1alpha1.OAuthClient{}, gather(ofClient, nameOfSecret), builder.WithPredicates(changesNeed(isInUse, nameOfSecret)))
	if r.config.ClusterClients {
		b = b.Watches(&v1alpha1.ClusterOAuthClient{}, gather(ofClient, nameOfSecret), builder.WithPredicates(changesNeed(isInUse, nameOfSecret)))
	}
	return b.Complete(r)
}

// notJustMarked holds back that a Secret was marked as in use. Whoever marks it has no finalizer yet, and so the Secret
// would be let go at once, and marked again, until one of the two is faster. It is looked at when the user has its
// finalizer, or has gone, or does not name the Secret any more; and whenever the Secret is changed in another way, or
// deleted.
func notJustMarked() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return !isJustMarked(e) }}
}

// whenJustMarked has a Secret looked at that was marked as in use, once the reconcile that marked it has ended: that
// one may have failed to give its user the finalizer, and the user may be gone.
func whenJustMarked() handler.EventHandler {
	return handler.Funcs{
		UpdateFunc: func(_ context.Context, e event.UpdateEvent, q workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			if isJustMarked(e) {
				q.AddAfter(reconcile.Request{NamespacedName: client.ObjectKeyFromObject(e.ObjectNew)}, reconcileTimeout)
			}
		},
	}
}

func isJustMarked(e event.UpdateEvent) bool { return !isInUse(e.ObjectOld) && isInUse(e.ObjectNew) }

// nameOfSecret returns the Secret that an object of any kind names.
func nameOfSecret(object client.Object) string {
	if mu, ok := object.(*v1alpha1.ManagedUser); ok {
		return secretOf(mu)
	}
	return asOAuthClient(object).credentials.SecretKeyRef.Name
}
