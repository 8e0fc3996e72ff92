// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// kubeClient is what a process sees of its API server: objects from its cache, and writes with all their hazards. What
// the reconcilers do not use panics.
type kubeClient struct {
	client.Client

	process *process
}

// Get reads from the cache.
func (k *kubeClient) Get(ctx context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	t := taskOf(ctx)
	switch object := object.(type) {
	case *v1alpha1.ManagedUser:
		mu, ok := k.process.view[key]
		if !ok {
			return apierrors.NewNotFound(userResource, key.Name)
		}
		if !t.sweeps() {
			t.object = mu
		}
		mu.DeepCopyInto(object)
		if hook := k.process.world.options.Hooks.Read; hook != nil {
			hook(object)
		}
		return nil
	case *v1alpha1.OAuthClient:
		if k.process.client == nil {
			return apierrors.NewNotFound(clientResource, key.Name)
		}
		k.process.client.DeepCopyInto(object)
		return nil
	case *metav1.PartialObjectMetadata:
		if object.Kind == "Namespace" {
			object.Name = key.Name
			return nil
		}
		metadata, ok := k.process.secrets[key]
		if !ok {
			return apierrors.NewNotFound(secretResource, key.Name)
		}
		metadata.DeepCopyInto(object)
		return nil
	}
	panic(fmt.Sprintf("simulation: nobody reads a %T from the cache", object))
}

// List reads from the cache.
func (k *kubeClient) List(_ context.Context, list client.ObjectList, _ ...client.ListOption) error {
	k.process.list(list, k.process.view, k.process.client)
	return nil
}

// list fills a list. All objects have the same Secret, so that each of them fits every question.
func (p *process) list(list client.ObjectList, from map[types.NamespacedName]*v1alpha1.ManagedUser, oauth *v1alpha1.OAuthClient) {
	if clients, ok := list.(*v1alpha1.OAuthClientList); ok {
		if oauth != nil {
			clients.Items = append(clients.Items, *oauth.DeepCopy())
		}
		return
	}
	users, ok := list.(*v1alpha1.ManagedUserList)
	if !ok {
		panic(fmt.Sprintf("simulation: nobody lists a %T", list))
	}
	for _, key := range sortedKeys(from) {
		users.Items = append(users.Items, *from[key].DeepCopy())
	}
	if hook := p.world.options.Hooks.List; hook != nil {
		hook(users)
	}
}

// liveReader reads from the API server itself.
type liveReader struct{ process *process }

// Get reads an object as it is now.
func (l *liveReader) Get(ctx context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	if err := l.ask(ctx); err != nil {
		return err
	}
	api := l.process.cluster.api
	switch object := object.(type) {
	case *v1alpha1.ManagedUser:
		if mu, ok := api.users[key]; ok {
			mu.DeepCopyInto(object)
			return nil
		}
		return apierrors.NewNotFound(userResource, key.Name)
	case *corev1.Secret:
		return l.readSecret(key, object)
	case *metav1.PartialObjectMetadata:
		if object.Kind == v1alpha1.KindOAuthClient {
			if api.client == nil {
				return apierrors.NewNotFound(clientResource, key.Name)
			}
			object.ObjectMeta = *api.client.ObjectMeta.DeepCopy()
			return nil
		}
		if secret, ok := api.secrets[key]; ok {
			metadataOf(secret).DeepCopyInto(object)
			return nil
		}
		return apierrors.NewNotFound(secretResource, key.Name)
	case *corev1.ConfigMap:
		if record, ok := api.configMaps[key]; ok {
			record.DeepCopyInto(object)
			return nil
		}
		return apierrors.NewNotFound(configMapResource, key.Name)
	}
	panic(fmt.Sprintf("simulation: nobody reads a %T", object))
}

// List lists the objects as they are now.
func (l *liveReader) List(ctx context.Context, list client.ObjectList, _ ...client.ListOption) error {
	if err := l.ask(ctx); err != nil {
		return err
	}
	l.process.list(list, l.process.cluster.api.users, l.process.cluster.api.client)
	return nil
}

// ask is a question to the API server, which may fail.
func (l *liveReader) ask(ctx context.Context) error {
	if err := taskOf(ctx).pause(); err != nil {
		return err
	}
	if l.process.world.strikes(20, "kubernetes read error") {
		return apierrors.NewInternalError(errors.New("etcdserver: leader changed"))
	}
	return nil
}

// Patch writes the object without its status.
func (k *kubeClient) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	data, err := patch.Data(object)
	if err != nil {
		return fmt.Errorf("encoding the patch: %w", err)
	}
	return k.write(ctx, object, &write{kind: patch.Type(), data: data})
}

// Create writes a new object.
func (k *kubeClient) Create(ctx context.Context, object client.Object, _ ...client.CreateOption) error {
	data, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encoding the object: %w", err)
	}
	return k.write(ctx, object, &write{data: data, creates: true})
}

// Status returns the writer of the status.
func (k *kubeClient) Status() client.SubResourceWriter { return &statusWriter{kube: k} }

type statusWriter struct {
	client.SubResourceWriter

	kube *kubeClient
}

// Patch writes the status alone.
func (s *statusWriter) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	data, err := patch.Data(object)
	if err != nil {
		return fmt.Errorf("encoding the patch: %w", err)
	}
	return s.kube.write(ctx, object, &write{kind: patch.Type(), data: data, status: true})
}

// write is a patch, or a new object, on its way to the API server.
type write struct {
	kind            types.PatchType
	data            []byte
	status, creates bool
}

func (wr *write) String() string {
	return map[bool]string{true: "status of", false: "object"}[wr.status]
}

