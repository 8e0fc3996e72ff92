// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"errors"
	"sync"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
)

// settledOutage is how long after the end of an outage the next failure is logged at once, and how long a failure that
// comes earlier has to last. So one request to which Cal.com never has an answer, tried every five minutes, is not an
// outage and an end of it again and again, and a server that comes up, answers once and fails for an hour is not passed
// over.
const (
	settledOutage = lastBackOff
	lastingOutage = time.Minute
)

// outage is whether Cal.com serves an OAuth client. It is for the log, which has one line at its beginning and one at
// its end: each object's conditions tell of it too, and there may be thousands of these.
type outage struct {
	mu sync.Mutex
	// began is when the first of the failures came that no answer has followed; zero while Cal.com answers.
	began time.Time
	// ended is when Cal.com answered again after the last outage.
	ended time.Time
	// failures counts the attempts that failed.
	failures int
	// logged is set once there is a line about the beginning.
	logged bool
}

// note takes in how an attempt ended that called Cal.com, and logs what is new.
func (o *outage) note(ctx context.Context, name account.Name, now time.Time, err error) {
	var e *calcom.Error
	fails := errors.As(err, &e) && outcome.Classify(e).Pace == outcome.BackOff
	o.mu.Lock()
	defer o.mu.Unlock()
	logger := log.FromContext(ctx).WithValues("apiURL", name.APIURL, "clientID", name.ClientID)
	switch {
	case !fails && !o.began.IsZero():
		if o.logged {
			logger.Info("Cal.com answers again", "failures", o.failures, "lasted", now.Sub(o.began).Round(time.Second).String())
		}
		o.began, o.ended, o.failures, o.logged = time.Time{}, now, 0, false
	case fails:
		if o.began.IsZero() {
			o.began = now
		}
		o.failures++
		isNew := o.ended.IsZero() || now.Sub(o.ended) >= settledOutage || now.Sub(o.began) >= lastingOutage
		if isNew && !o.logged {
			o.logged = true
			p := outcome.Classify(e)
			logger.Error(nil, "Cal.com fails calls for an OAuth client; further failures are logged at debug level until it answers",
				"reason", p.Reason, "message", p.Message)
		}
	}
}

// noteOutage takes in how a visit ended, if it called Cal.com, for itself or for its tokens.
func (r *ManagedUserReconciler) noteOutage(ctx context.Context, v *visit, err error) {
	if v.cal == nil {
		return
	}
	failure := err
	if p := v.tokens.problem; p != nil && outcome.Classify(err) == nil {
		failure = p
	}
	if v.cal.called || v.tokens.cal != nil && v.tokens.cal.called {
		v.cal.account.outage.note(ctx, v.account, r.clock.Now(), failure)
	}
}

// noteOutage takes in how a call of the sweep ended, if it was made.
func (s *Sweeper) noteOutage(ctx context.Context, name account.Name, cal *session, err error) {
	if cal.called {
		cal.account.outage.note(ctx, name, s.clock.Now(), err)
	}
}
