// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"net/http"
	"slices"
	"time"
)

// Fault makes the server misbehave for the calls that it matches. Faults stand
// in front of rate limit and authentication: a call that a fault answers
// without After reaches neither. Of several faults that match a call, the one
// that was injected first is used, and only that one.
type Fault struct {
	// Op is the operation; OpAny matches all.
	Op Op
	// Times is how many matching calls it hits: 0 means 1, below 0 all until
	// ClearFaults.
	Times int
	// Match, if set, is a further condition. The request's body can be read.
	Match func(*http.Request) bool
	// Delay is waited before anything is done. A caller that gives up meanwhile
	// does not stop the work, as on the real server.
	Delay time.Duration
	// Status is answered instead of working; 0 means work.
	Status int
	// Body goes with Status. Empty means what the real server sends with it:
	// recorded for 400, 401, 403, 404, 409, 413, 429 and 500, by its pattern
	// for others.
	Body string
	// ContentType goes with Status. The default is that of the real server,
	// application/json; charset=utf-8.
	ContentType string
	// After makes the effect happen although Status, Cut or Hang loses the
	// answer. Otherwise those three mean that nothing happens.
	After bool
	// Cut closes the connection in the middle of the headers, which net/http's
	// client reports as io.ErrUnexpectedEOF. (After no byte at all it would
	// repeat a GET by itself, and one call would use up two faults.)
	Cut bool
	// CutBody sends the headers and the first half of the body, then cuts. The
	// effect happens.
	CutBody bool
	// Hang never answers: until the caller gives up or the server closes.
	Hang bool
	// EffectDelay, with After, lets the effect happen only this long after the
	// call by Options.Now: a create that the server finishes long after its
	// caller gave up. It is looked at whenever the server is used or inspected.
	EffectDelay time.Duration
	// StopAfter makes a create that would succeed stop after this step. It
	// matches creates only. Without Status, Cut or Hang the answer is the
	// server's 500. The steps that are left never happen, as if the server had
	// died; with EffectDelay they happen so long after the call.
	StopAfter CreateStep
	// Header is added to the answer and replaces the server's headers of the
	// same name, with or without Status. A name with no values is left out.
	Header http.Header
}

// armedFault is a fault and how often it can still strike; below 0 for ever.
type armedFault struct {
	Fault
	left int
}

// Inject adds faults behind those already there.
func (s *Server) Inject(faults ...Fault) {
	s.lock()
	defer s.mu.Unlock()
	for _, f := range faults {
		left := f.Times
		if left == 0 {
			left = 1
		}
		s.faults = append(s.faults, &armedFault{Fault: f, left: left})
	}
}

// ClearFaults removes every fault. Calls that hang already go on hanging.
func (s *Server) ClearFaults() {
	s.lock()
	defer s.mu.Unlock()
	s.faults = nil
}

// takeFault uses up one strike of the first fault that matches. Match runs
// without the lock, so that it may look at the server.
func (s *Server) takeFault(c *call) *Fault {
	s.mu.Lock()
	armed := slices.Clone(s.faults)
	s.mu.Unlock()
	for _, f := range armed {
		if f.matches(c) && s.strike(f) {
			return &f.Fault
		}
	}
	return nil
}

func (f *armedFault) matches(c *call) bool {
	if !f.Op.matches(c.route.op) || f.StopAfter != 0 && c.route.op != OpCreate {
		return false
	}
	return f.Match == nil || f.Match(c.request())
}

// strike is false if another call took the last strike meanwhile.
func (s *Server) strike(f *armedFault) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.Index(s.faults, f)
	if i < 0 {
		return false
	}
	if f.left > 0 {
		f.left--
	}
	if f.left == 0 {
		s.faults = slices.Delete(s.faults, i, i+1)
	}
	return true
}

// loses tells whether the fault takes the place of the proper answer.
func (f *Fault) loses() bool { return f.Status != 0 || f.Cut || f.Hang }

// pendingEffect is what an admitted call has not done yet.
type pendingEffect struct {
	due    time.Time
	happen func()
}

// later postpones an effect. The lock must be held, also when it happens.
func (s *Server) later(due time.Time, happen func()) {
	s.pending = append(s.pending, &pendingEffect{due, happen})
}

// settle performs the postponed effects that are due, in the order of their
// time. The lock must be held.
func (s *Server) settle() {
	if len(s.pending) == 0 {
		return
	}
	now := s.opts.Now()
	slices.SortStableFunc(s.pending, func(a, b *pendingEffect) int { return a.due.Compare(b.due) })
	for len(s.pending) > 0 && !s.pending[0].due.After(now) {
		p := s.pending[0]
		s.pending = s.pending[1:]
		p.happen()
	}
}
