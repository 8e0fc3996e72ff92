// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package crdcheck

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"
)

const (
	// waitPace is the time between two checks while the operator waits for its CRDs. The API server publishes a
	// change after a second or two.
	waitPace = 5 * time.Second
	// watchPace is the time between two checks of an operator that works. A check costs one small request while
	// nothing changes.
	watchPace = 15 * time.Second
	// confirmPace is the time after which a finding about a CRD that was current is checked once more: of several
	// API servers, one may lag behind.
	confirmPace = 5 * time.Second
)

// errUnchecked is the state before the first check.
var errUnchecked = errors.New("the CRDs have not been checked yet")

// Gate holds the operator back until the CRDs are current, and notices when they are not any more.
type Gate struct {
	check  func(context.Context) error
	clock  clock.Clock
	logger logr.Logger

	// said is the problem that was logged last.
	said string

	mu    sync.Mutex
	state error // Nil while the CRDs are current.
}

// NewGate returns a gate that is closed until Wait opens it.
func NewGate(checker *Checker, c clock.Clock, logger logr.Logger) *Gate {
	return &Gate{check: checker.Check, clock: c, logger: logger, state: errUnchecked}
}

// Ready is a readiness check: it fails while the CRDs are not known to be current.
func (g *Gate) Ready(*http.Request) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

// Wait returns nil once the CRDs are current, and the context's error if that ends before. Each new reason to wait
// is logged once. When the API server does not answer, or refuses to, that is a reason to wait too.
func (g *Gate) Wait(ctx context.Context) error {
	for {
		err := g.check(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		g.set(err)
		g.say(err, "Waiting for current CRDs; nothing is reconciled until then")
		if err == nil {
			return nil
		}
		if !g.pause(ctx, waitPace) {
			return ctx.Err()
		}
	}
}

// Watch returns an *OutdatedError when a CRD has come to lack a field, found by two checks in a row, and nil when
// the context ends. A CRD that is absent is being deleted: its last objects are still to be released, so the
// operator goes on. So it does while the API server does not answer, or refuses to, which is logged: a server that
// is restarted must not stop the operator.
func (g *Gate) Watch(ctx context.Context) error {
	for pace, suspected := watchPace, false; ; {
		if !g.pause(ctx, pace) {
			return nil
		}
		err := g.check(ctx)
		g.say(err, "Checking the CRDs")
		outdated, ok := errors.AsType[*OutdatedError](err)
		lacking := ok && outdated.lacksFields()
		if lacking && suspected {
			g.set(err)
			return err
		}
		pace, suspected = watchPace, lacking
		if lacking {
			pace = confirmPace
		}
	}
}

// say logs a problem, unless it was the last one that was logged.
func (g *Gate) say(err error, message string) {
	if err == nil {
		g.said = ""
		return
	}
	if text := err.Error(); text != g.said {
		g.said = text
		g.logger.Error(err, message)
	}
}

// pause waits for some time, and reports whether the context still goes on.
func (g *Gate) pause(ctx context.Context, d time.Duration) bool {
	timer := g.clock.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C():
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

func (g *Gate) set(state error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = state
}
