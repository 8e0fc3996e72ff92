// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ownMarks tells the operator's own writes of in-use finalizers from those of others, when the watch reports them. Such
// a write has an optimistic lock, so the version that it replaces identifies it: no other write from that version can
// have succeeded. It is safe for concurrent use.
type ownMarks struct {
	mu sync.Mutex
	// from is the version that the last write to an object replaced, or is about to replace. Several watches ask for
	// it, so it stays until the object is deleted.
	from map[types.UID]string
}

func newOwnMarks() *ownMarks { return &ownMarks{from: make(map[types.UID]string)} }

// mark adds the in-use finalizer to an object, unless it is there, and takes the sign of a release off.
func (m *ownMarks) mark(ctx context.Context, c client.Client, object *metav1.PartialObjectMetadata) error {
	uid, gains := object.UID, !isInUse(object)
	if gains {
		m.note(uid, object.ResourceVersion)
	}
	err := patchInUse(ctx, c, object, inUse)
	if gains && err != nil {
		m.forget(uid)
	}
	return err
}

func (m *ownMarks) note(uid types.UID, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.from[uid] = version
}

func (m *ownMarks) forget(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.from, uid)
}

// made reports whether an update is the operator's own addition of the in-use finalizer.
func (m *ownMarks) made(before, after client.Object) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	version, ok := m.from[before.GetUID()]
	return ok && version == before.GetResourceVersion() && !isInUse(before) && isInUse(after)
}
