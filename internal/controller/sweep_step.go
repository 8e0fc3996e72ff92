// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
	"github.com/calcom-operator/calcom-operator/internal/quota"
	"github.com/calcom-operator/calcom-operator/internal/sweep"
)

// sweepTicket is under what the sweep stands in line for the quota. No object has a key without a slash.
const sweepTicket = "sweep"

// noLoginRetry is when the sweep looks again for a secret key to call with.
const noLoginRetry = 10 * time.Second

// Reconcile makes the next call of a round, if it is due, and says when the one after that is.
func (s *Sweeper) Reconcile(ctx context.Context, request SweepRequest) (ctrl.Result, error) {
	sw, wait := s.begin(request.account)
	if sw == nil || wait > 0 {
		return ctrl.Result{RequeueAfter: wait}, nil
	}
	err := s.step(ctx, request.account, sw)
	if err != nil {
		wait = s.failed(ctx, request.account, sw, err)
	} else {
		wait = s.succeeded(ctx, request.account, sw)
	}
	return ctrl.Result{RequeueAfter: max(wait, 1)}, nil
}

// begin returns the account if a step is due, the time until one is, or nothing if there is nobody to look after.
func (s *Sweeper) begin(name account.Name) (*swept, time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sw, now := s.swept[name], s.clock.Now()
	if sw == nil || !sw.isWatched() {
		if sw != nil {
			sw.scheduled = false // Until somebody joins.
		}
		return nil, 0
	}
	if wait := sw.due.Sub(now); wait > 0 {
		return sw, wait
	}
	if sw.round == nil {
		if wait := sweep.Settles(sw.joinedFirst, sw.joinedLast, now, s.config.ResyncInterval); wait > 0 {
			return sw, wait
		}
		// All operators may have started together, and all accounts of this one have.
		sw.due = now.Add(s.config.Jitter(sweep.Step(s.config.ResyncInterval, sweep.Planned(len(sw.members)))))
		sw.round = sweep.NewRound[types.NamespacedName](sw.due)
		if wait := sw.due.Sub(now); wait > 0 {
			return sw, wait
		}
	}
	if sw.round.Planned == 0 {
		sw.round.Planned = sweep.Planned(len(sw.members))
	}
	return sw, 0
}

// step makes one call and takes in its answer.
func (s *Sweeper) step(ctx context.Context, name account.Name, sw *swept) error {
	login := s.accounts.sweepLogin(name)
	if login == nil {
		return s.lacksLogin(name)
	}
	cal := &session{login: login, turn: turn{class: quota.Drift, key: sweepTicket, first: 1}}
	defer cal.giveBack()
	began := s.clock.Now()
	offset, census := sw.round.Page()
	if census {
		rows, err := cal.Users(ctx, calcom.MaxListed, offset)
		s.count(sw, cal)
		s.noteOutage(ctx, name, cal, err)
		if err != nil {
			if isAboutTheQuestion(err) {
				sw.round.Unreadable()
			}
			return err
		}
		s.compareCensus(ctx, sw, rows, began)
		return nil
	}
	remaining := s.remaining(name, sw)
	if len(remaining) == 0 {
		return s.deserted(sw, login)
	}
	asked := remaining[:sweep.Batch(addressesOf(remaining), sw.round.Most, sweep.Room(name.APIURL, name.ClientID))]
	rows, err := cal.UsersByEmail(ctx, addressesOf(asked)...)
	s.count(sw, cal)
	s.noteOutage(ctx, name, cal, err)
	if err != nil {
		return s.refused(sw, asked, err)
	}
	sw.round.Answered()
	s.compareBatch(ctx, sw, asked, rows, began)
	return nil
}

// deserted ends a round in which nobody is left to be asked for: because all were looked at, or because Cal.com refused
// somebody else's call and they have left. Then the round has found out nothing, and another one begins.
func (s *Sweeper) deserted(sw *swept, login *login) error {
	login.mu.Lock()
	refusal := login.refusal
	login.mu.Unlock()
	if refusal == nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sw.round = nil
	return refusal
}

// lacksLogin is why there is no secret key to call with, as far as an OAuth client object knows.
func (s *Sweeper) lacksLogin(name account.Name) *outcome.Problem {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := &outcome.Problem{
		Condition: v1alpha1.ConditionCredentialsReady, Reason: v1alpha1.ReasonProgressing, Pace: outcome.Later, After: noLoginRetry, Silent: true,
		Message: "There is no secret key to call with",
	}
	if sw, ok := s.swept[name]; ok {
		for _, lacks := range sw.keeps {
			if lacks != "" {
				p.Reason, p.Silent = lacks, false
			}
		}
	}
	return p
}

func (s *Sweeper) count(sw *swept, cal *session) {
	if cal.called {
		sw.round.Calls++
	}
}

// asked is a member that a round has still to look at.
type asked struct {
	name    types.NamespacedName
	address string
	seen    time.Time
}

