// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"maps"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/metrics"
	"github.com/calcom-operator/calcom-operator/internal/sweep"
)

// mostLeakedIDs is how many leaked users are named.
const mostLeakedIDs = 10

// Findings are what the last complete round of an OAuth client's sweep found. All but LastError are zero before there
// was one.
type Findings struct {
	// Completed is when the round ended, and Duration the time from its first call to its last.
	Completed time.Time
	Duration  time.Duration
	// Calls to Cal.com that it took, failed ones included.
	Calls int
	// Members is the number of users that the sweep looks after.
	Members int
	// Drifted users differed from their objects, and Missing ones were not there. Each was looked at again, one by one,
	// before anything was done.
	Drifted, Missing int
	// Strangers are listed users without this cluster's mark.
	Strangers int
	// Leaked users carry the mark of an object, in a namespace that is watched, that did not exist, or had another
	// user, in two rounds. LeakedIDs are the ids of the first ten, in order.
	Leaked    int
	LeakedIDs []int64
	// CensusComplete is set when the list showed every user of the client. It shows 500 at most; strangers and leaks
	// beyond are not counted.
	CensusComplete bool
	// LastError is why the sweep is held up now, a reason of the conditions Synced and CredentialsReady. It is empty
	// while it is not.
	LastError string
}

// status returns the findings as the status of an OAuth client shows them: as they were written, when nothing has
// changed since.
func (f Findings) status(was *v1alpha1.SweepStatus) *v1alpha1.SweepStatus {
	if f.Completed.IsZero() {
		return was
	}
	is := &v1alpha1.SweepStatus{
		//nolint:gosec // Nobody has two thousand million users.
		Users: int32(f.Members), Drifted: int32(f.Drifted), Missing: int32(f.Missing), Leaked: int32(f.Leaked),
		LeakedUserIDs: slices.Clone(f.LeakedIDs), Census: "Partial",
	}
	if f.CensusComplete {
		is.Census = "Complete"
	}
	if was != nil {
		is.Since = was.Since
		if equality.Semantic.DeepEqual(is, was) {
			return was
		}
	}
	is.Since = metav1.NewTime(f.Completed)
	return is
}

// ClientSweep is the drift sweep of one OAuth client.
type ClientSweep struct {
	APIURL, ClientID string
	// Awaited is since when a complete round has been awaited: since the last one, or since there was somebody to look
	// after. It is zero while there is nobody, and the sweep rests.
	Awaited time.Time
	Findings
}

// Sweeper returns the drift sweep of the reconciler's objects.
func (r *ManagedUserReconciler) Sweeper() *Sweeper { return r.sweeper }

// Sweeps returns what the sweeps of all OAuth clients found, in order, for metrics.
func (r *ManagedUserReconciler) Sweeps() []ClientSweep { return r.sweeper.sweeps() }

// OnNews has a function called, with API URL and client id, whenever there is something new to say of an OAuth client:
// of its sweep, or of its credentials. It must not block, and has to be set before the first reconcile.
func (r *ManagedUserReconciler) OnNews(listener func(apiURL, clientID string)) {
	r.accounts.listeners = append(r.accounts.listeners, func(name account.Name) { listener(name.APIURL, name.ClientID) })
}

// findings returns what the sweep of an account found; false before it has a member.
func (s *Sweeper) findings(name account.Name) (Findings, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sw, ok := s.swept[name]
	if !ok {
		return Findings{}, false
	}
	return sw.findings.clone(), true
}

func (f Findings) clone() Findings {
	f.LeakedIDs = slices.Clone(f.LeakedIDs)
	return f
}

func (s *Sweeper) sweeps() []ClientSweep {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]ClientSweep, 0, len(s.swept))
	for _, name := range inOrder(s.swept) {
		sw := s.swept[name]
		all = append(all, ClientSweep{APIURL: name.APIURL, ClientID: name.ClientID, Awaited: sw.awaited(), Findings: sw.findings.clone()})
	}
	return all
}

// awaited returns since when a complete round has been awaited. The lock is held.
func (sw *swept) awaited() time.Time {
	switch {
	case !sw.isWatched():
		return time.Time{}
	case sw.findings.Completed.After(sw.watched):
		return sw.findings.Completed
	}
	return sw.watched
}

// complete ends a round: what it found counts from now on.
func (s *Sweeper) complete(ctx context.Context, name account.Name, sw *swept, now time.Time) {
	round := sw.round
	leaked := s.verifyLeaks(ctx, sw, sweep.Persisting(sw.suspects, round.Suspects()))
	ids := slices.Sorted(maps.Keys(leaked))
	s.mu.Lock()
	risen := len(leaked) > len(sw.leaked)
	sw.suspects, sw.leaked = round.Suspects(), leaked
	sw.findings = Findings{
		Completed: now, Duration: now.Sub(round.Began), Calls: round.Calls, Members: len(sw.members),
		Drifted: round.Drifted, Missing: round.Missing, Strangers: round.Strangers(),
		Leaked: len(ids), LeakedIDs: slices.Clip(ids[:min(len(ids), mostLeakedIDs)]), CensusComplete: round.Complete(),
	}
	s.mu.Unlock()
	s.config.Metrics.DriftFound(metrics.DriftChanged, round.Drifted)
	s.config.Metrics.DriftFound(metrics.DriftMissing, round.Missing)
	if risen {
		log.FromContext(ctx).Info("There are users with the mark of objects that do not exist, or that have another user; nothing is done with them", "users", len(ids), "userIDs", ids[:min(len(ids), mostLeakedIDs)])
	}
	s.accounts.notify(name)
}

// verifyLeaks asks the API server itself whether the objects are missing that some users stand for, or have others.
// What cannot be found out now stays as it was.
func (s *Sweeper) verifyLeaks(ctx context.Context, sw *swept, ids []int64) map[int64]bool {
	leaked := make(map[int64]bool)
	for _, id := range ids {
		var mu v1alpha1.ManagedUser
		err := s.reader.Get(ctx, sw.round.Suspects()[id], &mu)
		if apierrors.IsNotFound(err) || err == nil && manageduser.HasAnother(&mu, id) || err != nil && sw.leaked[id] {
			leaked[id] = true
		}
	}
	return leaked
}
