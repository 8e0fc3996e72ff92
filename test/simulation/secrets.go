// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"errors"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

var (
	secretResource    = schema.GroupResource{Resource: "secrets"}
	configMapResource = schema.GroupResource{Resource: "configmaps"}
)

// setSecret gives a Secret its data; one that is not there is created.
func (a *apiServer) setSecret(key types.NamespacedName, data map[string][]byte) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
	if stored, ok := a.secrets[key]; ok {
		secret = stored.DeepCopy()
	}
	secret.Data = data
	a.storeSecret(secret)
}

// removeSecret deletes a Secret, or marks it when it has finalizers.
func (a *apiServer) removeSecret(key types.NamespacedName) {
	stored, ok := a.secrets[key]
	if !ok || !stored.DeletionTimestamp.IsZero() {
		return
	}
	secret := stored.DeepCopy()
	now := metav1.NewTime(a.now().Truncate(time.Second))
	secret.DeletionTimestamp = &now
	a.storeSecret(secret)
}

// freeSecret takes the finalizers off a Secret, as somebody does who has lost patience.
func (a *apiServer) freeSecret(key types.NamespacedName) {
	if stored, ok := a.secrets[key]; ok {
		secret := stored.DeepCopy()
		secret.Finalizers = nil
		a.storeSecret(secret)
	}
}

func (a *apiServer) storeSecret(secret *corev1.Secret) {
	a.version++
	secret.ResourceVersion = strconv.FormatInt(a.version, 10)
	key := types.NamespacedName{Namespace: secret.Namespace, Name: secret.Name}
	if !secret.DeletionTimestamp.IsZero() && len(secret.Finalizers) == 0 {
		delete(a.secrets, key)
		a.log = append(a.log, watchEvent{key: key, secret: true})
		return
	}
	a.secrets[key] = secret
	a.log = append(a.log, watchEvent{key: key, secret: true, metadata: metadataOf(secret)})
}

// metadataOf is a Secret as it is watched: without its data.
func metadataOf(secret *corev1.Secret) *metav1.PartialObjectMetadata {
	metadata := &metav1.PartialObjectMetadata{ObjectMeta: *secret.ObjectMeta.DeepCopy()}
	metadata.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Secret"))
	return metadata
}

// patchSecret applies a patch of a Secret's metadata.
func (a *apiServer) patchSecret(key types.NamespacedName, kind types.PatchType, data []byte) (*corev1.Secret, error) {
	stored, ok := a.secrets[key]
	if !ok {
		return nil, apierrors.NewNotFound(secretResource, key.Name)
	}
	patched, err := patchedWith(stored, kind, data)
	if err != nil {
		return nil, err
	}
	result := stored.DeepCopy()
	result.Finalizers, result.Annotations = patched.Finalizers, patched.Annotations
	if !result.DeletionTimestamp.IsZero() && len(result.Finalizers) > len(stored.Finalizers) {
		return nil, apierrors.NewForbidden(secretResource, key.Name, errors.New("no new finalizers can be added if the object is being deleted"))
	}
	a.storeSecret(result)
	return result, nil
}

func (a *apiServer) createConfigMap(record *corev1.ConfigMap) (*corev1.ConfigMap, error) {
	key := types.NamespacedName{Namespace: record.Namespace, Name: record.Name}
	if _, exists := a.configMaps[key]; exists {
		return nil, apierrors.NewAlreadyExists(configMapResource, key.Name)
	}
	return a.storeConfigMap(record.DeepCopy()), nil
}

func (a *apiServer) patchConfigMap(key types.NamespacedName, kind types.PatchType, data []byte) (*corev1.ConfigMap, error) {
	stored, ok := a.configMaps[key]
	if !ok {
		return nil, apierrors.NewNotFound(configMapResource, key.Name)
	}
	patched, err := patchedWith(stored, kind, data)
	if err != nil {
		return nil, err
	}
	return a.storeConfigMap(patched), nil
}

func (a *apiServer) storeConfigMap(record *corev1.ConfigMap) *corev1.ConfigMap {
	a.version++
	record.ResourceVersion = strconv.FormatInt(a.version, 10)
	a.configMaps[types.NamespacedName{Namespace: record.Namespace, Name: record.Name}] = record
	return record
}

// needsSecret reports whether some object may have a user in Cal.com, whose deletion will need the Secret.
func (a *apiServer) needsSecret() bool {
	for _, mu := range a.users {
		if isBound(mu) {
			return true
		}
	}
	return false
}

// secretWritten judges a write of the Secret: while there are users, or may be, it is not let go.
func (w *World) secretWritten(c *cluster, before, after *corev1.Secret) {
	if !isHeld(before) || isHeld(after) {
		return
	}
	for _, claim := range w.ledger.claims {
		if claim.cluster == c && claim.live() && !w.isExposed(claim) && !w.ledger.takenByAnother(claim) && !c.isCutOff(claim) {
			w.violate("the Secret of %s is let go while %s needs it", c.ownerID, claim.name.Name)
		}
	}
}

// isCutOff reports whether nothing leads from the object of a claim to the Secret any more, because the protection of
// the OAuthClient was taken off.
func (c *cluster) isCutOff(claim *claim) bool {
	mu := c.api.users[claim.name]
	if mu == nil || mu.Spec.OAuthClientRef == nil {
		return false
	}
	return c.forced || c.api.client == nil || !slices.Contains(c.api.client.Finalizers, v1alpha1.InUseFinalizer)
}

// checkHeld checks, when a create call is sent, that what the object needs will be there for the deletion, unless
// somebody took the protection off by force.
func (w *World) checkHeld(c *cluster, mu *v1alpha1.ManagedUser) {
	if held := c.api.client; mu.Spec.OAuthClientRef != nil && held != nil && !slices.Contains(held.Finalizers, v1alpha1.InUseFinalizer) && !c.forced {
		w.violate("a user of %s is created with an OAuthClient that nothing holds", c.ownerID)
	}
	if secret, ok := c.api.secrets[secretName]; ok && !isHeld(secret) && !c.forced {
		w.violate("a user of %s is created with a Secret that nothing holds", c.ownerID)
	}
}

func isHeld(secret *corev1.Secret) bool {
	return slices.Contains(secret.Finalizers, v1alpha1.InUseFinalizer)
}

// checkSecret checks in the end that a Secret is protected just while somebody needs it.
func (w *World) checkSecret(c *cluster) {
	secret, ok := c.api.secrets[secretName]
	if held := ok && isHeld(secret); held != c.api.needsSecret() {
		w.violate("the Secret of %s is protected in the end: %t, needed: %t", c.ownerID, held, c.api.needsSecret())
	}
}
