// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/gate"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// users is what the reconciler needs of Cal.com: one call each, as package calcom documents them.
type users interface {
	CreateUser(ctx context.Context, user calcom.UserFields) (calcom.User, calcom.Tokens, error)
	User(ctx context.Context, id int64) (calcom.User, error)
	UsersByEmail(ctx context.Context, emails ...string) ([]calcom.User, error)
	Users(ctx context.Context, limit, offset int) ([]calcom.User, error)
	UpdateUser(ctx context.Context, id int64, update calcom.UserFields) (calcom.User, error)
	DeleteUser(ctx context.Context, id int64) (calcom.User, error)
	Refresh(ctx context.Context, refreshToken calcom.Hidden[string]) (calcom.Tokens, error)
	ForceRefresh(ctx context.Context, id int64) (calcom.Tokens, error)
}

// accounts keeps, for the life of the process, one account per API URL and OAuth client.
type accounts struct {
	config Config
	clock  clock.PassiveClock

	// listeners are told of accounts of which there is something new to say. They are all there before the first
	// account is.
	listeners []func(account.Name)
	// dropped are called with each account that is dropped, without the lock. They are all there before the first
	// account is.
	dropped []func(account.Name)
	// queue takes objects and checks that the gates of the accounts want done.
	queue paceQueue

	mu     sync.Mutex
	byName map[account.Name]*clientAccount
	// users are the accounts that objects use, and keys their secret keys. unused are the accounts that may have to be
	// dropped.
	users  references[account.Name]
	keys   references[loginKey]
	unused []account.Name
	// cut are the objects whose last visit ended in its middle for want of calls, and how many it would have taken.
	cut map[types.NamespacedName]int
}

// notify tells whoever cares that there is something new to say of an account.
func (a *accounts) notify(name account.Name) {
	for _, listen := range a.listeners {
		listen(name)
	}
}

// clientAccount is one OAuth client: the quota that all its users share, and the logins that were tried.
type clientAccount struct {
	budget *quota.Budget
	// gate limits how many objects have calls under way, and check asks for a check of the calls after a time.
	gate   *gate.Gate[types.NamespacedName]
	check  func(time.Duration)
	logins map[[sha256.Size]byte]*login
	// numbered is how many logins there were so far.
	numbered int
	// successes counts the calls that showed a secret key to be good, so that the latest can be told.
	successes atomic.Int64
	// outage is for the log.
	outage outage
}

// login is an account together with one value of the secret key.
type login struct {
	client  users
	account *clientAccount
	budget  *quota.Budget
	clock   clock.PassiveClock
	probe   time.Duration
	number  int // Of the account's logins, in the order in which they came.
	// changed is called when Cal.com comes to accept the key, or to refuse it.
	changed func()

	mu       sync.Mutex
	trusted  bool      // Cal.com accepted it, or it is what the process began with.
	verified bool      // Cal.com accepted it.
	refusal  error     // Cal.com's 401 or 403, until a call succeeds.
	accepted int64     // Which of the account's successes was the last one with it; 0 if none was.
	trying   bool      // One visit finds out whether Cal.com accepts it.
	probeAt  time.Time // When one caller may try again after a refusal.
}

// maxLogins bounds the secret keys that are remembered per account. More than two at a time, before and after a
// rotation, are somebody's mistake.
const maxLogins = 8

func newAccounts(config Config) *accounts {
	return &accounts{
		config: config, clock: config.Clock, byName: make(map[account.Name]*clientAccount), cut: make(map[types.NamespacedName]int),
		users: newReferences[account.Name](), keys: newReferences[loginKey](),
	}
}

// login returns the login of an object for a secret key, the same one for every object that comes with the same key.
func (a *accounts) login(object string, name account.Name, secretKey calcom.Hidden[string]) (*login, error) {
	a.use(object, name)
	a.mu.Lock()
	defer a.mu.Unlock()
	acc, ok := a.byName[name]
	if !ok {
		acc = &clientAccount{
			budget: quota.New(quota.Options{
				Share: a.config.RateLimitShare, Window: a.config.QuotaWindow, Now: a.clock.Now, OnAdmit: a.config.Metrics.Waited,
			}),
			logins: make(map[[sha256.Size]byte]*login, 1),
			gate:   gate.New(gate.LimitsFor(a.config.MaxConcurrentReconciles), a.clock.Now, a.queue.wakeNow),
			check:  func(after time.Duration) { a.queue.check(PaceRequest{name}, after) },
		}
		a.byName[name] = acc
	}
	fingerprint := sha256.Sum256([]byte(secretKey.Reveal()))
	if l, ok := acc.logins[fingerprint]; ok {
		a.useLogin(object, loginKey{name, fingerprint})
		return l, nil
	}
	cal, err := calcom.New(calcom.Config{
		BaseURL: name.APIURL, ClientID: name.ClientID, SecretKey: secretKey,
		UserAgent: a.config.UserAgent, Transport: a.config.Transport, OnResponse: acc.budget.Observe,
		OnDone: a.config.Metrics.Called, Now: a.clock.Now,
	})
	if err != nil {
		return nil, err
	}
	// What the process finds at its start was verified by the one before it; a restart asks nobody.
	l := &login{
		client: cal, account: acc, budget: acc.budget, clock: a.clock, probe: a.config.ResyncInterval,
		number: acc.numbered, trusted: acc.numbered == 0,
		changed: func() { a.notify(name) },
	}
	if len(acc.logins) >= maxLogins {
		clear(acc.logins)
	}
	acc.logins[fingerprint] = l
	acc.numbered++
	a.useLogin(object, loginKey{name, fingerprint})
	return l, nil
}

