// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// conflictRetry is the first wait after a conflict: the time for the cache to receive the write that came in
	// between.
	conflictRetry = 200 * time.Millisecond
	// lastConflictRetry bounds the waits after conflicts that follow each other, each twice as long as the one before.
	lastConflictRetry = 5 * time.Second
)

// retries spaces out the reconciles of objects that end in a conflict again and again, because another writer is as
// fast.
type retries struct {
	jitter func(time.Duration) time.Duration

	mu     sync.Mutex
	failed map[client.ObjectKey]int
}

func newRetries(config Config) *retries {
	return &retries{jitter: config.Jitter, failed: make(map[client.ObjectKey]int)}
}

// next returns the wait before the next attempt, after one more conflict.
func (r *retries) next(object client.ObjectKey) time.Duration {
	r.mu.Lock()
	failed := r.failed[object]
	r.failed[object] = failed + 1
	r.mu.Unlock()
	wait := lastConflictRetry
	if shift := min(failed, 10); conflictRetry<<shift < wait {
		wait = conflictRetry << shift
	}
	if r.jitter != nil {
		wait += r.jitter(wait / jitterShare)
	}
	return wait
}

// reset ends the waits of an object whose reconcile ended otherwise.
func (r *retries) reset(object client.ObjectKey) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.failed, object)
}
