// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// target is the OAuth client of an object: where its calls go, and where the secret key is.
type target struct {
	account account.Name
	secret  secretKeyName
	// object is the metadata of the OAuthClient or ClusterOAuthClient that says so; nil when the object itself does.
	object *metav1.PartialObjectMetadata
}

// secretName names the Secret for whoever reads the conditions of an object.
func (t target) secretName() string {
	if t.object != nil && t.object.Namespace == "" {
		return fmt.Sprintf("Secret %s in the operator's namespace", t.secret.secret.Name)
	}
	return fmt.Sprintf("Secret %s in this namespace", t.secret.secret.Name)
}

// field names a field of the OAuth client.
func (t target) field(name string) string {
	if t.object == nil {
		return name
	}
	return fmt.Sprintf("%s of %s", name, describeObject(t.object))
}

func describeObject(object *metav1.PartialObjectMetadata) string {
	return object.Kind + " " + object.Name
}

// clientOf finds the OAuth client of a user.
func (r *ManagedUserReconciler) clientOf(ctx context.Context, mu *v1alpha1.ManagedUser) (target, error) {
	if from := mu.Spec.OAuthClient; from != nil {
		return r.credentials.targetOf(*from, mu.Namespace, nil)
	}
	ref := mu.Spec.OAuthClientRef
	if ref == nil {
		return target{}, outcome.NotSynced(v1alpha1.ReasonInvalidSpec, "There is no OAuth client; set oauthClientRef or oauthClient")
	}
	c, err := r.referred(ctx, mu, *ref)
	if err != nil {
		return target{}, err
	}
	if err := checkSameClient(mu, c); err != nil {
		return target{}, err
	}
	return r.credentials.targetOf(*c.credentials, c.object.GetNamespace(), c.metadata())
}

// referred returns the OAuthClient or ClusterOAuthClient that a user refers to and may use.
func (r *ManagedUserReconciler) referred(ctx context.Context, mu *v1alpha1.ManagedUser, ref v1alpha1.OAuthClientReference) (oauthClient, error) {
	c, err := newOAuthClient(manageduser.KindOf(ref))
	if err != nil {
		return oauthClient{}, outcome.NotSynced(v1alpha1.ReasonInvalidSpec, "The kind in oauthClientRef is neither OAuthClient nor ClusterOAuthClient; correct it in a new object")
	}
	key := client.ObjectKey{Name: ref.Name}
	if manageduser.KindOf(ref) == v1alpha1.KindOAuthClient {
		key.Namespace = mu.Namespace
	} else if !r.config.ClusterClients {
		return oauthClient{}, outcome.NotUsable(v1alpha1.ReasonClientNotFound, outcome.Stalled,
			"This operator does not serve ClusterOAuthClients; refer to an OAuthClient in a new object, or start the operator with --cluster-oauth-clients")
	}
	err = r.client.Get(ctx, key, c.object)
	if apierrors.IsNotFound(err) {
		return oauthClient{}, outcome.NotUsable(v1alpha1.ReasonClientNotFound, outcome.Waiting, fmt.Sprintf(
			"There is no %s %s%s; create it", manageduser.KindOf(ref), ref.Name, map[bool]string{true: " in this namespace"}[key.Namespace != ""]))
	}
	if err != nil {
		return oauthClient{}, fmt.Errorf("reading the OAuth client: %w", err)
	}
	if c.allowed == nil || manageduser.IsBound(mu) && !mu.DeletionTimestamp.IsZero() {
		return c, nil // Who leaves may take the users along that were allowed once.
	}
	allowed, err := r.allows(ctx, c.allowed, mu.Namespace)
	if err == nil && !allowed {
		err = outcome.NotUsable(v1alpha1.ReasonNamespaceNotAllowed, outcome.Stalled, fmt.Sprintf(
			"ClusterOAuthClient %s does not allow this namespace to use it; have the namespace's name or labels added to its allowedNamespaces", ref.Name))
	}
	return c, err
}

// allows reports whether a namespace is selected.
func (r *ManagedUserReconciler) allows(ctx context.Context, selection *v1alpha1.NamespaceSelection, name string) (bool, error) {
	if slices.Contains(selection.Names, name) {
		return true, nil
	}
	if selection.Selector == nil {
		return false, nil
	}
	selector, err := metav1.LabelSelectorAsSelector(selection.Selector)
	if err != nil {
		return false, outcome.NotUsable(v1alpha1.ReasonNamespaceNotAllowed, outcome.Stalled, "The selector of allowedNamespaces in the ClusterOAuthClient is invalid; have it corrected")
	}
	namespace := namespaceMetadata()
	if err := r.client.Get(ctx, client.ObjectKey{Name: name}, namespace); err != nil {
		return false, fmt.Errorf("reading the namespace: %w", err)
	}
	return selector.Matches(labels.Set(namespace.Labels)), nil
}

func namespaceMetadata() *metav1.PartialObjectMetadata {
	namespace := &metav1.PartialObjectMetadata{}
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	return namespace
}

