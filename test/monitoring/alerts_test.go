// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// trouble is a story in which one alert comes.
type trouble struct {
	alert string
	// cluster is a healthy one but for what is wrong from minute 60 on.
	cluster scraped
	// fires is the minute at which the alert fires, and not before.
	fires int
	// severity and the other labels of the alert, beside those of the operator.
	severity string
	labels   map[string]string
	// anonymous is set when nothing tells which operator the alert is of.
	anonymous bool
	// tells are words of the description.
	description string
}

// begins is the minute at which something goes wrong.
const begins = 60

func troubles() []trouble {
	a := func(metric string, values string) scraped { return twoReplicas(scraped{ours("a", metric): values}) }
	conditioned := func(condition, status, reason string, then any) scraped {
		return twoReplicas(scraped{users("a", condition, status, reason): from(begins, "_", then)})
	}
	growing := func(series string, perMinute string) scraped {
		return twoReplicas(scraped{series: from(begins, 0, "0+"+perMinute)})
	}
	reason := func(r string) map[string]string { return map[string]string{"reason": r} }
	return []trouble{
		{
			alert: "Down", severity: "critical", cluster: together(until(begins, twoReplicas(nil))), fires: begins + 10, anonymous: true,
			description: "For 10 minutes no metrics of a calcom-operator have arrived: it is down, or Prometheus cannot read them. While it is down, nothing is created, changed, deleted or renewed; users in Cal.com stay as they are.",
		},
		{
			alert: "NoLeader", severity: "critical", cluster: together(until(begins, leader("a", 0)), standby("b", 0), standby("c", begins+2)), fires: begins + 5,
			description: "The replicas of calcom-operator-metrics in calcom-system are up, and for 5 minutes none of them has had the lease. Nothing is created, changed, deleted or renewed.",
		},
		{
			alert: "KubernetesErrors", severity: "warning", cluster: growing(failures("a"), "0.2"), fires: begins + 41,
			labels:      map[string]string{"code": "403"},
			description: "The Kubernetes API answered 403 to 3 requests of the operator in 15 minutes, and has done so for half an hour.",
		},
		{
			alert: "CredentialsRefused", severity: "critical", cluster: conditioned("Stalled", "True", "Unauthorized", 7), fires: begins + 10, labels: reason("Unauthorized"),
			description: "Cal.com answers Unauthorized, and 7 users wait for new credentials (or OAuth clients, when none of their users has noticed). Nobody of the client is created, changed or deleted, and tokens that are published run out within an hour.",
		},
		{ // An OAuthClient without users: only the sweep has noticed.
			alert: "CredentialsRefused", severity: "critical", cluster: twoReplicas(scraped{heldUp("a", "Forbidden"): from(begins, 0, 1)}), fires: begins + 10, labels: reason("Forbidden"),
			description: "Cal.com answers Forbidden, and 1 users wait for new credentials (or OAuth clients, when none of their users has noticed). Nobody of the client is created, changed or deleted, and tokens that are published run out within an hour.",
		},
		{
			alert: "CredentialsMissing", severity: "warning", cluster: conditioned("Ready", "False", "SecretNotFound", 3), fires: begins + 15, labels: reason("SecretNotFound"),
			description: "3 users wait with SecretNotFound: their Secret or OAuth client is missing, or they may not use it.",
		},
		{
			alert: "UsersStalled", severity: "warning", cluster: conditioned("Stalled", "True", "InvalidSpec", 2), fires: begins + 15, labels: reason("InvalidSpec"),
			description: "2 users are stalled with InvalidSpec and stay so until somebody acts.",
		},
		{
			alert: "CreateOutcomesUnknown", severity: "warning", cluster: a("create_outcomes_open", from(begins, 0, 4)), fires: begins + 15,
			description: "For 4 objects a create call was sent and had no clear answer, and the look-up that should tell what became of it has not succeeded. Nobody is created twice; they wait.",
		},
		{
			alert: "UsersLeaked", severity: "warning", cluster: a("sweep_leaked_users", from(begins, 0, 2)), fires: begins + 5,
			description: "2 users in Cal.com carry a mark of this cluster, and their objects do not exist. The operator never touches them.",
		},
		{
			alert: "DriftRepeats", severity: "info", cluster: growing(ours("a", "drift_corrected_total", `kind="changed"`), "0.25"), fires: begins + 56,
			description: "14 users were set back to their spec in six hours, more than a tenth of all. Somebody, or something, keeps writing what the operator writes.",
		},
		{
			alert: "DeletionsHeld", severity: "critical", cluster: a("deletions_held", from(begins, 0, 490)), fires: begins + 15,
			description: "For 15 minutes more users have been waiting to be deleted than --mass-delete-limit lets through; 490 wait now. They go a few at a time, with their bookings and calendars, and nothing brings them back.",
		},
		{
			alert: "UsersAbsent", severity: "critical", cluster: conditioned("Ready", "False", "MassAbsence", 40), fires: begins + 5,
			description: "Cal.com does not show 40 users that exist, more than --mass-absence-limit allows for. The operator creates none of them anew and releases no object.",
		},
		{
			alert: "DeletionBlocked", severity: "warning", cluster: conditioned("Ready", "False", "DeletionBlocked", 5), fires: begins + 15,
			description: "5 objects are being deleted and cannot go before somebody acts. A namespace that holds one of them stays Terminating.",
		},
		{
			alert: "DeletionSlow", severity: "warning", cluster: a("deletion_oldest_timestamp_seconds", from(begins, "_", begins*60)), fires: begins + 66,
			description: "A deletion that should end by itself has been under way for 1h 6m 0s.",
		},
		{
			alert: "CalcomErrors", severity: "warning", cluster: growing(calls("a", "list", "5xx"), "1"), fires: begins + 22,
			description: "10 calls to Cal.com failed or were not answered in the last 10 minutes, more than a fifth of all, and it has been so for 20 minutes. What waits goes on by itself when Cal.com is back.",
		},
		{
			alert: "UnexpectedResponse", severity: "warning", cluster: conditioned("Ready", "False", "UnexpectedResponse", 9), fires: begins + 15,
			description: "9 users (or OAuth clients, when only the sweep has noticed) got answers for which there is no rule. Either the API URL is wrong, or the server has lost or changed its Platform API. Nothing is deleted because of it.",
		},
		{ // Users that are Ready stay so when the API goes, and only the sweep sees it.
			alert: "UnexpectedResponse", severity: "warning", cluster: twoReplicas(scraped{heldUp("a", "UnexpectedResponse"): from(begins, 0, 1)}), fires: begins + 15,
			description: "1 users (or OAuth clients, when only the sweep has noticed) got answers for which there is no rule. Either the API URL is wrong, or the server has lost or changed its Platform API. Nothing is deleted because of it.",
		},
		{
			alert: "QuotaNearlyUsedUp", severity: "warning", cluster: a("quota_highest_utilization_ratio", from(begins, 0.1, 1)), fires: begins + 43,
			description: "Of the calls that the operator may make for one OAuth client, 100% have been used, for half an hour and more. New users, edits and tokens wait for their turn.",
		},
		{
			alert: "QuotaBlocked", severity: "warning", cluster: a("quota_blocked_clients", from(begins, 0, 1)), fires: begins + 22,
			description: "For half of the last 15 minutes or more the operator has sent nothing for an OAuth client, because Cal.com answered 429 or others left nothing of the quota. The block is for everybody who uses the client, your own backend included.",
		},
		{
			alert: "SweepOverdue", severity: "warning", cluster: a("sweep_awaited_since_timestamp_seconds", always(begins*60)), fires: begins + 36,
			description: "A sweep was to be completed once in each --resync-interval, and one OAuth client has been waiting for 36m 0s, more than three of them. Drift, missing and leaked users of it go unnoticed.",
		},
		{
			alert: "SweepHeldUp", severity: "warning", cluster: twoReplicas(scraped{heldUp("a", "RemoteUnavailable"): from(begins, 0, 2)}), fires: begins + 30, labels: reason("RemoteUnavailable"),
			description: "The sweep of 2 OAuth clients has been held up by RemoteUnavailable for half an hour.",
		},
		{
			alert: "TokensExpiring", severity: "critical", cluster: a("token_min_remaining_seconds", from(begins, 1800, "290-60")), fires: begins + 2,
			description: "The access token that ends first has 170 seconds left (below zero it has ended), and was to be renewed when it had fifteen minutes. The application that reads it from the Secret is refused by Cal.com.",
		},
		{
			alert: "TokenRenewalsLate", severity: "warning", cluster: a("token_renewals_late", from(begins, 0, 12)), fires: begins + 3,
			description: "12 published access tokens have ten minutes left, or less, and should have been renewed.",
		},
	}
}

