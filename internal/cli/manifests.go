// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"
	kjson "sigs.k8s.io/json"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// manifests are what counts of a set of files.
type manifests struct {
	users          []*v1alpha1.ManagedUser
	clients        []*v1alpha1.OAuthClient
	clusterClients []*v1alpha1.ClusterOAuthClient
	secrets        []*corev1.Secret
	namespaces     []*corev1.Namespace
	// refused says of users why they cannot be applied.
	refused map[client.ObjectKey]string
}

// readManifests reads what the flags name.
func (s *session) readManifests(ctx context.Context, o *planOptions) (*manifests, error) {
	options := o.files.ToOptions()
	stdin := slices.Contains(options.Filenames, "-")
	options.Filenames = slices.DeleteFunc(options.Filenames, func(name string) bool { return name == "-" })
	b := resource.NewLocalBuilder().Unstructured().ContinueOnError().Flatten()
	switch {
	case stdin:
		b.Stream(s.input(ctx), "standard input")
	case len(options.Filenames) == 0 && options.Kustomize == "":
		return nil, complain("there are no manifests", "name some by -f, or a kustomization by -k")
	}
	if len(options.Filenames) > 0 || options.Kustomize != "" {
		b.FilenameParam(false, &options)
	}
	infos, err := b.Do().Infos()
	if err != nil {
		return nil, advise(fmt.Errorf("reading manifests: %w", err), "correct them, or name others by -f or -k")
	}
	m := &manifests{refused: make(map[client.ObjectKey]string)}
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	for _, info := range infos {
		object, ok := info.Object.(*unstructured.Unstructured)
		if !ok {
			continue
		}
		if err := m.add(object, namespace); err != nil {
			return nil, advise(fmt.Errorf("reading %s: %w", info.Source, err), "correct the manifest")
		}
	}
	return m, m.check()
}

// add takes in an object, if it is of a kind that counts.
func (m *manifests) add(object *unstructured.Unstructured, namespace string) error {
	if object.GetNamespace() == "" {
		object.SetNamespace(namespace)
	}
	switch kind := object.GroupVersionKind(); {
	case kind.Group == v1alpha1.GroupVersion.Group && kind.Version != v1alpha1.GroupVersion.Version:
		return fmt.Errorf("%s %s has the version %s, which is not known here", kind.Kind, object.GetName(), kind.Version)
	case kind == v1alpha1.GroupVersion.WithKind("ManagedUser"):
		return appendTo(&m.users, object)
	case kind == v1alpha1.GroupVersion.WithKind(v1alpha1.KindOAuthClient):
		return appendTo(&m.clients, object)
	case kind == v1alpha1.GroupVersion.WithKind(v1alpha1.KindClusterOAuthClient):
		object.SetNamespace("")
		return appendTo(&m.clusterClients, object)
	case kind == corev1.SchemeGroupVersion.WithKind("Namespace"):
		object.SetNamespace("")
		return appendTo(&m.namespaces, object)
	case kind == corev1.SchemeGroupVersion.WithKind("Secret"):
		if _, encrypted := object.Object["sops"]; encrypted {
			return nil // What is in it is no secret key.
		}
		return appendTo(&m.secrets, object)
	}
	return nil
}

// appendTo decodes an object strictly: a field that is not known is a mistake that would be found out too late.
func appendTo[T any, P interface {
	*T
	client.Object
}](list *[]P, object *unstructured.Unstructured) error {
	raw, err := json.Marshal(object)
	if err != nil {
		return fmt.Errorf("encoding %s %s: %w", object.GetKind(), object.GetName(), err)
	}
	typed := P(new(T))
	strict, err := kjson.UnmarshalStrict(raw, typed)
	if err := errors.Join(append(strict, err)...); err != nil {
		return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
	}
	*list = append(*list, typed)
	return nil
}

func (m *manifests) check() error {
	if len(m.users) == 0 {
		return complain("there is no ManagedUser among the manifests", "name a file, or a folder with -R for those below it")
	}
	slices.SortFunc(m.users, func(a, b *v1alpha1.ManagedUser) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
	for i, mu := range m.users {
		switch {
		case mu.Name == "":
			return complain("a ManagedUser among the manifests has no name", "set metadata.name")
		case i > 0 && client.ObjectKeyFromObject(mu) == client.ObjectKeyFromObject(m.users[i-1]):
			return complain(fmt.Sprintf("ManagedUser %s/%s is there twice", mu.Namespace, mu.Name), "remove one of them")
		}
	}
	return nil
}
