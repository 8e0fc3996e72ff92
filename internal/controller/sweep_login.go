// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import "github.com/calcom-operator/calcom-operator/internal/account"

// sweepLogin returns the login that the drift sweep calls with: the one that Cal.com accepted last, or the first that
// came. It prefers one that Cal.com does not refuse, and returns nil if there is none at all.
func (a *accounts) sweepLogin(name account.Name) *login {
	a.mu.Lock()
	defer a.mu.Unlock()
	acc, ok := a.byName[name]
	if !ok {
		return nil
	}
	var best *login
	for _, l := range acc.logins {
		if best == nil || l.isBetterThan(best) {
			best = l
		}
	}
	return best
}

func (l *login) isBetterThan(other *login) bool {
	refused, accepted := l.verdict()
	otherRefused, otherAccepted := other.verdict()
	switch {
	case refused != otherRefused:
		return !refused
	case accepted != otherAccepted:
		return accepted > otherAccepted
	}
	return l.number < other.number
}

func (l *login) verdict() (refused bool, accepted int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusal != nil, l.accepted
}

func (l *login) isRefused() bool {
	refused, _ := l.verdict()
	return refused
}