// judged is a test in promtool's format.
type judged struct {
	Name        string              `json:"name"`
	Interval    string              `json:"interval"`
	Series      []map[string]string `json:"input_series"`
	Alerts      []alertTest         `json:"alert_rule_test,omitempty"`
	Expressions []map[string]any    `json:"promql_expr_test,omitempty"`
}

type alertTest struct {
	At       string           `json:"eval_time"`
	Name     string           `json:"alertname"`
	Expected []map[string]any `json:"exp_alerts"`
}

func (c scraped) series() []map[string]string {
	all := make([]map[string]string, 0, len(c))
	for series, values := range c {
		all = append(all, map[string]string{"series": series, "values": values})
	}
	return all
}

// nothingFires expects that no alert but one has fired at any time. The name of the story is in what promtool says
// otherwise.
func nothingFires(story, but string) []map[string]any {
	return []map[string]any{{
		"expr":      fmt.Sprintf(`label_replace(count by (alertname) (count_over_time(ALERTS{alertstate="firing", alertname!=%q}[%dm])), "story", %q, "", "")`, but, lasts, story),
		"eval_time": fmt.Sprintf("%dm", lasts-1), "exp_samples": []any{},
	}}
}

// judge has promtool run some tests.
func judge(t *testing.T, rules string, tests ...judged) {
	t.Helper()
	content, err := json.Marshal(map[string]any{"rule_files": []string{rules}, "evaluation_interval": "1m", "tests": tests})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "tests.yaml")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := promtool(t, "test", "rules", file); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
}

