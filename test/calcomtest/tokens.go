// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"time"
)

// The life of tokens: the end of an access token is cut to the minute, that of
// a refresh token to the day.
const (
	accessLife = time.Hour
	accessCut  = time.Minute
	day        = 24 * time.Hour
)

// accessToken stays known after it died, because the real server tells dead
// tokens that were used from others.
type accessToken struct {
	userID     int64
	clientID   string
	expires    time.Time
	used, dead bool
}

type refreshToken struct {
	userID   int64
	clientID string
}

// issued are the tokens that a user was given since the last revocation.
type issued struct {
	access  []*accessToken
	refresh []string
}

// tokenPair is the answer of a refresh, and part of that of a create. Times
// are milliseconds since 1970.
type tokenPair struct {
	AccessToken           string `json:"accessToken"`
	AccessTokenExpiresAt  int64  `json:"accessTokenExpiresAt"`
	RefreshToken          string `json:"refreshToken"`
	RefreshTokenExpiresAt int64  `json:"refreshTokenExpiresAt"`
}

// forcedPair is the answer of a forced refresh, whose keys have another order.
type forcedPair struct {
	AccessToken           string `json:"accessToken"`
	RefreshToken          string `json:"refreshToken"`
	AccessTokenExpiresAt  int64  `json:"accessTokenExpiresAt"`
	RefreshTokenExpiresAt int64  `json:"refreshTokenExpiresAt"`
}

// issue makes a new pair of tokens; older ones stay as they are.
func (s *Server) issue(u *user, now time.Time) tokenPair {
	now = now.UTC()
	accessEnd := now.Add(s.opts.scaled(accessLife)).Truncate(s.opts.scaled(accessCut))
	refreshEnd := now.Add(s.opts.scaled(now.AddDate(1, 0, 0).Sub(now))).Truncate(s.opts.scaled(day))
	pair := tokenPair{
		AccessToken:           newJWT("access", u, now, accessEnd),
		AccessTokenExpiresAt:  accessEnd.UnixMilli(),
		RefreshToken:          newJWT("refresh", u, now, refreshEnd),
		RefreshTokenExpiresAt: refreshEnd.UnixMilli(),
	}
	access := &accessToken{userID: u.ID, clientID: u.clientID, expires: accessEnd}
	s.access[pair.AccessToken] = access
	s.refresh[pair.RefreshToken] = &refreshToken{userID: u.ID, clientID: u.clientID}
	own := s.tokensOf[u.ID]
	s.tokensOf[u.ID] = issued{append(own.access, access), append(own.refresh, pair.RefreshToken)}
	return pair
}

// revoke ends every token of a user.
func (s *Server) revoke(id int64) {
	for _, t := range s.tokensOf[id].access {
		t.dead = true
	}
	for _, token := range s.tokensOf[id].refresh {
		delete(s.refresh, token)
	}
	delete(s.tokensOf, id)
}

// newJWT has the shape of the real tokens: they have no "exp" claim, and the
// server looks them up instead of checking the signature, which is random here.
func newJWT(kind string, u *user, now, expires time.Time) string {
	claims := encode(struct {
		Type      string `json:"type"`
		ClientID  string `json:"clientId"`
		OwnerID   int64  `json:"ownerId"`
		ExpiresAt int64  `json:"expiresAt"`
		JTI       string `json:"jti"`
		IssuedAt  int64  `json:"iat"`
	}{kind, u.clientID, u.ID, expires.UnixMilli(), newUUID(), now.Unix()})
	var signature [32]byte
	_, _ = rand.Read(signature[:]) // It never fails; the runtime aborts instead.
	b64 := base64.RawURLEncoding.EncodeToString
	return b64([]byte(`{"alg":"HS256","typ":"JWT"}`)) + "." + b64(claims) + "." + b64(signature[:])
}

// forceRefresh replaces every token of a user by a new pair.
func (s *Server) forceRefresh(c *call) answer {
	u, p := s.ownUser(c)
	if p != nil {
		return c.refuse(p)
	}
	s.revoke(u.ID)
	pair := s.issue(u, c.now)
	a := success(http.StatusOK, forcedPair{
		pair.AccessToken, pair.RefreshToken, pair.AccessTokenExpiresAt, pair.RefreshTokenExpiresAt,
	})
	a.effect = true
	return a
}

// refreshTokens gives a new pair for a refresh token, which is used up. The
// access token from before stays valid until its time. The real server does
// not look at the refresh token's age.
func (s *Server) refreshTokens(c *call) answer {
	if _, _, p := s.authenticate(c); p != nil {
		return c.refuse(p)
	}
	in, p := validate(refreshFields, c.doc)
	if p != nil {
		return c.refuse(p)
	}
	token, _ := in.get("refreshToken")
	t, ok := s.refresh[token.(string)]
	if !ok || t.clientID != c.route.clientID {
		return c.refuse(exception(http.StatusBadRequest, "Invalid refresh token"))
	}
	delete(s.refresh, token.(string))
	a := success(http.StatusOK, s.issue(s.users[t.userID], c.now))
	a.effect, a.userID = true, t.userID
	return a
}
