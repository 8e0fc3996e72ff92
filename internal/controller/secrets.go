// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// protectSecret keeps the credentials Secret from going before the users that need it. It comes before the record of
// intent, so that no user can come to exist whose deletion lacks its credentials. Nobody is created with a Secret
// that is on its way out.
func (r *ManagedUserReconciler) protectSecret(ctx context.Context, v *visit) error {
	if !r.config.ProtectSecrets {
		return nil
	}
	if !v.secret.DeletionTimestamp.IsZero() {
		return waitForSecret(v1alpha1.ReasonSecretNotFound, fmt.Sprintf(
			"Secret %s is being deleted and stays only for users that exist already; create it anew once it is gone", v.secret.Name))
	}
	return patchSecret(ctx, r.client, v.secret, inUse)
}

// confirmSecret makes sure, right after the object got its finalizer, that the Secret is protected still: a release that
// did not see the finalizer may be under way. That one leaves a sign on the Secret before it looks for objects in need, and the
// object looks for the sign after it got its finalizer; so one of the two sees the other.
func (r *ManagedUserReconciler) confirmSecret(ctx context.Context, v *visit) error {
	if !r.config.ProtectSecrets {
		return nil
	}
	secret := secretMetadata(metav1.ObjectMeta{})
	err := r.reader.Get(ctx, client.ObjectKeyFromObject(v.secret), secret)
	if apierrors.IsNotFound(err) || err == nil && !secret.DeletionTimestamp.IsZero() && !controllerutil.ContainsFinalizer(secret, v1alpha1.InUseFinalizer) {
		return errors.Join(errAgain, err)
	}
	if err != nil {
		return fmt.Errorf("reading the credentials Secret again: %w", err)
	}
	return patchSecret(ctx, r.client, secret, inUse)
}

// inUse protects a Secret; releasing is the sign that it may soon not be; unused lets it go.
func inUse(secret *metav1.PartialObjectMetadata) {
	controllerutil.AddFinalizer(secret, v1alpha1.InUseFinalizer)
	delete(secret.Annotations, v1alpha1.ReleasingAnnotation)
}

func releasing(secret *metav1.PartialObjectMetadata) {
	if secret.Annotations == nil {
		secret.Annotations = make(map[string]string, 1)
	}
	secret.Annotations[v1alpha1.ReleasingAnnotation] = "true"
}

func unused(secret *metav1.PartialObjectMetadata) {
	controllerutil.RemoveFinalizer(secret, v1alpha1.InUseFinalizer)
	delete(secret.Annotations, v1alpha1.ReleasingAnnotation)
}

// patchSecret writes a change of a Secret's metadata, if it is one, and takes over the answer. The patch is of metadata only, and
// locked: it replaces the list of finalizers, and a release must not overtake an object that comes to need the Secret.
func patchSecret(ctx context.Context, c client.Client, secret *metav1.PartialObjectMetadata, change func(*metav1.PartialObjectMetadata)) error {
	changed := secret.DeepCopy()
	change(changed)
	if slices.Equal(changed.Finalizers, secret.Finalizers) && maps.Equal(changed.Annotations, secret.Annotations) {
		return nil
	}
	err := c.Patch(ctx, changed, client.MergeFromWithOptions(secret.DeepCopy(), client.MergeFromWithOptimisticLock{}))
	if err != nil {
		return fmt.Errorf("marking the credentials Secret as in use or not: %w", err)
	}
	*secret = *changed
	return nil
}

// secretMetadata is the metadata of a Secret, as it is watched and patched.
func secretMetadata(meta metav1.ObjectMeta) *metav1.PartialObjectMetadata {
	secret := &metav1.PartialObjectMetadata{ObjectMeta: meta}
	secret.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return secret
}

// SecretReconciler lets go of credentials Secrets that nobody needs any more, and protects those that came to be
// needed by another way than a creation: made anew, or named by an edited spec.
type SecretReconciler struct {
	client  client.Client
	reader  client.Reader // Not cached.
	protect bool
}

// NewSecretReconciler returns a reconciler; one that does not protect takes the protection off wherever it is.
func NewSecretReconciler(c client.Client, reader client.Reader, protect bool) *SecretReconciler {
	return &SecretReconciler{client: c, reader: reader, protect: protect}
}

// Reconcile brings one Secret's in-use finalizer into step with the users that need it.
func (r *SecretReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	secret := secretMetadata(metav1.ObjectMeta{})
	if err := r.client.Get(ctx, request.NamespacedName, secret); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	err := r.protectOrRelease(ctx, request, secret)
	if apierrors.IsConflict(err) {
		return ctrl.Result{RequeueAfter: conflictRetry}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(err)
}

func (r *SecretReconciler) protectOrRelease(ctx context.Context, request ctrl.Request, secret *metav1.PartialObjectMetadata) error {
	held := controllerutil.ContainsFinalizer(secret, v1alpha1.InUseFinalizer)
	needed, err := r.isNeeded(ctx, r.client, request, client.MatchingFields{bySecret: request.Name})
	switch {
	case err != nil:
		return err
	case !held && (!needed || !secret.DeletionTimestamp.IsZero()):
		return nil // An object that is being deleted takes no new finalizer.
	case !needed && r.protect:
		// The cache may not have heard of an object that came to need the Secret a moment ago: see confirmSecret.
		if err := patchSecret(ctx, r.client, secret, releasing); err != nil {
			return err
		}
		if needed, err = r.isNeeded(ctx, r.reader, request); err != nil {
			return err
		}
	}
	if needed {
		return patchSecret(ctx, r.client, secret, inUse)
	}
	return patchSecret(ctx, r.client, secret, unused)
}

// isNeeded reports whether the deletion of some user will need the Secret: whoever has the finalizer has, or may have,
// a user in Cal.com.
func (r *SecretReconciler) isNeeded(
	ctx context.Context, reader client.Reader, secret ctrl.Request, options ...client.ListOption,
) (bool, error) {
	if !r.protect {
		return false, nil
	}
	var users v1alpha1.ManagedUserList
	if err := reader.List(ctx, &users, append(options, client.InNamespace(secret.Namespace))...); err != nil {
		return false, fmt.Errorf("listing the users of a Secret: %w", err)
	}
	for i := range users.Items {
		mu := &users.Items[i]
		if secretOf(mu) == secret.Name && controllerutil.ContainsFinalizer(mu, v1alpha1.ManagedUserFinalizer) {
			return true, nil
		}
	}
	return false, nil
}

// secretOf returns the name of the Secret that a user's credentials are in.
func secretOf(mu *v1alpha1.ManagedUser) string {
	if mu.Spec.OAuthClient == nil {
		return ""
	}
	return mu.Spec.OAuthClient.SecretKeyRef.Name
}

// SetupWithManager registers the reconciler. The index of users by Secret is the ManagedUserReconciler's, which has to be
// set up first.
func (r *SecretReconciler) SetupWithManager(mgr ctrl.Manager) error {
	ofUser := func(_ context.Context, user client.Object) []reconcile.Request {
		mu, ok := user.(*v1alpha1.ManagedUser)
		if !ok || secretOf(mu) == "" {
			return nil
		}
		return []reconcile.Request{{NamespacedName: client.ObjectKey{Namespace: mu.Namespace, Name: secretOf(mu)}}}
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("credentials-secret").
		For(&corev1.Secret{}, builder.OnlyMetadata).
		Watches(&v1alpha1.ManagedUser{}, handler.EnqueueRequestsFromMapFunc(ofUser), builder.WithPredicates(changesNeed())).
		Complete(r)
}
