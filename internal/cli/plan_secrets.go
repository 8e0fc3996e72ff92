// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/plan"
)

// credentialsOf returns the credentials that a user would be reached by, with the namespace of the Secret, as far as
// the rehearsal knows its OAuth client.
func credentialsOf(ctx context.Context, r *plan.Rehearsal, config *settings, mu *v1alpha1.ManagedUser) (v1alpha1.OAuthClientCredentials, string, bool) {
	var none v1alpha1.OAuthClientCredentials
	ref := mu.Spec.OAuthClientRef
	switch {
	case mu.Spec.OAuthClient != nil:
		return *mu.Spec.OAuthClient, mu.Namespace, true
	case ref == nil:
		return none, "", false
	case kindOf(*ref) == v1alpha1.KindClusterOAuthClient:
		var oauth v1alpha1.ClusterOAuthClient
		err := r.Get(ctx, client.ObjectKey{Name: ref.Name}, &oauth)
		return oauth.Spec.OAuthClientCredentials, config.Namespace, err == nil
	}
	var oauth v1alpha1.OAuthClient
	err := r.Get(ctx, client.ObjectKey{Namespace: mu.Namespace, Name: ref.Name}, &oauth)
	return oauth.Spec.OAuthClientCredentials, mu.Namespace, err == nil
}

// stageSecrets sees to it that the secret key of each OAuth client can be read, or is given.
func (s *session) stageSecrets(ctx context.Context, r *plan.Rehearsal, m *manifests, config *settings, from string) error {
	lacking, err := lackingSecrets(ctx, r, m, config)
	if err != nil || len(lacking) == 0 {
		return err
	}
	if from == "" {
		first := slices.SortedFunc(maps.Keys(lacking), func(a, b client.ObjectKey) int { return strings.Compare(a.String(), b.String()) })[0]
		what := "is neither in the cluster nor among the manifests"
		if lacking[first].forbidden {
			what = "may not be read by you, and is not among the manifests"
		}
		return complain(fmt.Sprintf("Secret %s, which holds the secret key, %s", first, what), "say where the key is by --secret-key-from=env:NAME or file:PATH")
	}
	value, err := secretKeyFrom(from)
	if err != nil {
		return err
	}
	for key, secret := range lacking {
		given := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}, Data: map[string][]byte{secret.field: []byte(value.Reveal())},
		}
		if err := r.Put(given); err != nil {
			return err
		}
	}
	return nil
}

// lackingSecret is a Secret that cannot be read: the key in it that counts, and why.
type lackingSecret struct {
	field     string
	forbidden bool
}

func lackingSecrets(ctx context.Context, r *plan.Rehearsal, m *manifests, config *settings) (map[client.ObjectKey]lackingSecret, error) {
	lacking := make(map[client.ObjectKey]lackingSecret)
	for _, mu := range m.users {
		credentials, namespace, ok := credentialsOf(ctx, r, config, mu)
		if !ok {
			continue // The rehearsal says what is wrong with it.
		}
		key := client.ObjectKey{Namespace: namespace, Name: credentials.SecretKeyRef.Name}
		if _, known := lacking[key]; known {
			continue
		}
		err := r.Get(ctx, key, &corev1.Secret{})
		switch {
		case apierrors.IsNotFound(err), apierrors.IsForbidden(err):
			lacking[key] = lackingSecret{field: credentials.SecretKeyRef.Key, forbidden: apierrors.IsForbidden(err)}
		case err != nil:
			return nil, fmt.Errorf("reading the secret key: %w", err)
		}
	}
	return lacking, nil
}

// secretKeyFrom reads a secret key from where a flag says.
func secretKeyFrom(value string) (calcom.Hidden[string], error) {
	var none calcom.Hidden[string]
	kind, name, _ := strings.Cut(value, ":")
	var text string
	switch kind {
	case "env":
		text = os.Getenv(name)
	case "file":
		raw, err := os.ReadFile(name) //nolint:gosec // The caller names it.
		if err != nil {
			return none, fmt.Errorf("reading the secret key: %w", err)
		}
		text = string(raw)
	default:
		return none, complain("--secret-key-from names no place", "give env:NAME or file:PATH")
	}
	if text = strings.TrimSpace(text); text == "" {
		return none, complain(fmt.Sprintf("there is no secret key in %s %s", kind, name), "put the OAuth client's secret key there")
	}
	if err := calcom.CheckSecretKey(text); err != nil {
		return none, complain(fmt.Sprintf("the %v", err), fmt.Sprintf("correct it in %s %s", kind, name))
	}
	return calcom.Hide(text), nil
}
