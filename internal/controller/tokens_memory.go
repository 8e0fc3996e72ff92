// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/metrics"
	"github.com/calcom-operator/calcom-operator/internal/quota"
	"github.com/calcom-operator/calcom-operator/internal/renewal"
)

// tokensMemory is what the process remembers of the tokens that it published: enough to put a Secret right that was
// deleted or edited without asking Cal.com for others, and when each pair is due. Nothing is lost with it but that: a
// process that has just begun goes by the Secrets.
type tokensMemory struct {
	config Config

	mu   sync.Mutex
	kept map[types.NamespacedName]*keptTokens
	// plans are the calendars, one for each account, since these have quotas of their own, and planned says where each
	// object's tokens are.
	plans   map[account.Name]*renewal.Calendar[types.NamespacedName]
	planned map[types.NamespacedName]account.Name
}

// keptTokens is what is remembered of one object's tokens.
type keptTokens struct {
	uid types.UID
	// pair is the newest that is known; nil until the Secret was read or written.
	pair *tokenPair
	// version is the resource version of the Secret when it was last read or written; empty when it is to be looked at.
	version string
	// lost is why the refresh token with the fingerprint lostToken does not work any more. It is not tried again.
	lost, lostToken string
	// written are the last annotations that were written, so that an event can be told from somebody else's doing.
	written []string
	// verifyAt is when a Secret is read that was found at the start, in the version found.
	verifyAt time.Time
	found    string
	// met is the last request for a look that a new pair was issued for.
	met string
}

// mostWritten is how many of its own annotations the process remembers per Secret: a renewal writes two.
const mostWritten = 3

func newTokensMemory(config Config) *tokensMemory {
	return &tokensMemory{
		config: config, kept: make(map[types.NamespacedName]*keptTokens),
		plans:   make(map[account.Name]*renewal.Calendar[types.NamespacedName]),
		planned: make(map[types.NamespacedName]account.Name),
	}
}

// of returns what is remembered of an object, which may be nothing. m.mu must be held.
func (m *tokensMemory) of(name types.NamespacedName, uid types.UID) *keptTokens {
	k, ok := m.kept[name]
	if !ok || k.uid != uid {
		k = &keptTokens{uid: uid}
		m.kept[name] = k
	}
	return k
}

// newest returns the newest pair that is known of an object's user, or nil, and the version of the Secret when it was
// last seen.
func (m *tokensMemory) newest(mu *v1alpha1.ManagedUser) (*tokenPair, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(client.ObjectKeyFromObject(mu), mu.UID)
	return k.pair, k.version
}

// keep remembers a pair.
func (m *tokensMemory) keep(mu *v1alpha1.ManagedUser, p *tokenPair) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(client.ObjectKeyFromObject(mu), mu.UID).pair = p
}

// keepIssued remembers a pair that Cal.com has just issued, which meets the object's request for a look, if there is
// one.
func (m *tokensMemory) keepIssued(mu *v1alpha1.ManagedUser, p *tokenPair) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(client.ObjectKeyFromObject(mu), mu.UID)
	k.pair, k.met = p, manageduser.RequestOf(mu)
}

// hasMet reports whether a pair was issued for the object's request for a look.
func (m *tokensMemory) hasMet(mu *v1alpha1.ManagedUser) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.of(client.ObjectKeyFromObject(mu), mu.UID).met == manageduser.RequestOf(mu)
}

// lose remembers that a refresh token does not work any more.
func (m *tokensMemory) lose(mu *v1alpha1.ManagedUser, token, why string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(client.ObjectKeyFromObject(mu), mu.UID)
	k.lost, k.lostToken = why, token
}

// lostFor returns why a refresh token does not work any more, or nothing if it may.
func (m *tokensMemory) lostFor(mu *v1alpha1.ManagedUser, token string) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if k := m.of(client.ObjectKeyFromObject(mu), mu.UID); k.lostToken == token {
		return k.lost
	}
	return ""
}

// saw notes the version of the Secret.
func (m *tokensMemory) saw(mu *v1alpha1.ManagedUser, version string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.of(client.ObjectKeyFromObject(mu), mu.UID).version = version
}

// writes notes an annotation that is about to be written.
func (m *tokensMemory) writes(mu *v1alpha1.ManagedUser, annotation string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(client.ObjectKeyFromObject(mu), mu.UID)
	if k.written = append(k.written, annotation); len(k.written) > mostWritten {
		k.written = slices.Delete(k.written, 0, 1)
	}
}

// wrote reports whether an annotation is one that this process wrote lately.
func (m *tokensMemory) wrote(name types.NamespacedName, annotation string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	k, ok := m.kept[name]
	return ok && slices.Contains(k.written, annotation)
}

// verifying is the time over which a process that has just begun reads the Secrets that it finds: somebody may have
// edited one while no operator was there, and a pair that was read once can be put back later. It is no hurry for ten
// thousand at once.
const verifying = time.Minute

// verifyAt returns when a Secret that the process found is to be read. Whoever changes it from now on has it read at
// once.
func (m *tokensMemory) verifyAt(mu *v1alpha1.ManagedUser, version string, now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	k := m.of(client.ObjectKeyFromObject(mu), mu.UID)
	if k.verifyAt.IsZero() {
		k.verifyAt, k.found = now.Add(m.config.Jitter(verifying)), version
	}
	if k.found != version {
		return now
	}
	return k.verifyAt
}

// dueAt returns when an object's tokens are to be renewed, and plans it if that is not done yet.
func (m *tokensMemory) dueAt(mu *v1alpha1.ManagedUser, of account.Name, life renewal.Life, most int, now time.Time) time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	name := client.ObjectKeyFromObject(mu)
	if m.planned[name] == of {
		calendar := m.calendar(of)
		if at, ok := calendar.At(name); ok && calendar.LifeOf(name) == life {
			return at
		}
	}
	m.drop(name)
	m.planned[name] = of
	return m.calendar(of).Plan(name, life, renewal.Phase(string(mu.UID)), most, now)
}

func (m *tokensMemory) calendar(of account.Name) *renewal.Calendar[types.NamespacedName] {
	calendar, ok := m.plans[of]
	if !ok {
		window := m.config.QuotaWindow
		if window == 0 {
			window = quota.DefaultWindow
		}
		calendar = renewal.NewCalendar[types.NamespacedName](window)
		m.plans[of] = calendar
	}
	return calendar
}

func (m *tokensMemory) drop(name types.NamespacedName) {
	if of, ok := m.planned[name]; ok {
		m.plans[of].Drop(name)
		delete(m.planned, name)
		if m.plans[of].Len() == 0 {
			delete(m.plans, of)
		}
	}
}

// rest takes an object out of the plan whose tokens are not renewed for now.
func (m *tokensMemory) rest(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(name)
}

// forget drops all that is remembered of an object.
func (m *tokensMemory) forget(name types.NamespacedName) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.drop(name)
	delete(m.kept, name)
}

// outlook returns how the published tokens stand that are renewed, for metrics.
func (m *tokensMemory) outlook(now time.Time) metrics.TokensOutlook {
	m.mu.Lock()
	defer m.mu.Unlock()
	var o metrics.TokensOutlook
	for _, calendar := range m.plans {
		if first, ok := calendar.First(); ok && (!o.Any || first.Sub(now) < o.Least) {
			o.Any, o.Least = true, first.Sub(now)
		}
		o.Late += calendar.Late(now)
	}
	return o
}
