// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const (
	testClientID  = "cltestclient0000000000001"
	testSecretKey = "canary-secret-key-4711"
)

// newClient returns a client for the API at a base URL.
func newClient(t *testing.T, baseURL string) *Client {
	t.Helper()
	transport := &http.Transport{MaxResponseHeaderBytes: 1 << 20}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := New(Config{
		BaseURL: baseURL, ClientID: testClientID, SecretKey: Hide(testSecretKey), UserAgent: "calcom-operator/test",
		Transport: transport,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// serve returns a client of a server with the handler.
func serve(t *testing.T, handler http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return newClient(t, server.URL)
}

// answering answers every call with the status and body.
func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body) // A client that hung up shows in the test.
	}
}

// sandbox starts a Cal.com that knows the test client.
func sandbox(t *testing.T) (*calcomtest.Server, *Client) {
	t.Helper()
	server := calcomtest.New(t, calcomtest.Options{
		Clients: []calcomtest.OAuthClient{{ID: testClientID, Secret: testSecretKey}},
	})
	return server, newClient(t, server.URL())
}

// asError returns err as the *Error that every failure is.
func asError(t *testing.T, err error) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got %T (%v), want *Error", err, err)
	}
	return e
}

// operations are all calls of the client, each with some arguments.
func operations() map[Operation]func(context.Context, *Client) error {
	return map[Operation]func(context.Context, *Client) error{
		OpCreate: func(ctx context.Context, c *Client) error {
			_, _, err := c.CreateUser(ctx, UserFields{Email: Hide(new("alice@example.com")), Name: Hide(new("Alice"))})
			return err
		},
		OpGet: func(ctx context.Context, c *Client) error {
			_, err := c.User(ctx, 7)
			return err
		},
		OpList: func(ctx context.Context, c *Client) error {
			_, err := c.UsersByEmail(ctx, "alice@example.com")
			return err
		},
		OpUpdate: func(ctx context.Context, c *Client) error {
			_, err := c.UpdateUser(ctx, 7, UserFields{Name: Hide(new("Alice"))})
			return err
		},
		OpDelete: func(ctx context.Context, c *Client) error {
			_, err := c.DeleteUser(ctx, 7)
			return err
		},
		OpRefresh: func(ctx context.Context, c *Client) error {
			_, err := c.Refresh(ctx, Hide("old"))
			return err
		},
		OpForceRefresh: func(ctx context.Context, c *Client) error {
			_, err := c.ForceRefresh(ctx, 7)
			return err
		},
	}
}

