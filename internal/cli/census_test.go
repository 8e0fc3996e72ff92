// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// Addresses come as lists and as tables, with and without a heading.
func TestAddresses(t *testing.T) {
	id := calcomtest.DefaultClient().ID
	in := "E-Mail;Name\r\n\"a@example.com\";Alice\n\n# who left: x@example.com\nb#1@example.com # a comment\nc@example.com\tC\n  'd@example.com' , D\nc@example.com\ne+" + id + "@example.com\n"
	s := &session{IOStreams: genericiooptions.IOStreams{In: strings.NewReader(in)}}
	got, err := s.addresses(t.Context(), "-", id)
	want := []line{{2, "a@example.com"}, {5, "b#1@example.com"}, {6, "c@example.com"}, {7, "d@example.com"}, {9, "e@example.com"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(line{})); d != "" || err != nil {
		t.Errorf("%v\n%s", err, d)
	}
	for words, in := range map[string]string{"line 2 of the addresses": "a@example.com\nb@localhost\n", "there are no addresses": "\n# nobody\n"} {
		s.In = strings.NewReader(in)
		if _, err := s.addresses(t.Context(), "-", id); err == nil || !strings.Contains(err.Error(), words) || strings.Contains(err.Error(), "b@") {
			t.Errorf("of %q: %v", in, err)
		}
	}
}

// The list shows 500 at most: a census of fewer is complete, and says so; one of more is not.
func TestReadAll(t *testing.T) {
	for users, tc := range map[int]struct {
		calls, read int
		complete    bool
	}{0: {1, 0, true}, 249: {1, 249, true}, 250: {2, 250, true}, 499: {2, 499, true}, 500: {2, 500, false}, 501: {2, 500, false}} {
		t.Run(fmt.Sprint(users), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sandbox := calcomtest.NewHandler(calcomtest.Options{})
				defer sandbox.Close()
				for i := range users {
					sandbox.AddUser(calcomtest.DefaultClient().ID, calcomtest.User{Email: fmt.Sprintf("u%d@example.com", i)})
				}
				c, err := readAll(t.Context(), testAccount(t, sandbox, 1))
				if err != nil || c.calls != tc.calls || len(c.users) != tc.read || c.complete != tc.complete {
					t.Errorf("%d users in %d calls, complete: %v, %v; want %+v", len(c.users), c.calls, c.complete, err, tc)
				}
			})
		})
	}
}

// Users are asked for by as many addresses as a call takes; who wrote capitals where Cal.com has none finds the user
// all the same.
func TestReadByEmail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sandbox := calcomtest.NewHandler(calcomtest.Options{})
		defer sandbox.Close()
		var lines []line
		for i := range 300 {
			email := fmt.Sprintf("u%d@example.com", i)
			sandbox.AddUser(calcomtest.DefaultClient().ID, calcomtest.User{Email: email})
			lines = append(lines, line{i, email})
		}
		lines = append(lines, line{300, "nobody@example.com"}, line{301, "U7@Example.com"}, line{302, "No.Body@example.com"})
		seen := 0
		c, err := readByEmail(t.Context(), testAccount(t, sandbox, 1), lines, func(n int) { seen += n })
		want := []line{{300, "nobody@example.com"}, {302, "no.body@example.com"}}
		if d := cmp.Diff(want, c.unknown, cmp.AllowUnexported(line{})); d != "" || err != nil || len(c.users) != 300 || seen != len(lines) || c.calls != 3 {
			t.Errorf("%d users in %d calls, %d seen, %v\n%s", len(c.users), c.calls, seen, err, d)
		}
		for _, call := range sandbox.Calls() {
			if len(call.Path)+len(call.Query) > 7<<10 || call.Op != calcomtest.OpList {
				t.Errorf("a call of %d bytes: %s", len(call.Query), call.Op)
			}
		}
	})
}

// What an answer loses on the way is asked for again.
func TestReadAllThroughTrouble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sandbox := calcomtest.NewHandler(calcomtest.Options{RateLimit: 10})
		defer sandbox.Close()
		sandbox.AddUser(calcomtest.DefaultClient().ID, calcomtest.User{Email: "alice@example.com"})
		sandbox.Inject(calcomtest.Fault{Status: 503}, calcomtest.Fault{Status: 429})
		c, err := readAll(t.Context(), testAccount(t, sandbox, 0.5))
		if err != nil || len(c.users) != 1 || !c.complete {
			t.Errorf("%+v, %v", c, err)
		}
		sandbox.Inject(calcomtest.Fault{Status: 401})
		if _, err := readAll(t.Context(), testAccount(t, sandbox, 0.5)); !calcom.IsUnauthorized(err) {
			t.Errorf("a refused key ends with %v", err)
		}
	})
}
