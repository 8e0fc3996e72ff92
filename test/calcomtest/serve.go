// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"bytes"
	"io"
	"net/http"
	"strconv"
	"time"
)

// maxLogged bounds how much of a body is read and kept, in bytes.
const maxLogged = 1 << 20

// call is one request on its way through the server.
type call struct {
	req   *http.Request
	route route
	// url is path and query as the error bodies show them: after the rewrite
	// of /api/v2 to /v2.
	url     string
	body    []byte
	arrived time.Time
	// now is the time of the effect, which can be later than arrived.
	now time.Time
	// stop is set by a fault that stops a create.
	stop stop
	// noConnection: the create found all connections of the database taken.
	noConnection bool
	// doc is the parsed body, limits the state of the rate limit; admit sets
	// both.
	doc    object
	limits *limits
	// log is the call's entry in the call log, into which record puts it. The
	// lock guards it.
	log *Call
}

// request is a copy of the request with a body that can be read.
func (c *call) request() *http.Request {
	r := c.req.Clone(c.req.Context())
	r.Body = io.NopCloser(bytes.NewReader(c.body))
	return r
}

// ServeHTTP answers one call of the API.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.enter() {
		cut(w)
		return
	}
	defer s.handlers.Done()
	c := s.receive(r)
	out := s.decide(c)
	s.record(c, out)
	s.deliver(w, c, out)
}

// receive reads the whole request.
func (s *Server) receive(r *http.Request) *call {
	now := s.opts.Now()
	c := &call{req: r, url: rewritten(r.URL), arrived: now, now: now}
	c.route = routeOf(r.Method, c.url)
	if r.Body != nil {
		// A caller that hangs up while sending leaves a short body, which is
		// then broken JSON: nobody is there to see the answer.
		c.body, _ = io.ReadAll(io.LimitReader(r.Body, maxLogged))
	}
	c.log = &Call{
		Time:     now,
		Op:       c.route.op,
		Method:   r.Method,
		Path:     r.URL.Path,
		Query:    r.URL.RawQuery,
		ClientID: c.route.clientID,
		UserID:   c.route.number(),
		Header:   r.Header.Clone(),
		Body:     c.body,
	}
	return c
}

// outcome is what happens to a call: an answer, or the way in which there is
// none.
type outcome struct {
	answer
	header             http.Header
	cut, cutBody, hang bool
}

// sent is the status that the caller gets, 0 for none.
func (o outcome) sent() int {
	if o.cut || o.hang {
		return 0
	}
	return o.answer.status
}

// decide waits, works and applies the fault, if any.
func (s *Server) decide(c *call) outcome {
	if s.isDown() {
		return outcome{cut: true}
	}
	f := s.takeFault(c)
	defer s.takeConnection(c)()
	s.wait(f)
	s.waitForTable(c)
	if s.ctx.Err() != nil {
		return outcome{cut: true}
	}
	c.now = s.opts.Now()
	if f == nil {
		return outcome{answer: s.work(c)}
	}
	return s.fail(c, f)
}

// isDown is also the point where postponed effects that are due happen, so
// that a call never overtakes one.
func (s *Server) isDown() bool {
	s.lock()
	defer s.mu.Unlock()
	return s.down
}

func (s *Server) wait(f *Fault) {
	d := s.opts.Latency
	if f != nil {
		d += f.Delay
	}
	if d > 0 {
		s.opts.Sleep(s.ctx, d)
	}
}

// fail works as far as the fault allows and replaces the answer.
func (s *Server) fail(c *call, f *Fault) outcome {
	out := outcome{header: f.Header, cut: f.Cut, cutBody: f.CutBody, hang: f.Hang && !f.Cut}
	c.stop = stop{f.StopAfter, f.EffectDelay}
	switch {
	case !f.loses():
		out.answer = s.work(c)
		return out
	case f.StopAfter != 0:
		out.answer = s.work(c)
	case f.After && f.EffectDelay > 0:
		out.answer = s.postpone(c, f.EffectDelay)
	case f.After:
		out.answer = s.work(c)
	}
	if f.Status != 0 {
		out.answer = f.answer(c, out.answer, s.freshLimits(c.req))
	}
	return out
}

// work does what the call asks for.
func (s *Server) work(c *call) answer {
	s.lock()
	defer s.mu.Unlock()
	if a, refused := s.admit(c); refused {
		return a
	}
	a := c.route.handle(s, c)
	a.limits = c.limits
	return a
}

// postpone admits the call now and leaves its effect for later. A call that is
// not admitted has none.
func (s *Server) postpone(c *call, d time.Duration) answer {
	s.lock()
	defer s.mu.Unlock()
	a, refused := s.admit(c)
	if !refused {
		due := c.arrived.Add(d)
		s.later(due, func() {
			c.now = due
			c.log.note(c.route.handle(s, c))
		})
	}
	return a
}

// record writes the call log.
func (s *Server) record(c *call, out outcome) {
	s.mu.Lock()
	c.log.Status = out.sent()
	c.log.note(out.answer)
	s.tallies[Tally{Op: c.log.Op, Status: c.log.Status}]++
	if !s.opts.ForgetCalls {
		s.calls = append(s.calls, c.log)
	}
	if s.opts.Log == nil {
		s.mu.Unlock()
		return
	}
	shown := c.log.clone()
	s.mu.Unlock()
	s.opts.Log(shown)
}

// deliver sends the answer, or keeps it from the caller.
func (s *Server) deliver(w http.ResponseWriter, c *call, out outcome) {
	if out.hang {
		select {
		case <-c.req.Context().Done():
		case <-s.ctx.Done():
		}
	}
	if out.hang || out.cut {
		cut(w)
		return
	}
	writeHeaders(w.Header(), out)
	body := out.body
	if out.status == http.StatusNoContent || out.status == http.StatusNotModified {
		body = nil
	} else {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	w.WriteHeader(out.status)
	if out.cutBody {
		body = body[:len(body)/2]
	}
	_, _ = w.Write(body) // A caller that hung up is no concern of the server.
	if out.cutBody {
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// cut closes the connection in the middle of the headers: after no byte at all
// net/http's client would repeat an idempotent call by itself. Where the
// connection cannot be had, the panic makes net/http close it.
func cut(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
	_ = conn.Close()
}
