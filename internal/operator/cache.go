// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// NewScheme returns a scheme with all types that the reconcilers use.
func NewScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			panic(err) // Only two types of one name could fail here, at compile time in all but name.
		}
	}
	return scheme
}

// Cache returns the options of a cache that holds what the reconcilers need, and no more.
func (o *Options) Cache() cache.Options {
	return cache.Options{
		DefaultTransform:  strip,
		DefaultNamespaces: o.namespaces(),
		ByObject:          o.secretNamespaces(),
	}
}

// namespaces returns the watched namespaces as the cache takes them; nil means all.
func (o *Options) namespaces() map[string]cache.Config {
	if len(o.WatchNamespaces) == 0 {
		return nil
	}
	watched := make(map[string]cache.Config)
	for _, name := range o.WatchNamespaces {
		watched[name] = cache.Config{}
	}
	return watched
}

// secretNamespaces adds to the watched namespaces the operator's own, where the Secrets of ClusterOAuthClients are.
func (o *Options) secretNamespaces() map[client.Object]cache.ByObject {
	watched := o.namespaces()
	if watched == nil || !o.ClusterClients || o.Namespace == "" {
		return nil
	}
	watched[o.Namespace] = cache.Config{}
	return map[client.Object]cache.ByObject{&corev1.Secret{}: {Namespaces: watched}}
}

// strip takes off what the cache need not hold: managed fields; of Secrets and namespaces, of which only metadata is
// watched, all annotations but the operator's own, since kubectl apply leaves the data of a Secret in one, and owners,
// but for managed users, which own the Secrets with their tokens; and what kubectl apply leaves in an annotation of a
// managed user. Labels stay where ClusterOAuthClients select by them.
func strip(in any) (any, error) {
	if object, ok := in.(metav1.Object); ok {
		object.SetManagedFields(nil)
	}
	switch object := in.(type) {
	case *metav1.PartialObjectMetadata:
		keep := []string{v1alpha1.AllowMassDeletionAnnotation, v1alpha1.AllowMassAbsenceAnnotation}
		if object.Kind != "Namespace" {
			keep, object.Labels = []string{v1alpha1.ReleasingAnnotation, v1alpha1.TokensAnnotation}, nil
		}
		maps.DeleteFunc(object.Annotations, func(key, _ string) bool { return !slices.Contains(keep, key) })
		object.OwnerReferences = slices.DeleteFunc(object.OwnerReferences, func(owner metav1.OwnerReference) bool {
			return owner.Kind != "ManagedUser"
		})
		if len(object.OwnerReferences) == 0 {
			object.OwnerReferences = nil
		}
	case *v1alpha1.ManagedUser:
		// The spec once more, as text. Patches are made from two copies that both lack it, so they do not touch it.
		delete(object.Annotations, corev1.LastAppliedConfigAnnotation)
	}
	return in, nil
}
