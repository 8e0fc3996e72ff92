// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"sync"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/handover"
)

// remotes are the ways to Cal.com of a command that works on many users at once: one for each OAuth client, whose quota
// they share.
type remotes struct {
	session *session
	mu      sync.Mutex
	known   map[remoteKey]*remote
}

type remoteKey struct{ namespace, kind, name, id, apiURL string }

// remote makes one call at a time: who comes second would only wait for the quota a little later.
type remote struct {
	*account
	turn chan struct{}
}

func (s *session) remotes() *remotes {
	return &remotes{session: s, known: make(map[remoteKey]*remote)}
}

// of returns the way to Cal.com for a user's OAuth client.
func (r *remotes) of(ctx context.Context, mu *v1alpha1.ManagedUser) (*remote, error) {
	key := clientKey(mu)
	r.mu.Lock()
	defer r.mu.Unlock()
	if known := r.known[key]; known != nil {
		return known, nil
	}
	of, err := r.session.clientOf(ctx, mu)
	if err != nil {
		return nil, err
	}
	a, err := r.session.account(ctx, of)
	if err != nil {
		return nil, err
	}
	// Several objects may name one OAuth client, which has one quota.
	for _, other := range r.known {
		if other.credentials.ID == a.credentials.ID && sameURL(other.credentials.APIURL, a.credentials.APIURL) {
			r.known[key] = other
			return other, nil
		}
	}
	r.known[key] = &remote{account: a, turn: make(chan struct{}, 1)}
	return r.known[key], nil
}

// clientKey tells users of different OAuth clients apart, as far as their objects do.
func clientKey(mu *v1alpha1.ManagedUser) remoteKey {
	if inline := mu.Spec.OAuthClient; inline != nil {
		return remoteKey{namespace: mu.Namespace, name: inline.SecretKeyRef.Name + "/" + inline.SecretKeyRef.Key, id: inline.ID, apiURL: canonicalURL(inline.APIURL)}
	}
	key := remoteKey{namespace: mu.Namespace}
	if ref := mu.Spec.OAuthClientRef; ref != nil {
		key.kind, key.name = kindOf(*ref), ref.Name
	}
	if key.kind == v1alpha1.KindClusterOAuthClient {
		key.namespace = ""
	}
	return key
}

// User implements handover.Remote.
func (r *remote) User(ctx context.Context, id int64) (calcom.User, error) {
	return inTurn(ctx, r, func() (calcom.User, error) { return r.user(ctx, id) })
}

// UpdateUser implements handover.Remote.
func (r *remote) UpdateUser(ctx context.Context, id int64, update calcom.UserFields) (calcom.User, error) {
	return inTurn(ctx, r, func() (calcom.User, error) { return r.update(ctx, id, update) })
}

func inTurn[T any](ctx context.Context, r *remote, do func() (T, error)) (T, error) {
	select {
	case r.turn <- struct{}{}:
		defer func() { <-r.turn }()
		return do()
	case <-ctx.Done():
		var none T
		return none, ctx.Err()
	}
}

var _ handover.Remote = (*remote)(nil)

// canonicalURL returns one text for all spellings of an apiURL, which may be absent. One that is not usable stays as it
// is.
func canonicalURL(apiURL string) string {
	canonical, err := calcom.BaseURL(cmp.Or(apiURL, v1alpha1.DefaultAPIURL))
	if err != nil {
		return apiURL
	}
	return canonical
}
