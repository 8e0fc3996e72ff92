// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"net/http"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// latestEffect is how long after its arrival the server may still finish a create that nobody waits for any more. The
// operator waits two minutes from the moment at which it wrote down that it sends the call, which may be half a minute
// before it does; what comes later is beyond its promise.
const latestEffect = 85 * time.Second

// fault is what happens to one call.
type fault struct {
	name string
	// unsent: the connection is not even made. swallowed: the request is lost on its way.
	unsent, swallowed bool
	// hang: no answer comes in time. cut: the connection breaks instead of an answer. cutBody: it breaks in the middle.
	hang, cut, cutBody bool
	// inject is what the server itself does wrong.
	inject *calcomtest.Fault
	// late is when the server carries out a create whose caller has gone.
	late time.Duration
}

// chooseFault decides what happens to a call.
func (w *World) chooseFault(x *exchange) fault {
	if hook := w.options.Hooks.Fault; hook != nil {
		if f := hook(w, x); f.name != "" {
			return f
		}
	}
	if w.failing != nil {
		return w.failing.fault(w, x)
	}
	if w.tokens != nil {
		return w.tokens.fault(x)
	}
	if f := w.disasterFault(x); f.name != "" {
		return w.counted(f)
	}
	if !w.chaos {
		return fault{}
	}
	if x.op == calcomtest.OpCreate && w.random.IntN(1000) < w.stopRate {
		return w.counted(w.stopFault(w.lateness()))
	}
	if w.random.IntN(1000) >= w.faultRate {
		return fault{}
	}
	choices := []func(*exchange) fault{
		w.connectionFault, w.connectionFault, w.connectionFault, w.statusFault, w.statusFault, w.specificFault, w.specificFault,
	}
	return w.counted(choices[w.random.IntN(len(choices))](x))
}

// counted counts a fault.
func (w *World) counted(f fault) fault {
	if f.name != "" {
		w.figures.Faults[f.name]++
	}
	return f
}

// lateness is how long after its arrival the server finishes a create.
func (w *World) lateness() time.Duration {
	return time.Second + time.Duration(w.random.Int64N(int64(latestEffect-time.Second)))
}

// connectionFault is about the way to the server and back.
func (w *World) connectionFault(*exchange) fault {
	faults := []fault{
		{name: "connection refused", unsent: true},
		{name: "request lost", swallowed: true, cut: true},
		{name: "answer lost", cut: true},
		{name: "answer cut in half", cutBody: true},
		{name: "hang, request lost", swallowed: true, hang: true},
		{name: "hang, answer lost", hang: true},
	}
	return faults[w.random.IntN(len(faults))]
}

// statusFault is an answer of the server, or of a proxy, other than the right one.
func (w *World) statusFault(*exchange) fault {
	statuses := []struct {
		name   string
		status int
	}{
		{"429", http.StatusTooManyRequests},
		{"500", http.StatusInternalServerError},
		{"502 in HTML", http.StatusBadGateway},
		{"503", http.StatusServiceUnavailable},
		{"504", http.StatusGatewayTimeout},
		{"408", http.StatusRequestTimeout},
		{"401", http.StatusUnauthorized},
		{"403", http.StatusForbidden},
		{"200 in HTML", http.StatusOK},
	}
	s := statuses[w.random.IntN(len(statuses))]
	f := &calcomtest.Fault{Status: s.status}
	name := s.name
	if s.status == http.StatusBadGateway || s.status == http.StatusOK {
		f.Body, f.ContentType = "<html><body>Something is wrong</body></html>", "text/html"
	}
	if s.status >= 500 || s.status == http.StatusOK || s.status == http.StatusRequestTimeout {
		if f.After = w.random.IntN(2) == 0; f.After {
			name += ", work done"
		}
	}
	return fault{name: name, inject: f}
}

// specificFault depends on the operation: creates that end late or by half, users that a proxy denies, and the 409
// without an id that the loser of a race gets.
func (w *World) specificFault(x *exchange) fault {
	switch x.op {
	case calcomtest.OpCreate:
		return w.createFault(x)
	case calcomtest.OpGet, calcomtest.OpUpdate, calcomtest.OpDelete:
		if w.moved[x.id] {
			return fault{}
		}
		return fault{name: "404 for a user", inject: &calcomtest.Fault{Status: http.StatusNotFound}}
	default:
		return fault{name: "500", inject: &calcomtest.Fault{Status: http.StatusInternalServerError}}
	}
}

func (w *World) createFault(x *exchange) fault {
	_, taken := w.cal.UserByEmail(clientID, x.emails[0])
	late := w.lateness()
	switch choice := w.random.IntN(8); {
	case choice == 0:
		return w.stopFault(late)
	case choice < 3 && taken:
		return fault{name: "409 without an id", inject: &calcomtest.Fault{Status: http.StatusConflict}}
	default:
		return fault{
			name: "create finished late", hang: choice%2 == 0, late: late,
			inject: &calcomtest.Fault{Status: http.StatusGatewayTimeout, After: true, EffectDelay: late},
		}
	}
}

// stopFault is a server that stops in the middle of a create: it dies, answers an error, or goes on later. The steps in
// which the user is linked and not marked yet are the ones that matter most.
func (w *World) stopFault(late time.Duration) fault {
	steps := []calcomtest.CreateStep{
		calcomtest.StepInsert, calcomtest.StepLink, calcomtest.StepLink, calcomtest.StepProfile, calcomtest.StepTokens,
		calcomtest.StepEventTypes, calcomtest.StepSchedule,
	}
	f := fault{inject: &calcomtest.Fault{StopAfter: steps[w.random.IntN(len(steps))]}}
	switch w.random.IntN(3) {
	case 0:
		f.name, f.cut = "create stops, connection cut", true
	case 1:
		f.name = "create stops, 500"
	default:
		f.name, f.late, f.inject.EffectDelay = "create stops and goes on", late, late
		if f.cut = w.random.IntN(2) == 0; !f.cut {
			f.inject.Status = http.StatusGatewayTimeout
		}
	}
	return f
}

// strikes reports whether a fault with a chance of some per mille happens now.
func (w *World) strikes(perMille int, name string) bool {
	if !w.chaos || w.random.IntN(1000) >= perMille*w.faultRate/150 {
		return false
	}
	w.figures.Faults[name]++
	return true
}
