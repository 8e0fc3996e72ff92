// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/handover"
)

// clientMove sees to it that the users find their OAuth clients in the other cluster, before any of them is moved.
type clientMove struct {
	here, there              *session
	ownerHere                string
	namespaceThere           func(string) string
	withClients, withSecrets bool
	// dryRun only checks, and says what would be made, unless it is to be quiet.
	dryRun, quiet bool
	timeout       time.Duration
}

// prepare checks the OAuth clients of all users, and makes those there that are missing and may be made.
func (m *clientMove) prepare(ctx context.Context, objects []client.Object) error {
	first := make(map[remoteKey]*v1alpha1.ManagedUser)
	namespaces := make(map[string]bool)
	for _, object := range objects {
		mu, ok := object.(*v1alpha1.ManagedUser)
		if !ok || handover.Comes(mu, m.ownerHere) {
			continue
		}
		namespaces[m.namespace(mu.Namespace)] = true
		key := clientKey(mu)
		key.namespace = cmp.Or(key.namespace, mu.Namespace) // Each namespace has to be allowed.
		if first[key] == nil {
			first[key] = mu
		}
	}
	c, err := m.there.kube()
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(namespaces)) {
		if err := c.Get(ctx, client.ObjectKey{Name: name}, &corev1.Namespace{}); err != nil {
			return advise(fmt.Errorf("looking for the namespace in the other cluster: %w", err), "create it there: kubectl create namespace %s", name)
		}
	}
	for _, mu := range first {
		if err := m.client(ctx, mu); err != nil {
			return err
		}
	}
	return nil
}

func (m *clientMove) namespace(here string) string {
	if m.namespaceThere == nil {
		return here
	}
	return m.namespaceThere(here)
}

// client checks, or makes, one OAuth client.
func (m *clientMove) client(ctx context.Context, mu *v1alpha1.ManagedUser) error {
	here, err := m.here.clientOf(ctx, mu)
	if err != nil {
		return err
	}
	namespace := m.namespace(mu.Namespace)
	if here.ref == nil {
		return m.secret(ctx, here, namespace)
	}
	there, err := m.there.referred(ctx, *here.ref, namespace)
	if apierrors.IsNotFound(err) {
		if !m.withClients {
			return complain(fmt.Sprintf("%s does not exist in the other cluster (namespace %s)", here, namespace), "apply it there, or have it made by --with-clients")
		}
		return m.make(ctx, here, mu.Namespace, namespace)
	}
	if err != nil {
		return fmt.Errorf("the other cluster: %w", err)
	}
	if there.credentials.ID != here.credentials.ID || !sameURL(there.credentials.APIURL, here.credentials.APIURL) {
		return complain(fmt.Sprintf("%s is another OAuth client in the other cluster: the id or the apiURL differ", here), "move to a namespace where it is the same, by --to-namespace")
	}
	if err := m.secret(ctx, here, there.namespace); err != nil {
		return err
	}
	return m.awaitReady(ctx, *here.ref, namespace)
}

// sameURL reports whether two values of apiURL, which may be absent, name one server.
func sameURL(a, b string) bool {
	return calcom.SameURL(cmp.Or(a, v1alpha1.DefaultAPIURL), cmp.Or(b, v1alpha1.DefaultAPIURL))
}

// make makes an OAuth client there as it is here.
func (m *clientMove) make(ctx context.Context, here oauthClient, namespaceHere, namespace string) error {
	from, err := m.here.kube()
	if err != nil {
		return err
	}
	to, err := m.there.kube()
	if err != nil {
		return err
	}
	object, copied := client.Object(&v1alpha1.OAuthClient{}), client.Object(nil)
	secretNamespace, users := namespace, namespace
	if kindOf(*here.ref) == v1alpha1.KindClusterOAuthClient {
		operator, err := m.there.operator(ctx)
		if err != nil {
			return err
		}
		object, namespaceHere, namespace, secretNamespace = &v1alpha1.ClusterOAuthClient{}, "", "", operator.namespace
	}
	if err := from.Get(ctx, client.ObjectKey{Namespace: namespaceHere, Name: here.ref.Name}, object); err != nil {
		return fmt.Errorf("reading %s: %w", here, err)
	}
	meta := metav1.ObjectMeta{Name: object.GetName(), Namespace: namespace, Labels: object.GetLabels()}
	switch o := object.(type) {
	case *v1alpha1.OAuthClient:
		copied = &v1alpha1.OAuthClient{ObjectMeta: meta, Spec: o.Spec}
	case *v1alpha1.ClusterOAuthClient:
		copied = &v1alpha1.ClusterOAuthClient{ObjectMeta: meta, Spec: o.Spec}
	}
	if err := m.secret(ctx, here, secretNamespace); err != nil {
		return err
	}
	if m.dryRun {
		m.would("make %s there", nameOf(copied))
		return nil
	}
	if err := to.Create(ctx, copied); err != nil {
		return fmt.Errorf("making %s in the other cluster: %w", here, err)
	}
	m.here.printf("Made %s there\n", nameOf(copied))
	return m.awaitReady(ctx, *here.ref, users)
}