// write carries a write with everything that can happen to it: refused, lost on the way there, lost on the way back.
func (k *kubeClient) write(ctx context.Context, object client.Object, wr *write) error {
	t, w := taskOf(ctx), k.process.world
	if err := t.pause(); err != nil {
		return err
	}
	key := types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}
	switch {
	case w.strikes(30, "kubernetes error"):
		w.tracef("%s fails to write %s %s", k.process.name, wr, key.Name)
		return apierrors.NewInternalError(errors.New("etcdserver: request timed out"))
	case w.strikes(40, "kubernetes conflict"):
		w.tracef("%s meets an invented conflict at %s %s", k.process.name, wr, key.Name)
		return apierrors.NewConflict(userResource, key.Name, errors.New("the object has been modified"))
	case w.strikes(40, "kubernetes write lost"):
		w.tracef("%s loses its write of %s %s", k.process.name, wr, key.Name)
		return apierrors.NewTimeoutError("the server did not answer", 1)
	}
	take, err := w.commit(t, key, object, wr)
	if err != nil {
		w.tracef("%s cannot write %s %s: %s", k.process.name, wr, key.Name, apierrors.ReasonForError(err))
		return err
	}
	lost, slow := w.strikes(30, "kubernetes answer lost"), time.Duration(0)
	if w.strikes(10, "kubernetes answer slow") {
		slow = time.Duration(w.random.Int64N(int64(2 * time.Minute)))
	}
	if err := t.sleep(slow); err != nil {
		return err
	}
	if lost {
		w.tracef("%s does not hear of its write", k.process.name)
		return apierrors.NewTimeoutError("the server did not answer", 1)
	}
	take()
	return nil
}

// commit lets the API server take the write, and the ledger look at what it did. The function that it returns copies
// the answer into the writer's object.
func (w *World) commit(t *task, key types.NamespacedName, object client.Object, wr *write) (take func(), err error) {
	if hook := w.options.Hooks.Write; hook != nil {
		var taken bool
		if wr.data, taken = hook(wr.data, wr.status); taken {
			return func() {}, nil
		}
	}
	switch object := object.(type) {
	case *v1alpha1.ManagedUser:
		take, err = w.commitUser(t, key, object, wr)
	case *v1alpha1.OAuthClient:
		take, err = w.commitClientStatus(t, object, wr)
	case *metav1.PartialObjectMetadata:
		if object.Kind == v1alpha1.KindOAuthClient {
			take, err = w.commitClient(t, object, wr)
			break
		}
		take, err = w.commitSecret(t, key, object, wr)
	case *corev1.Secret:
		take, err = w.commitTokens(t, key, object, wr)
		if err == nil {
			w.figures.Writes++
			w.tracef("%s writes Secret %s", t.process.name, key.Name) // Its content is random.
			return take, nil
		}
	case *corev1.ConfigMap:
		take, err = w.commitRecord(t, key, object, wr)
	default:
		panic(fmt.Sprintf("simulation: nobody writes a %T", object))
	}
	if err != nil {
		return nil, err
	}
	w.figures.Writes++
	w.tracef("%s writes %s %s: %s", t.process.name, wr, key.Name, wr.data)
	return take, nil
}

func (w *World) commitUser(t *task, key types.NamespacedName, mu *v1alpha1.ManagedUser, wr *write) (func(), error) {
	api := t.process.cluster.api
	before := api.users[key]
	written, err := api.patch(key, wr.kind, wr.data, wr.status)
	if err != nil {
		if hook := w.options.Hooks.WriteError; hook != nil {
			err = hook(err, t.object)
		}
		return nil, err
	}
	if wr.status {
		w.statusWrites++
		if tokensReady(before) != tokensReady(written) {
			w.tokenStatuses++
		}
		w.checkStatus(t, before, written)
	} else {
		w.metadataWrites++
		w.ledger.metadataWritten(t, before, written)
		w.countRestoration(t, before, written)
	}
	return func() { written.DeepCopyInto(mu) }, nil
}

func (w *World) commitSecret(t *task, key types.NamespacedName, secret *metav1.PartialObjectMetadata, wr *write) (func(), error) {
	before := t.process.cluster.api.secrets[key]
	written, err := t.process.cluster.api.patchSecret(key, wr.kind, wr.data)
	if err != nil {
		return nil, err
	}
	w.secretWrites++
	w.secretWritten(t.process.cluster, before, written)
	return func() { metadataOf(written).DeepCopyInto(secret) }, nil
}

func (w *World) commitClient(t *task, object *metav1.PartialObjectMetadata, wr *write) (func(), error) {
	before := t.process.cluster.api.client
	written, err := t.process.cluster.api.patchClient(wr.kind, wr.data, false)
	if err != nil {
		return nil, err
	}
	w.secretWrites++
	w.clientWritten(t.process.cluster, before, written)
	return func() { object.ObjectMeta = *written.ObjectMeta.DeepCopy() }, nil
}

func (w *World) commitClientStatus(t *task, object *v1alpha1.OAuthClient, wr *write) (func(), error) {
	written, err := t.process.cluster.api.patchClient(wr.kind, wr.data, true)
	if err != nil {
		return nil, err
	}
	w.statusWrites++
	w.checkClientStatus(written)
	return func() { written.DeepCopyInto(object) }, nil
}

func (w *World) commitRecord(t *task, key types.NamespacedName, record *corev1.ConfigMap, wr *write) (func(), error) {
	api := t.process.cluster.api
	var written *corev1.ConfigMap
	var err error
	if wr.creates {
		written, err = api.createConfigMap(record)
	} else {
		written, err = api.patchConfigMap(key, wr.kind, wr.data)
	}
	if err != nil {
		return nil, err
	}
	return func() { written.DeepCopyInto(record) }, nil
}
