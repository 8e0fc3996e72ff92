// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"
)

// TB is the part of testing.TB that New needs.
type TB interface {
	Helper()
	Cleanup(func())
	Fatalf(format string, args ...any)
}

// Server is a stateful look-alike of Cal.com's API v2 for managed users. It is
// an http.Handler; one made by New also listens. All methods are safe for
// concurrent use.
type Server struct {
	opts Options

	// ctx ends when the server closes; hanging and sleeping calls watch it.
	ctx      context.Context //nolint:containedctx // It is the life of the server, not of a call.
	cancel   context.CancelFunc
	handlers sync.WaitGroup
	listener net.Listener
	http     *http.Server

	// mu guards everything below. Take it with lock, which also performs the
	// postponed effects that are due.
	mu       sync.Mutex
	closed   bool
	down     bool
	clients  map[string]*client
	users    map[int64]*user // Changed by put and drop only.
	index    index
	nextUser int64
	// nextSchedule counts the default schedules of all users, as the database
	// of the real server does.
	nextSchedule int64
	access       map[string]*accessToken
	refresh      map[string]*refreshToken
	tokensOf     map[int64]issued
	buckets      map[string]*bucket
	faults       []*armedFault
	pending      []*pendingEffect
	writers      writers
	calls        []*Call
	tallies      map[Tally]int // With Calls 0 as the key.
}

// client is an OAuth client with the time when it was made known.
type client struct {
	OAuthClient
	created time.Time
}

// New starts a server on a free port of 127.0.0.1 and closes it when the test
// ends. It takes at most one Options.
func New(tb TB, opts ...Options) *Server {
	tb.Helper()
	if len(opts) > 1 {
		tb.Fatalf("calcomtest.New takes at most one Options, got %d", len(opts))
	}
	var o Options
	if len(opts) == 1 {
		o = opts[0]
	}
	s := NewHandler(o)
	if err := s.listen(); err != nil {
		tb.Fatalf("calcomtest.New: listening: %v", err)
	}
	tb.Cleanup(s.Close)
	return s
}

// NewHandler makes a server that does not listen: mount it, or call ServeHTTP.
// Close ends what still hangs or sleeps in it.
func NewHandler(opts Options) *Server {
	s := &Server{
		opts:         opts.withDefaults(),
		clients:      map[string]*client{},
		users:        map[int64]*user{},
		index:        newIndex(),
		nextUser:     1,
		nextSchedule: 1,
		access:       map[string]*accessToken{},
		refresh:      map[string]*refreshToken{},
		tokensOf:     map[int64]issued{},
		tallies:      map[Tally]int{},
		buckets:      map[string]*bucket{},
	}
	s.ctx, s.cancel = context.WithCancel(context.Background()) //nolint:forbidigo // A test has no context that ends before its Cleanup runs.
	for _, c := range s.opts.Clients {
		s.AddClient(c)
	}
	return s
}

// listen serves on a free port of the loopback interface.
func (s *Server) listen() error {
	l, err := (&net.ListenConfig{}).Listen(s.ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.listener = l
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: time.Minute}
	s.handlers.Go(func() {
		if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			panic("calcomtest: serving: " + err.Error())
		}
	})
	return nil
}

// URL is the base URL of the API, "http://127.0.0.1:port/v2". It is empty for
// a server made by NewHandler.
func (s *Server) URL() string {
	if s.listener == nil {
		return ""
	}
	return "http://" + s.listener.Addr().String() + "/v2"
}

// Close stops listening, cuts every connection, ends every hanging or sleeping
// call and waits for them. State and call log stay readable. Calling it twice
// is allowed. A Sleep of the caller's own that ignores its context blocks it.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	s.cancel()
	s.mu.Unlock()
	if s.http != nil {
		_ = s.http.Close() // The listener may be closed already; nothing is left to do then.
	}
	s.handlers.Wait()
}

// enter registers a call with Close. It is false on a closed server.
func (s *Server) enter() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.handlers.Add(1)
	return true
}

// lock takes the lock and first performs the postponed effects that are due,
// so that nobody can see a state from before them.
func (s *Server) lock() {
	s.mu.Lock()
	s.settle()
}

// AddClient makes an OAuth client known, or replaces the one with its ID.
func (s *Server) AddClient(c OAuthClient) {
	if c.Organization == "" {
		c.Organization = defaultOrganization
	}
	s.lock()
	defer s.mu.Unlock()
	s.clients[c.ID] = &client{OAuthClient: c, created: s.opts.Now()}
}

// SetSecret changes a client's secret: the old one is refused from now on. It
// does nothing for an unknown client.
func (s *Server) SetSecret(clientID, secret string) {
	s.lock()
	defer s.mu.Unlock()
	if c, ok := s.clients[clientID]; ok {
		c.Secret = secret
	}
}

// RemoveClient forgets an OAuth client: every call to it is answered 401 from
// now on. Its users stay, as on the real server, and Users still shows them.
func (s *Server) RemoveClient(clientID string) {
	s.lock()
	defer s.mu.Unlock()
	delete(s.clients, clientID)
}

// SetDown stops the server answering (true) or lets it answer again (false).
// Every connection is cut while it is down.
func (s *Server) SetDown(down bool) {
	s.lock()
	defer s.mu.Unlock()
	s.down = down
}
