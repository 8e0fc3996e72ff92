// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/pflag"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
)

// clientOptions are the flags by which a command is told which OAuth client it is about.
type clientOptions struct {
	client          string
	id, secret, key string
	apiURL          string
}

func (o *clientOptions) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.client, "client", "", "the OAuth client: the name of an OAuthClient, or clusteroauthclient/NAME")
	flags.StringVar(&o.id, "client-id", "", "id of an OAuth client that has no object; its secret key is that of --secret")
	flags.StringVar(&o.secret, "secret", "", "name of the Secret with the secret key, for --client-id")
	flags.StringVar(&o.key, "secret-key", "secretKey", "key in that Secret")
	flags.StringVar(&o.apiURL, "api-url", "", "URL of the Cal.com API, for --client-id; "+v1alpha1.DefaultAPIURL+" when empty")
}

// resolve returns the OAuth client that the flags name.
func (s *session) resolve(ctx context.Context, o *clientOptions) (oauthClient, error) {
	namespace, err := s.namespace()
	if err != nil {
		return oauthClient{}, err
	}
	switch {
	case (o.client == "") == (o.id == ""):
		return oauthClient{}, complain("it takes one of --client and --client-id", "name the OAuth client by one of them")
	case o.client != "":
		ref, err := parseClient(o.client)
		if err != nil {
			return oauthClient{}, err
		}
		return s.referred(ctx, ref, namespace)
	case o.secret == "":
		return oauthClient{}, complain("--client-id needs the secret key", "name its Secret by --secret")
	}
	return oauthClient{namespace: namespace, credentials: v1alpha1.OAuthClientCredentials{
		ID: o.id, APIURL: o.apiURL, SecretKeyRef: v1alpha1.SecretKeyReference{Name: o.secret, Key: o.key},
	}}, nil
}

// roster is the objects of a cluster, as far as the person may see them, beside the users of an OAuth client.
type roster struct {
	// ownerID begins the marks of the cluster's users.
	ownerID  string
	clientID string
	objects  map[types.NamespacedName]*v1alpha1.ManagedUser
	// byUser are the objects by the ids of their users, and byAddress by the addresses that they want, of the OAuth
	// client alone.
	byUser    map[int64]*v1alpha1.ManagedUser
	byAddress map[string]*v1alpha1.ManagedUser
	// everywhere is set when all namespaces could be looked at, and not only this one.
	everywhere bool
	namespace  string
}

// managedObjects reads the cluster's objects: of all namespaces, or of the current one for who may see no more.
func (s *session) managedObjects(ctx context.Context, of oauthClient) (*roster, error) {
	c, err := s.kube()
	if err != nil {
		return nil, err
	}
	operator, err := s.operator(ctx)
	if err != nil {
		return nil, err
	}
	namespace, err := s.namespace()
	if err != nil {
		return nil, err
	}
	m := &roster{
		ownerID: operator.ownerID, clientID: of.credentials.ID, everywhere: true, namespace: namespace,
		objects: make(map[types.NamespacedName]*v1alpha1.ManagedUser), byUser: make(map[int64]*v1alpha1.ManagedUser),
		byAddress: make(map[string]*v1alpha1.ManagedUser),
	}
	var list v1alpha1.ManagedUserList
	err = c.List(ctx, &list)
	if apierrors.IsForbidden(err) {
		m.everywhere = false
		err = c.List(ctx, &list, client.InNamespace(namespace))
	}
	if err != nil {
		return nil, fmt.Errorf("reading the managed users of the cluster: %w", err)
	}
	for i := range list.Items {
		m.take(&list.Items[i])
	}
	return m, nil
}

func (m *roster) take(mu *v1alpha1.ManagedUser) {
	m.objects[client.ObjectKeyFromObject(mu)] = mu
	if mu.Status.User != nil && mu.Status.OAuthClientID == m.clientID {
		m.byUser[mu.Status.User.ID] = mu
	}
	if id := mu.Spec.UserID; id != 0 && (mu.Spec.OAuthClient == nil || mu.Spec.OAuthClient.ID == m.clientID) {
		m.byUser[id] = mu // It may not have it yet.
	}
	if (mu.Spec.OAuthClient == nil || mu.Spec.OAuthClient.ID == m.clientID) && (mu.Status.OAuthClientID == "" || mu.Status.OAuthClientID == m.clientID) {
		m.byAddress[mu.Spec.Email] = mu
	}
}

// have reports whether a user has an object: one that names it, or that has it, or that its mark names and that is not
// known to have another.
func (m *roster) have(user calcom.User) bool {
	if m.byUser[user.ID] != nil {
		return true
	}
	owner, marked := manageduser.MarkedOwner(user)
	if !marked || owner.OwnerID != m.ownerID {
		return false
	}
	mu := m.objects[types.NamespacedName{Namespace: owner.Namespace, Name: owner.Name}]
	return mu != nil && mu.Status.User == nil
}

// namesIn returns the names of the objects in a namespace.
func (m *roster) namesIn(namespace string) []string {
	var names []string
	for name := range m.objects {
		if name.Namespace == namespace {
			names = append(names, name.Name)
		}
	}
	return names
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func plural(n int, one, many string) string {
	if n == 1 {
		return one
	}
	return many
}