// would says what is not done yet.
func (m *clientMove) would(format string, args ...any) {
	if !m.quiet {
		m.here.printf("would "+format+"\n", args...)
	}
}

// secret checks that the Secret of an OAuth client exists there, or copies its key.
func (m *clientMove) secret(ctx context.Context, here oauthClient, namespace string) error {
	to, err := m.there.kube()
	if err != nil {
		return err
	}
	ref := here.credentials.SecretKeyRef
	var secret corev1.Secret
	err = to.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &secret)
	if err == nil || apierrors.IsForbidden(err) { // Who may not read it learns from the operator there whether it is good.
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return fmt.Errorf("reading Secret %s in the other cluster: %w", ref.Name, err)
	}
	if !m.withSecrets {
		return complain(fmt.Sprintf("Secret %s of %s does not exist in the other cluster (namespace %s)", ref.Name, here, namespace), "make it there, or have it copied by --with-secrets")
	}
	if m.dryRun {
		m.would("copy secret %s/%s", namespace, ref.Name)
		return nil
	}
	key, err := m.here.secretKey(ctx, here)
	if err != nil {
		return err
	}
	copied := corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: ref.Name},
		Data:       map[string][]byte{ref.Key: []byte(key.Reveal())},
	}
	if err := to.Create(ctx, &copied); err != nil {
		return fmt.Errorf("copying Secret %s: %w", ref.Name, err)
	}
	m.here.printf("Copied secret %s/%s\n", namespace, ref.Name)
	return nil
}

// awaitReady waits until the operator there can use an OAuth client, and checks that the namespace may use it.
func (m *clientMove) awaitReady(ctx context.Context, ref v1alpha1.OAuthClientReference, namespace string) error {
	object := client.Object(&v1alpha1.OAuthClient{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: ref.Name}})
	if kindOf(ref) == v1alpha1.KindClusterOAuthClient {
		object = &v1alpha1.ClusterOAuthClient{ObjectMeta: metav1.ObjectMeta{Name: ref.Name}}
	}
	within := m.timeout
	if m.dryRun {
		within = time.Second
	}
	late, err := m.there.await(ctx, "Waiting for the OAuth client there", []client.Object{object}, within, func(object client.Object) bool {
		_, ready := statusOf(object)
		return ready.isReady()
	})
	if err != nil {
		return err
	}
	if len(late) > 0 {
		_, ready := statusOf(object)
		return complain(fmt.Sprintf("%s in the other cluster is %s", nameOf(object), ready), "mend that first")
	}
	if shared, ok := object.(*v1alpha1.ClusterOAuthClient); ok && namespace != "" {
		return m.allowed(ctx, shared, namespace)
	}
	return nil
}

// allowed checks that a namespace may use a ClusterOAuthClient there.
func (m *clientMove) allowed(ctx context.Context, shared *v1alpha1.ClusterOAuthClient, namespace string) error {
	c, err := m.there.kube()
	if err != nil {
		return err
	}
	allowed := shared.Spec.AllowedNamespaces
	if slices.Contains(allowed.Names, namespace) {
		return nil
	}
	if allowed.Selector != nil {
		var ns corev1.Namespace
		if err := c.Get(ctx, client.ObjectKey{Name: namespace}, &ns); err != nil {
			return fmt.Errorf("reading the namespace in the other cluster: %w", err)
		}
		if selector, err := metav1.LabelSelectorAsSelector(allowed.Selector); err == nil && selector.Matches(labels.Set(ns.Labels)) {
			return nil
		}
	}
	return complain(fmt.Sprintf("%s in the other cluster does not allow namespace %s to use it", nameOf(shared), namespace), "add the namespace to its allowedNamespaces")
}
