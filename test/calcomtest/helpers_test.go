// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const (
	cid1 = "cltestclient0000000000001"
	cid2 = "cltestclient0000000000002"
	cid9 = "cltestclient0000000000009"
)

// recordedState is the state in which the answers were recorded.
func recordedState(tb testing.TB, opts calcomtest.Options) *calcomtest.Server {
	tb.Helper()
	opts.Clients = []calcomtest.OAuthClient{
		calcomtest.DefaultClient(),
		{ID: cid2, Secret: "test-secret-2"},
		{ID: cid9, Secret: "test-secret-9", Organization: "900"},
	}
	s := calcomtest.New(tb, opts)
	s.AddUser(cid1, calcomtest.User{Email: "alice@example.com", Name: new("Alice"), TimeZone: "Europe/Rome"})
	return s
}

// clock is a time that tests move by hand.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock {
	return &clock{now: time.Date(2026, 11, 23, 8, 49, 59, 791e6, time.UTC)}
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// reply is an answer as a caller sees it.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// api sends calls to a server.
type api struct {
	tb     testing.TB
	base   string
	client *http.Client
	header http.Header
}

// newAPI calls as client 1, without keeping connections open.
func newAPI(tb testing.TB, s *calcomtest.Server) *api {
	tb.Helper()
	transport := &http.Transport{DisableKeepAlives: true}
	tb.Cleanup(transport.CloseIdleConnections)
	return &api{
		tb:     tb,
		base:   strings.TrimSuffix(s.URL(), "/v2"),
		client: &http.Client{Transport: transport},
		header: http.Header{"X-Cal-Secret-Key": {"test-secret-1"}, "X-Cal-Client-Id": {cid1}},
	}
}

// as is the same caller with other headers, given in pairs.
func (a *api) as(pairs ...string) *api {
	out := *a
	out.header = http.Header{}
	for i := 0; i < len(pairs); i += 2 {
		out.header.Set(pairs[i], pairs[i+1])
	}
	return &out
}

func (a *api) do(ctx context.Context, method, path, body string) (*reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	maps.Copy(req.Header, a.header)
	resp, err := a.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return &reply{resp.StatusCode, resp.Header, b}, err
}

// call sends to a path below client 1's users unless it starts with a slash.
func (a *api) call(method, path, body string) *reply {
	a.tb.Helper()
	r, err := a.do(a.tb.Context(), method, full(path), body)
	if err != nil {
		a.tb.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// lost sends a call whose answer must not come.
func (a *api) lost(method, path, body string) error {
	a.tb.Helper()
	r, err := a.do(a.tb.Context(), method, full(path), body)
	if err == nil {
		a.tb.Fatalf("%s %s was answered %d %s, want no answer", method, path, r.status, r.body)
	}
	return err
}

func full(path string) string {
	if strings.HasPrefix(path, "/") {
		return path
	}
	return "/v2/oauth-clients/" + cid1 + "/users" + strings.TrimPrefix(path, ".")
}

// created makes a user and returns its ID and tokens.
func (a *api) created(body string) (id int64, access, refresh string) {
	a.tb.Helper()
	r := a.call("POST", ".", body)
	if r.status != http.StatusCreated {
		a.tb.Fatalf("create %s: %d %s", body, r.status, r.body)
	}
	var out struct {
		Data struct {
			User                      struct{ ID int64 }
			AccessToken, RefreshToken string
		}
	}
	if err := json.Unmarshal(r.body, &out); err != nil {
		a.tb.Fatal(err)
	}
	return out.Data.User.ID, out.Data.AccessToken, out.Data.RefreshToken
}

// problem is the part of an error body that tests compare.
type problem struct {
	Code, Message string
	Details       json.RawMessage
}

func (r *reply) problem(tb testing.TB) problem {
	tb.Helper()
	var out struct{ Error problem }
	if err := json.Unmarshal(r.body, &out); err != nil {
		tb.Fatalf("body is no JSON: %v: %s", err, r.body)
	}
	return out.Error
}

// want checks status and, where given, error code and message.
func (r *reply) want(tb testing.TB, status int, codeAndMessage ...string) {
	tb.Helper()
	if r.status != status {
		tb.Fatalf("status %d, want %d: %.300s", r.status, status, r.body)
	}
	if len(codeAndMessage) == 2 {
		p := r.problem(tb)
		if got := []string{p.Code, p.Message}; got[0] != codeAndMessage[0] || got[1] != codeAndMessage[1] {
			tb.Errorf("error %q, want %q", got, codeAndMessage)
		}
	}
}

// wantPart checks that the body contains a piece of JSON, byte for byte.
func (r *reply) wantPart(tb testing.TB, part string) {
	tb.Helper()
	if !bytes.Contains(r.body, []byte(part)) {
		tb.Errorf("body\n%s\nlacks\n%s", r.body, part)
	}
}
