// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

const newUser = `{"email": "new@example.com", "name": "New"}`

// TestFaultAnswers: what comes instead of the work, and whether the work was
// done.
func TestFaultAnswers(t *testing.T) {
	const envelope = `{"status":"error","timestamp":"2026-11-23T08:49:59.791Z","path":"/v2/oauth-clients/` + cid1 + `/users","error":`
	tests := []struct {
		name  string
		fault calcomtest.Fault
		want  int
		body  string
		made  bool
	}{
		{"500", calcomtest.Fault{Status: 500}, 500, envelope + `{"code":"INTERNAL_SERVER_ERROR","message":"There was an error, please try again later."}}`, false},
		{"500 after", calcomtest.Fault{Status: 500, After: true}, 500, envelope + `{"code":"INTERNAL_SERVER_ERROR","message":"There was an error, please try again later."}}`, true},
		{"503", calcomtest.Fault{Status: 503}, 503, envelope + `{"code":"ServiceUnavailableException","message":"Service Unavailable","details":{"message":"Service Unavailable","error":"Service Unavailable","statusCode":503}}}`, false},
		{"429", calcomtest.Fault{Status: 429}, 429, envelope + `{"code":"ThrottlerException","message":"CustomThrottlerGuard - Too many requests. Please try again later.","details":"CustomThrottlerGuard - Too many requests. Please try again later."}}`, false},
		{"409", calcomtest.Fault{Status: 409}, 409, envelope + `{"code":"CONFLICT","message":"` + conflict + `"}}`, false},
		{"413", calcomtest.Fault{Status: 413}, 413, `{"statusCode":413,"message":"request entity too large"}`, false},
		{"401", calcomtest.Fault{Status: 401}, 401, envelope + `{"code":"UnauthorizedException","message":"` + wrongSecret + `","details":{"message":"` + wrongSecret + `","error":"Unauthorized","statusCode":401}}}`, false},
		{"own body", calcomtest.Fault{Status: 502, Body: "<html>", ContentType: "text/html"}, 502, "<html>", false},
		{"other operation", calcomtest.Fault{Op: calcomtest.OpDelete, Status: 500}, 201, "", true},
		{"no match", calcomtest.Fault{Status: 500, Match: func(r *http.Request) bool { return r.Method == http.MethodGet }}, 201, "", true},
		{"half made", calcomtest.Fault{StopAfter: calcomtest.StepInsert}, 500, envelope + `{"code":"INTERNAL_SERVER_ERROR","message":"There was an error, please try again later."}}`, false},
		{"no content", calcomtest.Fault{Status: 204}, 204, "", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := recordedState(t, calcomtest.Options{Now: newClock().Now})
			s.Inject(tt.fault)
			r := newAPI(t, s).call("POST", ".", newUser)
			r.want(t, tt.want)
			if tt.body != "" && string(r.body) != tt.body {
				t.Errorf("got  %s\nwant %s", r.body, tt.body)
			}
			if _, made := s.UserByEmail(cid1, "new@example.com"); made != tt.made {
				t.Errorf("made: %v, want %v", made, tt.made)
			}
			call := s.Calls()[0]
			if effect := tt.made || tt.fault.StopAfter != 0; call.Effect != effect || call.Status != tt.want {
				t.Errorf("logged effect %v and status %d, want %v and %d", call.Effect, call.Status, effect, tt.want)
			}
		})
	}
}

// TestFaultHeadersOfAScaledServer: a 429 shows a block that is as short as the server's windows.
func TestFaultHeadersOfAScaledServer(t *testing.T) {
	s := recordedState(t, calcomtest.Options{TimeScale: 30})
	s.Inject(calcomtest.Fault{Status: 429}, calcomtest.Fault{Status: 500})
	a := newAPI(t, s)
	a.wantShown("Too Many Requests", "1000000", "0", "2")
	a.wantShown("Internal Server Error", "1000000", "999999", "2")
}

// TestFaultHeaders: a 429 shows an empty bucket, and a fault's headers win.
func TestFaultHeaders(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	a := newAPI(t, s)
	s.Inject(
		calcomtest.Fault{Status: 429},
		calcomtest.Fault{Status: 429, Header: http.Header{"retry-after": {"7"}, "X-RateLimit-Reset-Default": {"30"}, "X-Request-Id": nil}},
		calcomtest.Fault{Header: http.Header{"X-More": {"1"}}},
	)
	a.wantShown("Too Many Requests", "1000000", "0", "60")
	r := a.call("GET", "./1", "")
	if got := []string{r.header.Get("Retry-After"), r.header.Get("X-RateLimit-Reset-Default"), r.header.Get("X-Request-Id")}; !reflect.DeepEqual(got, []string{"7", "30", ""}) {
		t.Errorf("headers %q", got)
	}
	r = a.call("GET", "./1", "")
	r.want(t, 200)
	if got := r.header.Get("X-More"); got != "1" {
		t.Errorf("X-More %q, want 1", got)
	}
}

