// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// releasePatience is how long the operator may take to let go of what nobody needs any more; as a rule it takes a
// second or two.
const releasePatience = 30 * time.Second

// needs returns the metadata of the Secrets, and of the OAuth clients, that users need and the operator protects for
// that long.
func (s *session) needs(ctx context.Context, users []client.Object, everywhere bool) []*metav1.PartialObjectMetadata {
	seen := make(map[remoteKey]bool)
	var needed []*metav1.PartialObjectMetadata
	add := func(kind, group, namespace, name string) {
		object := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
		object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
		if group == "" {
			object.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind(kind))
		}
		needed = append(needed, object)
	}
	for _, object := range users {
		mu, ok := object.(*v1alpha1.ManagedUser)
		if !ok || seen[clientKey(mu)] {
			continue
		}
		seen[clientKey(mu)] = true
		of, err := s.clientOf(ctx, mu)
		if err != nil { // It is not there, and nothing of it to wait for.
			continue
		}
		if of.ref != nil {
			shared := kindOf(*of.ref) == v1alpha1.KindClusterOAuthClient
			if shared && !everywhere {
				continue // Others may need it.
			}
			namespace := mu.Namespace
			if shared {
				namespace = ""
			}
			add(kindOf(*of.ref), v1alpha1.GroupVersion.Group, namespace, of.ref.Name)
		}
		add("Secret", "", of.namespace, of.credentials.SecretKeyRef.Name)
	}
	return needed
}

// awaitReleased waits until the operator has let go of what the released users needed. Uninstalled before that, it
// would leave finalizers that nobody takes off, and no namespace could go.
func (s *session) awaitReleased(ctx context.Context, needed []*metav1.PartialObjectMetadata) error {
	c, err := s.kube()
	if err != nil {
		return err
	}
	err = wait.PollUntilContextTimeout(ctx, 200*time.Millisecond, releasePatience, true, func(ctx context.Context) (bool, error) {
		var held []*metav1.PartialObjectMetadata
		for _, object := range needed {
			err := c.Get(ctx, client.ObjectKeyFromObject(object), object)
			switch {
			case apierrors.IsForbidden(err):
				s.tell("Whether the operator has let go of %s %s cannot be seen: give it some seconds before you uninstall it", object.Kind, client.ObjectKeyFromObject(object))
			case err == nil && controllerutil.ContainsFinalizer(object, v1alpha1.InUseFinalizer):
				held = append(held, object)
			case client.IgnoreNotFound(err) != nil:
				return false, err
			}
		}
		needed = held
		return len(needed) == 0, nil
	})
	if ctx.Err() != nil || !wait.Interrupted(err) {
		return err
	}
	for _, object := range needed {
		s.tell("%s %s is still protected: users that were not released need it", object.Kind, client.ObjectKeyFromObject(object))
	}
	return nil
}
