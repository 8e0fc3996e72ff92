// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"context"
	"time"
)

// OAuthClient is a Platform OAuth client that the server knows.
type OAuthClient struct {
	// ID is the client ID: the path segment of every call and the suffix of
	// every stored e-mail address. Real ones have 25 characters.
	ID string
	// Secret is what callers send as x-cal-secret-key.
	Secret string
	// Organization is the ID of the client's organization, digits as on the
	// real server. User names are unique in an organization, e-mail addresses
	// in the whole server. Empty means "100".
	Organization string
	// DefaultEventTypes is shown by GET /v2/oauth-clients/{id} as
	// areDefaultEventTypesEnabled. The server keeps no event types.
	DefaultEventTypes bool
}

// Options configure a Server. The zero value is a server with DefaultClient,
// the real clock, no latency and no rate limit.
type Options struct {
	// Clients are the OAuth clients known from the start. Empty means
	// DefaultClient. Use RemoveClient for a server that knows none.
	Clients []OAuthClient
	// Now is the server's clock. It must not call the server. The default is
	// time.Now.
	Now func() time.Time
	// Sleep waits for d or until ctx ends, which is when the server closes and
	// not when the caller hangs up: the real server finishes what it started.
	// Latency and Fault.Delay go through it. The default is a real timer.
	Sleep func(ctx context.Context, d time.Duration)
	// Latency is waited before each answer, the work included.
	Latency time.Duration
	// RateLimit is the number of calls per minute and x-cal-client-id value.
	// The real server's default is 500. Zero means no limit; the answers then
	// show one of a million, of which one call is used.
	RateLimit int
	// WritePool is how many creates the server can work on at once. One more is
	// answered 500, as the real server does when its database has no connection
	// left (Prisma's P2028; 7 connections were seen). Latency makes a create take
	// time. Zero means no bound.
	WritePool int
	// TimeScale makes the windows of the rate limit and the life of tokens
	// this many times shorter. Zero means 1.
	TimeScale float64
	// ForgetCalls keeps no call log, only counts, for servers that run for long.
	ForgetCalls bool
	// Log, if set, is called once per call, before its answer is sent, without
	// the server's lock and possibly at the same time for several calls.
	Log func(Call)
}

// DefaultClient is the client of a server that was given none.
func DefaultClient() OAuthClient {
	return OAuthClient{
		ID:                "cltestclient0000000000001",
		Secret:            "test-secret-1",
		Organization:      defaultOrganization,
		DefaultEventTypes: true,
	}
}

const defaultOrganization = "100"

// withDefaults fills what the caller left out.
func (o Options) withDefaults() Options {
	if len(o.Clients) == 0 {
		o.Clients = []OAuthClient{DefaultClient()}
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Sleep == nil {
		o.Sleep = sleep
	}
	if o.TimeScale <= 0 {
		o.TimeScale = 1
	}
	return o
}

// scaled shortens d by the time scale, to a nanosecond at least.
func (o Options) scaled(d time.Duration) time.Duration {
	return max(time.Duration(float64(d)/o.TimeScale), 1)
}

func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
