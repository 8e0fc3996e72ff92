// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"sync"
	"time"

	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/calcom-operator/calcom-operator/internal/account"
)

// newsRetry is the wait after the cache could not say which OAuth clients a piece of news is about.
const newsRetry = time.Second

// accountNews keeps the accounts with news until the queue of a controller has them. Adding never blocks and nothing is
// lost; each account is kept once.
type accountNews struct {
	// signal holds a value while something may be pending.
	signal chan struct{}

	mu      sync.Mutex
	pending map[account.Name]struct{}
}

func newAccountNews() *accountNews {
	return &accountNews{signal: make(chan struct{}, 1), pending: make(map[account.Name]struct{})}
}

func (n *accountNews) add(name account.Name) {
	n.mu.Lock()
	n.pending[name] = struct{}{}
	n.mu.Unlock()
	select {
	case n.signal <- struct{}{}:
	default: // The reader is about to take everything.
	}
}

// take returns the accounts that are pending, and keeps them no longer.
func (n *accountNews) take() map[account.Name]struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	taken := n.pending
	n.pending = make(map[account.Name]struct{})
	return taken
}

// source feeds the queue of a controller with the requests for each account, until the context ends.
func (n *accountNews) source(requestsOf func(context.Context, account.Name) ([]reconcile.Request, error)) source.Source {
	return source.Func(func(ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request]) error {
		go n.feed(ctx, queue, requestsOf)
		return nil
	})
}

func (n *accountNews) feed(
	ctx context.Context, queue workqueue.TypedRateLimitingInterface[reconcile.Request],
	requestsOf func(context.Context, account.Name) ([]reconcile.Request, error),
) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.signal:
		}
		var failure error
		for name := range n.take() {
			requests, err := requestsOf(ctx, name)
			if err != nil {
				failure = err
				n.add(name)
			}
			for _, request := range requests {
				queue.Add(request)
			}
		}
		if failure == nil {
			continue
		}
		log.FromContext(ctx).Error(failure, "Finding the OAuth clients of an account; trying again")
		select {
		case <-ctx.Done():
			return
		case <-time.After(newsRetry):
		}
	}
}
