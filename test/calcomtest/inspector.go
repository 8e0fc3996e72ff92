// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"fmt"
	"net/http"
	"strconv"
)

// Inspector returns a handler for looking into a server that runs in another
// process, and for changing users as somebody would by hand. It asks for no
// credentials, and what passes through it has no latency and counts nowhere:
//
//	GET   /calls                         the Tallies, as JSON
//	GET   /clients/{client}/users        all users of a client, as the API shows them
//	PATCH /clients/{client}/users/{id}   changes a user, with the API's fields and checks
//
// Never serve it where others than tests can reach it.
func (s *Server) Inspector() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) { show(w, s.Tallies()) })
	mux.HandleFunc("GET /clients/{client}/users", s.inspectUsers)
	mux.HandleFunc("PATCH /clients/{client}/users/{id}", s.inspectUpdate)
	return mux
}

func show(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(encode(v)) // A caller that hung up is no concern of the server.
}

func (s *Server) inspectUsers(w http.ResponseWriter, r *http.Request) {
	s.lock()
	views := []userView{}
	for _, u := range s.managed(r.PathValue("client")) {
		views = append(views, u.view())
	}
	s.mu.Unlock()
	show(w, views)
}

func (s *Server) inspectUpdate(w http.ResponseWriter, r *http.Request) {
	c := s.receive(r)
	if _, refused := c.parseBody(); refused || c.doc == nil {
		http.Error(w, "send a JSON object, with the Content-Type application/json", http.StatusBadRequest)
		return
	}
	in, p := validate(updateFields, c.doc)
	if p != nil {
		http.Error(w, p.Message, p.status)
		return
	}
	id, _ := strconv.ParseInt(r.PathValue("id"), 10, 64) // Nobody has the ID 0.
	s.lock()
	defer s.mu.Unlock()
	cl, u := s.clients[r.PathValue("client")], s.find(r.PathValue("client"), id)
	if cl == nil || u == nil {
		http.Error(w, fmt.Sprintf("no client %s with a user %d", r.PathValue("client"), id), http.StatusNotFound)
		return
	}
	changed, p := s.changed(u, cl, in)
	if p != nil {
		http.Error(w, p.Message, p.status)
		return
	}
	show(w, changed.view())
}
