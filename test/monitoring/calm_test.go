// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"fmt"
	"testing"
)

// Nobody is woken by what is part of an operator's life.
func TestAlertsStaySilent(t *testing.T) {
	a := func(different scraped) scraped { return together(leader("a", 0), different) }
	nobody := func(pod string) scraped { // A leader without users.
		return together(leader(pod, 0), scraped{
			users(pod, "Ready", "True", "Available"): always(0), ours(pod, "sweep_awaited_since_timestamp_seconds"): always("_"),
			ours(pod, "token_min_remaining_seconds"): always("_"), ours(pod, "sweep_leaked_users"): always("_"), ours(pod, "sweep_members"): always("_"),
		})
	}
	file, _ := shippedRules(t)
	var tests []judged
	for story, cluster := range map[string]scraped{
		"AllIsWell":  twoReplicas(nil),
		"OneReplica": a(nil),
		// It has no leader election, and so no metric of it.
		"NoLeaderElection": a(scraped{name("a", "leader_election_master_status", `name="calcom-operator.platform.cal.com"`): always("_")}),
		// The other pod comes some minutes after the first has gone.
		"Restart":      together(until(60, leader("a", 0)), leader("c", 64)),
		"TwoRestarts":  together(until(60, leader("a", 0)), until(90, leader("c", 61)), leader("d", 91)),
		"LeaderChange": together(until(59, leader("a", 0)), successor("b", 60), standby("c", 61)),
		"FreshInstall": leader("a", 8),
		"IdleCluster":  nobody("a"),
		// The only call is the sweep's, of an OAuthClient that nobody uses yet, and one fails.
		"IdleClusterWithAFailure": together(nobody("a"), scraped{
			calls("a", "list", "2xx"): always(3), calls("a", "list", "5xx"): from(60, 0, 1), heldUp("a", "RemoteUnavailable"): between(60, 62, 0, 1),
		}),
		// The last user was suspended, and the sweep rests until somebody comes back.
		"PausedSweep": a(scraped{
			ours("a", "sweep_awaited_since_timestamp_seconds"): stamps(0, 60, 10) + run("_", 240) + stamps(300, lasts, 10),
			users("a", "Ready", "True", "Available"):           between(60, 300, 1, 0),
			users("a", "Ready", "False", "Suspended"):          between(60, 300, "_", 1),
		}),
		"LongInterval": a(scraped{ours("a", "resync_interval_seconds"): always(7200), ours("a", "sweep_awaited_since_timestamp_seconds"): stamps(0, lasts, 120)}),
		// Three thousand new users at once: eight minutes at the full share, and all wait.
		"Burst": a(scraped{
			ours("a", "quota_highest_utilization_ratio"): between(60, 68, 0.1, 1), users("a", "Ready", "False", "Progressing"): between(60, 68, 0, 3000),
			ours("a", "quota_waiting_requests", `class="create"`): between(60, 68, 0, 2900),
		}),
		// A few more deletions than the limit, which are through after one window.
		"DeletionsSoonThrough": a(scraped{ours("a", "deletions_held"): between(60, 71, 0, 5), ours("a", "deletion_oldest_timestamp_seconds"): between(60, 80, "_", 60*60)}),
		// A person corrects what was wrong, and the key is rotated, within minutes.
		"SoonCorrected": a(scraped{
			users("a", "Stalled", "True", "InvalidSpec"): between(60, 70, 0, 1), users("a", "Stalled", "True", "Unauthorized"): between(60, 69, 0, 100),
			heldUp("a", "Unauthorized"): between(60, 69, 0, 1), users("a", "Ready", "False", "SecretNotFound"): between(100, 110, 0, 3),
		}),
		"ShortOutage": a(scraped{
			calls("a", "list", "none"): run(0, 60) + run("0+3", 3) + run(6, lasts-63), heldUp("a", "RemoteUnavailable"): between(60, 65, 0, 1),
			ours("a", "create_outcomes_open"): between(62, 66, 0, 2),
		}),
		// Many calls, of which a few fail all the time.
		"AFewErrors": a(scraped{calls("a", "get", "2xx"): always("0+100"), calls("a", "get", "5xx"): always("0+2")}),
		// After a start, tokens that ended while nobody renewed them are renewed within a minute.
		"LateTokensAfterAStart": together(until(60, leader("a", 0)), leader("c", 66), scraped{
			ours("c", "token_min_remaining_seconds"): run("_", 66) + run(-100, 2) + run(1800, lasts-68), ours("c", "token_renewals_late"): run("_", 66) + run(7, 2) + run(0, lasts-68),
		}),
		"SuspendedUsers": a(scraped{users("a", "Ready", "False", "Suspended"): always(5)}),
		// Observed users that do not exist, or not yet, are not Ready and wait for nobody.
		"ObservedAndAbsent": a(scraped{users("a", "Ready", "False", "NotFound"): always(5)}),
		"SomeDrift":         a(scraped{ours("a", "drift_corrected_total", `kind="changed"`): always("0+0.02")}),
		"TwoOperators":      together(twoReplicas(nil), elsewhere("team-b", leader("z", 0))),
		// Others talk to the Kubernetes API and have leases too.
		"OtherOperators": together(twoReplicas(nil), scraped{
			`rest_client_requests_total{namespace="x", job="other", instance="1", code="403"}`:      always("0+10"),
			`leader_election_master_status{namespace="x", job="other", instance="1", name="other"}`: always(0),
		}),
	} {
		tests = append(tests, judged{Name: story, Interval: "1m", Series: cluster.series(), Expressions: nothingFires(story, "None")})
	}
	judge(t, file, tests...)
}

// The stories are silent because nothing is wrong, and not because nothing is heard: each of these is one of them, gone
// on for too long.
func TestSilenceEnds(t *testing.T) {
	file, _ := shippedRules(t)
	a := func(different scraped) scraped { return together(leader("a", 0), different) }
	var tests []judged
	for alert, cluster := range map[string]scraped{
		"Down":               together(until(60, leader("a", 0)), leader("c", 80)),
		"SweepOverdue":       a(scraped{ours("a", "resync_interval_seconds"): always(3600), ours("a", "sweep_awaited_since_timestamp_seconds"): always(0)}),
		"QuotaNearlyUsedUp":  a(scraped{ours("a", "quota_highest_utilization_ratio"): between(60, 120, 0.1, 1)}),
		"DeletionsHeld":      a(scraped{ours("a", "deletions_held"): between(60, 80, 0, 5)}),
		"UsersStalled":       a(scraped{users("a", "Stalled", "True", "InvalidSpec"): between(60, 80, 0, 1)}),
		"CredentialsRefused": a(scraped{heldUp("a", "Unauthorized"): between(60, 75, 0, 1)}),
		"CalcomErrors":       a(scraped{calls("a", "list", "none"): run(0, 60) + run("0+1", 30) + run(29, lasts-90)}),
		"TokensExpiring":     a(scraped{ours("a", "token_min_remaining_seconds"): between(60, 64, 1800, -100)}),
	} {
		fired := fmt.Sprintf(`count(count_over_time(ALERTS{alertstate="firing", alertname="%s%s"}[%dm]))`, prefix, alert, lasts)
		tests = append(tests, judged{
			Name: alert, Interval: "1m", Series: cluster.series(),
			Expressions: []map[string]any{{
				"expr": fired, "eval_time": fmt.Sprintf("%dm", lasts-1), "exp_samples": []map[string]any{{"labels": "{}", "value": 1}},
			}},
		})
	}
	judge(t, file, tests...)
}