// checkSameClient holds an object back whose OAuth client has become another one, as when somebody deleted the
// OAuthClient by force and made it anew with another id: under the new id the user would seem to be gone.
func checkSameClient(mu *v1alpha1.ManagedUser, c oauthClient) error {
	recorded := mu.Status.OAuthClientID
	if i, ok := manageduser.RecordedIntent(mu); ok && i.Client != "" && recorded == "" {
		recorded = i.Client
	}
	if !manageduser.IsBound(mu) || recorded == "" || recorded == c.credentials.ID {
		return nil
	}
	return outcome.NotUsable(v1alpha1.ReasonClientNotFound, outcome.Stalled, fmt.Sprintf(
		"%s has the id %s, and the user of this object exists under OAuth client %s; make it anew with that id", describeObject(c.metadata()), c.credentials.ID, recorded))
}

// targetOf reads the credentials of an OAuth client. The Secret of one without a namespace is in the operator's.
func (c *credentials) targetOf(from v1alpha1.OAuthClientCredentials, namespace string, object *metav1.PartialObjectMetadata) (target, error) {
	t := target{object: object, secret: secretKeyName{key: from.SecretKeyRef.Key, secret: client.ObjectKey{Namespace: namespace, Name: from.SecretKeyRef.Name}}}
	if namespace == "" {
		if c.config.Namespace == "" {
			return target{}, outcome.NotUsable(v1alpha1.ReasonSecretNotFound, outcome.Waiting,
				"The operator does not know its own namespace, where the Secret of a ClusterOAuthClient is; start it with --operator-namespace")
		}
		t.secret.secret.Namespace = c.config.Namespace
	}
	apiURL := from.APIURL
	if apiURL == "" {
		apiURL = v1alpha1.DefaultAPIURL
	}
	// One client is one quota, however its address is written.
	base, err := calcom.BaseURL(apiURL)
	if err != nil || !c.config.AllowedAPIURLs.allow(base) {
		return target{}, outcome.NotUsable(v1alpha1.ReasonAPIURLNotAllowed, outcome.Stalled, fmt.Sprintf(
			"The operator does not call this API URL; correct %s in a new object, or have the URL added to the operator's --allowed-api-urls (now %s)",
			t.field("apiURL"), c.config.AllowedAPIURLs))
	}
	t.account = account.Name{APIURL: base, ClientID: from.ID}
	return t, nil
}

// oauthClient is an OAuthClient or a ClusterOAuthClient.
type oauthClient struct {
	object      client.Object
	credentials *v1alpha1.OAuthClientCredentials
	status      *v1alpha1.OAuthClientStatus
	// allowed are the namespaces that may use a ClusterOAuthClient; nil for an OAuthClient, which only its own can
	// name.
	allowed *v1alpha1.NamespaceSelection
}

// newOAuthClient returns an empty one of a kind, to be read into.
func newOAuthClient(kind string) (oauthClient, error) {
	switch kind {
	case v1alpha1.KindOAuthClient:
		return asOAuthClient(&v1alpha1.OAuthClient{}), nil
	case v1alpha1.KindClusterOAuthClient:
		return asOAuthClient(&v1alpha1.ClusterOAuthClient{}), nil
	}
	return oauthClient{}, fmt.Errorf("%q is no kind of OAuth client", kind)
}

// asOAuthClient is for objects of the two kinds.
func asOAuthClient(object client.Object) oauthClient {
	switch o := object.(type) {
	case *v1alpha1.OAuthClient:
		return oauthClient{object: o, credentials: &o.Spec.OAuthClientCredentials, status: &o.Status}
	case *v1alpha1.ClusterOAuthClient:
		return oauthClient{object: o, credentials: &o.Spec.OAuthClientCredentials, status: &o.Status, allowed: &o.Spec.AllowedNamespaces}
	}
	panic(fmt.Sprintf("controller: %T is no OAuth client", object))
}

// oauthClientsIn returns the OAuth clients in a list of either kind.
func oauthClientsIn(list client.ObjectList) []oauthClient {
	var all []oauthClient
	switch l := list.(type) {
	case *v1alpha1.OAuthClientList:
		for i := range l.Items {
			all = append(all, asOAuthClient(&l.Items[i]))
		}
	case *v1alpha1.ClusterOAuthClientList:
		for i := range l.Items {
			all = append(all, asOAuthClient(&l.Items[i]))
		}
	}
	return all
}

func (c oauthClient) kind() string {
	if c.allowed == nil {
		return v1alpha1.KindOAuthClient
	}
	return v1alpha1.KindClusterOAuthClient
}

// metadata is what is patched of it.
func (c oauthClient) metadata() *metav1.PartialObjectMetadata {
	m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{
		Namespace: c.object.GetNamespace(), Name: c.object.GetName(), UID: c.object.GetUID(), ResourceVersion: c.object.GetResourceVersion(),
		Finalizers: slices.Clone(c.object.GetFinalizers()), DeletionTimestamp: c.object.GetDeletionTimestamp(),
	}}
	for key, value := range c.object.GetAnnotations() {
		if key == v1alpha1.ReleasingAnnotation {
			m.Annotations = map[string]string{key: value}
		}
	}
	m.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(c.kind()))
	return m
}
