// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"net/http"
	"strings"
)

var errRole = exception(http.StatusForbidden, "OrganizationRolesGuard - User must have one of the roles: ADMIN, OWNER.")

const (
	msgOnlyClientID = "ApiAuthStrategy - Only 'x-cal-client-id' header provided. Please also provide 'x-cal-secret-key' header or Auth bearer token as 'Authentication' header"
	msgNothing      = "ApiAuthStrategy - No authentication method provided. Either pass an API key as 'Bearer' header or OAuth client credentials as 'x-cal-secret-key' and 'x-cal-client-id' headers"
	msgInvalidToken = "Invalid Access Token."
	msgDeadToken    = "ApiAuthStrategy - access token - OAuth client not found given the access token"
)

// statusExpired is the server's own status for an access token past its time.
const statusExpired = 498

func bearer(r *http.Request) string {
	return strings.Replace(r.Header.Get("Authorization"), "Bearer ", "", 1)
}

// authenticate finds out who calls. The client ID of the path goes before that
// of the header, and a secret before a token. The user is nil for a client's
// own credentials.
func (s *Server) authenticate(c *call) (*client, *user, *problem) {
	id := c.route.clientID
	if id == "" {
		id = c.req.Header.Get("X-Cal-Client-Id")
	}
	secret := c.req.Header.Get("X-Cal-Secret-Key")
	switch {
	case id != "" && secret != "":
		cl, p := s.checkSecret(id, secret)
		return cl, nil, p
	case c.req.Header.Get("Authorization") != "":
		return s.checkToken(c, bearer(c.req))
	case id != "":
		return nil, nil, unauthorized(msgOnlyClientID)
	}
	return nil, nil, unauthorized(msgNothing)
}

func unauthorized(message string) *problem {
	return exception(http.StatusUnauthorized, message)
}

func (s *Server) checkSecret(id, secret string) (*client, *problem) {
	cl, ok := s.clients[id]
	if !ok {
		return nil, unauthorized("ApiAuthStrategy - oAuth client - Client with ID " + id + " not found")
	}
	if cl.Secret != secret {
		return nil, unauthorized("ApiAuthStrategy - oAuth client - Invalid client secret")
	}
	return cl, nil
}

// checkToken knows two answers for a token that is gone: the real server keeps
// the tokens that were used in a cache and finds out one step later.
func (s *Server) checkToken(c *call, token string) (*client, *user, *problem) {
	t, ok := s.access[token]
	if !ok || t.dead && !t.used {
		return nil, nil, unauthorized(msgInvalidToken)
	}
	if !c.now.Before(t.expires) {
		return nil, nil, &problem{
			status: statusExpired, Code: "TokenExpiredException",
			Message: "ACCESS_TOKEN_IS_EXPIRED", Details: "ACCESS_TOKEN_IS_EXPIRED",
		}
	}
	cl, known := s.clients[t.clientID]
	if t.dead || !known {
		return nil, nil, unauthorized(msgDeadToken)
	}
	t.used = true
	return cl, s.users[t.userID], nil
}

// authorizeClient lets a client's own credentials through. A managed user's
// token is refused, with the answer of the guard that stops it.
func (s *Server) authorizeClient(c *call) (*client, *problem) {
	cl, u, p := s.authenticate(c)
	if p != nil || u == nil {
		return cl, p
	}
	target, ok := s.clients[c.route.clientID]
	if !ok {
		return nil, exception(http.StatusNotFound, "OAuthClientGuard - OAuth client not found.")
	}
	if target.Organization != cl.Organization {
		return nil, exception(http.StatusForbidden, "OAuthClientGuard - forbidden. oAuth client with id="+target.ID+
			" does not belong to the organization with id="+cl.Organization)
	}
	return nil, errRole
}