// TestFaultTimes: strikes are counted, in the order of injection.
func TestFaultTimes(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	a := newAPI(t, s)
	s.Inject(
		calcomtest.Fault{Op: calcomtest.OpGet, Status: 500, Times: 2},
		calcomtest.Fault{Op: calcomtest.OpAny, Status: 503},
		calcomtest.Fault{Op: calcomtest.OpList, Status: 504, Times: -1},
	)
	var got []int
	for _, path := range []string{"./1", ".", "./1", "./1", ".", "."} {
		got = append(got, a.call("GET", path, "").status)
	}
	if want := []int{500, 503, 500, 200, 504, 504}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	s.ClearFaults()
	a.call("GET", ".", "").want(t, 200)
}

// TestFaultMatch: the condition can read the body and look at the server.
func TestFaultMatch(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	a := newAPI(t, s)
	s.Inject(calcomtest.Fault{Status: 500, Times: -1, Match: func(r *http.Request) bool {
		b, err := io.ReadAll(r.Body)
		return err == nil && bytes.Contains(b, []byte("new@")) && len(s.Users(cid1)) == 1
	}})
	a.call("POST", ".", `{"email": "other@example.com"}`).want(t, 400)
	a.call("POST", ".", newUser).want(t, 500)
	a.created(`{"email": "other@example.com", "name": "O"}`)
	a.call("POST", ".", newUser).want(t, 201)
}

// TestLostAnswers: the caller gets nothing, once per call.
func TestLostAnswers(t *testing.T) {
	tests := []struct {
		name  string
		fault calcomtest.Fault
		made  bool
		sent  int
	}{
		{"cut before", calcomtest.Fault{Cut: true}, false, 0},
		{"cut after", calcomtest.Fault{Cut: true, After: true}, true, 0},
		{"cut body", calcomtest.Fault{CutBody: true}, true, 201},
		{"cut body of a refusal", calcomtest.Fault{CutBody: true, Status: 500}, false, 500},
		{"half made and cut", calcomtest.Fault{StopAfter: calcomtest.StepInsert, Cut: true}, false, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := recordedState(t, calcomtest.Options{})
			s.Inject(tt.fault)
			err := newAPI(t, s).lost("POST", ".", newUser)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("error %v, want %v", err, io.ErrUnexpectedEOF)
			}
			if _, made := s.UserByEmail(cid1, "new@example.com"); made != tt.made {
				t.Errorf("made: %v, want %v", made, tt.made)
			}
			calls := s.Calls()
			if len(calls) != 1 || calls[0].Status != tt.sent {
				t.Errorf("calls %+v, want one with status %d", calls, tt.sent)
			}
		})
	}
}

// TestCutIsNotRepeated: net/http repeats a GET by itself when a connection that
// it kept ends without a byte; here a fault hits one call only.
func TestCutIsNotRepeated(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	a := newAPI(t, s)
	kept := &http.Transport{}
	t.Cleanup(kept.CloseIdleConnections)
	a.client = &http.Client{Transport: kept}
	a.call("GET", "./1", "").want(t, 200)
	s.Inject(calcomtest.Fault{Cut: true})
	_ = a.lost("GET", "./1", "")
	a.call("GET", "./1", "").want(t, 200)
	if got := s.Count(calcomtest.OpGet); got != 3 {
		t.Errorf("%d calls, want 3", got)
	}
}

// TestHang ends when the caller gives up, and when the server closes.
func TestHang(t *testing.T) {
	for _, after := range []bool{false, true} {
		s := recordedState(t, calcomtest.Options{})
		a := newAPI(t, s)
		s.Inject(calcomtest.Fault{Hang: true, After: after, Times: 2})
		ctx, cancel := context.WithCancel(t.Context())
		first := hanging(ctx, a)
		waitFor(t, "the call", func() bool { return s.Count(calcomtest.OpCreate) == 1 })
		if _, made := s.UserByEmail(cid1, "new@example.com"); made != after {
			t.Errorf("after %v: made: %v", after, made)
		}
		cancel()
		if err := <-first; !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want %v", err, context.Canceled)
		}
		second := hanging(t.Context(), a)
		waitFor(t, "the second call", func() bool { return s.Count(calcomtest.OpCreate) == 2 })
		s.Close()
		if err := <-second; err == nil {
			t.Error("answered although it hangs")
		}
	}
}

