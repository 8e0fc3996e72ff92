// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/source"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/sweep"
)

// Sweeper looks for drift: once in each resync interval at every settled user, by lists of up to 250. It changes
// nothing. Whoever differs from what its object says is handed to the ManagedUserReconciler, which looks for itself
// before it acts.
//
// Each Reconcile is one step of one OAuth client's round: one call. Everything is kept in memory; after a restart the
// first reconciles of the objects enroll them anew.
type Sweeper struct {
	client   client.Client
	reader   client.Reader
	config   Config
	clock    clock.PassiveClock
	accounts *accounts

	mu        sync.Mutex
	swept     map[account.Name]*swept
	accountOf map[types.NamespacedName]account.Name
	// kept are the accounts, by OAuth client objects, that are swept though nobody may be a member: users may have
	// leaked.
	kept map[string]account.Name
	// demands are the objects for which the sweep wants a look at Cal.com; the numbers tell one demand from the next.
	demands    map[types.NamespacedName]uint64
	lastDemand uint64
	// missing is called with members that a list should have shown and did not, before they are woken.
	missing  func(context.Context, account.Name, []types.NamespacedName)
	wake     func(types.NamespacedName)
	schedule func(SweepRequest, time.Duration)
}

// SweepRequest asks for the next step of one OAuth client's round.
type SweepRequest struct{ account account.Name }

// swept is what the sweep knows of one OAuth client.
type swept struct {
	account account.Name
	members map[types.NamespacedName]*member
	// keeps are the OAuth client objects that stand for it, and the reason why each has no secret key, if it has none.
	keeps map[string]string
	// joinedFirst and joinedLast are when members came, since there was none.
	joinedFirst, joinedLast time.Time
	// watched is since when there has been somebody to look after: a member, or an OAuth client object that stands for
	// the account.
	watched time.Time
	// scheduled is set while the queue holds, or works on, the next step, which is not due before due.
	scheduled bool
	due       time.Time
	// round is nil between the first member and the first call. Only the step under way touches what is in it.
	round    *sweep.Round[types.NamespacedName]
	failures int
	// suspects are the users whose objects were missing in the last complete round.
	suspects map[int64]types.NamespacedName
	// leaked are the verified ones among those that were suspects twice.
	leaked   map[int64]bool
	findings Findings
}

// member is one settled object.
type member struct {
	id int64
	// address is the plain form of what Cal.com returned last.
	address string
	// seen is when somebody last looked at the user in Cal.com: the sweep, or the object's own reconcile; looked is
	// when that reconcile did.
	seen, looked time.Time
	// refused is an address that Cal.com does not take in a list.
	refused string
}

func newSweeper(c client.Client, reader client.Reader, accounts *accounts, config Config) *Sweeper {
	s := &Sweeper{
		client: c, reader: reader, config: config, clock: config.Clock, accounts: accounts,
		swept: make(map[account.Name]*swept), kept: make(map[string]account.Name),
		accountOf: make(map[types.NamespacedName]account.Name), demands: make(map[types.NamespacedName]uint64),
		missing: func(context.Context, account.Name, []types.NamespacedName) {},
		wake:    func(types.NamespacedName) {}, schedule: func(SweepRequest, time.Duration) {},
	}
	accounts.dropped = append(accounts.dropped, s.drop)
	return s
}

// Connect says where the sweep puts what it wants done: objects that need a reconcile, which nobody waits for, and
// steps that are due after some time. SetupWithManager connects it with the queues of the controllers.
func (s *Sweeper) Connect(wake func(types.NamespacedName), schedule func(SweepRequest, time.Duration)) {
	s.connectUsers(wake)
	s.connectSteps(schedule)
}

func (s *Sweeper) connectUsers(wake func(types.NamespacedName)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wake = wake
}

func (s *Sweeper) connectSteps(schedule func(SweepRequest, time.Duration)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.schedule = schedule
	for name, sw := range s.swept { // Those that came before.
		if sw.scheduled {
			schedule(SweepRequest{name}, 0)
		}
	}
}