func TestRulesAreSound(t *testing.T) {
	file, all := shippedRules(t)
	if out, err := promtool(t, "check", "rules", "--lint=all", "--lint-fatal", file); err != nil {
		t.Errorf("promtool: %v\n%s", err, out)
	}
	for _, a := range all {
		if !strings.HasPrefix(a.Alert, prefix) || !slices.Contains([]string{"critical", "warning", "info"}, a.Labels["severity"]) {
			t.Errorf("%s has the severity %q", a.Alert, a.Labels["severity"])
		}
	}
}

const (
	prefix  = "CalcomOperator"
	runbook = "https://github.com/calcom-operator/calcom-operator/blob/main/docs/runbook.md#"
)

// Each alert comes when it should, not a minute before, with the words and the label that say what and who; and no
// other comes with it.
func TestAlertsFire(t *testing.T) {
	file, all := shippedRules(t)
	summaries, tested := make(map[string]string), make(map[string]bool)
	var tests []judged
	for _, a := range all {
		summaries[a.Alert] = a.Annotations["summary"]
	}
	for _, tr := range troubles() {
		alert := prefix + tr.alert
		tested[alert] = true
		labels := map[string]string{"severity": tr.severity}
		if !tr.anonymous {
			labels["namespace"], labels["job"] = "calcom-system", "calcom-operator-metrics"
		}
		maps.Copy(labels, tr.labels)
		tests = append(tests, judged{
			Name: tr.alert, Interval: "1m", Series: tr.cluster.series(),
			Alerts: []alertTest{
				{At: fmt.Sprintf("%dm", tr.fires-1), Name: alert, Expected: []map[string]any{}},
				{At: fmt.Sprintf("%dm", tr.fires), Name: alert, Expected: []map[string]any{{
					"exp_labels": labels,
					"exp_annotations": map[string]string{
						"summary": summaries[alert], "description": tr.description, "runbook_url": runbook + strings.ToLower(alert),
					},
				}}},
			},
			Expressions: nothingFires(tr.alert, alert),
		})
	}
	judge(t, file, tests...)
	for alert := range summaries {
		if !tested[alert] {
			t.Errorf("no story tells of %s", alert)
		}
	}
}
