// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"strings"
	"testing"
)

func TestEmail(t *testing.T) {
	cases := map[string]struct{ plain, stored string }{
		"Simple":         {"alice@example.com", "alice+cid@example.com"},
		"WithATag":       {"alice+tag@example.com", "alice+tag+cid@example.com"},
		"TagLikeTheID":   {"alice+cidx@example.com", "alice+cidx+cid@example.com"},
		"IDWithoutPlus":  {"alicecid@example.com", "alicecid+cid@example.com"},
		"OtherCase":      {"alice+CID@example.com", "alice+CID+cid@example.com"},
		"EmptyLocalPart": {"@example.com", "+cid@example.com"},
		"NoDomain":       {"alice@", "alice+cid@"},
		"NoAddress":      {"alice", "alice"},
		"TwoAts":         {"a@b@c", "a+cid@b@c"},
		"Empty":          {"", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			stored := StoredEmail(tc.plain, "cid")
			if stored != tc.stored {
				t.Errorf("stored as %q, want %q", stored, tc.stored)
			}
			if got := PlainEmail(stored, "cid"); got != tc.plain {
				t.Errorf("plain again it is %q, want %q", got, tc.plain)
			}
			if got := StoredEmail(stored, "cid"); got != stored {
				t.Errorf("stored twice it is %q, want %q", got, stored)
			}
		})
	}
}

func TestPlainEmailTakesOneSuffix(t *testing.T) {
	for stored, want := range map[string]string{
		"alice+cid+cid@example.com": "alice+cid@example.com",
		"alice@example.com":         "alice@example.com",
		"alice+cid@cid+cid":         "alice@cid+cid",
		"cid@example.com":           "cid@example.com",
		"alice+cid":                 "alice+cid",
	} {
		if got := PlainEmail(stored, "cid"); got != want {
			t.Errorf("%q became %q, want %q", stored, got, want)
		}
	}
}

func FuzzEmail(f *testing.F) {
	f.Add("alice@example.com", "cid")
	f.Add("alice+cid@example.com", "cid")
	f.Add("a+@b", "")
	f.Add("@", "+")
	f.Fuzz(func(t *testing.T, email, clientID string) {
		local, _, ok := strings.Cut(email, "@")
		if clientID == "" || strings.Contains(clientID, "@") || ok && strings.HasSuffix(local, "+"+clientID) {
			return // No plain address, or no client id.
		}
		stored := StoredEmail(email, clientID)
		if got := PlainEmail(stored, clientID); got != email {
			t.Errorf("%q came back as %q", email, got)
		}
		if got := StoredEmail(stored, clientID); got != stored {
			t.Errorf("%q was stored as %q", stored, got)
		}
	})
}