func TestNew(t *testing.T) {
	cases := map[string]struct {
		change func(*Config)
		want   string
	}{
		"Good":                   {func(*Config) {}, ""},
		"NoClientID":             {func(c *Config) { c.ClientID = "" }, "client id is empty"},
		"NoSecretKey":            {func(c *Config) { c.SecretKey = Hide("") }, "secret key is empty"},
		"LineBreakInClientID":    {func(c *Config) { c.ClientID = "canary\n" }, "client id holds"},
		"LineBreakInSecretKey":   {func(c *Config) { c.SecretKey = Hide("canary\n") }, "secret key has a line break"},
		"NulInSecretKey":         {func(c *Config) { c.SecretKey = Hide("can\x00ary") }, "secret key holds"},
		"DeleteInSecretKey":      {func(c *Config) { c.SecretKey = Hide("canary\x7f") }, "secret key holds"},
		"TabInSecretKey":         {func(c *Config) { c.SecretKey = Hide("a\tb") }, ""},
		"LineBreakInUserAgent":   {func(c *Config) { c.UserAgent = "canary\r\nX: y" }, "user agent holds"},
		"NoUserAgent":            {func(c *Config) { c.UserAgent = "" }, ""},
		"NoURL":                  {func(c *Config) { c.BaseURL = "" }, "must begin with"},
		"NoScheme":               {func(c *Config) { c.BaseURL = "canary.example.com/v2" }, "must begin with"},
		"OtherScheme":            {func(c *Config) { c.BaseURL = "ftp://canary" }, "must begin with"},
		"NoHost":                 {func(c *Config) { c.BaseURL = "https:///canary" }, "must begin with"},
		"PortAlone":              {func(c *Config) { c.BaseURL = "https://:443/canary" }, "must begin with"},
		"Opaque":                 {func(c *Config) { c.BaseURL = "https:canary" }, "must begin with"},
		"User":                   {func(c *Config) { c.BaseURL = "https://canary:canary@example.com" }, "no user"},
		"Query":                  {func(c *Config) { c.BaseURL = "https://example.com?canary" }, "no user"},
		"EmptyQuery":             {func(c *Config) { c.BaseURL = "https://example.com/v2?" }, "no user"},
		"Fragment":               {func(c *Config) { c.BaseURL = "https://example.com#canary" }, "no user"},
		"BadEscape":              {func(c *Config) { c.BaseURL = "https://example.com/%zzcanary" }, "cannot be parsed"},
		"ControlCharacter":       {func(c *Config) { c.BaseURL = "https://canary\n" }, "cannot be parsed"},
		"BackslashBeforeTheUser": {func(c *Config) { c.BaseURL = `https://canary\@example.com` }, "cannot be parsed"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			config := Config{BaseURL: "https://api.cal.com", ClientID: testClientID, SecretKey: Hide(testSecretKey), UserAgent: "test"}
			tc.change(&config)
			_, err := New(config)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("got error %v, want none", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got error %v, want one with %q", err, tc.want)
			case err != nil && strings.Contains(err.Error(), "canary"):
				t.Errorf("error shows a value: %v", err)
			}
		})
	}
}

// TestBaseURL asks for the address of a call as it would go over the wire.
func TestBaseURL(t *testing.T) {
	cases := map[string]struct{ base, want string }{
		"Bare":          {"https://api.cal.com", "https://api.cal.com/v2/"},
		"Slash":         {"https://api.cal.com/", "https://api.cal.com/v2/"},
		"V2":            {"https://api.cal.com/v2", "https://api.cal.com/v2/"},
		"V2Slash":       {"https://api.cal.com/v2/", "https://api.cal.com/v2/"},
		"ManySlashes":   {"https://api.cal.com/v2///", "https://api.cal.com/v2/"},
		"Prefix":        {"https://x.example.com/api", "https://x.example.com/api/v2/"},
		"PrefixSlash":   {"https://x.example.com/api/", "https://x.example.com/api/v2/"},
		"PrefixV2":      {"https://x.example.com/api/v2", "https://x.example.com/api/v2/"},
		"NotQuiteV2":    {"https://x.example.com/apiv2", "https://x.example.com/apiv2/v2/"},
		"V1":            {"https://x.example.com/v1", "https://x.example.com/v1/v2/"},
		"Port":          {"http://127.0.0.1:5555", "http://127.0.0.1:5555/v2/"},
		"IPv6":          {"http://[::1]:5555/v2", "http://[::1]:5555/v2/"},
		"UpperScheme":   {"HTTPS://api.cal.com", "https://api.cal.com/v2/"},
		"EscapedPrefix": {"https://x.example.com/a%2Fb%20c/", "https://x.example.com/a%2Fb%20c/v2/"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			c := newClient(t, tc.base)
			request, err := c.request(t.Context(), call{method: http.MethodGet, path: c.userPath(7)})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want+"oauth-clients/"+testClientID+"/users/7", request.URL.String()); d != "" {
				t.Errorf("URL (-want +got):\n%s", d)
			}
		})
	}
}

