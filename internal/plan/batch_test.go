// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package plan

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

func sandboxClient(t *testing.T, sandbox *calcomtest.Server, secret string) *calcom.Client {
	t.Helper()
	c, err := calcom.New(calcom.Config{
		BaseURL: sandbox.URL(), ClientID: calcomtest.DefaultClient().ID, SecretKey: calcom.Hide(secret), UserAgent: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// After a call for each 250 addresses, who was found and who was not costs no other; an address that no list can hold,
// and a user that none has shown, cost one each.
func TestBatched(t *testing.T) {
	sandbox := calcomtest.New(t)
	account := Account{APIURL: sandbox.URL(), ClientID: calcomtest.DefaultClient().ID}
	var emails []string
	var ids []int64
	for i := range 300 {
		email := fmt.Sprintf("canary.%d@example.com", i)
		emails = append(emails, email, fmt.Sprintf("nobody.%d@example.com", i))
		ids = append(ids, sandbox.AddUser(account.ClientID, calcomtest.User{Email: email}).ID)
	}
	other := sandbox.AddUser(account.ClientID, calcomtest.User{Email: "other@example.com"}).ID
	b := NewBatched(sandboxClient(t, sandbox, calcomtest.DefaultClient().Secret), account)
	told := 0
	if err := b.Fetch(t.Context(), append(emails, `"odd"@example.com`), func(n int) { told += n }); err != nil {
		t.Fatal(err)
	}
	if told != 600 || sandbox.Count(calcomtest.OpAny) != 3 || len(b.Known()) != 300 {
		t.Errorf("%d addresses in %d calls show %d users", told, sandbox.Count(calcomtest.OpAny), len(b.Known()))
	}
	for i, id := range ids {
		user, err := b.User(t.Context(), id)
		rows, errList := b.UsersByEmail(t.Context(), emails[2*i], emails[2*i+1])
		if err != nil || errList != nil || user.ID != id || len(rows) != 1 || rows[0].ID != id {
			t.Fatalf("user %d: %v, %v, %v, %v", id, user.ID, err, rows, errList)
		}
	}
	if n := sandbox.Count(calcomtest.OpAny); n != 3 {
		t.Errorf("%d calls, want 3", n)
	}
	for range 2 {
		if user, err := b.User(t.Context(), other); err != nil || user.ID != other {
			t.Errorf("user %d: %v, %v", other, user.ID, err)
		}
	}
	if n := sandbox.Count(calcomtest.OpGet); n != 1 {
		t.Errorf("%d calls for a user that no list has shown, want 1", n)
	}
}

// A secret key that is refused is tried once; every question gets that answer.
func TestBatchedRefused(t *testing.T) {
	sandbox := calcomtest.New(t)
	b := NewBatched(sandboxClient(t, sandbox, "wrong"), Account{APIURL: sandbox.URL(), ClientID: calcomtest.DefaultClient().ID})
	if err := b.Fetch(t.Context(), []string{"a@example.com"}, func(int) {}); err != nil {
		t.Fatal(err)
	}
	_, errUser := b.User(t.Context(), 1)
	_, errList := b.UsersByEmail(t.Context(), "a@example.com")
	if !calcom.IsUnauthorized(errUser) || !calcom.IsUnauthorized(errList) || sandbox.Count(calcomtest.OpAny) != 1 {
		t.Errorf("%v, %v after %d calls", errUser, errList, sandbox.Count(calcomtest.OpAny))
	}
}

// A server that gives no answer is no answer: the plan fails, rather than foretell that the operator will not reach it
// either.
func TestBatchedUnavailable(t *testing.T) {
	sandbox := calcomtest.New(t)
	sandbox.SetDown(true)
	b := NewBatched(sandboxClient(t, sandbox, "x"), Account{APIURL: sandbox.URL(), ClientID: calcomtest.DefaultClient().ID})
	if err := b.Fetch(t.Context(), []string{"a@example.com"}, func(int) {}); err == nil {
		t.Error("a server that is down answers")
	}
}

// Usernames are made as the sandbox makes them, which does it as the recorded server did.
func TestUsername(t *testing.T) {
	for _, email := range []string{
		"ada@example.com", "ada_l@mail.example.com", "a.b-c@example.com", "a__b@x.y", "a'b!c@sub.domain.org", "a*b@example.com", "A.B@Example.com", "x-@example.com", "-x@example.com", "a#b@example.com", "a+tag@example.co.uk",
	} {
		sandbox := calcomtest.New(t)
		u := sandbox.AddUser(calcomtest.DefaultClient().ID, calcomtest.User{Email: email})
		if d := cmp.Diff(*u.Username, username(u.Email)); d != "" {
			t.Errorf("%s (-sandbox +got):\n%s", email, d)
		}
	}
	if got := username("ädä@example.com"); got != "" {
		t.Errorf("the username of an address beyond ASCII is %q; nobody knows", got)
	}
}
