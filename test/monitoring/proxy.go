// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync/atomic"
	"time"
)

// proxy stands between the operator and the sandbox: the way is as long as through the Internet, and sometimes closed.
type proxy struct {
	// URL is what the operator calls, with /v2.
	URL string
	// Closed makes every call end with the status 503.
	Closed atomic.Bool

	target atomic.Pointer[url.URL]
	server *http.Server
}

func newProxy(ctx context.Context) (*proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("listening: %w", err)
	}
	p := &proxy{URL: "http://" + listener.Addr().String() + "/v2"}
	forward := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(p.target.Load()) }}
	p.server = &http.Server{
		ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			way := time.NewTimer(time.Duration(30+rand.IntN(90)) * time.Millisecond) //nolint:gosec // It guards nothing.
			defer way.Stop()
			select {
			case <-way.C:
			case <-r.Context().Done():
				return
			}
			if p.Closed.Load() {
				http.Error(w, "closed", http.StatusServiceUnavailable)
				return
			}
			forward.ServeHTTP(w, r)
		}),
	}
	go func() { _ = p.server.Serve(listener) }() // It ends by Close.
	return p, nil
}

// forwardTo says where the sandbox is, given the URL of its API.
func (p *proxy) forwardTo(api string) error {
	target, err := url.Parse(api)
	if err != nil {
		return fmt.Errorf("reading the sandbox's URL: %w", err)
	}
	target.Path = ""
	p.target.Store(target)
	return nil
}
