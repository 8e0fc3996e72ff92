// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

// sweeping says that drift is noticed by a sweep that asks for 250 users with one call. Without it each user is looked
// at by itself, and the counts that only a sweep can reach are not asked for.
const sweeping = true

// asked reports whether a miss is an error.
func asked(kind Kind) bool { return kind == Count || kind == SweepCount && sweeping }

// Every phase with few users: what is counted, and not how long it takes.
func TestCounts(t *testing.T) {
	t.Parallel()
	for _, profile := range []Profile{Free, Quota} {
		t.Run(string(profile), func(t *testing.T) {
			t.Parallel()
			run, err := Measure(t.Context(), Config{
				Users: 24, Profile: profile, Latency: 5 * time.Millisecond, TimeScale: 20, Interval: 2 * time.Second,
				LateUsers: 3, UnrelatedSecrets: 2, ClientKind: "inline",
				OperatorFlags: []string{"--leader-elect=false"}, // The lease of the one that is killed takes 15 s to run out.
			})
			if run != nil {
				t.Logf("\n%s", run.Table())
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, phase := range run.Phases {
				for _, c := range phase.Checks {
					if asked(c.Kind) && !c.Met() {
						t.Errorf("%s: %s: %s, want %s", phase.Name, c.What, c.value(), c.target())
					}
				}
			}
		})
	}
}

func TestConfig(t *testing.T) {
	good := Config{Users: 1, Profile: Quota, TimeScale: 60, Interval: time.Second, LateUsers: 1, ClientKind: "inline"}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for word, spoil := range map[string]func(*Config){
		"users":             func(c *Config) { c.Users = 0 },
		"profile":           func(c *Config) { c.Profile = "both" },
		"time scale":        func(c *Config) { c.TimeScale = 61 },
		"time scale: 0":     func(c *Config) { c.TimeScale = 0 },
		"interval":          func(c *Config) { c.Interval = 0 },
		"late users":        func(c *Config) { c.LateUsers = 0 },
		"unrelated Secrets": func(c *Config) { c.UnrelatedSecrets = -1 },
		"inline":            func(c *Config) { c.ClientKind = "none" },
		"tokens":            func(c *Config) { c.Tokens = true },
	} {
		bad := good
		spoil(&bad)
		if err := bad.check(); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("error is %v, want one with %q", err, word)
		}
	}
}

func TestCompare(t *testing.T) {
	const client = "clx"
	name := func(i int) string { return string("abc"[i]) }
	object := func(i int, change func(*v1alpha1.ManagedUser)) *v1alpha1.ManagedUser {
		mu := &v1alpha1.ManagedUser{
			ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: name(i)},
			Spec:       v1alpha1.ManagedUserSpec{Email: name(i) + "@example.com", Name: "N", Bio: new("B")},
			Status:     v1alpha1.ManagedUserStatus{User: &v1alpha1.CalcomUser{ID: int64(i)}},
		}
		change(mu)
		return mu
	}
	remote := func(i int, change func(*remoteUser)) remoteUser {
		user := remoteUser{
			ID: int64(i), Email: name(i) + "+" + client + "@example.com", Name: "N", Bio: "B",
			Metadata: map[string]any{markKey: "owner/n/" + name(i) + "/uid"},
		}
		change(&user)
		return user
	}
	asIs, alike := func(*v1alpha1.ManagedUser) {}, func(*remoteUser) {}
	for name, tc := range map[string]struct {
		objects []*v1alpha1.ManagedUser
		remote  []remoteUser
		want    difference
	}{
		"Nobody": {},
		"Equal":  {[]*v1alpha1.ManagedUser{object(1, asIs), object(2, asIs)}, []remoteUser{remote(1, alike), remote(2, alike)}, difference{}},
		"Leaked": {[]*v1alpha1.ManagedUser{object(1, asIs)}, []remoteUser{remote(1, alike), remote(2, alike)}, difference{leaked: 1}},
		"Lost":   {[]*v1alpha1.ManagedUser{object(1, asIs), object(2, asIs)}, []remoteUser{remote(1, alike)}, difference{wrong: 1}},
		"Twice, under another address": {
			[]*v1alpha1.ManagedUser{object(1, asIs)},
			[]remoteUser{remote(1, alike), remote(1, func(u *remoteUser) { u.ID, u.Email = 7, "z+clx@example.com" })},
			difference{twice: 1, leaked: 1},
		},
		"Drifted":       {[]*v1alpha1.ManagedUser{object(1, asIs)}, []remoteUser{remote(1, func(u *remoteUser) { u.Bio = "X" })}, difference{wrong: 1}},
		"Another's":     {[]*v1alpha1.ManagedUser{object(1, asIs)}, []remoteUser{remote(1, func(u *remoteUser) { u.Metadata[markKey] = "owner/n/z/uid" })}, difference{wrong: 1}},
		"Another's id":  {[]*v1alpha1.ManagedUser{object(1, asIs)}, []remoteUser{remote(1, func(u *remoteUser) { u.ID = 9 })}, difference{wrong: 1}},
		"No status yet": {[]*v1alpha1.ManagedUser{object(1, func(mu *v1alpha1.ManagedUser) { mu.Status.User = nil })}, []remoteUser{remote(1, alike)}, difference{wrong: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := compare(tc.objects, tc.remote, client); got != tc.want {
				t.Errorf("difference is %+v, want %+v", got, tc.want)
			}
		})
	}
}

