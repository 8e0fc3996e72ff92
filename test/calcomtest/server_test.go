// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"fmt"
	"net/http"
	"reflect"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// patience is how long a test waits for what must happen soon.
const patience = 10 * time.Second

// waitFor asks until the condition holds.
func waitFor(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !holds(); runtime.Gosched() {
		if time.Now().After(end) {
			tb.Fatalf("waited in vain for %s", what)
		}
	}
}

// TestInspection: tests see and change copies.
func TestInspection(t *testing.T) {
	clock := newClock()
	s := calcomtest.New(t, calcomtest.Options{Now: clock.Now})
	added := s.AddUser(cid1, calcomtest.User{
		Email: "a@example.com", Name: new("A"), TimeZone: "America/Port-au-Prince", Metadata: map[string]any{"n": 1, "l": []string{"x"}},
	})
	want := calcomtest.User{
		ID: 1, Email: "a+" + cid1 + "@example.com", Username: new("a-" + cid1 + "-example-com"), Name: new("A"),
		TimeZone: "America/Port-au-prince", WeekStart: "Sunday", CreatedDate: clock.Now(), TimeFormat: new(12),
		DefaultScheduleID: new(int64(1)), Metadata: map[string]any{"n": 1.0, "l": []any{"x"}},
	}
	if !reflect.DeepEqual(added, want) {
		t.Errorf("got  %+v\nwant %+v", added, want)
	}
	*added.Name, added.Metadata["n"] = "changed", "changed"
	got, ok := s.User(cid1, 1)
	if !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if byEmail, ok := s.UserByEmail(cid1, "a@example.com"); !ok || !reflect.DeepEqual(byEmail, want) {
		t.Errorf("by e-mail %+v", byEmail)
	}
	if !s.UpdateUser(cid1, 1, func(u *calcomtest.User) {
		u.ID, u.TimeFormat, u.Metadata, u.Email = 9, nil, map[string]any{"o": map[string]any{"b": 1, "a": nil}}, "as is"
	}) {
		t.Fatal("no user 1")
	}
	newAPI(t, s).call("GET", "./1", "").wantPart(t, `"email":"as is"`)
	newAPI(t, s).call("GET", "./1", "").wantPart(t, `"timeFormat":null`)
	newAPI(t, s).call("GET", "./1", "").wantPart(t, `"metadata":{"o":{"a":null,"b":1}}`)
	if s.UpdateUser(cid1, 2, nil) || s.RemoveUser(cid1, 2) || s.RemoveUser(cid2, 1) {
		t.Error("changed a user that is not there")
	}
	if !s.RemoveUser(cid1, 1) || len(s.Users(cid1)) != 0 {
		t.Error("user 1 is still there")
	}
	s.AddUser(cid1, calcomtest.User{ID: 2, Email: "b@example.com"})
	if id := s.AddUser(cid1, calcomtest.User{Email: "c@example.com"}).ID; id != 3 {
		t.Errorf("ID %d, want 3: 2 is taken", id)
	}
}

// TestUsernamesOfOrganizations: another organization can use a user name again.
func TestUsernamesOfOrganizations(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	s.AddUser(cid1, calcomtest.User{Email: "a@example.com", Username: new("b-" + cid9 + "-example-com")})
	s.AddUser(cid2, calcomtest.User{Email: "a@example.com", Username: new("b-" + cid1 + "-example-com")})
	newAPI(t, s).call("POST", ".", `{"email": "b@example.com", "name": "B"}`).want(t, 409, "CONFLICT", conflict)
	foreign := newAPI(t, s).as("x-cal-secret-key", "test-secret-9")
	foreign.call("POST", "/v2/oauth-clients/"+cid9+"/users", `{"email": "b@example.com", "name": "B"}`).want(t, 201)
}

// TestAddUserPanics where the test itself must be wrong.
func TestAddUserPanics(t *testing.T) {
	s := calcomtest.New(t)
	s.AddUser(cid1, calcomtest.User{Email: "a@example.com"})
	tests := map[string]func(){
		"unknown client": func() { s.AddUser("nosuch", calcomtest.User{Email: "b@example.com"}) },
		"ID":             func() { s.AddUser(cid1, calcomtest.User{ID: 1, Email: "b@example.com"}) },
		"e-mail":         func() { s.AddUser(cid1, calcomtest.User{Email: "a@example.com"}) },
		"user name":      func() { s.AddUser(cid1, calcomtest.User{Email: "A@example.com"}) },
	}
	for name, add := range tests {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			add()
		}()
	}
	if got := len(s.Users(cid1)); got != 1 {
		t.Errorf("%d users, want 1", got)
	}
}

