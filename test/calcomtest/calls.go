// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"bytes"
	"cmp"
	"net/http"
	"slices"
	"time"
)

// Op is an operation of the API.
type Op string

// The operations. OpAny matches all of them in a Fault, in CallsOf and in
// Count; OpOther is every call to another path, also to one that the API does
// not have.
const (
	OpAny          Op = ""
	OpCreate       Op = "create"
	OpGet          Op = "get"
	OpList         Op = "list"
	OpUpdate       Op = "update"
	OpDelete       Op = "delete"
	OpForceRefresh Op = "forceRefresh"
	OpRefresh      Op = "refresh"
	OpMe           Op = "me"
	OpOther        Op = "other"
)

// matches tells whether o, which may be OpAny, stands for other.
func (o Op) matches(other Op) bool { return o == OpAny || o == other }

// Call is a call that reached the server. It is logged once its answer is
// certain, just before that is sent, or before the call starts to hang.
type Call struct {
	// Time is when the call arrived, by Options.Now.
	Time time.Time
	// Op is the operation that method and path stand for.
	Op Op
	// Method, Path and Query are as sent; Query is the raw query.
	Method, Path, Query string
	// ClientID is the client of the path, empty where the path has none.
	ClientID string
	// UserID is the user of the path, the one that a create made, or the one
	// whose refresh token was exchanged.
	// It is 0 where there is none.
	UserID int64
	// Header is what the caller sent, secrets and tokens included.
	Header http.Header
	// Body is what the caller sent, up to 1 MB of it.
	Body []byte
	// Status is the HTTP status of the answer, 0 if none was sent.
	Status int
	// Effect tells whether the call changed the server's state. For a call
	// with Fault.EffectDelay it becomes true when the effect happens.
	Effect bool
}

// note enters what the work did.
func (c *Call) note(a answer) {
	c.Effect = c.Effect || a.effect
	if c.UserID == 0 {
		c.UserID = a.userID
	}
}

// clone copies what the caller could change.
func (c *Call) clone() Call {
	out := *c
	out.Header = c.Header.Clone()
	out.Body = bytes.Clone(c.Body)
	return out
}

// Calls returns every call since the start or ResetCalls, oldest first; none with
// Options.ForgetCalls.
func (s *Server) Calls() []Call { return s.CallsOf(OpAny) }

// CallsOf returns the calls of one operation, oldest first.
func (s *Server) CallsOf(op Op) []Call {
	s.lock()
	defer s.mu.Unlock()
	var out []Call
	for _, c := range s.calls {
		if op.matches(c.Op) {
			out = append(out, c.clone())
		}
	}
	return out
}

// Count returns how many calls of one operation there were.
func (s *Server) Count(op Op) int {
	s.lock()
	defer s.mu.Unlock()
	n := 0
	for t, calls := range s.tallies {
		if op.matches(t.Op) {
			n += calls
		}
	}
	return n
}

// Tally is a number of calls of one operation with one status.
type Tally struct {
	Op Op `json:"op"`
	// Status is the HTTP status of the answers, 0 for calls without one.
	Status int `json:"status"`
	Calls  int `json:"calls"`
}

// Tallies counts the calls since the start or ResetCalls, by operation and
// status and in that order. What never occurred is left out.
func (s *Server) Tallies() []Tally {
	s.lock()
	defer s.mu.Unlock()
	out := make([]Tally, 0, len(s.tallies))
	for t, calls := range s.tallies {
		t.Calls = calls
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b Tally) int { return cmp.Or(cmp.Compare(a.Op, b.Op), cmp.Compare(a.Status, b.Status)) })
	return out
}

// ResetCalls empties the call log and the counts. State and faults stay.
func (s *Server) ResetCalls() {
	s.lock()
	defer s.mu.Unlock()
	s.calls = nil
	clear(s.tallies)
}