// hanging sends a create from another goroutine.
func hanging(ctx context.Context, a *api) <-chan error {
	out := make(chan error, 1)
	go func() {
		_, err := a.do(ctx, "POST", full("."), newUser)
		out <- err
	}()
	return out
}

// TestDelay goes through Sleep, and the work is done although the caller gave
// up meanwhile.
func TestDelay(t *testing.T) {
	slept := make(chan time.Duration)
	wake := make(chan struct{})
	s := recordedState(t, calcomtest.Options{
		Latency: time.Second,
		Sleep: func(ctx context.Context, d time.Duration) {
			select {
			case slept <- d:
				<-wake
			case <-ctx.Done():
			}
		},
	})
	a := newAPI(t, s)
	s.Inject(calcomtest.Fault{Delay: 3 * time.Second})
	ctx, cancel := context.WithCancel(t.Context())
	done := hanging(ctx, a)
	if got := <-slept; got != 4*time.Second {
		t.Errorf("slept %v, want 4s", got)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if got := len(s.Users(cid1)); got != 1 {
		t.Errorf("%d users while it sleeps, want 1", got)
	}
	wake <- struct{}{}
	waitFor(t, "the effect", func() bool { return len(s.Users(cid1)) == 2 })

	// What sleeps when the server closes is not done.
	s.RemoveUser(cid1, 2)
	_ = hanging(t.Context(), a)
	if got := <-slept; got != time.Second {
		t.Errorf("slept %v, want 1s", got)
	}
	before := len(s.Users(cid1))
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		s.Close()
	}()
	waitFor(t, "the server to close", func() bool { return refusesInProcess(t, s) })
	wake <- struct{}{}
	<-closed
	if got := len(s.Users(cid1)); got != before {
		t.Errorf("%d users, want %d", got, before)
	}
}

// TestDelayedTime: the work happens at the time after the wait.
func TestDelayedTime(t *testing.T) {
	clock := newClock()
	s := recordedState(t, calcomtest.Options{Now: clock.Now, Sleep: func(_ context.Context, d time.Duration) { clock.advance(d) }})
	s.Inject(calcomtest.Fault{Delay: time.Minute})
	newAPI(t, s).created(newUser)
	u, _ := s.UserByEmail(cid1, "new@example.com")
	if want := newClock().Now().Add(time.Minute); !u.CreatedDate.Equal(want) {
		t.Errorf("created %v, want %v", u.CreatedDate, want)
	}
	if got := s.Calls()[0].Time; !got.Equal(newClock().Now()) {
		t.Errorf("logged at %v, want the arrival", got)
	}
}

// refusesInProcess tells whether the server is closed: only then a call that
// would sleep comes back.
func refusesInProcess(tb testing.TB, s *calcomtest.Server) bool {
	tb.Helper()
	return serveInProcess(tb, s) == any(http.ErrAbortHandler)
}

// TestEffectDelay: the effect comes when its time has come, whoever looks.
func TestEffectDelay(t *testing.T) {
	clock := newClock()
	s := recordedState(t, calcomtest.Options{Now: clock.Now})
	a := newAPI(t, s)
	s.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true, EffectDelay: time.Minute})
	_ = a.lost("POST", ".", newUser)
	clock.advance(time.Minute - 1)
	if got := a.call("GET", ".?emails=new@example.com", "").ids(t); len(got) != 0 {
		t.Errorf("listed as %v before its time", got)
	}
	if s.Calls()[0].Effect {
		t.Error("logged effect before its time")
	}
	clock.advance(1)
	if got := a.call("GET", ".?emails=new@example.com", "").ids(t); !reflect.DeepEqual(got, []int{2}) {
		t.Errorf("listed as %v, want 2", got)
	}
	if c := s.Calls()[0]; !c.Effect || c.UserID != 2 || c.Status != 0 {
		t.Errorf("call %+v, want effect on user 2 and no answer", c)
	}
	u, ok := s.User(cid1, 2)
	if want := newClock().Now().Add(time.Minute); !ok || !u.CreatedDate.Equal(want) {
		t.Errorf("created %v, want %v", u.CreatedDate, want)
	}
	a.call("POST", ".", newUser).want(t, 409)
}

