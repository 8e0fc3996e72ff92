// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"context"
	"net/http"
)

// Tokens is the pair with which a front end acts as the user.
type Tokens struct {
	AccessToken  Hidden[string] `json:"accessToken"`
	RefreshToken Hidden[string] `json:"refreshToken"`
	// AccessTokenExpiresAt is in milliseconds since 1970: an hour ahead, cut to the minute.
	AccessTokenExpiresAt int64 `json:"accessTokenExpiresAt"`
	// RefreshTokenExpiresAt is in milliseconds since 1970: a year ahead, cut to the day.
	RefreshTokenExpiresAt int64 `json:"refreshTokenExpiresAt"`
}

// Refresh exchanges the refresh token for a new pair. A refresh token works once, so a lost answer loses it; the
// old access token stays valid to its end. A used or unknown one is a 400.
func (c *Client) Refresh(ctx context.Context, refreshToken Hidden[string]) (Tokens, error) {
	return c.tokens(ctx, call{
		name: OpRefresh, method: http.MethodPost, path: []string{"oauth", c.clientID, "refresh"},
		body: Hide[any](map[string]string{"refreshToken": refreshToken.Reveal()}),
	})
}

// ForceRefresh invalidates every token of the user at once and returns a new pair. It is safe to repeat, at the
// price of the pair that was issued last.
func (c *Client) ForceRefresh(ctx context.Context, id int64) (Tokens, error) {
	return c.tokens(ctx, call{
		name: OpForceRefresh, method: http.MethodPost, path: append(c.userPath(id), "force-refresh"),
	})
}

func (c *Client) tokens(ctx context.Context, call call) (Tokens, error) {
	var tokens Tokens
	if err := c.do(ctx, call, &tokens); err != nil {
		return Tokens{}, err
	}
	if tokens.AccessToken.Reveal() == "" || tokens.RefreshToken.Reveal() == "" {
		return Tokens{}, unreadable(call, "answer lacks a token")
	}
	return tokens, nil
}
