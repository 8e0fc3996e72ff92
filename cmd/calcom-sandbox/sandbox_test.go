// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

func TestParse(t *testing.T) {
	usual := config{
		listen: "127.0.0.1:5555", clients: []calcomtest.OAuthClient{calcomtest.DefaultClient()},
		rateLimit: 500, timeScale: 1,
	}
	with := func(change func(*config)) config {
		c := usual
		change(&c)
		return c
	}
	tests := map[string]struct {
		args []string
		want config
	}{
		"nothing": {nil, usual},
		"all but clients": {
			[]string{"--listen=:0", "--inspect=:1", "--latency=20ms", "--rate-limit=0", "--time-scale=2.5", "--quiet"},
			config{listen: ":0", inspect: ":1", clients: usual.clients, latency: 20 * time.Millisecond, timeScale: 2.5, quiet: true},
		},
		"two clients take the place of the default one": {
			[]string{"--client", "id=a,secret=s=1", "--client", "secret=2,id=b,organization=7,defaultEventTypes=true"},
			with(func(c *config) {
				c.clients = []calcomtest.OAuthClient{
					{ID: "a", Secret: "s=1", Organization: "100"},
					{ID: "b", Secret: "2", Organization: "7", DefaultEventTypes: true},
				}
			}),
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := parse(tt.args, io.Discard)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

// TestParseErrors: each error names the flag and what to do.
func TestParseErrors(t *testing.T) {
	tests := []struct{ arg, flag, remedy string }{
		{"--listen=5555", "--listen", "host:port"},
		{"--inspect=5555", "--inspect", "host:port"},
		{"--latency=-1s", "--latency", "0 or more"},
		{"--latency=soon", "-latency", "--help"},
		{"--rate-limit=-1", "--rate-limit", "0 for no limit"},
		{"--time-scale=0", "--time-scale", "above 0"},
		{"--time-scale=-2", "--time-scale", "above 0"},
		{"--time-scale=NaN", "--time-scale", "above 0"},
		{"--time-scale=Inf", "--time-scale", "above 0"},
		{"--client=id=a", "-client", "both id=… and secret=…"},
		{"--client=a", "-client", "id=…,secret=…"},
		{"--client=id=a/b,secret=c", "-client", "path segment"},
		{"--client=id=a,secret=b,color=red", "-client", "unknown key"},
		{"--client=id=a,secret=b,defaultEventTypes=maybe", "-client", "true or false"},
		{"--nosuch", "-nosuch", "--help"},
		{"extra", "extra", "--help"},
	}
	for _, tt := range tests {
		t.Run(tt.arg, func(t *testing.T) {
			_, err := parse([]string{tt.arg}, io.Discard)
			if err == nil {
				t.Fatal("no error")
			}
			for _, part := range []string{tt.flag, tt.remedy} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q lacks %q", err, part)
				}
			}
		})
	}
	if _, err := parse([]string{"--client=id=a,secret=b", "--client=id=a,secret=c"}, io.Discard); err == nil {
		t.Error("no error for a client given twice")
	}
}

func TestHelp(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"--help"}, &out); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("error %v, want %v", err, flag.ErrHelp)
	}
	for _, part := range []string{"curl", "PATCH", "-listen", "-inspect", "-client", "-latency", "-rate-limit", "-time-scale", "-quiet"} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("help lacks %q", part)
		}
	}
}

func TestDescribe(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 49, 59, 0, time.UTC)
	tests := []struct {
		call calcomtest.Call
		want string
	}{
		{
			calcomtest.Call{Time: at, Method: "POST", Path: "/v2/x", Op: calcomtest.OpCreate, Status: 201, Effect: true, UserID: 7},
			"08:49:59.000 POST /v2/x 201 user 7 created",
		},
		{
			calcomtest.Call{Time: at, Method: "GET", Path: "/v2/a@b.c/d", Query: "emails=a@b.c&limit=1&e%40x=1", Op: calcomtest.OpList, Status: 200},
			"08:49:59.000 GET /v2/…/d?emails=…&limit=…&…=… 200 read",
		},
		{
			calcomtest.Call{Time: at, Method: "PATCH", Path: "/v2/x", Op: calcomtest.OpUpdate, Status: 200, UserID: 7},
			"08:49:59.000 PATCH /v2/x 200 user 7 as it was",
		},
		{
			calcomtest.Call{Time: at, Method: "POST", Path: "/v2/x", Op: calcomtest.OpRefresh, Status: 200, Effect: true},
			"08:49:59.000 POST /v2/x 200 tokens refreshed",
		},
		{calcomtest.Call{Time: at, Method: "GET", Path: "/", Status: 429}, "08:49:59.000 GET / 429 over the rate limit"},
		{calcomtest.Call{Time: at, Method: "GET", Path: "/", Status: 409}, "08:49:59.000 GET / 409 address or user name taken"},
		{calcomtest.Call{Time: at, Method: "GET", Path: "/", Status: 500}, "08:49:59.000 GET / 500 refused: internal server error"},
		{calcomtest.Call{Time: at, Method: "GET", Path: "/"}, "08:49:59.000 GET / - no answer"},
	}
	for _, tt := range tests {
		if got := describe(tt.call); got != tt.want {
			t.Errorf("got  %s\nwant %s", got, tt.want)
		}
	}
}

