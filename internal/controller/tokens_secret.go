// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

const (
	// tokensFieldOwner owns the fields of the Secrets with tokens.
	tokensFieldOwner = client.FieldOwner("calcom-operator-tokens")
	// managedByLabel is the one that Kubernetes recommends, managedBy its value.
	managedByLabel = "app.kubernetes.io/managed-by"
	managedBy      = "calcom-operator"
)

// tokensSecret is a Secret with tokens as a visit found it.
type tokensSecret struct {
	judgement

	// secret is nil if there is none.
	secret *corev1.Secret
	// mine is set when this process was the last to write it.
	mine bool
}

// Format keeps the Secret out of whatever prints it.
func (tokensSecret) Format(f fmt.State, _ rune) { _, _ = fmt.Fprint(f, "[Secret with tokens]") }

func tokensKey(mu *v1alpha1.ManagedUser) client.ObjectKey {
	return client.ObjectKey{Namespace: mu.Namespace, Name: mu.Spec.Tokens.SecretName}
}

// readTokens reads the Secret from the API server itself: a stale "not found" would end tokens that are in use.
func (r *ManagedUserReconciler) readTokens(ctx context.Context, mu *v1alpha1.ManagedUser) (*corev1.Secret, error) {
	secret := &corev1.Secret{}
	err := r.reader.Get(ctx, tokensKey(mu), secret)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the Secret with the tokens: %w", err)
	}
	return secret, nil
}

// publish writes a pair into the Secret, and notes it as published.
func (r *ManagedUserReconciler) publish(ctx context.Context, v *visit, s tokensSecret, p *tokenPair, forcedAt time.Time) error {
	record := recordOf(v.mu.UID, p)
	record.ForcedAt = forcedAt
	secret, err := r.writeTokens(ctx, v, s.secret, tokensData(v.mu, v.account, p.userID, p), record)
	if err != nil {
		return err
	}
	r.published(v, secret, p, record)
	return nil
}

// published notes what the Secret holds, for the status and for the visits to come.
func (r *ManagedUserReconciler) published(v *visit, secret *corev1.Secret, p *tokenPair, record tokensRecord) {
	r.tokens.keep(v.mu, p)
	r.tokens.saw(v.mu, secret.ResourceVersion)
	v.mu.Status.Tokens = &v1alpha1.TokensStatus{
		SecretName:            secret.Name,
		AccessTokenExpiresAt:  metav1.NewTime(p.expires().Truncate(time.Second)),
		RefreshTokenExpiresAt: metav1.NewTime(p.refreshExpires().Truncate(time.Second)),
	}
	v.tokens.next = r.dueAt(v, &record)
}

// writeTokens writes the Secret as a whole. A new one is created, so that it can never be merged into somebody else's;
// one that is there is applied to, if it is still the one that was read.
func (r *ManagedUserReconciler) writeTokens(
	ctx context.Context, v *visit, was *corev1.Secret, data map[string][]byte, record tokensRecord,
) (*corev1.Secret, error) {
	annotation := record.encode()
	r.tokens.writes(v.mu, annotation)
	if was != nil && was.Immutable != nil && *was.Immutable {
		// Somebody locked it. What is in it is about to be written anew.
		err := client.IgnoreNotFound(r.client.Delete(ctx, was, client.Preconditions{UID: &was.UID, ResourceVersion: &was.ResourceVersion}))
		if err != nil {
			return nil, fmt.Errorf("removing an immutable Secret with tokens: %w", err)
		}
		was = nil
	}
	if was == nil {
		return r.createTokens(ctx, v, data, annotation)
	}
	apply := corev1ac.Secret(was.Name, was.Namespace).
		WithUID(was.UID).WithResourceVersion(was.ResourceVersion).
		WithLabels(map[string]string{managedByLabel: managedBy}).
		WithAnnotations(map[string]string{v1alpha1.TokensAnnotation: annotation}).
		WithOwnerReferences(metav1ac.OwnerReference().
			WithAPIVersion(v1alpha1.GroupVersion.String()).WithKind("ManagedUser").WithName(v.mu.Name).WithUID(v.mu.UID).WithController(true)).
		WithType(v1alpha1.TokensSecretType).WithData(data)
	if err := r.client.Apply(ctx, apply, tokensFieldOwner, client.ForceOwnership); err != nil {
		return nil, r.refusedWrite(v, err)
	}
	if apply.ResourceVersion == nil {
		return nil, errors.New("the API server did not return the Secret with the tokens")
	}
	written := was.DeepCopy()
	written.ResourceVersion, written.Data = *apply.ResourceVersion, data
	written.Annotations = map[string]string{v1alpha1.TokensAnnotation: annotation}
	r.tokens.saw(v.mu, written.ResourceVersion)
	return written, nil
}

