// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	jsonpatch "github.com/evanphx/json-patch/v5"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
)

// kube is a cluster in memory. What is asked for is read from the real one first, once; what is written stays here. The
// reconciler of users neither lists nor updates; who comes to do so finds no method.
type kube struct {
	client.Client

	cluster client.Reader
	scheme  *runtime.Scheme
	now     func() time.Time
	record  func(Step)

	objects map[objectKey]map[string]any // Nil where there is none.
	version int
	// failure is the first error of the real cluster other than that there is no such object. Nobody can tell what the
	// operator would read.
	failure error
}

type objectKey struct {
	kind schema.GroupVersionKind
	name client.ObjectKey
}

func newKube(cluster client.Reader, scheme *runtime.Scheme, now func() time.Time, record func(Step)) *kube {
	return &kube{cluster: cluster, scheme: scheme, now: now, record: record, objects: make(map[objectKey]map[string]any)}
}

// keyOf returns the key under which an object is kept.
func (k *kube) keyOf(object client.Object, name client.ObjectKey) (objectKey, error) {
	kind, err := apiutil.GVKForObject(object, k.scheme)
	if err != nil {
		return objectKey{}, fmt.Errorf("finding the kind of an object: %w", err)
	}
	return objectKey{kind: kind, name: name}, nil
}

// put places an object, as it is.
func (k *kube) put(object client.Object) error {
	key, err := k.keyOf(object, client.ObjectKeyFromObject(object))
	if err != nil {
		return err
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return fmt.Errorf("copying %s: %w", key, err)
	}
	// A dry run may leave out what an object gets when it is stored, and by which it is locked and told from another.
	if metadata := section(content, "metadata"); metadata != nil {
		for field, value := range map[string]string{"uid": "planned-" + key.name.Name, "resourceVersion": "planned"} {
			if metadata[field] == nil {
				metadata[field] = value
			}
		}
	}
	k.objects[key] = content
	return nil
}

func (k objectKey) String() string {
	return k.kind.Kind + " " + strings.TrimPrefix(k.name.String(), "/")
}

// load returns an object as it is kept, nil if there is none.
func (k *kube) load(ctx context.Context, key objectKey) (map[string]any, error) {
	if content, ok := k.objects[key]; ok {
		return content, nil
	}
	typed, err := k.scheme.New(key.kind)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	object, ok := typed.(client.Object)
	if !ok {
		return nil, fmt.Errorf("reading %s: it is no object", key)
	}
	err = k.cluster.Get(caller(ctx), key.name, object)
	if apierrors.IsNotFound(err) || meta.IsNoMatchError(err) { // A cluster without the kind has no such object.
		k.objects[key] = nil
		return nil, nil
	}
	if err != nil {
		err = fmt.Errorf("reading %s: %w", key, err)
		k.failure = errors.Join(k.failure, err)
		return nil, err
	}
	return k.objects[key], k.put(object)
}

// Get reads an object, from memory if it is there.
func (k *kube) Get(ctx context.Context, name client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	key, err := k.keyOf(object, name)
	if err != nil {
		return err
	}
	if _, err := k.load(ctx, key); err != nil {
		return err
	}
	return k.give(key, object)
}

// give copies an object as it is kept into one of a caller.
func (k *kube) give(key objectKey, into client.Object) error {
	content := k.objects[key]
	if content == nil {
		return apierrors.NewNotFound(resource(key), key.name.Name)
	}
	fresh, ok := reflect.TypeAssert[client.Object](reflect.New(reflect.TypeOf(into).Elem()))
	if !ok {
		return fmt.Errorf("reading %s: %T is no object", key, into)
	}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, fresh); err != nil {
		return fmt.Errorf("reading %s: %w", key, err)
	}
	fresh.GetObjectKind().SetGroupVersionKind(into.GetObjectKind().GroupVersionKind())
	reflect.ValueOf(into).Elem().Set(reflect.ValueOf(fresh).Elem())
	return nil
}

func resource(key objectKey) schema.GroupResource {
	return schema.GroupResource{Group: key.kind.Group, Resource: strings.ToLower(key.kind.Kind) + "s"}
}

// Patch writes an object without its status.
func (k *kube) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.PatchOption) error {
	return k.patch(ctx, object, patch, false)
}

// Status returns the writer of statuses.
func (k *kube) Status() client.SubResourceWriter { return statusWriter{kube: k} }

type statusWriter struct {
	client.SubResourceWriter

	kube *kube
}

// Patch writes a status alone.
func (s statusWriter) Patch(ctx context.Context, object client.Object, patch client.Patch, _ ...client.SubResourcePatchOption) error {
	return s.kube.patch(ctx, object, patch, true)
}

func (k *kube) patch(ctx context.Context, object client.Object, patch client.Patch, status bool) error {
	data, err := patch.Data(object)
	if err != nil {
		return fmt.Errorf("encoding the patch: %w", err)
	}
	key, err := k.keyOf(object, client.ObjectKeyFromObject(object))
	if err != nil {
		return err
	}
	before, err := k.load(ctx, key)
	if err != nil {
		return err
	}
	if before == nil {
		return apierrors.NewNotFound(resource(key), key.name.Name)
	}
	patched, err := applied(key, before, patch.Type(), data)
	if err != nil {
		return err
	}
	after := patched
	if status {
		after = runtime.DeepCopyJSON(before)
		after["status"] = patched["status"]
	} else {
		keepStatus(after, before)
	}
	k.wrote(key, "patch", before, after, status)
	if k.objects[key] == nil {
		return nil // It is gone, and the caller's copy is the last.
	}
	return k.give(key, object)
}

