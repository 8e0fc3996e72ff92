// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// headerTimeout is how long a caller may take for its request headers.
const headerTimeout = 10 * time.Second

// stopTimeout is how long calls in progress may take after a signal.
const stopTimeout = 5 * time.Second

// run serves until ctx ends, then lets the calls in progress finish.
func run(ctx context.Context, args []string, stdout io.Writer) error {
	cfg, err := parse(args, stdout)
	if err != nil {
		return err
	}
	out := &lines{w: stdout}
	opts := calcomtest.Options{
		Clients:   cfg.clients,
		Latency:   cfg.latency,
		RateLimit: cfg.rateLimit,
		TimeScale: cfg.timeScale,
		// Nobody could ask for it, and it would grow for ever.
		ForgetCalls: true,
	}
	if !cfg.quiet {
		opts.Log = func(c calcomtest.Call) { out.print(describe(c)) }
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.listen)
	if err != nil {
		return fmt.Errorf("listening (choose another address with --listen): %w", err)
	}
	api := calcomtest.NewHandler(opts)
	defer api.Close()
	greet(out, listener.Addr(), cfg)
	if cfg.inspect == "" {
		return serve(ctx, listener, api)
	}
	inspection, err := (&net.ListenConfig{}).Listen(ctx, "tcp", cfg.inspect)
	if err != nil {
		return errors.Join(fmt.Errorf("listening (choose another address with --inspect): %w", err), listener.Close())
	}
	out.print(fmt.Sprintf("inspection at http://%s, without credentials", inspection.Addr()))
	return serveBoth(ctx, listener, inspection, api)
}

// serveBoth ends with the first of the two that ends.
func serveBoth(ctx context.Context, listener, inspection net.Listener, api *calcomtest.Server) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	inspected := make(chan error, 1)
	go func() {
		defer cancel()
		inspected <- serve(ctx, inspection, api.Inspector())
	}()
	err := serve(ctx, listener, api)
	cancel()
	return errors.Join(err, <-inspected)
}

// serve ends with nil after ctx ended.
func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTimeout}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if err := server.Shutdown(last); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("stopping: %w", err)
	}
	// Calls that are still in progress are cut when the handler closes.
	return nil
}

// greet prints what somebody needs for a first call.
func greet(out *lines, addr net.Addr, cfg config) {
	out.print(fmt.Sprintf("Cal.com sandbox at http://%s/v2 (state in memory, Ctrl-C ends it)", addr))
	for _, c := range cfg.clients {
		out.print(fmt.Sprintf("client %s, secret %s, organization %s", c.ID, shownSecret(c), c.Organization))
	}
}

// shownSecret is the secret of the well-known client only; others come from the
// caller, who knows them, and the output may be kept.
func shownSecret(c calcomtest.OAuthClient) string {
	if c == calcomtest.DefaultClient() {
		return c.Secret
	}
	return "as given"
}

// lines writes whole lines from several calls at a time.
type lines struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lines) print(line string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	// There is nobody to tell that standard output is closed.
	_, _ = fmt.Fprintln(l.w, line)
}