func (r *ManagedUserReconciler) createTokens(ctx context.Context, v *visit, data map[string][]byte, annotation string) (*corev1.Secret, error) {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: v.mu.Namespace, Name: v.mu.Spec.Tokens.SecretName,
			Labels:      map[string]string{managedByLabel: managedBy},
			Annotations: map[string]string{v1alpha1.TokensAnnotation: annotation},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(), Kind: "ManagedUser", Name: v.mu.Name, UID: v.mu.UID, Controller: new(true),
			}},
		},
		Type: v1alpha1.TokensSecretType, Data: data,
	}
	if err := r.client.Create(ctx, secret, tokensFieldOwner); err != nil {
		return nil, r.refusedWrite(v, err)
	}
	r.tokens.saw(v.mu, secret.ResourceVersion)
	return secret, nil
}

// refusedWrite tells a write that came too late, which is tried again at once with the Secret as it is now, from one
// that the API server refuses, which a person has to know of.
func (r *ManagedUserReconciler) refusedWrite(v *visit, err error) error {
	switch {
	case apierrors.IsAlreadyExists(err), apierrors.IsConflict(err), apierrors.IsNotFound(err):
		return &outcome.Problem{
			Condition: v1alpha1.ConditionTokensReady, Reason: v1alpha1.ReasonRefreshFailed, Severity: r.lack(v), Pace: outcome.Later, After: r.again(v),
			Silent: true, Message: "The Secret was written by somebody else at the same moment; looking at it again", Cause: err,
		}
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return &outcome.Problem{
			Condition: v1alpha1.ConditionTokensReady, Reason: v1alpha1.ReasonRefreshFailed, Severity: r.lack(v),
			Message: fmt.Sprintf("The API server does not let the operator write Secret %s (%s); see its rights, quotas and policies for secrets in this namespace",
				v.mu.Spec.Tokens.SecretName, apierrors.ReasonForError(err)),
		}
	}
	return fmt.Errorf("writing the Secret with the tokens: %w", err)
}

// lack says how much it matters that the Secret cannot be written: little while it holds a valid token.
func (r *ManagedUserReconciler) lack(v *visit) outcome.Severity {
	if r.isPublished(v) {
		return outcome.Transient
	}
	return outcome.Waiting
}

// secretConflict leaves a Secret alone that is not this object's.
func (r *ManagedUserReconciler) secretConflict(v *visit, secret *corev1.Secret) error {
	p := &outcome.Problem{
		Condition: v1alpha1.ConditionTokensReady, Reason: v1alpha1.ReasonSecretConflict, Severity: outcome.Stalled, Pace: outcome.Slowly,
		Message: fmt.Sprintf("Secret %s exists and is not this object's; it is left alone. Set tokens.secretName to another name, or delete that Secret", secret.Name),
	}
	if owner := metav1.GetControllerOf(secret); owner != nil && owner.Name == v.mu.Name && owner.Kind == "ManagedUser" && owner.UID != v.mu.UID {
		p.Severity = outcome.Waiting
		p.Message = fmt.Sprintf("Secret %s is that of the object that had this name before; waiting until Kubernetes has removed it", secret.Name)
	}
	return p
}