// keepStatus undoes what a write of an object, which leaves the status alone, would have done to it.
func keepStatus(after, before map[string]any) {
	delete(after, "status")
	if status, ok := before["status"]; ok {
		after["status"] = status
	}
}

// applied returns the object with the patch applied to it: a merge patch (RFC 7386), in which a resource version is an
// optimistic lock, or a JSON patch (RFC 6902).
func applied(key objectKey, object map[string]any, kind types.PatchType, data []byte) (map[string]any, error) {
	raw, err := json.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", key, err)
	}
	switch kind {
	case types.MergePatchType:
		raw, err = mergePatched(key, object, raw, data)
	case types.JSONPatchType:
		raw, err = jsonPatched(key, raw, data)
	default:
		err = apierrors.NewBadRequest("a rehearsal knows no patches of the type " + string(kind))
	}
	if err != nil {
		return nil, err
	}
	patched := make(map[string]any)
	if err := utiljson.Unmarshal(raw, &patched); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", key, err)
	}
	return patched, nil
}

func mergePatched(key objectKey, object map[string]any, raw, data []byte) ([]byte, error) {
	var lock struct {
		Metadata struct{ ResourceVersion *string }
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		return nil, apierrors.NewBadRequest("the patch is no JSON object")
	}
	if version := lock.Metadata.ResourceVersion; version != nil && *version != section(object, "metadata")["resourceVersion"] {
		return nil, apierrors.NewConflict(resource(key), key.name.Name, errors.New("the object has been modified"))
	}
	return jsonpatch.MergePatch(raw, data)
}

func jsonPatched(key objectKey, raw, data []byte) ([]byte, error) {
	patch, err := jsonpatch.DecodePatch(data)
	if err != nil {
		return nil, apierrors.NewBadRequest("the patch is no list of operations")
	}
	raw, err = patch.Apply(raw)
	if err != nil { // As an API server answers a test that fails.
		return nil, apierrors.NewGenericServerResponse(http.StatusUnprocessableEntity, "", resource(key), key.name.Name, err.Error(), 0, false)
	}
	return raw, nil
}

// wrote keeps what a write leaves, and tells of it.
func (k *kube) wrote(key objectKey, verb string, before, after map[string]any, status bool) {
	object := key.kind.Kind
	if status {
		object += "/status"
	}
	name := strings.TrimPrefix(key.name.String(), "/")
	k.record(Step{At: Kubernetes, Verb: verb, Object: object + " " + name, Summary: describeWrite(before, after)})
	metadata := section(after, "metadata")
	if metadata["deletionTimestamp"] != nil && len(list(metadata["finalizers"])) == 0 {
		k.objects[key] = nil
		return
	}
	k.version++
	metadata["resourceVersion"] = "rehearsed-" + strconv.Itoa(k.version)
	k.objects[key] = after
}

// Create writes a new object.
func (k *kube) Create(ctx context.Context, object client.Object, _ ...client.CreateOption) error {
	key, err := k.keyOf(object, client.ObjectKeyFromObject(object))
	if err != nil {
		return err
	}
	before, err := k.load(ctx, key)
	if err != nil {
		return err
	}
	if before != nil {
		return apierrors.NewAlreadyExists(resource(key), key.name.Name)
	}
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return fmt.Errorf("copying %s: %w", key, err)
	}
	metadata := section(content, "metadata")
	metadata["uid"] = "rehearsed-" + strconv.Itoa(k.version)
	metadata["creationTimestamp"] = k.now().UTC().Format(time.RFC3339)
	k.wrote(key, "create", nil, content, false)
	return k.give(key, object)
}

// Delete removes an object.
func (k *kube) Delete(ctx context.Context, object client.Object, _ ...client.DeleteOption) error {
	key, err := k.keyOf(object, client.ObjectKeyFromObject(object))
	if err != nil {
		return err
	}
	if _, err := k.load(ctx, key); err != nil {
		return err
	}
	k.record(Step{At: Kubernetes, Verb: "delete", Object: key.String(), Summary: "to be made anew"})
	k.objects[key] = nil
	return nil
}

// Apply writes the fields that a configuration names.
func (k *kube) Apply(ctx context.Context, configuration runtime.ApplyConfiguration, _ ...client.ApplyOption) error {
	data, err := json.Marshal(configuration)
	if err != nil {
		return fmt.Errorf("encoding the configuration: %w", err)
	}
	var named metav1.PartialObjectMetadata
	if err := json.Unmarshal(data, &named); err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	key := objectKey{kind: named.GroupVersionKind(), name: client.ObjectKeyFromObject(&named)}
	before, err := k.load(ctx, key)
	if err != nil {
		return err
	}
	if before == nil {
		return apierrors.NewNotFound(resource(key), key.name.Name)
	}
	after, err := applied(key, before, types.MergePatchType, data)
	if err != nil {
		return err
	}
	k.wrote(key, "apply", before, after, false)
	data, err = json.Marshal(after)
	if err != nil {
		return fmt.Errorf("encoding %s: %w", key, err)
	}
	return json.Unmarshal(data, configuration)
}
