// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// tokensNameOf returns the name of the Secret that a user wants its tokens in, or nothing.
func tokensNameOf(object client.Object) string {
	mu, ok := object.(*v1alpha1.ManagedUser)
	if !ok || mu.Spec.Tokens == nil {
		return ""
	}
	return mu.Spec.Tokens.SecretName
}

// usersOfTokens finds the users that want their tokens in a Secret: its owner, and whoever waits for the name to be
// free.
func (r *ManagedUserReconciler) usersOfTokens(ctx context.Context, secret client.Object) []reconcile.Request {
	return r.requests(ctx, anyUser, client.InNamespace(secret.GetNamespace()), client.MatchingFields{byTokens: secret.GetName()})
}

// notOurOwnTokens holds back what this process wrote itself.
func (r *ManagedUserReconciler) notOurOwnTokens() predicate.Predicate {
	ours := func(object client.Object) bool {
		owner := metav1.GetControllerOf(object)
		annotation, ok := object.GetAnnotations()[v1alpha1.TokensAnnotation]
		return ok && owner != nil && r.tokens.wrote(client.ObjectKey{Namespace: object.GetNamespace(), Name: owner.Name}, annotation)
	}
	return predicate.Funcs{
		CreateFunc: func(e event.CreateEvent) bool { return !ours(e.Object) },
		UpdateFunc: func(e event.UpdateEvent) bool {
			const key = v1alpha1.TokensAnnotation
			return e.ObjectOld.GetAnnotations()[key] == e.ObjectNew.GetAnnotations()[key] || !ours(e.ObjectNew)
		},
	}
}

// removeStray deletes a Secret with tokens whose owner does not want it any more: it asks for none, or for another one
// and has got it. The owner says so in its spec and status, so that a Secret that was written just before a crash is
// found as well. It reports whether the Secret holds tokens at all. Secrets of owners that are gone are Kubernetes' to
// collect.
func (r *SecretReconciler) removeStray(ctx context.Context, secret *metav1.PartialObjectMetadata) (tokens bool, err error) {
	owner := metav1.GetControllerOf(secret)
	if _, ok := secret.Annotations[v1alpha1.TokensAnnotation]; !ok || owner == nil || owner.Kind != "ManagedUser" {
		return false, nil
	}
	if !r.config.watches(secret.Namespace) {
		return true, nil // Its owner is another operator's.
	}
	// The cache may not have heard of the last edit, so the API server has the last word.
	for _, from := range []client.Reader{r.client, r.reader} {
		if stays, err := r.keepsTokens(ctx, from, owner, client.ObjectKeyFromObject(secret)); stays || err != nil {
			return true, err
		}
	}
	err = r.client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID, ResourceVersion: &secret.ResourceVersion})
	if client.IgnoreNotFound(err) != nil {
		return true, fmt.Errorf("deleting a Secret with tokens: %w", err)
	}
	log.FromContext(ctx).Info("Deleted a Secret with tokens that its owner does not want any more")
	return true, nil
}

// keepsTokens reports whether a Secret with an object's tokens stays, by the state of the object that a reader has. It
// does while the object wants it, or has not got the other one that it wants, unless that one cannot come before this
// one goes. It also stays when the object is gone.
func (r *SecretReconciler) keepsTokens(
	ctx context.Context, from client.Reader, owner *metav1.OwnerReference, secret client.ObjectKey,
) (bool, error) {
	var mu v1alpha1.ManagedUser
	err := from.Get(ctx, client.ObjectKey{Namespace: secret.Namespace, Name: owner.Name}, &mu)
	switch {
	case err != nil:
		return true, notFoundAsNil(err, "reading the owner of a Secret with tokens")
	case mu.UID != owner.UID, tokensNameOf(&mu) == secret.Name:
		return true, nil
	case !wantsSecret(&mu, secret.Name):
		return false, nil
	}
	ends, err := r.endsCycle(ctx, &mu, secret.Name)
	if err != nil || !ends {
		return true, err
	}
	return false, r.rememberTokens(ctx, &mu, secret)
}

// wantsSecret reports whether an object's tokens are, or should be, in a Secret.
func wantsSecret(mu *v1alpha1.ManagedUser, name string) bool {
	return tokensNameOf(mu) == name || mu.Status.Tokens != nil && mu.Status.Tokens.SecretName == name
}

// secretsOfTokens names the Secrets that an object's tokens are, or should be, in.
func secretsOfTokens(_ context.Context, object client.Object) []reconcile.Request {
	mu, ok := object.(*v1alpha1.ManagedUser)
	if !ok {
		return nil
	}
	var requests []reconcile.Request
	add := func(name string) {
		requests = append(requests, reconcile.Request{NamespacedName: client.ObjectKey{Namespace: mu.Namespace, Name: name}})
	}
	if name := tokensNameOf(mu); name != "" {
		add(name)
	}
	if status := mu.Status.Tokens; status != nil && status.SecretName != tokensNameOf(mu) {
		add(status.SecretName)
	}
	return requests
}

// changesTokensSecret lets through what can make a Secret with tokens a stray.
func changesTokensSecret() predicate.Predicate {
	published := func(object client.Object) string {
		if mu, ok := object.(*v1alpha1.ManagedUser); ok && mu.Status.Tokens != nil {
			return mu.Status.Tokens.SecretName
		}
		return ""
	}
	return onUpdate(func(before, after client.Object) bool {
		return tokensNameOf(before) != tokensNameOf(after) || published(before) != published(after)
	})
}
