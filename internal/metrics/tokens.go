// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	tokenLeast = gauge("token_min_remaining_seconds",
		"Life that is left to the published access token that ends first, in seconds; negative when it has ended. It is not there while none is renewed.")
	tokensLate = gauge("token_renewals_late",
		"Users whose published access token has a sixth of its life left, or less, and is not renewed yet: because of failures, or because there are more than the quota lets.")
)

// TokensOutlook is how the published tokens stand that are renewed.
type TokensOutlook struct {
	// Any is set when there are some, and Least is the shortest life that is left to one of them.
	Any   bool
	Least time.Duration
	// Late is how many should have been renewed.
	Late int
}

// NewTokens returns a collector of the outlook, which it asks for at each scrape; false leaves it to another replica.
func NewTokens(outlook func() (TokensOutlook, bool)) prometheus.Collector {
	return &snapshot{[]figure{tokenLeast, tokensLate}, func(to chan<- prometheus.Metric) {
		o, ok := outlook()
		if !ok {
			return
		}
		if o.Any {
			tokenLeast.is(to, o.Least.Seconds())
		}
		tokensLate.is(to, float64(o.Late))
	}}
}
