// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package handover

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// Kinds of what is needed.
var (
	secretKind       = corev1.SchemeGroupVersion.WithKind("Secret")
	clientKind       = v1alpha1.GroupVersion.WithKind(v1alpha1.KindOAuthClient)
	sharedClientKind = v1alpha1.GroupVersion.WithKind(v1alpha1.KindClusterOAuthClient)
)

// needed names an object that users need.
type needed struct {
	kind            string
	namespace, name string
}

// needs tells who needs what: a user that may be in Cal.com needs its OAuth client, and that one's Secret.
type needs struct {
	users map[needed]client.ObjectKey
	// shared are the names of Secrets of ClusterOAuthClients, while it is not known in which namespace those are.
	shared map[string]client.ObjectKey
}

func (n *needs) of(object *metav1.PartialObjectMetadata) *Need {
	kind := object.GroupVersionKind().Kind
	if user, ok := n.users[needed{kind, object.Namespace, object.Name}]; ok {
		return &Need{User: user}
	}
	if user, ok := n.shared[object.Name]; ok && kind == secretKind.Kind {
		return &Need{User: user, Unsure: true}
	}
	return nil
}

// needs looks who needs what. Users come before the OAuth clients: the client of a user that is found has been there
// before it.
func (r *Release) needs(ctx context.Context) (*needs, error) {
	namespace := r.Namespace
	shared, err := r.sharedClients(ctx)
	if err != nil {
		return nil, err
	}
	if len(shared) > 0 {
		namespace = "" // Users of all namespaces may need a Secret of these.
	}
	var users v1alpha1.ManagedUserList
	if err := r.list(ctx, &users, namespace); err != nil {
		return nil, fmt.Errorf("listing managed users: %w", err)
	}
	var clients v1alpha1.OAuthClientList
	if err := r.list(ctx, &clients, r.Namespace); err != nil {
		return nil, fmt.Errorf("listing OAuth clients: %w", err)
	}
	if shared, err = r.sharedClients(ctx); err != nil {
		return nil, err
	}
	secrets := make(map[needed]string, len(clients.Items)+len(shared))
	for i := range clients.Items {
		c := &clients.Items[i]
		secrets[needed{clientKind.Kind, c.Namespace, c.Name}] = c.Spec.SecretKeyRef.Name
	}
	for i := range shared {
		secrets[needed{sharedClientKind.Kind, "", shared[i].Name}] = shared[i].Spec.SecretKeyRef.Name
	}
	n := &needs{users: make(map[needed]client.ObjectKey), shared: make(map[string]client.ObjectKey)}
	for i := range users.Items {
		if mu := &users.Items[i]; manageduser.IsBound(mu) {
			r.add(n, mu, secrets)
		}
	}
	return n, nil
}

// add notes what one user needs. secrets are the names of the Secrets of OAuth clients.
func (r *Release) add(n *needs, mu *v1alpha1.ManagedUser, secrets map[needed]string) {
	user := client.ObjectKeyFromObject(mu)
	if own := mu.Spec.OAuthClient; own != nil {
		n.users[needed{secretKind.Kind, mu.Namespace, own.SecretKeyRef.Name}] = user
		return
	}
	ref := mu.Spec.OAuthClientRef
	if ref == nil {
		return
	}
	of := needed{cmp.Or(ref.Kind, clientKind.Kind), mu.Namespace, ref.Name}
	namespaces := []string{mu.Namespace}
	if of.kind == sharedClientKind.Kind {
		of.namespace, namespaces = "", r.Operators
	}
	n.users[of] = user
	secret, ok := secrets[of]
	if !ok {
		return
	}
	for _, namespace := range namespaces {
		n.users[needed{secretKind.Kind, namespace, secret}] = user
	}
	if len(namespaces) == 0 {
		n.shared[secret] = user
	}
}

// sharedClients returns the ClusterOAuthClients, where they may matter: their Secrets are in the operator's namespace.
func (r *Release) sharedClients(ctx context.Context) ([]v1alpha1.ClusterOAuthClient, error) {
	known := len(r.Operators) > 0
	if r.Namespace != "" && known && !slices.Contains(r.Operators, r.Namespace) {
		return nil, nil
	}
	var shared v1alpha1.ClusterOAuthClientList
	err := r.list(ctx, &shared, "")
	if err != nil && !known {
		return nil, fmt.Errorf("listing ClusterOAuthClients: %w: %w", errOperators, err)
	}
	if err != nil {
		return nil, fmt.Errorf("listing ClusterOAuthClients: %w", err)
	}
	return shared.Items, nil
}

// metadataList is an empty list of the metadata of objects of a kind.
func metadataList(kind schema.GroupVersionKind) *metav1.PartialObjectMetadataList {
	list := &metav1.PartialObjectMetadataList{}
	list.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
	return list
}
