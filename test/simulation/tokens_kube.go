// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// isSecret reports whether a key in the queue is that of a Secret, which has a controller of its own.
func isSecret(key types.NamespacedName) bool {
	return key == secretName || isTokens(key)
}

func isTokens(key types.NamespacedName) bool { return strings.HasPrefix(key.Name, tokensPrefix) }

// wakeForTokens wakes those who want their tokens in a Secret that changed.
func (p *process) wakeForTokens(secret types.NamespacedName) {
	if p.world.options.Hooks.DeafToSecrets {
		return
	}
	for _, key := range sortedKeys(p.view) {
		if tokens := p.view[key].Spec.Tokens; tokens != nil && tokens.SecretName == secret.Name {
			p.enqueue(key, p.world.now())
		}
	}
}

// clearTokens has the Secrets looked at that an object may not want any more.
func (p *process) clearTokens(versions ...*v1alpha1.ManagedUser) {
	for _, mu := range versions {
		if mu == nil {
			continue
		}
		if mu.Spec.Tokens != nil {
			p.enqueue(types.NamespacedName{Namespace: mu.Namespace, Name: mu.Spec.Tokens.SecretName}, p.world.now())
		}
		if mu.Status.Tokens != nil {
			p.enqueue(types.NamespacedName{Namespace: mu.Namespace, Name: mu.Status.Tokens.SecretName}, p.world.now())
		}
	}
}

// collect is the garbage collector: the Secrets of an object go with it.
func (a *apiServer) collect(owner types.UID) {
	for _, key := range sortedKeys(a.secrets) {
		if by := metav1.GetControllerOf(a.secrets[key]); by != nil && by.UID == owner {
			a.removeSecret(key)
		}
	}
}

// exists reports whether there is an object with a UID.
func (a *apiServer) exists(uid types.UID) bool {
	for _, mu := range a.users {
		if mu.UID == uid {
			return true
		}
	}
	return false
}

// Apply writes a Secret with tokens. Of all that a server-side apply does, a merge is enough: nobody else owns its
// fields.
func (k *kubeClient) Apply(ctx context.Context, object runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
	apply, ok := object.(*corev1ac.SecretApplyConfiguration)
	if !ok {
		panic(fmt.Sprintf("simulation: nobody applies a %T", object))
	}
	data, err := json.Marshal(apply)
	if err != nil {
		return fmt.Errorf("encoding the apply configuration: %w", err)
	}
	secret := &corev1.Secret{}
	if err := json.Unmarshal(data, secret); err != nil {
		return fmt.Errorf("decoding the apply configuration: %w", err)
	}
	if err := k.write(ctx, secret, &write{kind: types.ApplyPatchType, data: data}); err != nil {
		return err
	}
	apply.WithResourceVersion(secret.ResourceVersion)
	return nil
}

// Delete removes a Secret.
func (k *kubeClient) Delete(ctx context.Context, object client.Object, options ...client.DeleteOption) error {
	t, w := taskOf(ctx), k.process.world
	if err := t.pause(); err != nil {
		return err
	}
	if w.strikes(30, "kubernetes error") {
		return apierrors.NewInternalError(errors.New("etcdserver: request timed out"))
	}
	key := client.ObjectKeyFromObject(object)
	stored, ok := k.process.cluster.api.secrets[key]
	if !ok {
		return apierrors.NewNotFound(secretResource, key.Name)
	}
	how := (&client.DeleteOptions{}).ApplyOptions(options)
	if p := how.Preconditions; p == nil || *p.UID != stored.UID || *p.ResourceVersion != stored.ResourceVersion {
		return apierrors.NewConflict(secretResource, key.Name, errors.New("a precondition failed"))
	}
	w.tracef("%s deletes Secret %s", k.process.name, key.Name)
	k.process.cluster.api.removeSecret(key)
	return nil
}

// commitTokens lets the API server take a Secret with tokens.
func (w *World) commitTokens(t *task, key types.NamespacedName, secret *corev1.Secret, wr *write) (func(), error) {
	api := t.process.cluster.api
	stored, exists := api.secrets[key]
	switch {
	case wr.creates && exists:
		return nil, apierrors.NewAlreadyExists(secretResource, key.Name)
	case wr.creates:
		api.uids++
		secret.UID = types.UID("uid-" + strconv.FormatInt(api.uids, 10))
		stored = &corev1.Secret{}
	case !exists || stored.UID != secret.UID || stored.ResourceVersion != secret.ResourceVersion:
		return nil, apierrors.NewConflict(secretResource, key.Name, errors.New("a precondition failed"))
	}
	if w.options.Hooks.WithoutTokens && !wr.creates {
		return func() {}, nil
	}
	written := secret.DeepCopy()
	written.Finalizers, written.DeletionTimestamp = stored.Finalizers, stored.DeletionTimestamp
	w.tokenWrites++
	api.storeSecret(written)
	if owner := metav1.GetControllerOf(written); owner != nil && !api.exists(owner.UID) {
		api.collect(owner.UID)
	}
	return func() { secret.UID, secret.ResourceVersion = written.UID, written.ResourceVersion }, nil
}

// readSecret reads a Secret with its data.
func (l *liveReader) readSecret(key client.ObjectKey, object *corev1.Secret) error {
	secret, ok := l.process.cluster.api.secrets[key]
	if !ok {
		return apierrors.NewNotFound(secretResource, key.Name)
	}
	secret.DeepCopyInto(object)
	if hook := l.process.world.options.Hooks.ReadSecret; hook != nil {
		hook(l.process, object)
	}
	return nil
}