// session is a login as one visit uses it: each call is admitted by the budget first, and none is made with a
// secret key that Cal.com is known to refuse.
type session struct {
	*login
	// object is whose calls take places at the account's gate; without a name they take none.
	object types.NamespacedName
	// noted is called when the object's status was written while one of its calls was under way.
	noted func(statusNote)
	// probing lets the calls through in spite of a refusal: somebody asked for a look now.
	probing bool
	turn
	// reserved is the number of calls that were admitted and not made yet.
	reserved int
	// called is set once a call was made: from there on, a wait would make it worthless.
	called bool
	// made is how many calls were made, and cut how many the visit would have taken that a wait has made worthless.
	made, cut int
	// probes is set when the calls are the one attempt with a secret key that was refused.
	probes bool
	// cautious lets the visit make no call with a secret key that another visit is just trying, though it was not new.
	cautious bool
	// tries is set while this visit is the one that tries a secret key.
	tries bool
	// inline: the credentials stand in the object itself, and no OAuth client's condition can quote the server.
	inline bool
}

var _ users = (*session)(nil)

// reserve admits the next n calls ahead of time, so that whatever must be written before them is written only when they
// will be made.
func (s *session) reserve(n int) error {
	if s.reserved >= n {
		return nil
	}
	if err := s.refused(); err != nil {
		return err
	}
	if err := s.enter(gate.KindOf(s.class)); err != nil {
		return err
	}
	calls := n - s.reserved
	if !s.called {
		calls = max(n, s.first) - s.reserved
	}
	promise := s.budget.Take(quota.Request{
		Class: s.class, Namespace: s.namespace, Key: s.key, Calls: calls, Continues: s.called, Deadline: s.deadline,
	})
	if !promise.IsZero() {
		if s.called {
			s.cut = s.made + n
		}
		return waitForQuota(promise)
	}
	s.reserved += calls
	// Only who has its calls takes the one attempt: it would be lost on somebody who has to wait for them.
	return s.claim()
}

// giveBack returns what was reserved and turned out not to be needed.
func (s *session) giveBack() {
	if s.reserved > 0 {
		s.budget.Return(s.class, s.reserved)
		s.reserved = 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probes && !s.called {
		s.probeAt = s.clock.Now()
	}
	s.endTrial()
}

func (s *session) endTrial() {
	if s.tries {
		s.tries, s.trying = false, false
	}
}

// refused returns the refusal of the secret key, unless there may be an attempt with it: one at each interval, and when
// somebody asks for it.
func (s *session) refused() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusalNow()
}

func (s *session) refusalNow() error {
	if s.isUntried() && s.trying && !s.tries {
		return waitForTrial()
	}
	if s.probing || s.probes || !s.clock.Now().Before(s.probeAt) {
		return nil
	}
	return s.refusal
}

// isUntried reports whether nobody knows what Cal.com says to the secret key. Then one visit finds out for all.
func (s *session) isUntried() bool {
	return s.refusal == nil && !s.verified && (!s.trusted || s.cautious)
}

// claim makes this visit the one that tries a secret key that is new or was refused, or returns what stands against it
// if another was faster.
func (s *session) claim() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.refusalNow(); err != nil {
		return err
	}
	if s.isUntried() {
		s.tries, s.trying = true, true
	}
	if s.refusal != nil && !s.probes {
		s.probes, s.probeAt = true, s.clock.Now().Add(s.probe)
	}
	return nil
}

// learn takes in what an answer says of the secret key.
func (s *session) learn(ctx context.Context, err error) {
	fresh := isRefusal(err) && s.inline && s.isFirstRefusal()
	if s.learned(err) && s.changed != nil {
		s.changed()
	}
	if fresh {
		logRefusal(ctx, err)
	}
}

// isFirstRefusal reports whether Cal.com has not refused the secret key since it was new or accepted.
func (s *session) isFirstRefusal() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refusal == nil
}

// learned reports whether the answer is other news than the one before.
func (s *session) learned(err error) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	was := s.verified
	s.endTrial()
	switch {
	case isRefusal(err):
		s.refusal, s.verified, s.trusted = err, false, true
		s.probeAt = s.clock.Now().Add(s.probe)
		return was
	case calcom.IsForbidden(err):
		s.verified = false
		return was
	case err == nil, refusedBehindLogin(err):
		s.refusal, s.verified, s.trusted = nil, true, true
		s.accepted = s.account.successes.Add(1)
		return !was
	}
	return false
}

// isRefusal reports whether Cal.com refuses every call with these credentials: by 401, or by a 403 of its own, which is
// about the OAuth client's organization. A 403 of something in between may be about one request.
func isRefusal(err error) bool {
	e, ok := errors.AsType[*calcom.Error](err)
	return ok && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden && e.Code != "")
}

// refusedBehindLogin reports whether an error is Cal.com's own about the request, which it looks at only after the
// credentials.
func refusedBehindLogin(err error) bool {
	e, ok := errors.AsType[*calcom.Error](err)
	return ok && e.Code != "" && !calcom.IsNoSuchAPI(err) &&
		slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict}, e.Status)
}

// isTrusted reports whether there is no reason to verify the secret key.
func (l *login) isTrusted() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trusted && l.refusal == nil
}

func (l *login) isVerified() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.verified
}
