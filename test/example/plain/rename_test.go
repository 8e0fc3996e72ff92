// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package plain

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

func TestRename(t *testing.T) {
	for name, tc := range map[string]struct {
		faults  []calcomtest.Fault
		want    string          // The name in Cal.com afterwards.
		waited  []time.Duration // Between the attempts.
		refused bool
	}{
		"at once":          {nil, "Alicia", nil, false},
		"the quota is out": {[]calcomtest.Fault{{Status: http.StatusTooManyRequests}}, "Alicia", []time.Duration{time.Minute}, false},
		"out of order":     {[]calcomtest.Fault{{Status: http.StatusBadGateway}}, "Alicia", []time.Duration{time.Second}, false},
		"answer lost":      {[]calcomtest.Fault{{Cut: true, After: true}}, "Alicia", []time.Duration{time.Second}, false},
		"forbidden":        {[]calcomtest.Fault{{Status: http.StatusForbidden}}, "Alice", nil, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sandbox, account := calcomtest.New(t), calcomtest.DefaultClient()
			alice := sandbox.AddUser(account.ID, calcomtest.User{Email: "alice@example.com", Name: new("Alice")})
			sandbox.Inject(tc.faults...)
			var waited []time.Duration
			client := &Client{BaseURL: sandbox.URL(), ID: account.ID, Secret: account.Secret, Wait: func(d time.Duration) <-chan time.Time {
				waited = append(waited, d)
				return time.After(0)
			}}

			if err := client.Rename(t.Context(), alice.ID, "Alicia"); (err != nil) != tc.refused {
				t.Errorf("error is %v", err)
			}

			if stored, _ := sandbox.User(account.ID, alice.ID); *stored.Name != tc.want {
				t.Errorf("the name in Cal.com is %q, want %q", *stored.Name, tc.want)
			}
			if d := cmp.Diff(tc.waited, waited); d != "" {
				t.Errorf("waits between the attempts (-want +got):\n%s", d)
			}
			if calls := sandbox.CallsOf(calcomtest.OpUpdate); len(calls) != 1+len(tc.waited) {
				t.Errorf("there were %d calls", len(calls))
			}
		})
	}
}