// TestCallLog keeps what was sent, and Log sees the same.
func TestCallLog(t *testing.T) {
	clock := newClock()
	var mu sync.Mutex
	var logged []calcomtest.Call
	s := recordedState(t, calcomtest.Options{Now: clock.Now, Log: func(c calcomtest.Call) {
		mu.Lock()
		defer mu.Unlock()
		logged = append(logged, c)
	}})
	a := newAPI(t, s)
	a.call("POST", "./?x=1", newUser)
	a.call("DELETE", "./1", "")
	a.call("PUT", "./1", "")
	calls := s.Calls()
	if len(calls) != 3 || s.Count(calcomtest.OpAny) != 3 || s.Count(calcomtest.OpOther) != 1 || s.Count(calcomtest.OpGet) != 0 {
		t.Fatalf("calls %+v", calls)
	}
	c := calls[0]
	if got := c.Header.Get("X-Cal-Secret-Key"); got != "test-secret-1" {
		t.Errorf("secret %q in the log", got)
	}
	c.Header = nil
	want := calcomtest.Call{
		Time: clock.Now(), Op: calcomtest.OpCreate, Method: "POST", Path: "/v2/oauth-clients/" + cid1 + "/users/", Query: "x=1",
		ClientID: cid1, UserID: 2, Body: []byte(newUser), Status: 201, Effect: true,
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %+v\nwant %+v", c, want)
	}
	if c := calls[1]; c.Op != calcomtest.OpDelete || c.UserID != 1 || !c.Effect {
		t.Errorf("call %+v, want the delete of user 1", c)
	}
	mu.Lock()
	defer mu.Unlock()
	if !reflect.DeepEqual(logged, s.Calls()) {
		t.Errorf("logged %+v", logged)
	}
	s.ResetCalls()
	if got := s.Calls(); len(got) != 0 {
		t.Errorf("calls %+v after the reset", got)
	}
}

// TestHeaders that come with every answer.
func TestHeaders(t *testing.T) {
	a := newAPI(t, recordedState(t, calcomtest.Options{}))
	r := a.call("GET", "./1", "")
	r.call(t, true)
	want := map[string]string{
		"Access-Control-Allow-Origin": "*", "Referrer-Policy": "no-referrer", "X-Frame-Options": "SAMEORIGIN",
		"Strict-Transport-Security": "max-age=15552000; includeSubDomains", "Content-Length": fmt.Sprint(len(r.body)),
	}
	for name, value := range want {
		if got := r.header.Get(name); got != value {
			t.Errorf("%s: %q, want %q", name, got, value)
		}
	}
	if again := a.call("GET", "./1", ""); again.header.Get("X-Request-Id") == r.header.Get("X-Request-Id") {
		t.Error("the same request ID twice")
	}
	if got := r.header.Get("Etag"); !strings.HasPrefix(got, fmt.Sprintf(`W/"%x-`, len(r.body))) || len(got) != len(`W/"419-/2v/I/DBOn9OXz+bPVDxIocITRc"`) {
		t.Errorf("ETag %s", got)
	}
}

// TestConcurrentCreates: of many creates of one address one succeeds.
func TestConcurrentCreates(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	a := newAPI(t, s)
	var wg sync.WaitGroup
	status := make([]int, 10)
	for i := range status {
		wg.Go(func() {
			r, err := a.do(t.Context(), "POST", full("."), newUser)
			if err != nil {
				t.Error(err)
				return
			}
			status[i] = r.status
			s.Inject(calcomtest.Fault{Op: calcomtest.OpMe, Status: 500})
			_, _ = s.Users(cid1), s.Calls()
		})
	}
	wg.Wait()
	count := map[int]int{}
	for _, code := range status {
		count[code]++
	}
	if want := (map[int]int{http.StatusCreated: 1, http.StatusConflict: 9}); !reflect.DeepEqual(count, want) {
		t.Errorf("answers %v, want %v", count, want)
	}
}

// fakeTB records what New does with its test.
type fakeTB struct {
	cleanups []func()
	fatal    string
}

func (f *fakeTB) Helper()          {}
func (f *fakeTB) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }

func (f *fakeTB) Fatalf(format string, args ...any) { f.fatal = fmt.Sprintf(format, args...) }

// TestNewClosesItself and leaves no goroutine.
func TestNewClosesItself(t *testing.T) {
	before := runtime.NumGoroutine()
	tb := &fakeTB{}
	s := calcomtest.New(tb, calcomtest.Options{}, calcomtest.Options{})
	if !strings.Contains(tb.fatal, "at most one") {
		t.Errorf("two options: Fatalf %q", tb.fatal)
	}
	a := newAPI(t, s)
	kept := &http.Transport{}
	a.client = &http.Client{Transport: kept}
	a.call("GET", "/v2/nosuch", "").want(t, 404)
	for _, cleanup := range tb.cleanups {
		cleanup()
	}
	_ = a.lost("GET", "/v2/nosuch", "")
	kept.CloseIdleConnections()
	waitFor(t, "the goroutines to end", func() bool { return runtime.NumGoroutine() <= before })
}
