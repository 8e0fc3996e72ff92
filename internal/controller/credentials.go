// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// connect finds the object's OAuth client, reads the credentials and readies the visit's session with Cal.com. It makes
// no call there.
func (r *ManagedUserReconciler) connect(ctx context.Context, v *visit, _ *manageduser.Action) error {
	t, err := r.clientOf(ctx, v.mu)
	if err != nil {
		return err
	}
	login, secret, err := r.credentials.login(ctx, client.ObjectKeyFromObject(v.mu).String(), t)
	if err != nil {
		return err
	}
	v.needs = []*metav1.PartialObjectMetadata{secret}
	if t.object != nil {
		v.needs = []*metav1.PartialObjectMetadata{t.object, secret}
	}
	v.account = t.account
	v.cal = &session{
		login: login, turn: turnOf(v), probing: v.requested(), inline: t.object == nil,
		object: client.ObjectKeyFromObject(v.mu), noted: v.takeOver,
	}
	return nil
}

// credentials turns what an object says of its OAuth client into a login with Cal.com.
type credentials struct {
	client   client.Client // Cached.
	reader   client.Reader // Not cached.
	config   Config
	accounts *accounts

	mu sync.Mutex
	// known are the secret keys as they were read last. A Secret that has not changed since is not read again, be it
	// for ten thousand users.
	known map[client.ObjectKey]map[string]knownSecretKey
	// named are the secret keys that objects name. One that no object names any more does not stay in memory.
	named references[secretKeyName]
}

type secretKeyName struct {
	secret client.ObjectKey
	key    string
}

type knownSecretKey struct {
	version string // Of the Secret.
	value   calcom.Hidden[string]
	flaw    error // Why the value cannot be a secret key, instead of the value.
}

func newCredentials(c client.Client, reader client.Reader, config Config, accounts *accounts) *credentials {
	return &credentials{
		client: c, reader: reader, config: config, accounts: accounts,
		known: make(map[client.ObjectKey]map[string]knownSecretKey), named: newReferences[secretKeyName](),
	}
}

// login returns the login that a target names, for an object, and the metadata of the Secret that its key is in.
func (c *credentials) login(ctx context.Context, object string, t target) (*login, *metav1.PartialObjectMetadata, error) {
	c.accounts.use(object, t.account)
	c.name(object, t.secret)
	secretKey, secret, err := c.secretKey(ctx, t)
	if err != nil {
		return nil, nil, err
	}
	login, err := c.accounts.login(object, t.account, secretKey)
	if err != nil {
		return nil, nil, outcome.NotUsable(v1alpha1.ReasonKeyNotFound, outcome.Waiting, fmt.Sprintf(
			"The OAuth client with the secret key under %s in %s cannot be used (%v); correct it", t.secret.key, t.secretName(), err))
	}
	return login, secret, nil
}

// secretKey reads a secret key. Secrets are watched without their data, so that is read from the API server itself,
// once for each version of the Secret.
func (c *credentials) secretKey(ctx context.Context, t target) (calcom.Hidden[string], *metav1.PartialObjectMetadata, error) {
	cached := secretMetadata(metav1.ObjectMeta{})
	if err := c.client.Get(ctx, t.secret.secret, cached); err == nil {
		if known, ok := c.remembered(t.secret, cached.ResourceVersion); ok {
			return known.value, cached, unusable(t, known.flaw)
		}
	} // Else the cache may not have heard of it yet.
	var none calcom.Hidden[string]
	var secret corev1.Secret
	err := c.reader.Get(ctx, t.secret.secret, &secret)
	switch {
	case apierrors.IsNotFound(err):
		c.forget(t.secret)
		return none, nil, outcome.NotUsable(v1alpha1.ReasonSecretNotFound, outcome.Waiting, fmt.Sprintf(
			"There is no %s; create it with the OAuth client's secret key under %s, or correct %s", t.secretName(), t.secret.key, t.field("secretKeyRef")))
	case apierrors.IsForbidden(err):
		return none, nil, outcome.NotUsable(v1alpha1.ReasonSecretNotFound, outcome.Waiting, fmt.Sprintf(
			"The operator may not read %s; let its ServiceAccount get secrets there", t.secretName()))
	case err != nil:
		return none, nil, fmt.Errorf("reading the credentials Secret: %w", err)
	}
	// A line break at the end is the most common mistake in a hand-made Secret.
	found := bytes.TrimSpace(secret.Data[t.secret.key])
	if len(found) == 0 {
		c.forget(t.secret)
		return none, nil, outcome.NotUsable(v1alpha1.ReasonKeyNotFound, outcome.Waiting, fmt.Sprintf(
			"There is nothing under %s in %s; put the OAuth client's secret key there, or correct %s", t.secret.key, t.secretName(), t.field("secretKeyRef")))
	}
	known := knownSecretKey{version: secret.ResourceVersion}
	if known.flaw = calcom.CheckSecretKey(string(found)); known.flaw == nil {
		known.value = calcom.Hide(string(found))
	}
	c.remember(t.secret, known)
	return known.value, secretMetadata(secret.ObjectMeta), unusable(t, known.flaw)
}

// unusable is the problem of a value that cannot be a secret key, if there is a flaw in it. Nothing is sent with one.
func unusable(t target, flaw error) error {
	if flaw == nil {
		return nil
	}
	return outcome.NotUsable(v1alpha1.ReasonKeyNotFound, outcome.Waiting, fmt.Sprintf("The %v; correct the value under %s in %s", flaw, t.secret.key, t.secretName()))
}

func (c *credentials) remembered(name secretKeyName, version string) (knownSecretKey, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.known[name.secret][name.key]
	return known, ok && known.version == version
}

func (c *credentials) remember(name secretKeyName, key knownSecretKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.named.counts[name] == 0 {
		return // The object that named it went meanwhile.
	}
	if c.known[name.secret] == nil {
		c.known[name.secret] = make(map[string]knownSecretKey, 1)
	}
	c.known[name.secret][name.key] = key
}

func (c *credentials) forget(name secretKeyName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(name)
}

// drop is forget for a caller that holds c.mu.
func (c *credentials) drop(name secretKeyName) {
	delete(c.known[name.secret], name.key)
	if len(c.known[name.secret]) == 0 {
		delete(c.known, name.secret)
	}
}

// name notes which secret key an object names.
func (c *credentials) name(object string, key secretKeyName) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if unused, ok := c.named.set(object, key); ok {
		c.drop(unused)
	}
}

// leave notes that an object is gone, and names no secret key.
func (c *credentials) leave(object string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if unused, ok := c.named.drop(object); ok {
		c.drop(unused)
	}
}

// changed forgets the keys of a Secret that were read from another version of it than the one of an event. A deletion
// is a version too.
func (c *credentials) changed(secret client.Object) {
	c.mu.Lock()
	defer c.mu.Unlock()
	name := client.ObjectKeyFromObject(secret)
	for key, known := range c.known[name] {
		if known.version != secret.GetResourceVersion() {
			c.drop(secretKeyName{secret: name, key: key})
		}
	}
}
