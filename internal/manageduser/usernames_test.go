// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package manageduser

import (
	"testing"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// The key is the same for two addresses if Cal.com makes one username of them.
func TestUsernameKey(t *testing.T) {
	for name, tc := range map[string]struct {
		a, b  string
		alike bool
	}{
		"Same":           {"alice@example.com", "alice@example.com", true},
		"Punctuation":    {"a-lice@example.com", "a_lice@example.com", true},
		"ThirdLabel":     {"alice@example.co.uk", "alice@example.co.nz", true},
		"TopLevelDomain": {"alice@example.com", "alice@example.org", false},
		"LocalPart":      {"alice@example.com", "alicia@example.com", false},
		"OnAcross":       {"a-b@c.de", "a@b.c.de", false},
	} {
		t.Run(name, func(t *testing.T) {
			if got := UsernameKey(tc.a) == UsernameKey(tc.b); got != tc.alike {
				t.Errorf("%q and %q", UsernameKey(tc.a), UsernameKey(tc.b))
			}
			s := calcomtest.New(t)
			id := calcomtest.DefaultClient().ID
			a, b := s.AddUser(id, calcomtest.User{Email: "1" + tc.a}), func() (u calcomtest.User) {
				defer func() { _ = recover() }() // The name is taken.
				return s.AddUser(id, calcomtest.User{Email: "1" + tc.b})
			}()
			if same := b.ID == 0; same != tc.alike {
				t.Errorf("the sandbox makes %q and %v", *a.Username, b.Username)
			}
		})
	}
}
