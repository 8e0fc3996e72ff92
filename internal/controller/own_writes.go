// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"maps"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// ownWriteAge is how long the cache may lack a write of this process before what it has is used all the same. After
	// an older state of etcd was restored, it lacks the write for good.
	ownWriteAge = 5 * time.Second
	// ownWritePace is the time until the next look at a cache that lags.
	ownWritePace = 50 * time.Millisecond
)

// ownWrites are the last writes of this process to objects. A reconcile whose cached object lacks one of them would say
// the same thing twice, in a status and in an event. controller-runtime can have reads wait for that, but not with
// several namespaces in a cache, nor without a second informer for what is cached as metadata. It is safe for
// concurrent use.
type ownWrites struct {
	clock clock.PassiveClock

	mu     sync.Mutex
	last   map[types.UID]ownWrite
	pruned time.Time
}

type ownWrite struct {
	version string
	at      time.Time
}

func newOwnWrites(c clock.PassiveClock) *ownWrites {
	return &ownWrites{clock: c, last: make(map[types.UID]ownWrite)}
}

// note remembers an object as the API server answered a write of it.
func (w *ownWrites) note(object client.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.prune()
	w.last[object.GetUID()] = ownWrite{object.GetResourceVersion(), w.clock.Now()}
}

// lacks reports whether an object from the cache is older than this process wrote it a moment ago.
func (w *ownWrites) lacks(object client.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.prune()
	write, ok := w.last[object.GetUID()]
	if !ok || w.clock.Since(write.at) > ownWriteAge {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(object.GetResourceVersion(), write.version)
	return err == nil && order < 0
}

// prune drops what is too old to matter, now and then.
func (w *ownWrites) prune() {
	if w.clock.Since(w.pruned) <= ownWriteAge {
		return
	}
	w.pruned = w.clock.Now()
	maps.DeleteFunc(w.last, func(_ types.UID, write ownWrite) bool { return w.clock.Since(write.at) > ownWriteAge })
}

// over returns a client that notes the patches of objects and of their statuses.
func (w *ownWrites) over(c client.Client) client.Client { return notingClient{c, w} }

type notingClient struct {
	client.Client

	writes *ownWrites
}

func (c notingClient) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.PatchOption) error {
	err := c.Client.Patch(ctx, object, patch, options...)
	if err == nil {
		c.writes.note(object)
	}
	return err
}

func (c notingClient) Status() client.SubResourceWriter {
	return notingStatus{c.Client.Status(), c.writes}
}

type notingStatus struct {
	client.SubResourceWriter

	writes *ownWrites
}

func (s notingStatus) Patch(ctx context.Context, object client.Object, patch client.Patch, options ...client.SubResourcePatchOption) error {
	err := s.SubResourceWriter.Patch(ctx, object, patch, options...)
	if err == nil {
		s.writes.note(object)
	}
	return err
}
