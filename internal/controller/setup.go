// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/controller/priorityqueue"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

const (
	// bySecret is the index from a Secret's name to the objects whose credentials are in it.
	bySecret = "secretKeyRef.name"
	// byClient is the index from an OAuth client, as kind/name, to the users that refer to it.
	byClient = "oauthClientRef"
	// boundBySecret and boundByClient are the same, of users that have, or may have, a user in Cal.com.
	boundBySecret = "bound/secretKeyRef.name"
	boundByClient = "bound/oauthClientRef"
	// byTokens is the index from the name of a Secret to the users that want their tokens in it.
	byTokens = "tokens.secretName"

	// reconcileTimeout bounds one reconcile. It leaves room for several calls of 30 s each, and for the status.
	reconcileTimeout = 3 * time.Minute

	firstBackOff = time.Second
	lastBackOff  = 5 * time.Minute
)

// index makes the indexes that all reconcilers use.
func (r *ManagedUserReconciler) index(ctx context.Context, indexer client.FieldIndexer) error {
	ofSecret := func(object client.Object) []string { return nonEmpty(nameOfSecret(object)) }
	ofClient := func(object client.Object) []string { return nonEmpty(clientKeyOf(object)) }
	errs := []error{
		indexer.IndexField(ctx, &v1alpha1.ManagedUser{}, bySecret, ofSecret),
		indexer.IndexField(ctx, &v1alpha1.ManagedUser{}, byClient, ofClient),
		indexer.IndexField(ctx, &v1alpha1.ManagedUser{}, boundBySecret, ifBound(ofSecret)),
		indexer.IndexField(ctx, &v1alpha1.ManagedUser{}, boundByClient, ifBound(ofClient)),
		indexer.IndexField(ctx, &v1alpha1.ManagedUser{}, byUsername, usernameOf),
		indexer.IndexField(ctx, &v1alpha1.ManagedUser{}, byTokens, func(object client.Object) []string { return nonEmpty(tokensNameOf(object)) }),
		indexer.IndexField(ctx, &v1alpha1.OAuthClient{}, bySecret, ofSecret),
	}
	if r.config.ClusterClients {
		errs = append(errs, indexer.IndexField(ctx, &v1alpha1.ClusterOAuthClient{}, bySecret, ofSecret))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("indexing objects: %w", err)
	}
	return nil
}

// ifBound indexes only objects that have, or may have, a user in Cal.com.
func ifBound(index client.IndexerFunc) client.IndexerFunc {
	return func(object client.Object) []string {
		if !manageduser.Bound(object) {
			return nil
		}
		return index(object)
	}
}

func nonEmpty(value string) []string {
	if value == "" {
		return nil
	}
	return []string{value}
}

// clientKeyOf returns the OAuth client that a user refers to, as the index has it, or nothing.
func clientKeyOf(object client.Object) string {
	mu, ok := object.(*v1alpha1.ManagedUser)
	if !ok || mu.Spec.OAuthClientRef == nil {
		return ""
	}
	return clientKey(manageduser.KindOf(*mu.Spec.OAuthClientRef), mu.Spec.OAuthClientRef.Name)
}

func clientKey(kind, name string) string { return kind + "/" + name }

// SetupWithManager registers the reconciler, the indexes and its watches.
func (r *ManagedUserReconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := r.index(ctx, mgr.GetFieldIndexer()); err != nil {
		return err
	}
	b := ctrl.NewControllerManagedBy(mgr).
		Named("manageduser").
		For(&v1alpha1.ManagedUser{}, builder.WithPredicates(worthALook())).
		// Only the metadata of Secrets is watched and kept; their data is read when it is needed.
		WatchesMetadata(&corev1.Secret{}, r.wake(r.usersOfSecret), builder.WithPredicates(r.notOurOwnMark(), notAtStart())).
		WatchesMetadata(&corev1.Secret{}, r.wake(r.usersOfTokens), builder.WithPredicates(r.notOurOwnTokens(), notAtStart())).
		Watches(&v1alpha1.OAuthClient{}, r.wake(r.usersOfClient), builder.WithPredicates(changesClient(), notAtStart())).
		Watches(&v1alpha1.ManagedUser{}, r.contenders()).
		WatchesRawSource(r.sweeper.users()).
		WatchesRawSource(r.Pacer().users()).
		WithOptions(controller.Options{
			MaxConcurrentReconciles: r.config.MaxConcurrentReconciles,
			RateLimiter:             r.RateLimiter(),
		})
	if r.config.ClusterClients {
		b = b.Watches(&v1alpha1.ClusterOAuthClient{}, r.wake(r.usersOfClient), builder.WithPredicates(changesClient(), notAtStart()))
	}
	if r.config.readsNamespaces() {
		b = b.WatchesMetadata(&corev1.Namespace{}, r.wake(r.usersOfNamespace), builder.WithPredicates(predicate.Or(
			annotationChanges(v1alpha1.AllowMassDeletionAnnotation), annotationChanges(v1alpha1.AllowMassAbsenceAnnotation),
			predicate.LabelChangedPredicate{}), notAtStart()))
	}
	if err := b.Complete(r); err != nil {
		return err
	}
	return errors.Join(r.sweeper.setupWithManager(mgr), r.Pacer().setupWithManager(mgr))
}

