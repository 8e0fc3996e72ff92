// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// route is what method and path of a call stand for.
type route struct {
	op Op
	// clientID and userID are segments of the path, as sent.
	clientID, userID string
	// handle does the work; nil means that the API has no such route. The lock
	// is held and the call is admitted.
	handle func(*Server, *call) answer
}

// number is the user ID of the path, 0 if it has none or is none.
func (r route) number() int64 {
	id, err := strconv.ParseInt(r.userID, 10, 64)
	if err != nil {
		return 0
	}
	return id
}

// rewritten is path and query after the rewrite of the /api/v2 prefix.
func rewritten(u *url.URL) string {
	uri := u.RequestURI()
	if strings.HasPrefix(uri, "/api/v2") {
		return strings.TrimPrefix(uri, "/api")
	}
	return uri
}

// routeOf finds the route. One slash at the end of the path is ignored.
func routeOf(method, uri string) route {
	other := route{op: OpOther}
	u, err := url.ParseRequestURI(uri)
	if err != nil {
		return other
	}
	path, ok := strings.CutPrefix(strings.TrimSuffix(u.Path, "/"), "/v2/")
	if !ok {
		return other
	}
	parts := strings.Split(path, "/")
	switch {
	case method == http.MethodGet && path == "me":
		return route{op: OpMe, handle: (*Server).me}
	case len(parts) < 2 || parts[1] == "":
		return other
	case method == http.MethodPost && parts[0] == "oauth" && len(parts) == 3 && parts[2] == "refresh":
		return route{op: OpRefresh, clientID: parts[1], handle: (*Server).refreshTokens}
	case parts[0] == "oauth-clients":
		return clientRoute(method, parts[1], parts[2:])
	}
	return other
}

// clientRoute finds the routes below /v2/oauth-clients/{clientID}.
func clientRoute(method, clientID string, rest []string) route {
	r := route{op: OpOther, clientID: clientID}
	if len(rest) == 0 {
		if method == http.MethodGet {
			r.handle = (*Server).showClient
		}
		return r
	}
	if rest[0] != "users" {
		return r
	}
	known, ok := userRoutes[strings.Join(append([]string{method}, shape(rest)...), " ")]
	if !ok {
		return r
	}
	known.clientID = clientID
	if len(rest) > 1 {
		known.userID = rest[1]
	}
	return known
}

// userRoutes are the routes of managed users by method and shape.
var userRoutes = map[string]route{
	"GET users":                    {op: OpList, handle: (*Server).listUsers},
	"POST users":                   {op: OpCreate, handle: (*Server).createUser},
	"GET users :id":                {op: OpGet, handle: (*Server).getUser},
	"PATCH users :id":              {op: OpUpdate, handle: (*Server).updateUser},
	"DELETE users :id":             {op: OpDelete, handle: (*Server).deleteUser},
	"POST users :id force-refresh": {op: OpForceRefresh, handle: (*Server).forceRefresh},
}

// shape puts a place-holder for the user ID.
func shape(parts []string) []string {
	out := append([]string{}, parts...)
	if len(out) > 1 {
		out[1] = ":id"
	}
	return out
}