// remaining returns the members that nobody has looked at since the round began: those first that nobody has looked at
// for longest. A member whose address cannot stand in a list is asked for by its own reconcile instead.
func (s *Sweeper) remaining(name account.Name, sw *swept) []asked {
	s.mu.Lock()
	defer s.mu.Unlock()
	var remaining []asked
	var alone []types.NamespacedName
	for object, m := range sw.members {
		switch {
		case !m.seen.Before(sw.round.Began):
		case m.refused == m.address || !sweep.Askable(m.address, name.ClientID):
			m.seen = s.clock.Now()
			alone = append(alone, object)
		default:
			remaining = append(remaining, asked{object, m.address, m.seen})
		}
	}
	slices.SortFunc(remaining, func(a, b asked) int {
		return cmp.Or(a.seen.Compare(b.seen), cmp.Compare(a.name.Namespace, b.name.Namespace), cmp.Compare(a.name.Name, b.name.Name))
	})
	s.summon(alone)
	return remaining
}

// summon demands a look at some objects, until one has succeeded, and wakes them. The lock is held.
func (s *Sweeper) summon(objects []types.NamespacedName) {
	slices.SortFunc(objects, func(a, b types.NamespacedName) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	for _, object := range objects {
		s.lastDemand++
		s.demands[object] = s.lastDemand
		s.wake(object)
	}
}

func addressesOf(members []asked) []string {
	addresses := make([]string, len(members))
	for i, m := range members {
		addresses[i] = m.address
	}
	return addresses
}

// refused deals with a call by addresses that failed because of what was asked for: one address that the server does
// not take, or one user too large to read. The next calls ask for fewer, until it stands alone; then its own reconcile
// is to see to it.
func (s *Sweeper) refused(sw *swept, members []asked, err error) error {
	if !isAboutTheQuestion(err) || !sw.round.Refused(len(members)) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if m, ok := sw.members[members[0].name]; ok && m.address == members[0].address {
		m.seen, m.refused = s.clock.Now(), m.address
		s.summon([]types.NamespacedName{members[0].name})
	}
	return err
}

// isAboutTheQuestion reports whether the same question is likely to fail again in the same way.
func isAboutTheQuestion(err error) bool {
	e, ok := errors.AsType[*calcom.Error](err)
	return ok && (e.Unreadable || e.Status == http.StatusBadRequest)
}

// succeeded ends a step and, when nobody is left, the round.
func (s *Sweeper) succeeded(ctx context.Context, name account.Name, sw *swept) time.Duration {
	sw.failures = 0
	s.tellRecovery(name, sw)
	addresses := addressesOf(s.remaining(name, sw))
	now, left := s.clock.Now(), sw.round.Left(addresses, sweep.Room(name.APIURL, name.ClientID))
	wait := sweep.Wait(sw.round.Began, now, s.config.ResyncInterval, sw.round.Calls, left, sw.round.Planned)
	if left == 0 {
		s.complete(ctx, name, sw, now)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sw.due = now.Add(wait)
	if left == 0 {
		sw.round = sweep.NewRound[types.NamespacedName](sw.due)
	}
	return wait
}

// failed ends a step that came to nothing and says when it is tried again.
func (s *Sweeper) failed(ctx context.Context, name account.Name, sw *swept, err error) time.Duration {
	now, p := s.clock.Now(), outcome.Classify(err)
	if p == nil { // Nothing but Cal.com is asked here.
		p = &outcome.Problem{Reason: v1alpha1.ReasonUnexpectedResponse, Message: "The sweep failed"}
	}
	wait := min(firstBackOff<<min(sw.failures, 20), lastBackOff)
	switch {
	case !p.At.IsZero():
		wait = p.At.Sub(now)
	case p.Pace == outcome.Later:
		wait = p.After + s.config.Jitter(max(time.Second, p.After/jitterShare))
	case p.Pace == outcome.Slowly:
		wait = s.config.ResyncInterval + s.config.Jitter(s.config.ResyncInterval/jitterShare)
	default:
		sw.failures++
		wait += s.config.Jitter(wait / jitterShare)
	}
	if p.At.IsZero() && !p.Silent {
		s.tell(ctx, name, sw, p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	sw.due = now.Add(wait)
	if login := s.accounts.sweepLogin(name); p.Condition == v1alpha1.ConditionCredentialsReady && login != nil && login.isRefused() {
		for object := range sw.members { // Each says it, and makes no call for it.
			s.wake(object)
		}
	}
	return wait
}

// tellRecovery notes that the sweep is not held up any more.
func (s *Sweeper) tellRecovery(name account.Name, sw *swept) {
	s.mu.Lock()
	news := sw.findings.LastError != ""
	sw.findings.LastError = ""
	s.mu.Unlock()
	if news {
		s.accounts.notify(name)
	}
}

// tell notes what went wrong, and logs it when it is news.
func (s *Sweeper) tell(ctx context.Context, name account.Name, sw *swept, p *outcome.Problem) {
	s.mu.Lock()
	news := sw.findings.LastError != p.Reason
	sw.findings.LastError = p.Reason
	s.mu.Unlock()
	if news {
		level := 0
		if p.Pace == outcome.BackOff {
			level = 1 // The log has a line about the outage.
		}
		log.FromContext(ctx).V(level).Info("Sweeping failed and is tried again", "reason", p.Reason, "message", p.Message)
		s.accounts.notify(name)
	}
}
