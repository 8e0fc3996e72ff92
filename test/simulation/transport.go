// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// callTimeout is how long the operator's HTTP client waits for an answer.
const callTimeout = 30 * time.Second

// exchange is one call to Cal.com and its answer.
type exchange struct {
	op     calcomtest.Op
	id     int64    // Of the path.
	emails []string // That a create, an update or a list names.
	body   []byte
	status int
	answer []byte
	header http.Header
	// shown is whose the users in the answer were when the server made it, and addresses are theirs.
	shown     map[int64]owner
	addresses map[int64]string
	// misrouted: a proxy led the call to another tenant.
	misrouted bool
	// again: before a DELETE call, one was sent for the same object that may have had its effect.
	again bool
}

// transport carries the calls of one process, in the same process as the server and with everything that can
// happen on the way.
type transport struct{ process *process }

// RoundTrip makes one call.
func (tr *transport) RoundTrip(request *http.Request) (*http.Response, error) {
	t, w := taskOf(request.Context()), tr.process.world
	x, err := readCall(request)
	if err != nil {
		return nil, err
	}
	if err := t.pause(); err != nil {
		return nil, err
	}
	w.figures.Calls++
	f := w.chooseFault(x)
	w.tracef("%s calls %s%s%s", tr.process.name, x, map[bool]string{true: " and meets: "}[f.name != ""], f.name)
	if f.unsent {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	defer tr.process.beginCall(x)()
	x.misrouted = w.isMisrouted()
	t.misled = t.misled || x.misrouted
	tr.send(t, request, x, f)
	wait := time.Duration(w.random.Int64N(int64(800 * time.Millisecond)))
	if f.hang {
		wait = callTimeout
	}
	if err := t.sleep(wait); err != nil {
		return nil, err
	}
	switch {
	case f.hang:
		return nil, context.DeadlineExceeded
	case f.cut:
		return nil, io.ErrUnexpectedEOF
	}
	if hook := w.options.Hooks.Response; hook != nil {
		hook(w, t, x)
	}
	tr.answered(t, request, x, f)
	return x.response(request, f.cutBody), nil
}

// answered tells of an answer that the operator gets.
func (tr *transport) answered(t *task, request *http.Request, x *exchange, f fault) {
	w := tr.process.world
	w.tracef("%s is answered %s with %d", tr.process.name, x, x.status)
	w.ledger.answered(t, x, f)
	if hook := w.options.Hooks.Swept; hook != nil && t.sweeps() && x.status == http.StatusOK {
		hook(tr, request, x)
	}
}

// send lets a call reach the server, if it does.
func (tr *transport) send(t *task, request *http.Request, x *exchange, f fault) {
	w := tr.process.world
	if hook := w.options.Hooks.Request; hook != nil {
		hook(x)
	}
	w.ledger.sent(t, x, f)
	tr.process.countCall(x)
	if !f.swallowed {
		if w.options.Hooks.ForceFirst && x.op == calcomtest.OpRefresh {
			w.forceByHand(t.object.Status.User.ID)
		}
		if f.inject != nil {
			w.serverOf(x).Inject(*f.inject)
		}
		w.serve(t, request, x)
		for range w.repeats(x) {
			w.ledger.sent(t, x, f)
			w.serve(t, request, x)
		}
		w.serverOf(x).ClearFaults()
	}
	w.ledger.served(t, x, f)
}

// serve lets the server do its work.
func (w *World) serve(t *task, request *http.Request, x *exchange) {
	copied := request.Clone(request.Context())
	body := w.lose(x)
	copied.Body, copied.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	copied.RemoteAddr = "192.0.2.1:1"
	recorded := httptest.NewRecorder()
	server := w.serverOf(x)
	server.ServeHTTP(recorded, copied)
	x.status, x.answer, x.header = recorded.Code, recorded.Body.Bytes(), recorded.Header()
	x.header.Set("X-Request-Id", "simulated") // The server's own is random.
	server.ResetCalls()
	switch {
	case x.misrouted:
		w.checkTenant()
	case x.op != calcomtest.OpGet && x.op != calcomtest.OpList:
		w.ledger.sync(t, x)
	}
}

// repeats says how often a saboteur sends the call again.
func (w *World) repeats(x *exchange) int {
	if x.op == calcomtest.OpCreate && w.options.Hooks.RepeatCreate || x.op == calcomtest.OpRefresh && w.options.Hooks.RepeatRefresh {
		return 1
	}
	return 0
}

// response is the answer as net/http hands it out.
func (x *exchange) response(request *http.Request, cutBody bool) *http.Response {
	var body io.Reader = bytes.NewReader(x.answer)
	if cutBody {
		body = io.MultiReader(bytes.NewReader(x.answer[:len(x.answer)/2]), failingReader{})
	}
	return &http.Response{
		StatusCode: x.status, Status: strconv.Itoa(x.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: x.header, Body: io.NopCloser(body), ContentLength: -1, Request: request,
	}
}

// failingReader is a connection that was cut.
type failingReader struct{}

func (failingReader) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// readCall takes a request apart.
func readCall(request *http.Request) (*exchange, error) {
	x := &exchange{op: opOf(request)}
	if x.op != calcomtest.OpCreate && x.op != calcomtest.OpList {
		_, id := path.Split(strings.TrimSuffix(request.URL.Path, "/force-refresh"))
		x.id, _ = strconv.ParseInt(id, 10, 64) // 0 stands for what is no number.
	}
	if x.op == calcomtest.OpList {
		x.emails = strings.Split(request.URL.Query().Get("emails"), ",")
	}
	if request.Body == nil {
		return x, nil
	}
	var err error
	if x.body, err = io.ReadAll(request.Body); err != nil {
		return nil, err
	}
	var in struct {
		Email string `json:"email"`
	}
	if err := json.Unmarshal(x.body, &in); err != nil {
		return nil, err
	}
	if in.Email != "" {
		x.emails = []string{in.Email}
	}
	return x, nil
}

// opOf is the operation that a request stands for.
func opOf(request *http.Request) calcomtest.Op {
	all := strings.HasSuffix(request.URL.Path, "/users")
	switch {
	case strings.HasSuffix(request.URL.Path, "/force-refresh"):
		return calcomtest.OpForceRefresh
	case strings.HasSuffix(request.URL.Path, "/refresh"):
		return calcomtest.OpRefresh
	case request.Method == http.MethodPost && all:
		return calcomtest.OpCreate
	case request.Method == http.MethodGet && all:
		return calcomtest.OpList
	case request.Method == http.MethodGet:
		return calcomtest.OpGet
	case request.Method == http.MethodPatch:
		return calcomtest.OpUpdate
	case request.Method == http.MethodDelete:
		return calcomtest.OpDelete
	}
	return calcomtest.OpOther
}

// isAboutTokens reports whether the call is for new tokens.
func (x *exchange) isAboutTokens() bool {
	return x.op == calcomtest.OpRefresh || x.op == calcomtest.OpForceRefresh
}

// changesNobody reports whether the call leaves all users as they are.
func (x *exchange) changesNobody() bool {
	return x.op == calcomtest.OpGet || x.op == calcomtest.OpList || x.isAboutTokens()
}

// isRefusal reports whether the answer says that nothing was done.
func (x *exchange) isRefusal() bool {
	return x.status/100 == 4 && x.status != http.StatusRequestTimeout
}

// String names the call for the trace.
func (x *exchange) String() string {
	s := string(x.op)
	if x.id != 0 {
		s += " " + strconv.FormatInt(x.id, 10)
	}
	if len(x.emails) > 0 {
		s += " " + strings.Join(x.emails, ",")
	}
	return s
}

// shownIDs are the users that an answer shows.
func (x *exchange) shownIDs() []int64 {
	type user struct {
		ID int64 `json:"id"`
	}
	var one struct {
		Data struct {
			user

			User user `json:"user"`
		} `json:"data"`
	}
	var many struct {
		Data []user `json:"data"`
	}
	var ids []int64
	if json.Unmarshal(x.answer, &many) == nil {
		for _, u := range many.Data {
			ids = append(ids, u.ID)
		}
	} else if json.Unmarshal(x.answer, &one) == nil {
		ids = append(ids, one.Data.ID+one.Data.User.ID)
	}
	return ids
}