func TestPathElementsAreEscaped(t *testing.T) {
	c, err := New(Config{BaseURL: "https://api.cal.com", ClientID: "a/../b?c#d e%2F", SecretKey: Hide("s")})
	if err != nil {
		t.Fatal(err)
	}
	request, err := c.request(t.Context(), call{method: http.MethodGet, path: c.usersPath()})
	if err != nil {
		t.Fatal(err)
	}
	const want = "https://api.cal.com/v2/oauth-clients/a%2F..%2Fb%3Fc%23d%20e%252F/users"
	if d := cmp.Diff(want, request.URL.String()); d != "" {
		t.Errorf("URL (-want +got):\n%s", d)
	}
}

// TestNoRepeatedCall cuts calls on a fresh connection and on a reused one, where net/http is tempted to repeat.
func TestNoRepeatedCall(t *testing.T) {
	for name, warmUp := range map[string]bool{"FreshConnection": false, "ReusedConnection": true} {
		t.Run(name, func(t *testing.T) {
			for operation, send := range operations() {
				if operation == OpGet || operation == OpList {
					continue // Reading twice harms nobody.
				}
				t.Run(string(operation), func(t *testing.T) {
					var mu sync.Mutex
					var connections []string
					seen := 0
					c := serve(t, func(w http.ResponseWriter, r *http.Request) {
						mu.Lock()
						defer mu.Unlock()
						connections = append(connections, r.RemoteAddr)
						if r.Method == http.MethodGet {
							answering(http.StatusOK, `{"status":"success","data":{"id":7}}`)(w, r)
							return
						}
						seen++
						panic(http.ErrAbortHandler)
					})
					if warmUp {
						if _, err := c.User(t.Context(), 7); err != nil {
							t.Fatal(err)
						}
					}
					e := asError(t, send(t.Context(), c))
					if !e.OutcomeUnknown() || e.Status != 0 {
						t.Errorf("got %+v, want no answer and an unknown outcome", e)
					}
					mu.Lock()
					defer mu.Unlock()
					if seen != 1 {
						t.Errorf("the server saw the call %d times, want once", seen)
					}
					if warmUp && connections[0] != connections[1] {
						t.Errorf("the connection was not reused: %v", connections)
					}
				})
			}
		})
	}
}

// TestRedirectsAreNotFollowed also watches the host to which the redirect points.
func TestNoConnection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	baseURL := "http://" + listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	for operation, send := range operations() {
		t.Run(string(operation), func(t *testing.T) {
			e := asError(t, send(t.Context(), newClient(t, baseURL)))
			if !e.NotSent || e.OutcomeUnknown() || e.Status != 0 {
				t.Errorf("got %+v, want a call that was not sent", e)
			}
			want := string(operation) + ": dial: connect: connection refused"
			if d := cmp.Diff(want, e.Error()); d != "" {
				t.Errorf("text (-want +got):\n%s", d)
			}
		})
	}
}

func TestCertificateError(t *testing.T) {
	server := httptest.NewTLSServer(answering(http.StatusOK, ""))
	t.Cleanup(server.Close)
	_, _, err := newClient(t, server.URL).CreateUser(t.Context(), UserFields{Email: Hide(new("canary@example.com")), Name: Hide(new("Canary"))})
	e := asError(t, err)
	if !e.NotSent || e.OutcomeUnknown() {
		t.Error("a request that waits for a handshake counts as sent")
	}
	if !strings.Contains(e.Error(), "failed to verify certificate: x509: certificate signed by unknown authority") {
		t.Errorf("got %q, want the cause", e)
	}
	wantNoCanary(t, e)
}