// wake looks at users again that another object's change can help. Their back-off starts afresh: what they failed for
// may be gone. New users go first, since there may be ten thousand of these.
func (r *ManagedUserReconciler) wake(usersOf handler.MapFunc) handler.EventHandler {
	enqueueAll := func(ctx context.Context, object client.Object, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
		for _, request := range usersOf(ctx, object) {
			queue.Forget(request)
			enqueue(queue, request, wakePriority)
		}
	}
	return handler.Funcs{
		CreateFunc: func(ctx context.Context, e event.CreateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueueAll(ctx, e.Object, queue)
		},
		UpdateFunc: func(ctx context.Context, e event.UpdateEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueueAll(ctx, e.ObjectNew, queue)
		},
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) {
			enqueueAll(ctx, e.Object, queue)
		},
	}
}

// enqueue adds a request with a priority, where the queue knows priorities.
func enqueue(queue workqueue.TypedRateLimitingInterface[reconcile.Request], request reconcile.Request, priority int) {
	if byPriority, ok := queue.(priorityqueue.PriorityQueue[reconcile.Request]); ok {
		byPriority.AddWithOpts(priorityqueue.AddOpts{Priority: &priority}, request)
		return
	}
	queue.Add(request)
}

// queued is a source for the users' controller. connect gets the function that adds an object to the queue.
func queued(priority int, connect func(add func(types.NamespacedName))) source.Source {
	return source.Func(func(_ context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		connect(func(name types.NamespacedName) { enqueue(queue, reconcile.Request{NamespacedName: name}, priority) })
		return nil
	})
}

// wakePriority is below that of what somebody waits for, and above that of what the start and the sweep bring.
const wakePriority = handler.LowPriority / 2

// notAtStart holds back what is there when the operator starts, when every user is looked at anyway.
func notAtStart() predicate.Predicate {
	return predicate.Funcs{CreateFunc: func(e event.CreateEvent) bool { return !e.IsInInitialList }}
}

// worthALook lets through what can mean work: a new object, a new generation (a deletion is one too), a request by
// annotation, and that another writer removed the operator's finalizer or annotations. The operator's own writes, to
// the status, the finalizers and its annotations, are not.
func worthALook() predicate.Predicate {
	return predicate.Or(
		predicate.GenerationChangedPredicate{},
		annotationChanges(v1alpha1.ReconcileRequestedAtAnnotation),
		annotationChanges(v1alpha1.AllowMassDeletionAnnotation),
		annotationChanges(v1alpha1.AllowMassAbsenceAnnotation),
		onUpdate(func(before, after client.Object) bool {
			return before.GetDeletionTimestamp().IsZero() != after.GetDeletionTimestamp().IsZero()
		}),
		onUpdate(losesRecords))
}

// losesRecords reports whether an update removed the finalizer or the annotations of an object that owns a user, or
// made it the owner of one after they had been removed.
func losesRecords(before, after client.Object) bool {
	was, ok := before.(*v1alpha1.ManagedUser)
	is, isUser := after.(*v1alpha1.ManagedUser)
	return ok && isUser && manageduser.LacksRecords(is) && !manageduser.LacksRecords(was)
}

// losesFinalizer lets through updates that remove a finalizer.
func losesFinalizer(finalizer string) predicate.Predicate {
	return onUpdate(func(before, after client.Object) bool {
		return controllerutil.ContainsFinalizer(before, finalizer) && !controllerutil.ContainsFinalizer(after, finalizer)
	})
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

// notOurOwnMark holds back the operator's own writes to Secrets, the in-use finalizer and the sign of a release: they
// change no key, and the users that they would wake are just being created. Every other write may bring a new key, also
// one that changes the finalizer: a tool that replaces the Secret writes key and finalizer at once.
func (r *ManagedUserReconciler) notOurOwnMark() predicate.Predicate {
	const sign = v1alpha1.ReleasingAnnotation
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetAnnotations()[sign] == e.ObjectNew.GetAnnotations()[sign] && !r.marks.made(e.ObjectOld, e.ObjectNew)
		},
		DeleteFunc: func(e event.DeleteEvent) bool {
			r.marks.forget(e.Object.GetUID())
			return true
		},
	}
}

