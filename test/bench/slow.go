// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

const (
	// slowUsers are those of the slow client, and besideThem those of the other one, which are created and deleted
	// meanwhile.
	slowUsers, besideThem = 60, 8
	// mostCreates is how many create calls of one client may be under way at a time.
	mostCreates = 4
)

// slowServer passes calls on to the sandbox, and holds them until it is released. As it has another URL, its users are
// those of another OAuth client to the operator.
type slowServer struct {
	*httptest.Server

	released chan struct{}

	mu sync.Mutex
	// creating is how many create calls are under way, and most how many were at a time.
	creating, most int
}

func newSlowServer(api string) (*slowServer, error) {
	target, err := url.Parse(api)
	if err != nil {
		return nil, fmt.Errorf("reading the sandbox's URL: %w", err)
	}
	target.Path = ""
	proxy := httputil.NewSingleHostReverseProxy(target)
	s := &slowServer{released: make(chan struct{})}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			s.count(1)
			defer s.count(-1)
		}
		select {
		case <-s.released:
			proxy.ServeHTTP(w, r)
		case <-r.Context().Done():
		}
	}))
	return s, nil
}

// release lets all calls through, and returns how many creates were held at a time.
func (s *slowServer) release() int {
	close(s.released)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.most
}

func (s *slowServer) count(calls int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.creating += calls
	s.most = max(s.most, s.creating)
}

// slowUser returns the i-th user of the slow client.
func (w *world) slowUser(i int, api string) *v1alpha1.ManagedUser {
	mu := w.user(i)
	mu.Name = fmt.Sprintf("slow-%05d", i)
	mu.Spec.Email = fmt.Sprintf("slow.%05d@bench.example.com", i)
	credentials := w.credentials()
	credentials.APIURL = api
	mu.Spec.OAuthClient, mu.Spec.OAuthClientRef, mu.Spec.Tokens = &credentials, nil, nil
	return mu
}

// expectProgress expects the object to say that its user is not there yet.
func (o *observer) expectProgress(key client.ObjectKey) {
	o.expect(key, func(mu *v1alpha1.ManagedUser) bool {
		if mu == nil {
			return false
		}
		ready := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionReady)
		return ready != nil && ready.Reason == v1alpha1.ReasonProgressing
	})
}

// slowPhase creates users of a client whose server does not answer, and beside them users of another one.
func (w *world) slowPhase() phase {
	var conditions, ready, gone []time.Duration
	most := 0
	return phase{
		name: fmt.Sprintf("%d users of a slow client, %d beside them", slowUsers, besideThem),
		do: func(ctx context.Context, _ *measurement) (err error) {
			s, err := newSlowServer(w.stack.API)
			if err != nil {
				return err
			}
			defer s.Close()
			if conditions, err = w.createSlow(ctx, s); err == nil {
				ready, gone, err = w.beside(ctx)
			}
			most = s.release()
			return errors.Join(err, w.deleteSlow(ctx))
		},
		targets: func(m *measurement) {
			m.gauge("every slow user has a condition, p100", quantile(conditions, 1).Seconds(), "s", "≤", 5)
			m.gauge("another client's user, from create to Ready, p100", quantile(ready, 1).Seconds(), "s", "≤", 1)
			m.gauge("another client's user, from delete to gone, p100", quantile(gone, 1).Seconds(), "s", "≤", 1)
			m.count(Count, "create calls of the slow client under way at a time", most, "≤", mostCreates)
		},
	}
}

// createSlow creates the users of the slow client, and returns how long each took to get a condition.
func (w *world) createSlow(ctx context.Context, s *slowServer) ([]time.Duration, error) {
	err := each(ctx, slowUsers, func(ctx context.Context, i int) error {
		mu := w.slowUser(i, s.URL+"/v2")
		w.seen.expectProgress(client.ObjectKeyFromObject(mu))
		if err := w.kube.Create(ctx, mu); err != nil {
			return fmt.Errorf("creating a user: %w", err)
		}
		return nil
	})
	if err := errors.Join(err, w.untilSeen(ctx)); err != nil {
		return nil, err
	}
	latencies, _ := w.seen.take()
	return latencies, nil
}

// beside creates and deletes users of the client that is not slow, and returns how long each of both took.
func (w *world) beside(ctx context.Context) (ready, gone []time.Duration, err error) {
	first := w.users
	defer func() { w.users = first }()
	if err := errors.Join(w.create(ctx, besideThem), w.untilSeen(ctx)); err != nil {
		return nil, nil, err
	}
	ready, _ = w.seen.take()
	for i := range besideThem {
		mu := w.user(first + i)
		w.seen.expectGone(client.ObjectKeyFromObject(mu))
		if err := w.kube.Delete(ctx, mu); err != nil {
			return nil, nil, fmt.Errorf("deleting a user: %w", err)
		}
	}
	err = w.untilSeen(ctx)
	gone, _ = w.seen.take()
	return ready, gone, err
}

// deleteSlow waits until the users of the slow client are Ready, now that its server answers, and deletes them.
func (w *world) deleteSlow(ctx context.Context) error {
	for i := range slowUsers {
		w.seen.expectReady(client.ObjectKeyFromObject(w.slowUser(i, "")), 1)
	}
	if err := w.untilSeen(ctx); err != nil {
		return err
	}
	for i := range slowUsers {
		mu := w.slowUser(i, "")
		w.seen.expectGone(client.ObjectKeyFromObject(mu))
		if err := w.kube.Delete(ctx, mu); err != nil {
			return fmt.Errorf("deleting a user: %w", err)
		}
	}
	return w.untilSeen(ctx)
}
