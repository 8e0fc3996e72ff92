// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// inspect sends a request to the inspector and returns status and body.
func inspect(t *testing.T, s *calcomtest.Server, method, path, body string) (status int, answer string) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	w := httptest.NewRecorder()
	s.Inspector().ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestInspector(t *testing.T) {
	s := recordedState(t, calcomtest.Options{RateLimit: 1, Latency: time.Nanosecond, ForgetCalls: true})
	a := newAPI(t, s)
	for range 2 {
		a.call(http.MethodGet, "/v2/oauth-clients/"+cid1+"/users/1", "")
	}
	if status, body := inspect(t, s, http.MethodGet, "/calls", ""); status != http.StatusOK ||
		body != `[{"op":"get","status":200,"calls":1},{"op":"get","status":429,"calls":1}]` {
		t.Errorf("calls: %d %s", status, body)
	}
	if len(s.Calls()) != 0 || s.Count(calcomtest.OpGet) != 2 {
		t.Errorf("%d calls are kept, %d counted; want 0 and 2", len(s.Calls()), s.Count(calcomtest.OpGet))
	}
	if status, body := inspect(t, s, http.MethodPatch, "/clients/"+cid1+"/users/1", `{"bio": "By hand", "email": "bob@example.com"}`); status != http.StatusOK {
		t.Errorf("a change: %d %s", status, body)
	}
	status, body := inspect(t, s, http.MethodGet, "/clients/"+cid1+"/users", "")
	var users []struct{ Email, Bio string }
	if err := json.Unmarshal([]byte(body), &users); err != nil || status != http.StatusOK {
		t.Fatalf("users: %d %v", status, err)
	}
	if len(users) != 1 || users[0].Email != "bob+"+cid1+"@example.com" || users[0].Bio != "By hand" {
		t.Errorf("users are %+v", users)
	}
	if got := s.Count(calcomtest.OpAny); got != 2 {
		t.Errorf("%d calls are counted after the inspection, want 2", got)
	}
	s.ResetCalls()
	if got := s.Tallies(); len(got) != 0 {
		t.Errorf("after ResetCalls there are %v", got)
	}
	refused := map[string]struct {
		path, body string
		want       int
	}{
		"NoJSON":       {"/clients/" + cid1 + "/users/1", `{`, http.StatusBadRequest},
		"NoObject":     {"/clients/" + cid1 + "/users/1", `[]`, http.StatusBadRequest},
		"BadValue":     {"/clients/" + cid1 + "/users/1", `{"timeFormat": 13}`, http.StatusBadRequest},
		"NoSuchUser":   {"/clients/" + cid1 + "/users/2", `{"bio": ""}`, http.StatusNotFound},
		"AnotherUser":  {"/clients/" + cid2 + "/users/1", `{"bio": ""}`, http.StatusNotFound},
		"NoNumber":     {"/clients/" + cid1 + "/users/me", `{"bio": ""}`, http.StatusNotFound},
		"NoSuchClient": {"/clients/nobody/users/1", `{"bio": ""}`, http.StatusNotFound},
	}
	for name, tc := range refused {
		t.Run(name, func(t *testing.T) {
			if status, body := inspect(t, s, http.MethodPatch, tc.path, tc.body); status != tc.want || body == "" {
				t.Errorf("answer is %d %q, want %d", status, body, tc.want)
			}
		})
	}
}

// Whoever changes address or name is found under the new ones, and the old ones are free.
func TestAddressesAndNamesAreFreed(t *testing.T) {
	s := calcomtest.New(t)
	mail := func(local string) string { return local + "@example.com" }
	first := s.AddUser(cid1, calcomtest.User{Email: mail("a")})
	s.UpdateUser(cid1, first.ID, func(u *calcomtest.User) { u.Email, u.Username = "b+"+cid1+"@example.com", new("b") })
	if _, ok := s.UserByEmail(cid1, mail("a")); ok {
		t.Error("the old address still finds the user")
	}
	if u, ok := s.UserByEmail(cid1, mail("b")); !ok || u.ID != first.ID {
		t.Error("the new address does not find the user")
	}
	second := s.AddUser(cid1, calcomtest.User{Email: mail("a")}) // Address and name are free again.
	s.UpdateUser(cid1, second.ID, func(u *calcomtest.User) { u.Email = "b+" + cid1 + "@example.com" })
	s.RemoveUser(cid1, first.ID)
	if u, ok := s.UserByEmail(cid1, mail("b")); !ok || u.ID != second.ID {
		t.Error("of two users with one address, the one that is left is not found")
	}
	s.RemoveUser(cid1, second.ID)
	got := s.AddUser(cid1, calcomtest.User{Email: mail("b"), Username: new("b")})
	if want := s.Users(cid1); len(want) != 1 || !reflect.DeepEqual(want[0], got) {
		t.Errorf("users are %+v, want just %+v", want, got)
	}
}

// With ten thousand users, a call takes no longer than with ten.
func BenchmarkCalls(b *testing.B) {
	const users = 10_000
	s := calcomtest.NewHandler(calcomtest.Options{ForgetCalls: true})
	b.Cleanup(s.Close)
	emails := make([]string, 0, users)
	for i := range users {
		emails = append(emails, "user-"+string(rune('a'+i%26))+"-"+time.Duration(i).String()+"@example.com")
		s.AddUser(cid1, calcomtest.User{Email: emails[i]})
	}
	serve := func(b *testing.B, want int, method, path, body string) {
		b.Helper()
		r := httptest.NewRequestWithContext(b.Context(), method, "/v2/oauth-clients/"+cid1+"/users"+path, strings.NewReader(body))
		r.Header.Set("X-Cal-Secret-Key", "test-secret-1")
		r.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code != want {
			b.Fatalf("answer is %d %s", w.Code, w.Body)
		}
	}
	b.Run("list 250", func(b *testing.B) {
		for b.Loop() {
			serve(b, http.StatusOK, http.MethodGet, "?limit=250&emails="+strings.Join(emails[:250], ","), "")
		}
	})
	b.Run("create and delete", func(b *testing.B) {
		for b.Loop() {
			serve(b, http.StatusCreated, http.MethodPost, "", `{"email": "new@example.com", "name": "New"}`)
			u, _ := s.UserByEmail(cid1, "new@example.com")
			s.RemoveUser(cid1, u.ID)
		}
	})
}
