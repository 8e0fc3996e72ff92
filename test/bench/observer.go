// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// observer watches all users, as anybody could, and tells how long they take to become what is expected of them.
type observer struct {
	mu        sync.Mutex
	objects   map[client.ObjectKey]*v1alpha1.ManagedUser // As they were last seen.
	expected  map[client.ObjectKey]expectation
	latencies []time.Duration // Of the expectations that came true.
	firstTrue time.Time       // When the first of them did.
}

type expectation struct {
	since time.Time
	holds func(*v1alpha1.ManagedUser) bool // Of an object that is gone it is asked with nil.
}

// observe begins to watch, until the context ends.
func observe(ctx context.Context, config *rest.Config, scheme *runtime.Scheme) (*observer, error) {
	o := &observer{objects: make(map[client.ObjectKey]*v1alpha1.ManagedUser), expected: make(map[client.ObjectKey]expectation)}
	watched, err := cache.New(config, cache.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("making a cache: %w", err)
	}
	informer, err := watched.GetInformer(ctx, &v1alpha1.ManagedUser{}, cache.BlockUntilSynced(false))
	if err != nil {
		return nil, fmt.Errorf("watching the users: %w", err)
	}
	_, err = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    o.see,
		UpdateFunc: func(_, object any) { o.see(object) },
		DeleteFunc: o.missed,
	})
	if err != nil {
		return nil, fmt.Errorf("watching the users: %w", err)
	}
	go func() { _ = watched.Start(ctx) }() // It returns when the context ends.
	if !watched.WaitForCacheSync(ctx) {
		return nil, errors.New("watching the users: the context ended before the first list")
	}
	return o, nil
}

func (o *observer) see(object any) {
	mu, ok := object.(*v1alpha1.ManagedUser)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.objects[client.ObjectKeyFromObject(mu)] = mu
	o.compare(client.ObjectKeyFromObject(mu), mu)
}

func (o *observer) missed(object any) {
	if last, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
		object = last.Obj
	}
	mu, ok := object.(*v1alpha1.ManagedUser)
	if !ok {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.objects, client.ObjectKeyFromObject(mu))
	o.compare(client.ObjectKeyFromObject(mu), nil)
}

func (o *observer) compare(key client.ObjectKey, mu *v1alpha1.ManagedUser) {
	e, ok := o.expected[key]
	if !ok || !e.holds(mu) {
		return
	}
	now := time.Now()
	delete(o.expected, key)
	o.latencies = append(o.latencies, now.Sub(e.since))
	if o.firstTrue.IsZero() {
		o.firstTrue = now
	}
}

// expectReady expects a generation of the object to be Ready and equal to what Cal.com has.
func (o *observer) expectReady(key client.ObjectKey, generation int64) {
	o.expect(key, func(mu *v1alpha1.ManagedUser) bool {
		return mu != nil && isTrue(mu, v1alpha1.ConditionReady, generation) && isTrue(mu, v1alpha1.ConditionSynced, generation)
	})
}

func isTrue(mu *v1alpha1.ManagedUser, condition string, generation int64) bool {
	c := meta.FindStatusCondition(mu.Status.Conditions, condition)
	return c != nil && c.Status == "True" && c.ObservedGeneration >= generation
}

// expectRefused expects the object to say that its credentials are no good.
func (o *observer) expectRefused(key client.ObjectKey) {
	o.expect(key, func(mu *v1alpha1.ManagedUser) bool {
		return mu != nil && meta.IsStatusConditionFalse(mu.Status.Conditions, v1alpha1.ConditionCredentialsReady)
	})
}

// expectRecovered expects the object to be Ready, with credentials that are good.
func (o *observer) expectRecovered(key client.ObjectKey) {
	o.expect(key, func(mu *v1alpha1.ManagedUser) bool {
		return mu != nil && meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionCredentialsReady) &&
			meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionReady)
	})
}

// expectGone expects the object to be deleted.
func (o *observer) expectGone(key client.ObjectKey) {
	o.expect(key, func(mu *v1alpha1.ManagedUser) bool { return mu == nil })
}

func (o *observer) expect(key client.ObjectKey, holds func(*v1alpha1.ManagedUser) bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.expected[key] = expectation{since: time.Now(), holds: holds}
	if mu, ok := o.objects[key]; ok {
		o.compare(key, mu)
	}
}

// fulfilled reports whether everything that was expected came true.
func (o *observer) fulfilled() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.expected) == 0
}

// take returns the latencies since the last take, and when the first expectation came true.
func (o *observer) take() (latencies []time.Duration, first time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	latencies, first = o.latencies, o.firstTrue
	o.latencies, o.firstTrue = nil, time.Time{}
	return latencies, first
}

func (o *observer) generation(key client.ObjectKey) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if mu, ok := o.objects[key]; ok {
		return mu.Generation
	}
	return 0
}

// all returns the objects as they were last seen.
func (o *observer) all() []*v1alpha1.ManagedUser {
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]*v1alpha1.ManagedUser, 0, len(o.objects))
	for _, mu := range o.objects {
		all = append(all, mu)
	}
	return all
}

// untilSeen waits until everything that was expected came true.
func (w *world) untilSeen(ctx context.Context) error {
	err := w.until(ctx, "the users", func(context.Context) (bool, error) { return w.seen.fulfilled(), nil })
	if err != nil {
		return fmt.Errorf("%w; one that is not as expected: %s", err, w.seen.example())
	}
	return nil
}

// example shows an object whose expectation did not come true.
func (o *observer) example() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key := range o.expected {
		if mu, ok := o.objects[key]; ok {
			return fmt.Sprintf("%s, with the conditions %+v", key, mu.Status.Conditions)
		}
		return key.String() + ", which is gone"
	}
	return "none any more"
}
