// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

const (
	// bySecret is the index from a Secret's name to the users whose credentials are in it.
	bySecret = "spec.oauthClient.secretKeyRef.name"

	// reconcileTimeout bounds one reconcile. It leaves room for several calls of 30 s each, and for the status.
	reconcileTimeout = 3 * time.Minute

	firstBackOff = time.Second
	lastBackOff  = 5 * time.Minute
)

// SetupWithManager registers the reconciler, its index and its watches.
func (r *ManagedUserReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	err := mgr.GetFieldIndexer().IndexField(ctx, &v1alpha1.ManagedUser{}, bySecret, func(object client.Object) []string {
		mu, ok := object.(*v1alpha1.ManagedUser)
		if !ok || secretOf(mu) == "" {
			return nil
		}
		return []string{secretOf(mu)}
	})
	if err != nil {
		return fmt.Errorf("indexing managed users by Secret: %w", err)
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("manageduser").
		For(&v1alpha1.ManagedUser{}, builder.WithPredicates(worthALook())).
		// Only the metadata of Secrets is watched and kept; their data is read when it is needed.
		WatchesMetadata(&corev1.Secret{}, handler.EnqueueRequestsFromMapFunc(r.usersOfSecret), builder.WithPredicates(notOurOwnMark())).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.config.MaxConcurrentReconciles,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](firstBackOff, lastBackOff),
		})
	if r.config.MassDeleteLimit > 0 {
		b = b.WatchesMetadata(&corev1.Namespace{}, handler.EnqueueRequestsFromMapFunc(r.deletionsIn), builder.WithPredicates(annotationChanges(v1alpha1.AllowMassDeletionAnnotation)))
	}
	return b.Complete(r)
}

// worthALook lets through what can mean work: a new object, a new generation (a deletion is one too), a request by
// annotation. The operator's own writes, to the status, the finalizers and its annotations, are not.
func worthALook() predicate.Predicate {
	return predicate.Or(
		predicate.GenerationChangedPredicate{},
		annotationChanges(v1alpha1.ReconcileRequestedAtAnnotation),
		annotationChanges(v1alpha1.AllowMassDeletionAnnotation),
		onUpdate(func(before, after client.Object) bool {
			return before.GetDeletionTimestamp().IsZero() != after.GetDeletionTimestamp().IsZero()
		}))
}

// annotationChanges lets through updates that change an annotation.
func annotationChanges(key string) predicate.Predicate {
	return onUpdate(func(before, after client.Object) bool {
		return before.GetAnnotations()[key] != after.GetAnnotations()[key]
	})
}

// onUpdate lets through those updates that are worth it, and nothing else.
func onUpdate(worth func(before, after client.Object) bool) predicate.Predicate {
	return predicate.Funcs{
		CreateFunc:  func(event.CreateEvent) bool { return false },
		DeleteFunc:  func(event.DeleteEvent) bool { return false },
		GenericFunc: func(event.GenericEvent) bool { return false },
		UpdateFunc:  func(e event.UpdateEvent) bool { return worth(e.ObjectOld, e.ObjectNew) },
	}
}

// notOurOwnMark holds back the operator's own writes to Secrets, the in-use finalizer and the sign of a release: they change no
// key, and the users that they would wake are just being created.
func notOurOwnMark() predicate.Predicate {
	const finalizer, sign = v1alpha1.InUseFinalizer, v1alpha1.ReleasingAnnotation
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			return controllerutil.ContainsFinalizer(e.ObjectOld, finalizer) == controllerutil.ContainsFinalizer(e.ObjectNew, finalizer) &&
				e.ObjectOld.GetAnnotations()[sign] == e.ObjectNew.GetAnnotations()[sign]
		},
	}
}

// changesNeed lets through what can change whether a Secret is needed: a user that comes or goes, gets or loses its
// finalizer, or names another Secret.
func changesNeed() predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			before, okBefore := e.ObjectOld.(*v1alpha1.ManagedUser)
			after, okAfter := e.ObjectNew.(*v1alpha1.ManagedUser)
			return okBefore && okAfter && (secretOf(before) != secretOf(after) ||
				controllerutil.ContainsFinalizer(before, v1alpha1.ManagedUserFinalizer) !=
					controllerutil.ContainsFinalizer(after, v1alpha1.ManagedUserFinalizer))
		},
	}
}

// deletionsIn finds the users of a namespace that are to be deleted.
func (r *ManagedUserReconciler) deletionsIn(ctx context.Context, namespace client.Object) []reconcile.Request {
	return r.requests(ctx, func(mu *v1alpha1.ManagedUser) bool { return !mu.DeletionTimestamp.IsZero() }, client.InNamespace(namespace.GetName()))
}

// usersOfSecret finds the users that a change of a Secret can help.
func (r *ManagedUserReconciler) usersOfSecret(ctx context.Context, secret client.Object) []reconcile.Request {
	return r.requests(ctx, func(*v1alpha1.ManagedUser) bool { return true },
		client.InNamespace(secret.GetNamespace()), client.MatchingFields{bySecret: secret.GetName()})
}

// requests lists users in the cache and returns requests for those that are worth a look.
func (r *ManagedUserReconciler) requests(
	ctx context.Context, worth func(*v1alpha1.ManagedUser) bool, options ...client.ListOption,
) []reconcile.Request {
	var list v1alpha1.ManagedUserList
	if err := r.client.List(ctx, &list, options...); err != nil {
		// The cache answers this; an error means that it is not running.
		log.FromContext(ctx).Error(err, "Listing users")
		return nil
	}
	requests := make([]reconcile.Request, 0, len(list.Items))
	for i := range list.Items {
		if worth(&list.Items[i]) {
			requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(&list.Items[i])})
		}
	}
	return requests
}
