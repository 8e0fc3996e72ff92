// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// fuzzClient is a client of a server that gives one answer to everything.
func fuzzClient(status int, header, body string) *Client {
	c := &Client{
		clientID: testClientID, secretKey: Hide(testSecretKey), base: &url.URL{Scheme: "http", Host: "x"}, timeout: callTimeout,
	}
	c.http.Transport = roundTrip(func(*http.Request) *http.Response {
		return reply(status, body, http.Header{"X-Request-Id": {header}, "Retry-After": {header}, "Location": {header}})
	})
	c.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// fuzzCalls are the calls with an answer that can be checked: each returns the users that it got.
func fuzzCalls() map[Operation]func(context.Context, *Client) ([]User, error) {
	const email, name = "alice.zanzibar@example.com", "Zanzibar Quux"
	one := func(user User, err error) ([]User, error) { return []User{user}, err }
	tokens := func(_ Tokens, err error) ([]User, error) { return nil, err }
	return map[Operation]func(context.Context, *Client) ([]User, error){
		OpCreate: func(ctx context.Context, c *Client) ([]User, error) {
			user, _, err := c.CreateUser(ctx, UserFields{
				Email: Hide(new(email)), Name: Hide(new(name)), Metadata: Hide(Metadata{"k": json.RawMessage(`["zanzibar value"]`)}),
			})
			return []User{user}, err
		},
		OpGet: func(ctx context.Context, c *Client) ([]User, error) { return one(c.User(ctx, 7)) },
		OpList: func(ctx context.Context, c *Client) ([]User, error) {
			return c.UsersByEmail(ctx, email, "other.zanzibar@example.com")
		},
		OpUpdate: func(ctx context.Context, c *Client) ([]User, error) {
			return one(c.UpdateUser(ctx, 7, UserFields{Email: Hide(new(email)), Bio: Hide(new(name))}))
		},
		OpDelete: func(ctx context.Context, c *Client) ([]User, error) { return one(c.DeleteUser(ctx, 7)) },
		OpRefresh: func(ctx context.Context, c *Client) ([]User, error) {
			return tokens(c.Refresh(ctx, Hide("zanzibar-token")))
		},
		OpForceRefresh: func(ctx context.Context, c *Client) ([]User, error) { return tokens(c.ForceRefresh(ctx, 7)) },
	}
}

// FuzzAnswers gives any answer to every call. What comes back is a user that fits the call, or an error that shows
// nothing of the request, says nothing that the status does not say, and knows whether the outcome is known.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []struct {
		status       int
		header, body string
	}{
		{200, "6ab100ae", `{"status":"success","data":{"id":7,"email":"a@b.c","metadata":{"k":[1,{}]}}}`},
		{201, "", `{"status":"success","data":{"user":{"id":7,"email":"alice.zanzibar@example.com"},"accessToken":"a","refreshToken":"r"}}`},
		{200, "", `{"status":"success","data":[{"id":1,"email":"alice.zanzibar@example.com"}]}`},
		{200, "", `{"status":"success","data":null}`},
		{200, "", `{"data":`},
		{400, "x", `{"error":{"code":"X","message":"m","details":{"errors":[{"property":"p","constraints":{"r":"Zanzibar Quux is no name"}}]}}}`},
		{409, "", `{"error":{"code":"C","message":"Existing user ID=7"}}`},
		{413, testSecretKey, `{"statusCode":413,"message":"alice.zanzibar@example.com canary-secret-key-4711"}`},
		{404, "a\nb", `{"message":"Cannot GET /v2/zanzibar value"}`},
		{302, "http://[", `zanzibar-token`},
		{500, "NaN", `<html>`},
	} {
		f.Add(seed.status, seed.header, seed.body)
	}
	calls := fuzzCalls()
	f.Fuzz(func(t *testing.T, status int, header, body string) {
		if status < 100 || status > 999 {
			return // net/http hands out no other.
		}
		for _, operation := range slices.Sorted(maps.Keys(calls)) {
			users, err := calls[operation](t.Context(), fuzzClient(status, header, body))
			if err == nil {
				wantFits(t, operation, status, users)
				continue
			}
			e := asError(t, err)
			if e.Status != status && e.Status != 0 && (!e.Unreadable || status/100 != 2) {
				t.Errorf("status %d became %d", status, e.Status)
			}
			if e.Unreadable && status/100 != 2 || len(e.Constraints) > 10 || e.RetryAfter < 0 || e.RetryAfter > maxReset {
				t.Errorf("got %+v", e)
			}
			if refused := status >= 400 && status < 500 && status != 408 && status != 425; e.OutcomeUnknown() == refused {
				t.Errorf("status %d: the outcome counts as known: %t", status, refused)
			}
			if id, named := e.ExistingUserID(); named && (id <= 0 || status != http.StatusConflict) {
				t.Errorf("status %d names user %d", status, id)
			}
			// The header can name nothing of the request but by quoting it, and is an identifier or left out.
			wantNothingShown(t, e)
		}
	})
}

