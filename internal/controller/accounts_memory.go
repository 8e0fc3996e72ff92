// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"crypto/sha256"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/calcom-operator/calcom-operator/internal/account"
)

// loginKey is one value of the secret key of an account.
type loginKey struct {
	account     account.Name
	fingerprint [sha256.Size]byte
}

// use notes that an object has to do with an account: a user by its namespaced name, an OAuth client by its ticket. An
// account that no object uses any more is dropped.
func (a *accounts) use(object string, name account.Name) {
	a.mu.Lock()
	if was, ok := a.users.of[object]; ok && was != name {
		a.forgetTickets(object)
		if acc, ok := a.byName[was]; ok {
			acc.gate.Leave(objectOf(object), false)
		}
	}
	if unused, ok := a.users.set(object, name); ok {
		a.unused = append(a.unused, unused)
	}
	a.mu.Unlock()
	a.prune()
}

// useLogin notes which login an object uses. A secret key that no object uses any more does not stay in memory. a.mu
// must be held.
func (a *accounts) useLogin(object string, key loginKey) {
	if unused, ok := a.keys.set(object, key); ok {
		a.dropLogin(unused)
	}
}

func (a *accounts) dropLogin(key loginKey) {
	if acc, ok := a.byName[key.account]; ok {
		delete(acc.logins, key.fingerprint)
	}
}

// forget drops what is known of an object that is gone: its tickets, and what no other object uses.
func (a *accounts) forget(object types.NamespacedName) {
	a.noteCut(object, 0)
	a.leavePlace(object, false)
	a.leave(object.String())
}

// leave notes that an object has to do with no account any more.
func (a *accounts) leave(object string) {
	a.mu.Lock()
	a.forgetTickets(object)
	if unused, ok := a.keys.drop(object); ok {
		a.dropLogin(unused)
	}
	if unused, ok := a.users.drop(object); ok {
		a.unused = append(a.unused, unused)
	}
	a.mu.Unlock()
	a.prune()
}

// forgetTickets drops the tickets of an object. a.mu must be held.
func (a *accounts) forgetTickets(object string) {
	if acc, ok := a.byName[a.users.of[object]]; ok {
		acc.budget.Forget(object)
		acc.budget.Forget(object + tokensTicket)
	}
}

// forgetTicket drops one ticket of an object that waits no longer.
func (a *accounts) forgetTicket(key string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if acc, ok := a.byName[a.users.of[strings.TrimSuffix(key, tokensTicket)]]; ok {
		acc.budget.Forget(key)
	}
}

// prune drops the accounts that no object uses, in the order in which they became so. One whose latest calls still
// count against the quota is kept until they do not: made anew, it would not know of them.
func (a *accounts) prune() {
	for _, name := range a.takeUnused() {
		for _, drop := range a.dropped {
			drop(name)
		}
	}
}

func (a *accounts) takeUnused() []account.Name {
	a.mu.Lock()
	defer a.mu.Unlock()
	var taken []account.Name
	for len(a.unused) > 0 {
		name := a.unused[0]
		if acc, ok := a.byName[name]; ok && a.users.counts[name] == 0 && !acc.budget.Idle() {
			break
		}
		if a.unused = a.unused[1:]; a.users.counts[name] == 0 {
			delete(a.byName, name)
			taken = append(taken, name)
		}
	}
	if len(a.unused) == 0 {
		a.unused = nil
	}
	return taken
}