// enroll makes a settled object a member of its account's sweep. looked says that its user was looked at right now.
func (s *Sweeper) enroll(of account.Name, name types.NamespacedName, mu *v1alpha1.ManagedUser, looked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.accountOf[name]; ok && was != of {
		delete(s.swept[was].members, name)
	}
	s.accountOf[name] = of
	sw, now := s.sweptOf(of), s.clock.Now()
	m, ok := sw.members[name]
	if !ok {
		if !sw.isWatched() {
			sw.watched = now
		}
		if len(sw.members) == 0 {
			sw.joinedFirst = now
			if !sw.scheduled && sw.round != nil && now.Sub(sw.round.Began) > s.config.ResyncInterval {
				sw.round, sw.due = nil, time.Time{} // Nobody has been there for long. It begins as after a start.
			}
		}
		sw.joinedLast = now
		m = &member{}
		sw.members[name] = m
	}
	m.id, m.address = mu.Status.User.ID, calcom.PlainEmail(mu.Status.User.Email, of.ClientID)
	if looked {
		m.seen, m.looked = now, now
	}
	s.begins(of, sw)
}

// sweptOf returns what is known of an account, from now on. The lock is held.
func (s *Sweeper) sweptOf(of account.Name) *swept {
	sw, ok := s.swept[of]
	if !ok {
		sw = &swept{account: of, members: make(map[types.NamespacedName]*member), keeps: make(map[string]string)}
		s.swept[of] = sw
	}
	return sw
}

// begins schedules the next step of an account, unless it is. The lock is held.
func (s *Sweeper) begins(of account.Name, sw *swept) {
	if !sw.scheduled {
		sw.scheduled = true
		s.schedule(SweepRequest{of}, max(0, sw.due.Sub(s.clock.Now())))
	}
}

// keep has an account swept for as long as an OAuth client object stands for it. lacks is why the object has no secret
// key.
func (s *Sweeper) keep(object string, of account.Name, lacks string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if was, ok := s.kept[object]; ok && was != of {
		delete(s.swept[was].keeps, object)
	}
	sw := s.sweptOf(of)
	if !sw.isWatched() {
		sw.watched = s.clock.Now()
	}
	s.kept[object], sw.keeps[object] = of, lacks
	s.begins(of, sw)
}

// unkeep ends what keep began.
func (s *Sweeper) unkeep(object string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of, ok := s.kept[object]; ok {
		delete(s.kept, object)
		delete(s.swept[of].keeps, object)
	}
}

// drop forgets an account that no object uses any more.
func (s *Sweeper) drop(of account.Name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if sw, ok := s.swept[of]; ok && !sw.isWatched() {
		delete(s.swept, of)
	}
}

// isWatched reports whether there is a member, or an OAuth client object that stands for the account: users may have
// leaked.
func (sw *swept) isWatched() bool { return len(sw.members)+len(sw.keeps) > 0 }

// withdraw takes an object out of the sweep.
func (s *Sweeper) withdraw(name types.NamespacedName) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if of, ok := s.accountOf[name]; ok {
		delete(s.accountOf, name)
		delete(s.swept[of].members, name)
	}
}

// forget drops everything that is known of an object.
func (s *Sweeper) forget(name types.NamespacedName) {
	s.withdraw(name)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.demands, name)
}

// demandOf returns the number of the demand for a look at an object's user, 0 when there is none.
func (s *Sweeper) demandOf(name types.NamespacedName) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.demands[name]
}

// answered notes that a demand was met, unless there is a newer one.
func (s *Sweeper) answered(name types.NamespacedName, demand uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.demands[name] == demand {
		delete(s.demands, name)
	}
}

// users is the source of the users' controller: it takes the sweep's wishes into the queue, behind everything else.
func (s *Sweeper) users() source.Source {
	return queued(handler.LowPriority, s.connectUsers)
}

// setupWithManager registers the sweep's own controller.
func (s *Sweeper) setupWithManager(mgr ctrl.Manager) error {
	steps := source.TypedFunc[SweepRequest](func(_ context.Context, queue workqueue.TypedRateLimitingInterface[SweepRequest]) error {
		s.connectSteps(queue.AddAfter)
		return nil
	})
	return builder.TypedControllerManagedBy[SweepRequest](mgr).
		Named("drift-sweep").
		WatchesRawSource(steps).
		WithOptions(controller.TypedOptions[SweepRequest]{
			MaxConcurrentReconciles: s.config.MaxConcurrentReconciles,
			RateLimiter:             workqueue.NewTypedItemExponentialFailureRateLimiter[SweepRequest](firstBackOff, lastBackOff),
		}).
		WithLogConstructor(func(request *SweepRequest) logr.Logger {
			logger := mgr.GetLogger().WithValues("controller", "drift-sweep")
			if request != nil {
				logger = logger.WithValues("apiURL", request.account.APIURL, "clientID", request.account.ClientID)
			}
			return logger
		}).
		Complete(s)
}