// wantFits wants users that answer the call.
func wantFits(t *testing.T, operation Operation, status int, users []User) {
	t.Helper()
	if status/100 != 2 {
		t.Errorf("%s: status %d is a success", operation, status)
	}
	for _, user := range users {
		named := operation == OpGet || operation == OpUpdate || operation == OpDelete
		if user.ID <= 0 || user.ID > maxID || named && user.ID != 7 {
			t.Errorf("%s: got user %d", operation, user.ID)
		}
		for key, value := range user.Metadata.Reveal() {
			if !json.Valid(value) || !utf8.ValidString(key) {
				t.Errorf("%s: metadata %q is %q", operation, key, value)
			}
		}
		if plain := PlainEmail(user.Email.Reveal(), testClientID); !named && !strings.Contains(strings.ToLower(plain), "zanzibar@example.com") {
			t.Errorf("%s: got the user of %q", operation, plain)
		}
	}
}

// wantNothingShown looks for the request in all that an error holds.
func wantNothingShown(t *testing.T, e *Error) {
	t.Helper()
	shown := fmt.Sprintf("%v %+v %s %s %+v %s %v", e, *e, e.Code, e.Message, e.Constraints, e.RequestID, errors.Unwrap(e))
	for _, canary := range []string{"zanzibar@", "alice.zanzibar", "zanzibar-token", "zanzibar value", testSecretKey, "Zanzibar Quux", "\n", "\x00", "@"} {
		// A call shows what another one would hide; the fuzzer's own words are not the request's.
		if canary == "\n" || canary == "\x00" || canary == "@" || canary == testSecretKey || holds(e.Operation, canary) {
			if strings.Contains(shown, canary) {
				t.Errorf("%s shows %q: %q", e.Operation, canary, shown)
			}
		}
	}
}

// holds reports whether the request of a call holds a canary.
func holds(operation Operation, canary string) bool {
	switch canary {
	case "alice.zanzibar":
		return operation == OpCreate || operation == OpList || operation == OpUpdate
	case "Zanzibar Quux":
		return operation == OpCreate || operation == OpUpdate
	case "zanzibar-token":
		return operation == OpRefresh
	case "zanzibar value":
		return operation == OpCreate
	}
	return true
}

// FuzzMask hides a value in the middle of a text, whatever both look like.
func FuzzMask(f *testing.F) {
	f.Add("Invalid: '", " Quux", "', sorry")
	f.Add("Existing user ID=", "Existing user ID=7", "7")
	f.Add("Cannot POST /", "@example.com", "/users")
	f.Add("eyJhbGciOiJIUzI1NiJ9.", ".eyJzdWIiOjF9", ".c2lnbmF0dXJl")
	f.Add("%", "%40", "")
	f.Add("", "[value]", "canary-secret-key-")
	f.Fuzz(func(t *testing.T, before, value, after string) {
		value = "Zanzibar" + value
		if !utf8.ValidString(value) {
			return // JSON cannot hold it, so no request does.
		}
		c := &Client{clientID: testClientID, secretKey: Hide(testSecretKey)}
		m := c.maskFor(call{body: Hide(UserFields{Email: Hide(new("a@b.c")), Name: Hide(new(value))}.body())})
		if strings.Contains(before+after, "Zanzibar") {
			return // A part of the value is none of its forms.
		}
		for _, form := range []string{value, url.QueryEscape(value), url.PathEscape(value)} {
			for how, shown := range map[string]string{
				"message": m.message(before + form + after), "text": m.text(before + form + after), "word": m.word(before + form + after),
			} {
				if strings.Contains(shown, "Zanzibar") || strings.ContainsAny(shown, "\n\x00\x1b@") {
					t.Errorf("%s of %q shows %q", how, before+form+after, shown)
				}
				if strings.Contains(shown, testSecretKey) {
					t.Errorf("%s shows the secret key", how)
				}
				if utf8.RuneCountInString(shown) > 301 {
					t.Errorf("%s has %d runes", how, utf8.RuneCountInString(shown))
				}
			}
		}
	})
}
