// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// ids are the users of a list.
func (r *reply) ids(tb testing.TB) []int {
	tb.Helper()
	var out struct{ Data []struct{ ID int } }
	if err := json.Unmarshal(r.body, &out); err != nil {
		tb.Fatalf("%v: %s", err, r.body)
	}
	ids := []int{}
	for _, u := range out.Data {
		ids = append(ids, u.ID)
	}
	return ids
}

// crowd is a server with alice, user 1, and n more users.
func crowd(t *testing.T, n int) *api {
	t.Helper()
	s := recordedState(t, calcomtest.Options{})
	for i := range n {
		s.AddUser(cid1, calcomtest.User{Email: fmt.Sprintf("u%d@example.com", i+2)})
	}
	return newAPI(t, s)
}

// numbers are the integers from first to last.
func numbersFrom(first, last int) []int {
	out := []int{}
	for i := first; i <= last; i++ {
		out = append(out, i)
	}
	return out
}

// TestListPages: no page shows more than 250 users, and no offset gets beyond
// 250.
func TestListPages(t *testing.T) {
	a := crowd(t, 599)
	tests := []struct {
		query string
		want  []int
	}{
		{"", numbersFrom(1, 50)},
		{"?limit=1", []int{1}},
		{"?limit=1&offset=1", []int{2}},
		{"?limit=250", numbersFrom(1, 250)},
		{"?limit=250&offset=250", numbersFrom(251, 500)},
		{"?foo=1&limit=1", []int{1}},
		{"?limit=2x", []int{1, 2}},
		{"?emails=u2@example.com,u3@example.com,u4@example.com&limit=1&offset=1", []int{3}},
	}
	for _, tt := range tests {
		r := a.call("GET", "."+tt.query, "")
		r.want(t, http.StatusOK)
		if got := r.ids(t); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: %v, want %v", tt.query, got, tt.want)
		}
	}
}

// TestListEmpty: no users are a list, not null.
func TestListEmpty(t *testing.T) {
	a := newAPI(t, calcomtest.New(t))
	if got := string(a.call("GET", ".", "").body); got != `{"status":"success","data":[]}` {
		t.Errorf("body %s", got)
	}
}

func TestListInvalid(t *testing.T) {
	a := crowd(t, 0)
	tests := map[string]string{
		"limit=0":     `[{"target":{"limit":0},"value":0,"property":"limit","children":[],"constraints":{"min":"limit must not be less than 1"}}]`,
		"limit=251":   `[{"target":{"limit":251},"value":251,"property":"limit","children":[],"constraints":{"max":"limit must not be greater than 250"}}]`,
		"limit=abc":   `[{"target":{"limit":null},"value":null,"property":"limit","children":[],"constraints":{"max":"limit must not be greater than 250","min":"limit must not be less than 1","isNumber":"limit must be a number conforming to the specified constraints"}}]`,
		"offset=-1":   `[{"target":{"offset":-1},"value":-1,"property":"offset","children":[],"constraints":{"min":"offset must not be less than 0"}}]`,
		"offset=5000": `[{"target":{"offset":5000},"value":5000,"property":"offset","children":[],"constraints":{"max":"offset must not be greater than 250"}}]`,
	}
	for query, want := range tests {
		r := a.call("GET", ".?"+query, "")
		r.want(t, http.StatusBadRequest, "BadRequestException", "Bad Request Exception")
		r.wantPart(t, `"path":"/v2/oauth-clients/`+cid1+`/users?`+query+`"`)
		r.wantPart(t, `"errors":`+want)
	}
}

// TestListByEmail: the filter is exact.
func TestListByEmail(t *testing.T) {
	s := recordedState(t, calcomtest.Options{})
	s.AddUser(cid1, calcomtest.User{Email: "u2@example.com"})
	s.AddUser(cid1, calcomtest.User{Email: "u3@example.com"})
	s.UpdateUser(cid1, 2, func(u *calcomtest.User) { u.Email = cid1 + "@example.com" })
	a := newAPI(t, s)
	tests := map[string][]int{
		"alice@example.com":                            {1},
		"alice%2B" + cid1 + "@example.com":             {1},
		cid1 + "@example.com":                          {2},
		"ALICE@EXAMPLE.COM":                            {},
		"alice@example.com,nobody@example.com":         {1},
		"u3@example.com,%20alice@example.com":          {1, 3},
		"u3@example.com&emails=alice@example.com":      {1, 3},
		"nope&emails=alice@example.com":                {1},
		strings.Repeat("l", 64) + "@example.com":       {},
		"alice@example.com,alice%40example.com,u@x.io": {1},
	}
	for query, want := range tests {
		r := a.call("GET", ".?emails="+query, "")
		r.want(t, http.StatusOK)
		if got := r.ids(t); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	invalid := map[string]string{
		"nope":                                   "nope",
		"":                                       "",
		"alice@example.com,":                     "",
		"alice+" + cid1 + "@example.com":         "alice " + cid1 + "@example.com",
		strings.Repeat("l", 65) + "@example.com": strings.Repeat("l", 65) + "@example.com",
		"a@b":                                    "a@b",
	}
	for query, name := range invalid {
		r := a.call("GET", ".?emails="+query, "")
		r.want(t, http.StatusBadRequest, "BadRequestException", "Invalid email "+name)
	}
}

// TestListOtherClient sees nothing of client 1.
func TestListOtherClient(t *testing.T) {
	a := crowd(t, 3).as("x-cal-client-id", cid2, "x-cal-secret-key", "test-secret-2")
	for _, query := range []string{"", "?emails=alice@example.com", "?emails=alice%2B" + cid1 + "@example.com"} {
		if got := a.call("GET", "/v2/oauth-clients/"+cid2+"/users"+query, "").ids(t); len(got) != 0 {
			t.Errorf("%q: %v, want none", query, got)
		}
	}
}