// changesNeed lets through what can change whether the object that another one names is needed: one that comes or goes,
// comes to need the other or needs it no longer, or names another.
func changesNeed(needs func(client.Object) bool, nameOf func(client.Object) string) predicate.Predicate {
	return predicate.Funcs{
		UpdateFunc: func(e event.UpdateEvent) bool {
			return nameOf(e.ObjectOld) != nameOf(e.ObjectNew) || needs(e.ObjectOld) != needs(e.ObjectNew)
		},
	}
}

// isInUse reports whether an OAuth client has users, or may have some.
func isInUse(object client.Object) bool {
	return controllerutil.ContainsFinalizer(object, v1alpha1.InUseFinalizer)
}

// usersOfNamespace finds the users that a change of their namespace can help: whose deletion it may allow, whose
// creation anew, and whose use of a ClusterOAuthClient.
func (r *ManagedUserReconciler) usersOfNamespace(ctx context.Context, namespace client.Object) []reconcile.Request {
	return r.requests(ctx, func(mu *v1alpha1.ManagedUser) bool {
		ref := mu.Spec.OAuthClientRef
		return !mu.DeletionTimestamp.IsZero() || manageduser.IsHeldForAbsence(mu) || ref != nil && manageduser.KindOf(*ref) == v1alpha1.KindClusterOAuthClient
	}, client.InNamespace(namespace.GetName()))
}

// usersOfSecret finds the users that a change of a Secret can help: those that name it, and those of an OAuth client
// that does.
func (r *ManagedUserReconciler) usersOfSecret(ctx context.Context, secret client.Object) []reconcile.Request {
	r.credentials.changed(secret)
	requests := r.requests(ctx, anyUser, client.InNamespace(secret.GetNamespace()), client.MatchingFields{bySecret: secret.GetName()})
	for _, c := range r.clientsOfSecret(ctx, secret) {
		requests = append(requests, r.usersOfClient(ctx, c)...)
	}
	return requests
}

// usersOfClient finds the users that refer to an OAuth client.
func (r *ManagedUserReconciler) usersOfClient(ctx context.Context, object client.Object) []reconcile.Request {
	key := clientKey(asOAuthClient(object).kind(), object.GetName())
	return r.requests(ctx, anyUser, client.InNamespace(object.GetNamespace()), client.MatchingFields{byClient: key})
}

// clientsOfSecret finds the OAuth clients whose key is in a Secret.
func (r *ManagedUserReconciler) clientsOfSecret(ctx context.Context, secret client.Object) []client.Object {
	named := client.MatchingFields{bySecret: secret.GetName()}
	var found []oauthClient
	var err error
	if r.config.watches(secret.GetNamespace()) {
		var list v1alpha1.OAuthClientList
		err = r.client.List(ctx, &list, named, client.InNamespace(secret.GetNamespace()))
		found = append(found, oauthClientsIn(&list)...)
	}
	if err == nil && r.config.ClusterClients && secret.GetNamespace() == r.config.Namespace {
		var list v1alpha1.ClusterOAuthClientList
		err = r.client.List(ctx, &list, named)
		found = append(found, oauthClientsIn(&list)...)
	}
	if err != nil {
		log.FromContext(ctx).Error(err, "Listing OAuth clients")
	}
	objects := make([]client.Object, len(found))
	for i, c := range found {
		objects[i] = c.object
	}
	return objects
}

func anyUser(*v1alpha1.ManagedUser) bool { return true }

// requests lists users in the cache and returns requests for those that are worth a look.
func (r *ManagedUserReconciler) requests(
	ctx context.Context, worth func(*v1alpha1.ManagedUser) bool, options ...client.ListOption,
) []reconcile.Request {
	var where client.ListOptions
	where.ApplyOptions(options)
	if where.Namespace != "" && !r.config.watches(where.Namespace) {
		return nil // The Secrets of ClusterOAuthClients and all namespaces are watched beyond that.
	}
	var list v1alpha1.ManagedUserList
	if err := r.client.List(ctx, &list, append(options, client.UnsafeDisableDeepCopy)...); err != nil {
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
