// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"errors"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// apiServer keeps the objects of one cluster as a Kubernetes API server does, as far as our kinds and Secrets need it:
// resource versions, generations, finalizers, the status subresource, and a log of events for the watches.
type apiServer struct {
	now func() time.Time
	// stored is told each object as it is stored.
	stored  func(client.Object)
	version int64
	uids    int64
	users   map[types.NamespacedName]*v1alpha1.ManagedUser
	secrets map[types.NamespacedName]*corev1.Secret
	client  *v1alpha1.OAuthClient // The only one; nil when there is none.
	// configMaps are the operator's records.
	configMaps map[types.NamespacedName]*corev1.ConfigMap
	log        []watchEvent
	// lost is the resource version at which somebody last emptied an object's status.
	lost map[types.NamespacedName]int64
	// rewritten is the resource version at which another tool last rewrote an object.
	rewritten map[types.NamespacedName]int64
}

// watchEvent is one entry of the watch: an object as it is now, or nil when it is gone, or a Secret that changed.
type watchEvent struct {
	key    types.NamespacedName
	user   *v1alpha1.ManagedUser
	secret bool
	// isClient: it is about the OAuthClient, which is nil when it is gone.
	isClient bool
	client   *v1alpha1.OAuthClient
	// metadata is the Secret's; nil when it is gone.
	metadata *metav1.PartialObjectMetadata
}

var userResource = schema.GroupResource{Group: v1alpha1.GroupVersion.Group, Resource: "managedusers"}

func newAPIServer(now func() time.Time, stored func(client.Object)) *apiServer {
	return &apiServer{
		now:        now,
		stored:     stored,
		users:      map[types.NamespacedName]*v1alpha1.ManagedUser{},
		secrets:    map[types.NamespacedName]*corev1.Secret{},
		configMaps: map[types.NamespacedName]*corev1.ConfigMap{},
		lost:       map[types.NamespacedName]int64{},
		rewritten:  map[types.NamespacedName]int64{},
	}
}

// versionOf is the resource version as a number, which the simulation's API server can rely on.
func versionOf(mu *v1alpha1.ManagedUser) int64 {
	version, err := strconv.ParseInt(mu.ResourceVersion, 10, 64)
	if err != nil {
		panic("simulation: " + err.Error())
	}
	return version
}

// keys returns the names of all objects in a fixed order.
func (a *apiServer) keys() []types.NamespacedName {
	return slices.SortedFunc(maps.Keys(a.users), func(x, y types.NamespacedName) int {
		if x.String() < y.String() {
			return -1
		}
		return 1
	})
}

// create stores a new object. The CRD's default for the status is applied.
func (a *apiServer) create(mu *v1alpha1.ManagedUser) {
	a.uids++
	mu.UID = types.UID("uid-" + strconv.FormatInt(a.uids, 10))
	mu.Generation = 1
	mu.CreationTimestamp = metav1.NewTime(a.now().Truncate(time.Second))
	mu.Status = v1alpha1.ManagedUserStatus{ObservedGeneration: -1}
	a.store(mu)
}

// store gives the object a new resource version and tells the watches.
func (a *apiServer) store(mu *v1alpha1.ManagedUser) {
	a.version++
	mu.ResourceVersion = strconv.FormatInt(a.version, 10)
	key := types.NamespacedName{Namespace: mu.Namespace, Name: mu.Name}
	if !mu.DeletionTimestamp.IsZero() && len(mu.Finalizers) == 0 {
		delete(a.users, key)
		a.log = append(a.log, watchEvent{key: key})
		a.collect(mu.UID)
		return
	}
	a.users[key] = mu
	a.stored(mu)
	a.log = append(a.log, watchEvent{key: key, user: mu})
}

// edit changes an object as a person would, status included.
func (a *apiServer) edit(key types.NamespacedName, change func(*v1alpha1.ManagedUser)) {
	edited := a.users[key].DeepCopy()
	change(edited)
	if !reflect.DeepEqual(edited.Spec, a.users[key].Spec) {
		edited.Generation++
	}
	a.store(edited)
}

// remove deletes an object, or marks it when it has finalizers.
func (a *apiServer) remove(key types.NamespacedName) {
	mu := a.users[key].DeepCopy()
	if !mu.DeletionTimestamp.IsZero() {
		return
	}
	now := metav1.NewTime(a.now().Truncate(time.Second))
	mu.DeletionTimestamp = &now
	mu.Generation++
	a.store(mu)
}

// patch applies a patch to an object, or to its status alone, and returns the object as it is then.
func (a *apiServer) patch(key types.NamespacedName, kind types.PatchType, data []byte, status bool) (*v1alpha1.ManagedUser, error) {
	stored, ok := a.users[key]
	if !ok {
		return nil, apierrors.NewNotFound(userResource, key.Name)
	}
	patched, err := patchedWith(stored, kind, data)
	if err != nil {
		return nil, err
	}
	result := stored.DeepCopy()
	if status {
		result.Status = patched.Status
	} else {
		result.Spec, result.Annotations, result.Finalizers = patched.Spec, patched.Annotations, patched.Finalizers
		if !reflect.DeepEqual(result.Spec, stored.Spec) {
			result.Generation++
		}
	}
	if !result.DeletionTimestamp.IsZero() && len(result.Finalizers) > len(stored.Finalizers) {
		return nil, apierrors.NewForbidden(userResource, key.Name, errors.New("no new finalizers can be added if the object is being deleted"))
	}
	if equality.Semantic.DeepEqual(result, stored) {
		return stored, nil // A patch that changes nothing writes nothing.
	}
	a.store(result)
	return result, nil
}

// stored shows an object to whoever looks on.
func (w *World) stored(object client.Object) {
	if w.options.Stored != nil {
		w.options.Stored(object)
	}
}
