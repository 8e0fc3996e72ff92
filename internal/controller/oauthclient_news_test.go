// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/calcom-operator/calcom-operator/internal/account"
)

// News of any number of accounts reach the queue, although nothing reads them while they come, and although the cache
// fails at first.
func TestNewsAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[reconcile.Request]())
		news, failures := newAccountNews(), 3
		for i := range 1000 {
			news.add(account.Name{ClientID: fmt.Sprint(i % 500)})
		}
		if n := len(news.pending); n != 500 {
			t.Errorf("%d accounts are pending, want each of 500 once", n)
		}
		go news.feed(ctx, queue, func(_ context.Context, name account.Name) ([]reconcile.Request, error) {
			if failures > 0 {
				failures--
				return nil, errors.New("the cache is not started")
			}
			return []reconcile.Request{{NamespacedName: types.NamespacedName{Name: name.ClientID}}}, nil
		})
		<-time.After(5 * newsRetry)
		for i := range 250 {
			news.add(account.Name{ClientID: fmt.Sprint(1000 + i)})
		}
		<-time.After(newsRetry)
		if n := queue.Len(); n != 750 {
			t.Errorf("%d requests, want 750", n)
		}
		if n := len(news.take()); n != 0 {
			t.Errorf("%d accounts are pending still", n)
		}
		cancel()
		queue.ShutDown()
		<-time.After(time.Hour) // For the goroutines of the queue.
	})
}