// TestEffectDelayOrder: effects come in the order of their time, and a create
// that was overtaken is refused.
func TestEffectDelayOrder(t *testing.T) {
	clock := newClock()
	s := recordedState(t, calcomtest.Options{Now: clock.Now})
	a := newAPI(t, s)
	s.Inject(
		calcomtest.Fault{Status: 504, After: true, EffectDelay: 2 * time.Minute},
		calcomtest.Fault{Status: 504, After: true, EffectDelay: time.Minute},
		calcomtest.Fault{Status: 504, After: true, EffectDelay: 3 * time.Minute},
	)
	a.call("PATCH", "./1", `{"name": "second"}`).want(t, 504)
	a.call("PATCH", "./1", `{"name": "first"}`).want(t, 504)
	a.call("POST", ".", newUser).want(t, 504)
	a.created(newUser)
	clock.advance(time.Hour)
	if u, _ := s.User(cid1, 1); *u.Name != "second" {
		t.Errorf("name %q, want second", *u.Name)
	}
	if got := effects(s, calcomtest.OpCreate); !reflect.DeepEqual(got, []bool{false, true}) {
		t.Errorf("effects %v, want the second create only", got)
	}
	if got := effects(s, calcomtest.OpUpdate); !reflect.DeepEqual(got, []bool{true, true}) {
		t.Errorf("effects %v, want both patches", got)
	}
}

// TestHalfMade: the conflict names a user that nothing else sees.
func TestHalfMade(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	a := newAPI(t, s)
	s.Inject(calcomtest.Fault{StopAfter: calcomtest.StepInsert})
	a.call("GET", "./1", "").want(t, 200)
	a.call("POST", ".", `{"email": "alice@example.com", "name": "A"}`).want(t, 409)
	s.Inject(calcomtest.Fault{StopAfter: calcomtest.StepInsert})
	a.call("POST", ".", newUser).want(t, 500)
	if id := s.AddHalfMadeUser(cid1, "half@example.com"); id != 3 {
		t.Errorf("ID %d, want 3", id)
	}
	for email, id := range map[string]string{"new@example.com": "2", "half@example.com": "3"} {
		a.call("POST", ".", `{"email": "`+email+`", "name": "N"}`).
			want(t, 409, "ConflictException", "User with the provided e-mail already exists. Existing user ID="+id)
		for _, method := range []string{"GET", "DELETE"} {
			a.call(method, "./"+id, "").want(t, 404, "NotFoundException", "User with ID "+id+" is not part of this OAuth client.")
		}
		a.call("PATCH", "./"+id, `{}`).want(t, 404)
		if got := a.call("GET", ".?emails="+email, "").ids(t); len(got) != 0 {
			t.Errorf("listed as %v", got)
		}
		if _, ok := s.UserByEmail(cid1, email); ok {
			t.Errorf("%s is seen", email)
		}
	}
}

// TestDown cuts every connection.
func TestDown(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	a := newAPI(t, s)
	s.SetDown(true)
	for range 2 {
		_ = a.lost("POST", ".", newUser)
	}
	if got := s.Calls(); len(got) != 2 || got[0].Status != 0 || got[0].Effect {
		t.Errorf("calls %+v, want two without answer and effect", got)
	}
	s.SetDown(false)
	a.call("POST", ".", newUser).want(t, 201)
}

// TestInProcess: without a connection a cut aborts the handler.
func TestInProcess(t *testing.T) {
	s := calcomtest.NewHandler(calcomtest.Options{})
	if got := s.URL(); got != "" {
		t.Errorf("URL %q, want none", got)
	}
	for _, f := range []calcomtest.Fault{{Cut: true}, {CutBody: true}} {
		s.Inject(f)
		if got := serveInProcess(t, s); got != any(http.ErrAbortHandler) {
			t.Errorf("%+v: panic %v, want %v", f, got, http.ErrAbortHandler)
		}
	}
	if got := serveInProcess(t, s); got != nil {
		t.Errorf("panic %v", got)
	}
	s.Inject(calcomtest.Fault{Hang: true})
	hung := make(chan any, 1)
	go func() { hung <- serveInProcess(t, s) }()
	waitFor(t, "the call", func() bool { return s.Count(calcomtest.OpAny) == 4 })
	s.Close()
	if got := <-hung; got != any(http.ErrAbortHandler) {
		t.Errorf("hang: panic %v, want %v", got, http.ErrAbortHandler)
	}
	s.Close()
	if got := serveInProcess(t, s); got != any(http.ErrAbortHandler) {
		t.Errorf("closed: panic %v, want %v", got, http.ErrAbortHandler)
	}
}

func serveInProcess(tb testing.TB, s *calcomtest.Server) (panicked any) {
	tb.Helper()
	defer func() { panicked = recover() }()
	s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(tb.Context(), http.MethodGet, "/v2/me", strings.NewReader("")))
	return nil
}
