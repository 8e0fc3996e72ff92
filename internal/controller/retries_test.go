// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

func TestRetriesGrow(t *testing.T) {
	r := newRetries(Config{Jitter: func(d time.Duration) time.Duration { return d }})
	alice, bob := client.ObjectKey{Name: "alice"}, client.ObjectKey{Name: "bob"}
	var waits []time.Duration
	for range 7 {
		waits = append(waits, r.next(alice))
	}
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	if d := cmp.Diff([]time.Duration{ms(220), ms(440), ms(880), ms(1760), ms(3520), ms(5500), ms(5500)}, waits); d != "" {
		t.Errorf("waits (-want +got):\n%s", d)
	}
	if wait := r.next(bob); wait != ms(220) {
		t.Errorf("another object waits %v", wait)
	}
	r.reset(alice)
	if wait := r.next(alice); wait != ms(220) {
		t.Errorf("after another outcome the wait is %v", wait)
	}
}

// contended is an API server at which another client is faster with each write of a status.
type contended struct {
	client.WithWatch

	conflicts int
}

func (c *contended) SubResource(name string) client.SubResourceClient {
	return contendedStatus{c.WithWatch.SubResource(name), c}
}

type contendedStatus struct {
	client.SubResourceClient

	c *contended
}

func (s contendedStatus) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	if s.c.conflicts > 0 {
		s.c.conflicts--
		return apierrors.NewConflict(schema.GroupResource{Resource: "managedusers"}, object.GetName(), errors.New("written by another client"))
	}
	return s.SubResourceClient.Patch(ctx, object, patch, options...)
}

// Conflicts that follow each other space the reconciles of an object out, and the first one that ends otherwise ends
// that.
func TestConflictsBackOff(t *testing.T) {
	s := newSweepStory(t, 0)
	connect, api := s.connect, &contended{}
	s.connect = func() client.WithWatch {
		api.WithWatch = connect()
		return api
	}
	s.begin()
	mu := s.user()
	s.apply(mu)
	waits := func() []time.Duration {
		api.conflicts = 4
		mu.Spec.Name += "x"
		mu.Generation++
		s.must(s.client.Update(t.Context(), mu))
		var waits []time.Duration
		for range 20 {
			result, err := s.reconcile(mu).unpack()
			s.must(err)
			if result.RequeueAfter == 0 {
				break
			}
			if api.conflicts < 4 {
				waits = append(waits, result.RequeueAfter)
			}
			s.advance(result.RequeueAfter)
		}
		return waits
	}
	want := []time.Duration{200 * time.Millisecond, 400 * time.Millisecond, 800 * time.Millisecond, 1600 * time.Millisecond}
	for range 2 {
		if have := waits(); len(have) < 4 || !slices.Equal(have[:4], want) {
			t.Errorf("waits are %v, want %v", have, want)
		}
	}
}

// broken is a cache that cannot be read.
type broken struct{ client.Client }

func (broken) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("the cache is not started")
}

// That an object cannot be read does not mean that it is gone: what is known of it, and of its OAuth client, is kept.
func TestUnreadableObjectIsNotForgotten(t *testing.T) {
	s := newSweepStory(t, 1)
	mu, r := s.users[0], s.reconciler
	request := ctrl.Request{NamespacedName: keyOf(mu)}
	keeper := r.OAuthClients(v1alpha1.KindOAuthClient)
	keeper.answered[request.NamespacedName] = "now"
	r.gone.Store(request.NamespacedName, types.UID("another"))
	was := held(r, keeper)
	good := r.client
	r.client = broken{good}
	if _, err := r.Reconcile(t.Context(), request); err == nil {
		t.Error("no error")
	}
	if _, err := keeper.Reconcile(t.Context(), request); err == nil {
		t.Error("no error")
	}
	if d := cmp.Diff(was, held(r, keeper)); d != "" {
		t.Errorf("what is known (-before +after):\n%s", d)
	}
	r.client = good
	if len(was) == 0 {
		t.Error("nothing was known, the test sees nothing")
	}
}
