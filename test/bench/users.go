// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

const (
	secretName = "calcom"
	secretKey  = "secretKey"
	clientName = "acme"
	firstBio   = "As it was created"
	secondBio  = "As it was changed"
)

// clientKind is a way in which users name their OAuth client.
type clientKind struct {
	// prepare makes in a namespace what name refers to, besides the Secret.
	prepare func(ctx context.Context, w *world, namespace string) error
	// name names the client in a user's spec.
	name func(w *world, spec *v1alpha1.ManagedUserSpec)
}

var clientKinds = map[string]clientKind{
	"inline": {
		prepare: func(context.Context, *world, string) error { return nil },
		name:    func(w *world, spec *v1alpha1.ManagedUserSpec) { spec.OAuthClient = new(w.credentials()) },
	},
	"OAuthClient": {
		prepare: func(ctx context.Context, w *world, namespace string) error {
			return w.kube.Create(ctx, &v1alpha1.OAuthClient{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: clientName},
				Spec:       v1alpha1.OAuthClientSpec{OAuthClientCredentials: w.credentials()},
			})
		},
		name: func(_ *world, spec *v1alpha1.ManagedUserSpec) {
			spec.OAuthClientRef = &v1alpha1.OAuthClientReference{Kind: "OAuthClient", Name: clientName}
		},
	},
}

func (w *world) credentials() v1alpha1.OAuthClientCredentials {
	return v1alpha1.OAuthClientCredentials{
		ID: w.sandbox.client.ID, APIURL: w.stack.API,
		SecretKeyRef: v1alpha1.SecretKeyReference{Name: secretName, Key: secretKey},
	}
}

// ClientKinds are the ways in which users can name their OAuth client: inline writes id and Secret into each,
// OAuthClient refers to one object in each namespace.
func ClientKinds() []string { return slices.Sorted(maps.Keys(clientKinds)) }

// clients is the number of OAuthClient objects.
func (w *world) clients() int {
	if w.config.ClientKind == "inline" {
		return 0
	}
	return namespaces
}

func namespaceOf(i int) string { return fmt.Sprintf("bench-%d", i%namespaces) }

func keyOf(i int) client.ObjectKey {
	return client.ObjectKey{Namespace: namespaceOf(i), Name: fmt.Sprintf("user-%05d", i)}
}

// user returns the i-th user, with the fields that most have.
func (w *world) user(i int) *v1alpha1.ManagedUser {
	key := keyOf(i)
	mu := &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Spec: v1alpha1.ManagedUserSpec{
			Email: fmt.Sprintf("user.%05d@bench.example.com", i), Name: fmt.Sprintf("User %d", i), Bio: new(firstBio),
			TimeZone: "Europe/Rome", Locale: "it", Metadata: map[string]string{"plan": "gold"},
		},
	}
	clientKinds[w.config.ClientKind].name(w, &mu.Spec)
	if w.config.Tokens {
		mu.Spec.Tokens = &v1alpha1.TokensSpec{SecretName: key.Name + "-tokens"}
	}
	return mu
}

// create creates the next n users.
func (w *world) create(ctx context.Context, n int) error {
	first := w.users
	w.users += n
	return each(ctx, n, func(ctx context.Context, i int) error {
		mu := w.user(first + i)
		w.seen.expectReady(client.ObjectKeyFromObject(mu), 1)
		if err := w.kube.Create(ctx, mu); err != nil {
			return fmt.Errorf("creating a user: %w", err)
		}
		return nil
	})
}

// tokensOf is the number of Secrets with tokens that so many users have.
func (w *world) tokensOf(users int) int {
	if w.config.Tokens {
		return users
	}
	return 0
}

// change edits the spec of every user.
func (w *world) change(ctx context.Context) error {
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"spec":{"bio":%q}}`, secondBio))
	return each(ctx, w.users, func(ctx context.Context, i int) error {
		key := keyOf(i)
		w.seen.expectReady(key, w.seen.generation(key)+1)
		mu := &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		if err := w.kube.Patch(ctx, mu, patch); err != nil {
			return fmt.Errorf("editing a user: %w", err)
		}
		return nil
	})
}

// delete deletes every user.
func (w *world) delete(ctx context.Context) error {
	return each(ctx, w.users, func(ctx context.Context, i int) error {
		key := keyOf(i)
		w.seen.expectGone(key)
		mu := &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}}
		if err := w.kube.Delete(ctx, mu); err != nil {
			return fmt.Errorf("deleting a user: %w", err)
		}
		return nil
	})
}

// drift changes one user in a hundred, at least one, behind the operator's back, and returns how many.
func (w *world) drift(ctx context.Context) (int, error) {
	remote, err := w.sandbox.users(ctx)
	if err != nil {
		return 0, err
	}
	drifted := 0
	for i := 0; i < len(remote); i += 100 {
		if err := w.sandbox.update(ctx, remote[i].ID, `{"bio":"As somebody else would have it"}`); err != nil {
			return 0, err
		}
		drifted++
	}
	return drifted, nil
}

// createLate creates users one by one, spread over a time, and waits for all of them.
func (w *world) createLate(ctx context.Context, n int, over time.Duration) error {
	for range n {
		if err := w.create(ctx, 1); err != nil {
			return err
		}
		if err := pause(ctx, over/time.Duration(n)); err != nil {
			return err
		}
	}
	return w.untilSeen(ctx)
}
