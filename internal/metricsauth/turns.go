// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metricsauth

import (
	"context"
	"errors"
	"slices"
	"sync"
)

// errBusy is the refusal of a request because too many others wait.
var errBusy = errors.New("too many requests wait")

// turns lets a few requests at a time ask the API server. The others wait, and each sender, which is an address, gets
// its turn as often as any other: a sender of thousands of requests only holds up its own. It is self-clocked fair
// queueing (Golestani 1994).
type turns struct {
	mu      sync.Mutex
	free    int
	most    int // Requests that may wait.
	waiting []*turn
	served  int            // The tag of the last request that got its turn.
	last    map[string]int // The last tag of each sender with waiting requests.
	number  int
}

// turn is the place of one request that waits.
type turn struct {
	sender      string
	tag, number int
	ready       chan error
}

func newTurns(atOnce, waiting int) *turns {
	return &turns{free: atOnce, most: waiting, last: make(map[string]int)}
}

// take waits for a turn, which end gives back. It returns errBusy to the request that would be served last when too
// many wait, and the error of the context when that ends first.
func (t *turns) take(ctx context.Context, sender string) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	own := t.enter(sender)
	t.mu.Unlock()
	select {
	case err := <-own.ready:
		return err
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	select {
	case err := <-own.ready: // At the same moment.
		if err == nil {
			t.pass()
		}
	default:
		t.leave(own)
	}
	return context.Cause(ctx)
}

// enter puts a request into the line. t.mu must be held.
func (t *turns) enter(sender string) *turn {
	t.number++
	own := &turn{sender: sender, tag: max(t.served, t.last[sender]) + 1, number: t.number, ready: make(chan error, 1)}
	t.waiting = append(t.waiting, own)
	t.last[sender] = own.tag
	if len(t.waiting) > t.most {
		last := slices.MaxFunc(t.waiting, byTag)
		t.leave(last)
		last.ready <- errBusy
	}
	return own
}

// leave takes a request out of the line. t.mu must be held.
func (t *turns) leave(own *turn) {
	t.waiting = slices.DeleteFunc(t.waiting, func(other *turn) bool { return other == own })
	delete(t.last, own.sender)
	for _, other := range t.waiting {
		if other.sender == own.sender {
			t.last[own.sender] = max(t.last[own.sender], other.tag)
		}
	}
}

// end gives a turn back, to the next request if one waits.
func (t *turns) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.pass()
}

func (t *turns) pass() {
	if len(t.waiting) == 0 {
		t.free++
		return
	}
	next := slices.MinFunc(t.waiting, byTag)
	t.served = next.tag
	t.leave(next)
	next.ready <- nil
}

func byTag(a, b *turn) int {
	if a.tag != b.tag {
		return a.tag - b.tag
	}
	return a.number - b.number
}
