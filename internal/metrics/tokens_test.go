// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTokens(t *testing.T) {
	for name, tc := range map[string]struct {
		outlook TokensOutlook
		leads   bool
		want    []string
	}{
		"None":    {TokensOutlook{}, true, []string{"token_renewals_late 0"}},
		"Some":    {TokensOutlook{Any: true, Least: 90 * time.Second, Late: 2}, true, []string{"token_min_remaining_seconds 90", "token_renewals_late 2"}},
		"Ended":   {TokensOutlook{Any: true, Least: -time.Second}, true, []string{"token_min_remaining_seconds -1", "token_renewals_late 0"}},
		"Standby": {TokensOutlook{Any: true, Late: 1}, false, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got := values(scrape(t, NewTokens(func() (TokensOutlook, bool) { return tc.outlook, tc.leads })), "")
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

func TestTokensRefreshed(t *testing.T) {
	m := New()
	m.TokensRefreshed(RefreshOrdinary, RefreshSucceeded)
	m.TokensRefreshed(RefreshOrdinary, RefreshSucceeded)
	m.TokensRefreshed(RefreshOrdinary, RefreshInvalid)
	m.TokensRefreshed(RefreshForced, RefreshErred)
	want := []string{
		"token_refreshes_total forced,error 1", "token_refreshes_total forced,success 0", "token_refreshes_total ordinary,error 0",
		"token_refreshes_total ordinary,invalid 1", "token_refreshes_total ordinary,success 2",
	}
	if d := cmp.Diff(want, values(scrape(t, m), "token_")); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	(*Metrics)(nil).TokensRefreshed(RefreshForced, RefreshErred)
}
