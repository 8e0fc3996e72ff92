// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// kubeClient is what a process sees of its API server: objects from its cache, Secrets live, writes with all their
// hazards. What the reconciler does not use panics.
type kubeClient struct {
	client.Client

	process *process
}

// Get reads an object from the cache, or a Secret from the API server.
func (k *kubeClient) Get(ctx context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	t := taskOf(ctx)
	switch object := object.(type) {
	case *v1alpha1.ManagedUser:
		mu, ok := k.process.view[key]
		if !ok {
			return apierrors.NewNotFound(userResource, key.Name)
		}
		t.object = mu
		mu.DeepCopyInto(object)
		if hook := k.process.world.options.Hooks.Read; hook != nil {
			hook(object)
		}
		return nil
	case *corev1.Secret:
		if err := t.pause(); err != nil {
			return err
		}
		if k.process.world.strikes(20, "kubernetes read error") {
			return apierrors.NewInternalError(errors.New("etcdserver: leader changed"))
		}
		secret, ok := k.process.cluster.api.secrets[key]
		if !ok {
			return apierrors.NewNotFound(schema.GroupResource{Resource: "secrets"}, key.Name)
		}
		secret.DeepCopyInto(object)
		return nil
	}
	panic(fmt.Sprintf("simulation: nobody reads a %T", object))
}

// Patch writes the object without its status.
func (k *kubeClient) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return k.write(ctx, object, patch, false)
}

// Status returns the writer of the status.
func (k *kubeClient) Status() client.SubResourceWriter { return &statusWriter{kube: k} }

type statusWriter struct {
	client.SubResourceWriter

	kube *kubeClient
}

// Patch writes the status alone.
func (s *statusWriter) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	return s.kube.write(ctx, object, patch, true)
}

// write is a patch with everything that can happen to it: refused, lost on the way there, lost on the way back.
func (k *kubeClient) write(ctx context.Context, object client.Object, patch client.Patch, status bool) error {
	t, w := taskOf(ctx), k.process.world
	data, err := patch.Data(object)
	if err != nil {
		return fmt.Errorf("encoding the patch: %w", err)
	}
	if err := t.pause(); err != nil {
		return err
	}
	key := types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
	what := map[bool]string{true: "status of", false: "object"}[status]
	switch {
	case w.strikes(30, "kubernetes error"):
		w.tracef("%s fails to write %s %s", k.process.name, what, key.Name)
		return apierrors.NewInternalError(errors.New("etcdserver: request timed out"))
	case w.strikes(40, "kubernetes conflict"):
		w.tracef("%s meets an invented conflict at %s %s", k.process.name, what, key.Name)
		return apierrors.NewConflict(userResource, key.Name, errors.New("the object has been modified"))
	case w.strikes(40, "kubernetes write lost"):
		w.tracef("%s loses its write of %s %s", k.process.name, what, key.Name)
		return apierrors.NewTimeoutError("the server did not answer", 1)
	}
	written, err := w.commit(t, key, patch.Type(), data, status)
	if err != nil {
		w.tracef("%s cannot write %s %s: %s", k.process.name, what, key.Name, apierrors.ReasonForError(err))
		return err
	}
	lost := w.strikes(30, "kubernetes answer lost")
	if err := t.pause(); err != nil {
		return err
	}
	if lost {
		w.tracef("%s does not hear of its write", k.process.name)
		return apierrors.NewTimeoutError("the server did not answer", 1)
	}
	mu, ok := object.(*v1alpha1.ManagedUser)
	if !ok {
		return fmt.Errorf("nobody writes a %T", object)
	}
	written.DeepCopyInto(mu)
	return nil
}

// commit lets the API server take the patch, and the ledger look at what it did.
func (w *World) commit(
	t *task, key types.NamespacedName, kind types.PatchType, data []byte, status bool,
) (*v1alpha1.ManagedUser, error) {
	api := t.process.cluster.api
	if hook := w.options.Hooks.Write; hook != nil {
		var taken bool
		if data, taken = hook(data, status); taken {
			return t.object, nil
		}
	}
	before := api.users[key]
	written, err := api.patch(key, kind, data, status)
	if err != nil {
		if hook := w.options.Hooks.WriteError; hook != nil {
			err = hook(err, t.object)
		}
		return nil, err
	}
	w.figures.Writes++
	w.tracef("%s writes%s %s: %s", t.process.name, map[bool]string{true: " status of"}[status], key.Name, data)
	if status {
		w.statusWrites++
		w.checkStatus(t, before, written)
	} else {
		w.metadataWrites++
		w.ledger.metadataWritten(t, before, written)
	}
	return written, nil
}
