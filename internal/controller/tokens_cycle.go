// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// longestCycle bounds the objects of which each waits for the Secret of the next.
const longestCycle = 16

// endsCycle reports whether a Secret with tokens has to go so that others can move on: its owner wants another Secret,
// whose owner wants a third one, and so on, until one wants this Secret. Each waits for the next. The first Secret of
// the cycle by name is the one to go; the others follow by themselves.
func (r *SecretReconciler) endsCycle(ctx context.Context, owner *v1alpha1.ManagedUser, secret string) (bool, error) {
	name, first := tokensNameOf(owner), secret
	for range longestCycle {
		if name == "" || name == secret {
			break
		}
		first = min(first, name)
		next, err := r.ownerOfTokens(ctx, client.ObjectKey{Namespace: owner.Namespace, Name: name})
		if err != nil || next == nil || tokensNameOf(next) == name {
			return false, err
		}
		name = tokensNameOf(next)
	}
	return name == secret && first == secret && tokensNameOf(owner) != secret, nil
}

// ownerOfTokens returns the object that a Secret with tokens belongs to, read from the API server itself, or nil.
func (r *SecretReconciler) ownerOfTokens(ctx context.Context, name client.ObjectKey) (*v1alpha1.ManagedUser, error) {
	secret := &corev1.Secret{}
	if err := r.reader.Get(ctx, name, secret); err != nil {
		return nil, notFoundAsNil(err, "reading a Secret with tokens")
	}
	owner := metav1.GetControllerOf(secret)
	if owner == nil || owner.Kind != "ManagedUser" {
		return nil, nil
	}
	mu := &v1alpha1.ManagedUser{}
	if err := r.reader.Get(ctx, client.ObjectKey{Namespace: name.Namespace, Name: owner.Name}, mu); err != nil {
		return nil, notFoundAsNil(err, "reading the owner of a Secret with tokens")
	}
	if mu.UID != owner.UID {
		return nil, nil
	}
	return mu, nil
}

func notFoundAsNil(err error, doing string) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// rivalTokens is what is counted of writers that change or delete Secrets with tokens.
const rivalTokens = "tokens"

// admitTokens returns a problem while a Secret that another writer changes or deletes again and again must not be
// written yet. The first write, and one to a Secret that nothing else has changed, pass.
func (r *ManagedUserReconciler) admitTokens(ctx context.Context, v *visit, s tokensSecret) error {
	if s.mine || s.secret == nil && v.mu.Status.Tokens == nil {
		return nil
	}
	key := tokensKey(v.mu)
	secret := secretMetadata(metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name})
	wait := r.rivals.admitAs(ctx, rivalTokens, secret, "the tokens in Secret "+key.Name)
	if wait == 0 {
		return nil
	}
	return &outcome.Problem{
		Condition: v1alpha1.ConditionTokensReady, Reason: v1alpha1.ReasonRefreshFailed, Severity: r.lack(v), Pace: outcome.Later, After: wait,
		Message: fmt.Sprintf("Another writer changes Secret %s again and again; the tokens are written there after growing delays. "+
			"Configure that writer to leave the Secret alone", key.Name),
	}
}

// rememberTokens keeps the tokens in a Secret that is about to be deleted, so that its owner publishes them under the
// new name and no call for others is needed.
func (r *SecretReconciler) rememberTokens(ctx context.Context, owner *v1alpha1.ManagedUser, name client.ObjectKey) error {
	secret := &corev1.Secret{}
	if err := r.reader.Get(ctx, name, secret); err != nil {
		return notFoundAsNil(err, "reading a Secret with tokens")
	}
	record, ok := readTokensRecord(secret.Annotations)
	if pair := pairIn(secret, &record); ok && ownsTokens(owner, secret) && record.Pending == "" && record.describes(owner.UID, pair) {
		r.tokens.keep(owner, pair)
	}
	return nil
}
