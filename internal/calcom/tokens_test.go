// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"context"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTokens(t *testing.T) {
	_, c := sandbox(t)
	ctx := t.Context()
	user, first, err := c.CreateUser(ctx, UserFields{Email: Hide(new("alice@example.com")), Name: Hide(new("Alice"))})
	if err != nil {
		t.Fatal(err)
	}
	second, err := c.Refresh(ctx, first.RefreshToken)
	if err != nil || second.AccessToken.Reveal() == first.AccessToken.Reveal() || second.RefreshToken.Reveal() == first.RefreshToken.Reveal() {
		t.Fatalf("refreshing gave the same tokens, or error %v", err)
	}
	_, err = c.Refresh(ctx, first.RefreshToken)
	e := asError(t, err)
	if d := cmp.Diff("refreshing tokens: status 400 BadRequestException", withoutRequest(e)); d != "" {
		t.Errorf("error of a used token (-want +got):\n%s", d)
	}
	if e.OutcomeUnknown() {
		t.Error("the outcome of a refusal counts as unknown")
	}
	third, err := c.ForceRefresh(ctx, user.ID)
	if err != nil || third.AccessToken.Reveal() == second.AccessToken.Reveal() || third.RefreshToken.Reveal() == second.RefreshToken.Reveal() {
		t.Fatalf("force-refreshing gave the same tokens, or error %v", err)
	}
	if _, err = c.Refresh(ctx, second.RefreshToken); err == nil {
		t.Error("a force-refresh left the old refresh token valid")
	}
	if _, err = c.ForceRefresh(ctx, user.ID+1); !IsNotFound(err) {
		t.Errorf("got %v for nobody's tokens, want a 404", err)
	}
}

// withoutRequest returns the text of an error without the request's id, which is another each time.
func withoutRequest(e *Error) string {
	plain := *e
	plain.RequestID = ""
	return plain.Error()
}

func TestTokenTimes(t *testing.T) {
	const body = `{"status":"success","data":{"accessToken":"a","refreshToken":"r","accessTokenExpiresAt":1795427340000,"refreshTokenExpiresAt":1826928000000}}`
	got, err := serve(t, answering(http.StatusOK, body)).ForceRefresh(t.Context(), 7)
	want := Tokens{AccessToken: Hide("a"), RefreshToken: Hide("r"), AccessTokenExpiresAt: 1795427340000, RefreshTokenExpiresAt: 1826928000000}
	if d := cmp.Diff(want, got, revealed); d != "" || err != nil {
		t.Errorf("tokens (-want +got, error %v):\n%s", err, d)
	}
}

func TestUnreadableTokens(t *testing.T) {
	calls := map[Operation]func(context.Context, *Client) error{
		OpRefresh: operations()[OpRefresh], OpForceRefresh: operations()[OpForceRefresh],
	}
	for name, body := range map[string]string{
		"EmptyObject":    `{}`,
		"DataNull":       `{"status":"success","data":null}`,
		"DataEmpty":      `{"status":"success","data":{}}`,
		"NoAccessToken":  `{"status":"success","data":{"refreshToken":"canary"}}`,
		"NoRefreshToken": `{"status":"success","data":{"accessToken":"canary"}}`,
		"EmptyToken":     `{"status":"success","data":{"accessToken":"canary","refreshToken":""}}`,
		"NumberForToken": `{"status":"success","data":{"accessToken":"canary","refreshToken":1}}`,
		"StringForTime":  `{"status":"success","data":{"accessToken":"canary","refreshToken":"canary","accessTokenExpiresAt":"canary"}}`,
		"Array":          `{"status":"success","data":[{"accessToken":"canary","refreshToken":"canary"}]}`,
		"HTML":           `<html>canary</html>`,
	} {
		t.Run(name, func(t *testing.T) {
			c := serve(t, answering(http.StatusOK, body))
			for operation, send := range calls {
				e := asError(t, send(t.Context(), c))
				if !e.Unreadable || !e.OutcomeUnknown() || e.Operation != operation {
					t.Errorf("got %+v, want an unreadable answer to %s", e, operation)
				}
				wantNoCanary(t, e)
			}
		})
	}
}

// TestTokensStayOutOfErrors has the server quote the refresh token that was sent.
func TestTokensStayOutOfErrors(t *testing.T) {
	const token = "canary_refresh"
	for _, body := range []string{
		`{"message":"Invalid refresh token canary_refresh"}`,
		`{"error":{"code":"canary_refresh","message":"canary_refresh","details":{"errors":[{"property":"canary_refresh","constraints":{"r":"no canary_refresh"}}]}}}`,
	} {
		_, err := serve(t, answering(http.StatusBadRequest, body)).Refresh(t.Context(), Hide(token))
		e := asError(t, err)
		wantNoCanary(t, e)
		wantNoCanary(t, &Error{Operation: Operation(e.Message + e.Code), Status: e.Status})
	}
}