// sandbox is a run whose lines can be read one by one.
type sandbox struct {
	lines  *bufio.Scanner
	cancel context.CancelFunc
	done   chan error
}

func start(t *testing.T, args ...string) *sandbox {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	s := &sandbox{bufio.NewScanner(r), cancel, make(chan error, 1)}
	go func() {
		err := run(ctx, append([]string{"--listen=127.0.0.1:0"}, args...), w)
		_ = w.Close()
		s.done <- err
	}()
	return s
}

// next is the next line, empty when there is none any more.
func (s *sandbox) next() string {
	s.lines.Scan()
	return s.lines.Text()
}

// base reads the line with the URL.
func (s *sandbox) base() string {
	_, rest, _ := strings.Cut(s.next(), "http://")
	base, _, _ := strings.Cut(rest, " ")
	return "http://" + base
}

// stop ends the run and returns what it still printed.
func (s *sandbox) stop(t *testing.T) string {
	t.Helper()
	s.cancel()
	rest := ""
	for s.lines.Scan() {
		rest += s.lines.Text() + "\n"
	}
	if err := <-s.done; err != nil {
		t.Errorf("run: %v", err)
	}
	return rest
}

// TestRun listens, answers a call, prints its line and stops.
func TestRun(t *testing.T) {
	s := start(t)
	base := s.base()
	if line := s.next(); !strings.Contains(line, calcomtest.DefaultClient().Secret) {
		t.Errorf("line %q does not show the default client's secret", line)
	}
	line := make(chan string, 1)
	go func() { line <- s.next() }()
	status, header := post(t, base+"/oauth-clients/cltestclient0000000000001/users", `{"email": "a@example.com", "name": "A"}`)
	if status != http.StatusCreated {
		t.Errorf("status %d", status)
	}
	if got := header.Get("X-RateLimit-Remaining-Default"); got != "499" {
		t.Errorf("remaining %q, want 499", got)
	}
	if got := <-line; !strings.HasSuffix(got, "/users 201 user 1 created") || strings.Contains(got, "example.com") {
		t.Errorf("line %q", got)
	}
	s.stop(t)
}

// TestRunQuiet prints no line for a call.
func TestRunQuiet(t *testing.T) {
	s := start(t, "--quiet")
	base := s.base()
	_ = s.next()
	post(t, base+"/oauth-clients/cltestclient0000000000001/users", `{}`)
	if rest := s.stop(t); rest != "" {
		t.Errorf("printed %q", rest)
	}
}

// TestRunKeepsSecrets: a secret from the command line is not printed.
func TestRunKeepsSecrets(t *testing.T) {
	s := start(t, "--client=id=mine,secret=hidden")
	_ = s.base()
	if line := s.next(); !strings.Contains(line, "client mine, secret as given") || strings.Contains(line, "hidden") {
		t.Errorf("line %q", line)
	}
	s.stop(t)
}

// TestRunInspected: calls are counted at another address, which ends with the run.
func TestRunInspected(t *testing.T) {
	s := start(t, "--quiet", "--inspect=127.0.0.1:0")
	base := s.base()
	_ = s.next()
	inspection := s.base()
	post(t, base+"/oauth-clients/cltestclient0000000000001/users", `{"email": "a@example.com", "name": "A"}`)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, strings.TrimSuffix(inspection, ",")+"/calls", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if want := `[{"op":"create","status":201,"calls":1}]`; err != nil || string(body) != want {
		t.Errorf("calls are %s (%v), want %s", body, err, want)
	}
	s.stop(t)
}

// TestRunPortTaken: the error names the flag.
func TestRunPortTaken(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for flag, args := range map[string][]string{
		"--listen":  {"--listen", l.Addr().String()},
		"--inspect": {"--listen=127.0.0.1:0", "--inspect", l.Addr().String()},
	} {
		if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), flag) {
			t.Errorf("error %v, want one that names %s", err, flag)
		}
	}
}

// post sends a call of the default client and returns status and headers.
func post(t *testing.T, url, body string) (int, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	c := calcomtest.DefaultClient()
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("x-cal-secret-key", c.Secret)
	req.Header.Set("x-cal-client-id", c.ID)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode, resp.Header
}