// A count that misses is shown and returned; a time that does is only shown.
func TestTargets(t *testing.T) {
	run := &Run{Profile: Free, Phases: []Phase{{Name: "create", Checks: []Check{
		{What: "calls", Kind: Count, Value: 1001, Relation: "=", Target: 1000},
		{What: "sweeps", Kind: SweepCount, Value: 5, Relation: "≤", Target: 4},
		{What: "writes", Kind: Count, Value: 2000, Relation: "≤", Target: 2000},
		{What: "time", Kind: Gauge, Value: 16, Unit: "s", Relation: "<", Target: 15},
		{What: "share", Kind: Gauge, Value: 95, Unit: "%", Relation: "≥", Target: 95},
		{What: "p50", Kind: Gauge, Value: 1.234, Unit: "s"},
	}}}}
	want := []string{"create: calls: 1,001, target = 1,000", "create: sweeps: 5, target ≤ 4"}
	if d := cmp.Diff(want, run.Missed()); d != "" {
		t.Errorf("missed (-want +got):\n%s", d)
	}
	if got := run.Summary(); got != "free: 2 targets met; 2 counts missed; 1 times or amounts over" {
		t.Error(got)
	}
	var verdicts []string
	for i := range run.Phases[0].Checks {
		verdicts = append(verdicts, run.Phases[0].Checks[i].verdict())
	}
	if d := cmp.Diff([]string{"MISS", "MISS", "ok", "over", "ok", ""}, verdicts); d != "" {
		t.Errorf("verdicts (-want +got):\n%s", d)
	}
}

func TestTable(t *testing.T) {
	many := make([]Write, 12)
	for i := range many {
		many[i] = Write{"patch managedusers/status", 10_000}
	}
	run := &Run{
		Users: 10_000, Profile: Quota, LatencySeconds: 0.03, TimeScale: 6, IntervalSeconds: 600,
		Phases: []Phase{{
			Name: "create 10,000 users", Seconds: 123.4, CPUSeconds: 99.9, PeakMiB: 149.9, PeakSinceStart: true,
			Calls:  []calcomtest.Tally{{Op: calcomtest.OpCreate, Status: 201, Calls: 10_000}, {Op: calcomtest.OpGet, Calls: 1}},
			Writes: many,
			Checks: []Check{{What: "from create to Ready, p99", Kind: Gauge, Value: 250, Unit: "s", Relation: "≤", Target: 1500, Scaled: true}},
		}},
	}
	table := run.Table()
	for line := range strings.Lines(table) {
		if runes(strings.TrimSuffix(line, "\n")) > width {
			t.Errorf("a line of %d characters: %s", runes(line), line)
		}
	}
	for _, part := range []string{"time scale 6", "create 201 × 10,000", "get unanswered × 1", "250 s*   ≤ 1500 s", "since start"} {
		if !strings.Contains(table, part) {
			t.Errorf("the table lacks %q:\n%s", part, table)
		}
	}
	report := &Report{Version: "v1", Machine: "A", Runs: []*Run{run}}
	if text := report.Markdown(); !strings.Contains(text, `| from create to Ready, p99 | 250 s\* | ≤ 1500 s | ok |`) {
		t.Errorf("the row is not in:\n%s", text)
	}
	if text, err := report.JSON(); err != nil || !strings.Contains(string(text), `"peakSinceStart": true`) {
		t.Errorf("JSON (%v):\n%s", err, text)
	}
}

func TestFigures(t *testing.T) {
	var values []time.Duration
	for i := range 200 {
		values = append(values, time.Duration(200-i))
	}
	slices.Reverse(values[50:100])
	if p50, p99, none := quantile(values, 0.5), quantile(values, 0.99), quantile(nil, 0.5); p50 != 100 || p99 != 198 || none != 0 {
		t.Errorf("quantiles are %d, %d and %d, want 100, 198 and 0", p50, p99, none)
	}
	if got := quantile(values[:20], 0.99); got != 200 {
		t.Errorf("the p99 of twenty is %d, want the last", got)
	}
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", -1000: "-1,000"} {
		if got := number(n); got != want {
			t.Errorf("%d is written %s", n, got)
		}
	}
	for n, want := range map[int]int{0: 0, 1: 1, 250: 1, 251: 2, 10_000: 40} {
		if got := perSweep(n); got != want {
			t.Errorf("a sweep of %d users takes %d calls, want %d", n, got, want)
		}
	}
	before := tallies{{calcomtest.OpGet, 200}: 2, {calcomtest.OpGet, 429}: 1}
	after := tallies{{calcomtest.OpGet, 200}: 5, {calcomtest.OpGet, 429}: 1, {calcomtest.OpList, 200}: 1}
	added := after.since(before)
	if d := cmp.Diff([]int{3, 1, 0, 4}, []int{added.of(calcomtest.OpGet), added.but(calcomtest.OpGet), added.withStatus(429), added.of(calcomtest.OpAny)}); d != "" {
		t.Errorf("calls since then (-want +got):\n%s", d)
	}
	lease := stack.Request{Operation: stack.Operation{Verb: "update", APIGroup: "coordination.k8s.io", Resource: "leases"}, Namespace: stack.Namespace}
	event := stack.Request{Operation: stack.Operation{Verb: "create", Resource: "events"}, Namespace: "bench-0"}
	if !isLeadership(lease) || isLeadership(event) {
		t.Error("what is written about users passes for the lease")
	}
}