func TestContext(t *testing.T) {
	cases := map[string]struct {
		context func(context.Context) (context.Context, context.CancelFunc)
		want    error
		text    string
	}{
		"Expired": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				return context.WithTimeout(ctx, 20*time.Millisecond)
			}, context.DeadlineExceeded, "no answer in time",
		},
		"ExpiredBefore": {
			func(ctx context.Context) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, -1) },
			context.DeadlineExceeded, "no answer in time",
		},
		"CancelledBefore": {
			func(ctx context.Context) (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(ctx)
				cancel()
				return ctx, cancel
			}, context.Canceled, "context canceled",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			for operation, send := range operations() {
				c := serve(t, func(_ http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body) // Only then does the server notice that the client has gone.
					<-r.Context().Done()
				})
				ctx, cancel := tc.context(t.Context())
				e := asError(t, send(ctx, c))
				cancel()
				if !errors.Is(e, tc.want) || !strings.Contains(e.Error(), tc.text) {
					t.Errorf("%s: got %v, want %v", operation, e, tc.want)
				}
				if !e.OutcomeUnknown() {
					t.Errorf("%s: the outcome counts as known", operation)
				}
			}
		})
	}
}

// TestContextDuringTheBody cancels while the answer is half read.
func TestContextDuringTheBody(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, `{"status":"success","data":{"id":`)
		_ = http.NewResponseController(w).Flush()
		cancel()
		<-r.Context().Done()
	})
	_, err := c.User(ctx, 7)
	if !errors.Is(err, context.Canceled) || !asError(t, err).OutcomeUnknown() {
		t.Errorf("got %v, want an unknown outcome of a cancelled call", err)
	}
}

func TestOnResponse(t *testing.T) {
	server, c := sandbox(t)
	server.AddUser(testClientID, calcomtest.User{Email: "alice@example.com"})
	var statuses []int
	c.onResponse = func(status int, limit RateLimit) {
		statuses = append(statuses, status)
		if !limit.Known || limit.Remaining <= 0 {
			t.Errorf("got limit %+v, want that of the server", limit)
		}
	}
	_, errOne := c.User(t.Context(), 1)
	_, errTwo := c.User(t.Context(), 2)
	if errOne != nil || !IsNotFound(errTwo) {
		t.Errorf("got %v and %v", errOne, errTwo)
	}
	server.SetDown(true)
	_, err := c.User(t.Context(), 1)
	if asError(t, err).Status != 0 {
		t.Errorf("got %v, want no answer", err)
	}
	if d := cmp.Diff([]int{200, 404}, statuses); d != "" {
		t.Errorf("statuses (-want +got):\n%s", d)
	}
}

// compactJSON returns a body in the form in which two can be compared.
func compactJSON(t *testing.T, body []byte) string {
	t.Helper()
	var compact bytes.Buffer
	if err := json.Compact(&compact, body); err != nil {
		t.Fatalf("%q: %v", body, err)
	}
	return compact.String()
}

// Every call that was made is told of, however it ended, and none that was not.
func TestOnDone(t *testing.T) {
	server, c := sandbox(t)
	server.AddUser(testClientID, calcomtest.User{Email: "alice@example.com"})
	clock := time.Unix(0, 0)
	c.now = func() time.Time {
		clock = clock.Add(time.Second)
		return clock
	}
	var done []string
	c.onDone = func(operation Operation, status int, took time.Duration) {
		done = append(done, fmt.Sprint(operation, " ", status, " ", took))
	}
	calls := []func() error{
		func() error { _, err := c.User(t.Context(), 1); return err },
		func() error { _, err := c.DeleteUser(t.Context(), 2); return err },
		func() error { _, err := c.UsersByEmail(t.Context()); return err }, // Not made.
		func() error {
			server.Inject(calcomtest.Fault{Op: calcomtest.OpList, Status: 200, Body: "<html>"})
			_, err := c.UsersByEmail(t.Context(), "alice@example.com")
			return err
		},
		func() error { server.SetDown(true); _, err := c.ForceRefresh(t.Context(), 1); return err },
	}
	for i, call := range calls {
		if err := call(); (err != nil) != (i > 0) {
			t.Errorf("call %d: %v", i, err)
		}
	}
	want := []string{"getting the user 200 1s", "deleting the user 404 1s", "listing users 200 1s", "force-refreshing tokens 0 1s"}
	if d := cmp.Diff(want, done); d != "" {
		t.Errorf("calls (-want +got):\n%s", d)
	}
}
