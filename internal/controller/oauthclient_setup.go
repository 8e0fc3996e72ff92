// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// SetupWithManager registers the reconciler and its watches. The ManagedUserReconciler has to be set up first.
func (r *OAuthClientReconciler) SetupWithManager(mgr ctrl.Manager) error {
	c, err := newOAuthClient(r.kind)
	if err != nil {
		return err
	}
	news := newAccountNews()
	r.users.accounts.listeners = append(r.users.accounts.listeners, news.add)
	return ctrl.NewControllerManagedBy(mgr).
		Named(strings.ToLower(r.kind)).
		For(c.object, builder.WithPredicates(predicate.Or(
			predicate.GenerationChangedPredicate{}, annotationChanges(v1alpha1.ReconcileRequestedAtAnnotation),
			losesFinalizer(v1alpha1.InUseFinalizer)))).
		Watches(&v1alpha1.ManagedUser{}, gather(r.ofUser, clientKeyOf), builder.WithPredicates(changesNeed(manageduser.Bound, clientKeyOf), notAtStart())).
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.ofSecret), builder.WithPredicates(r.users.notOurOwnMark(), notAtStart())).
		WatchesRawSource(news.source(r.ofAccount)).
		WithOptions(controller.Options{
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstBackOff, lastBackOff),
		}).
		Complete(r)
}

// ofUser finds the client of the kind that a user refers to.
func (r *OAuthClientReconciler) ofUser(_ context.Context, user client.Object) []reconcile.Request {
	kind, name, ok := strings.Cut(clientKeyOf(user), "/")
	if !ok || kind != r.kind {
		return nil
	}
	key := client.ObjectKey{Name: name}
	if kind == v1alpha1.KindOAuthClient {
		key.Namespace = user.GetNamespace()
	}
	return []reconcile.Request{{NamespacedName: key}}
}

// ofSecret finds the clients of the kind whose key is in a Secret.
func (r *OAuthClientReconciler) ofSecret(ctx context.Context, secret client.Object) []reconcile.Request {
	var requests []reconcile.Request
	for _, object := range r.users.clientsOfSecret(ctx, secret) {
		if asOAuthClient(object).kind() == r.kind {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(object)})
		}
	}
	return requests
}

// ofAccount finds the clients of the kind that share a quota.
func (r *OAuthClientReconciler) ofAccount(ctx context.Context, name account.Name) ([]reconcile.Request, error) {
	var list client.ObjectList = &v1alpha1.OAuthClientList{}
	if r.kind == v1alpha1.KindClusterOAuthClient {
		list = &v1alpha1.ClusterOAuthClientList{}
	}
	if err := r.users.client.List(ctx, list, client.UnsafeDisableDeepCopy); err != nil {
		return nil, fmt.Errorf("listing OAuth clients: %w", err)
	}
	var requests []reconcile.Request
	for _, c := range oauthClientsIn(list) {
		if c.credentials.ID == name.ClientID {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(c.object)})
		}
	}
	return requests, nil
}
