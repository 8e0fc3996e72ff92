// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// limitsName is the ConfigMap, in the operator's namespace, in which it is recorded what the limits allowed. It has the
// name of its first use.
const limitsName = "calcom-operator-deletions"

// limitsRecord is the ConfigMap that the limits share, with keys of their own. What a limit allows is stored before it
// is used, so that neither a restart nor a second leader allows it again.
type limitsRecord struct {
	// name is without a namespace when nothing can be stored: then the limits count in memory.
	name   client.ObjectKey
	client client.Client
	reader client.Reader // Not cached.
	clock  clock.PassiveClock
	// prunes return what stays of an entry, by the limit whose entry it is; nothing when the entry can be dropped.
	prunes func(key, text string, now time.Time) string
	// onLost are called, with the lock held, when the ConfigMap has to be read again.
	onLost []func()

	mu sync.Mutex
	// busy is set while the ConfigMap is read or written. No reconcile waits for that; one that needs it meanwhile is
	// repeated.
	busy bool
	// stored is the ConfigMap as it was last read or written, nil when it has to be read.
	stored *corev1.ConfigMap
}

func newLimitsRecord(c client.Client, reader client.Reader, config Config) *limitsRecord {
	return &limitsRecord{
		name: client.ObjectKey{Namespace: config.Namespace, Name: limitsName}, client: c, reader: reader, clock: config.Clock,
	}
}

// use runs a function with the lock held and the ConfigMap read.
func (r *limitsRecord) use(ctx context.Context, f func() error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy {
		return errAgain
	}
	if r.stored == nil {
		if err := r.unlocked(func() error { return r.read(ctx) }); err != nil {
			return err
		}
	}
	return f()
}

// unlocked calls the API server without the lock. Until it has answered, use refuses.
func (r *limitsRecord) unlocked(call func() error) error {
	r.busy = true
	r.mu.Unlock()
	defer func() {
		r.mu.Lock()
		r.busy = false
	}()
	return call()
}

func (r *limitsRecord) read(ctx context.Context) error {
	stored := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: r.name.Namespace, Name: r.name.Name}}
	if r.name.Namespace != "" {
		err := r.reader.Get(ctx, r.name, stored)
		if client.IgnoreNotFound(err) != nil {
			return fmt.Errorf("reading the record of the limits: %w", err)
		}
	}
	r.stored = stored
	return nil
}

// text returns an entry of the ConfigMap. It is called within use.
func (r *limitsRecord) text(key string) (string, bool) {
	text, ok := r.stored.Data[key]
	return text, ok
}

// save stores an entry and drops those that no longer count. It is called within use.
func (r *limitsRecord) save(ctx context.Context, key, text string) error {
	changed := r.stored.DeepCopy()
	data := map[string]string{key: text}
	for other, was := range changed.Data {
		if other == key {
			continue
		}
		if kept := r.prunes(other, was, r.clock.Now()); kept != "" {
			data[other] = kept
		}
	}
	changed.Data = data
	if r.name.Namespace == "" {
		r.stored = changed
		return nil
	}
	err := r.unlocked(func() error { return r.write(ctx, changed) })
	if err == nil {
		return nil
	}
	// Another process may have written it, or this write may have had its effect: what is stored has to be read again.
	r.stored = nil
	for _, lost := range r.onLost {
		lost()
	}
	return err
}

// write stores the ConfigMap. The optimistic lock lets only one of two leaders do so.
func (r *limitsRecord) write(ctx context.Context, changed *corev1.ConfigMap) error {
	var err error
	if changed.ResourceVersion == "" {
		err = r.client.Create(ctx, changed)
	} else {
		err = r.client.Patch(ctx, changed, client.MergeFromWithOptions(r.stored, client.MergeFromWithOptimisticLock{}))
	}
	if apierrors.IsAlreadyExists(err) {
		return errAgain
	}
	if err != nil {
		return fmt.Errorf("writing the record of the limits: %w", err)
	}
	r.stored = changed
	return nil
}
