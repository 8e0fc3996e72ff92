// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"fmt"
	"maps"
	"strconv"
	"strings"
)

// scraped are series and their values at each minute, in promtool's notation: "5x9" is ten times five, "0+2x9" grows by
// two each minute, and "_" is no sample.
type scraped map[string]string

// lasts is how long every story is, in minutes.
const lasts = 360

// on returns the labels that Prometheus gives the series of a pod.
func on(pod string) string {
	return fmt.Sprintf(`namespace="calcom-system", job="calcom-operator-metrics", instance="%[1]s:8443", pod="%[1]s"`, pod)
}

// name returns the name of a series of a pod of the operator.
func name(pod, metric string, labels ...string) string {
	return fmt.Sprintf("%s{%s}", metric, strings.Join(append([]string{on(pod)}, labels...), ", "))
}

// run is a value for some minutes. promtool takes a number behind x as that of the repetitions, and for no sample as
// that of minutes.
func run(value any, minutes int) string {
	if minutes <= 0 {
		return ""
	}
	if value != "_" {
		minutes--
	}
	return fmt.Sprintf("%vx%d ", value, minutes)
}

// always is a value that does not change.
func always(value any) string { return run(value, lasts) }

// from is a value that changes once, at a minute.
func from(minute int, before, after any) string {
	return run(before, minute) + run(after, lasts-minute)
}

// between is a value that is another from one minute to the one before another.
func between(begin, end int, usually, then any) string {
	return run(usually, begin) + run(then, end-begin) + run(usually, lasts-end)
}

// stamps are the times in seconds at which something happens every so many minutes, from one minute to another, as a
// gauge shows the last of them.
func stamps(begin, end, every int) string {
	all := ""
	for minute := begin; minute < end; minute += every {
		all += run(minute*60, min(every, end-minute))
	}
	return all
}

const readyUsers = 100

// leader are the series of a pod that works for 100 users, all of whom are well, from a minute on.
func leader(pod string, begin int) scraped {
	s := standby(pod, begin)
	s[name(pod, "leader_election_master_status", `name="calcom-operator.platform.cal.com"`)] = from(begin, "_", 1)
	for metric, value := range map[string]any{
		"create_outcomes_open": 0, "deletions_held": 0, "sweep_leaked_users": 0, "sweep_members": readyUsers,
		"token_min_remaining_seconds": 1800, "token_renewals_late": 0, "quota_highest_utilization_ratio": 0.1,
	} {
		s[ours(pod, metric)] = from(begin, "_", value)
	}
	s[ours(pod, "sweep_awaited_since_timestamp_seconds")] = run("_", begin) + stamps(begin, lasts, 10)
	s[users(pod, "Ready", "True", "Available")] = from(begin, "_", readyUsers)
	s[calls(pod, "list", "2xx")] = from(begin, "_", "0+0.1")
	return s
}

// standby are the series of a pod that waits for the lease, from a minute on.
func standby(pod string, begin int) scraped {
	s := scraped{
		ours(pod, "build_info", `version="v1.2.3"`, `go_version="go1.26"`):                    from(begin, "_", 1),
		name(pod, "leader_election_master_status", `name="calcom-operator.platform.cal.com"`): from(begin, "_", 0),
		failures(pod): from(begin, "_", 0),
		ours(pod, "drift_corrected_total", `kind="changed"`): from(begin, "_", 0),
	}
	for _, code := range []string{"2xx", "5xx", "none"} {
		s[calls(pod, "list", code)] = from(begin, "_", 0)
	}
	for metric, value := range map[string]any{
		"resync_interval_seconds": 600, "sweep_pending_clients": 0, "quota_highest_utilization_ratio": 0, "quota_blocked_clients": 0,
	} {
		s[ours(pod, metric)] = from(begin, "_", value)
	}
	for _, reason := range []string{"Unauthorized", "Forbidden", "RateLimited", "RemoteUnavailable", "UnexpectedResponse", "Other"} {
		s[heldUp(pod, reason)] = from(begin, "_", 0)
	}
	return s
}

// ours returns the name of a series of the operator's own.
func ours(pod, metric string, labels ...string) string {
	return name(pod, "calcom_operator_"+metric, labels...)
}

// failures are what the Kubernetes API refused.
func failures(pod string) string {
	return name(pod, "rest_client_requests_total", `code="403"`, `method="PATCH"`, `host="10.0.0.1:443"`)
}

func users(pod, condition, status, reason string) string {
	return ours(pod, "managed_users", fmt.Sprintf(`condition=%q, status=%q, reason=%q`, condition, status, reason))
}

func calls(pod, operation, code string) string {
	return ours(pod, "api_requests_total", fmt.Sprintf(`operation=%q, code=%q`, operation, code))
}

func heldUp(pod, reason string) string {
	return ours(pod, "sweep_held_up_clients", fmt.Sprintf(`reason=%q`, reason))
}

// until ends all series of a pod at a minute.
func until(minute int, pod scraped) scraped {
	ended := make(scraped)
	for series, values := range pod {
		ended[series] = cut(values, minute)
	}
	return ended
}

// cut keeps the values of the first minutes only.
func cut(values string, minutes int) string {
	kept := ""
	for part := range strings.FieldsSeq(values) {
		value, count, _ := strings.Cut(part, "x")
		lasts, err := strconv.Atoi(count)
		if err != nil {
			panic(err)
		}
		if value != "_" {
			lasts++
		}
		kept += run(value, min(lasts, minutes))
		if minutes -= lasts; minutes <= 0 {
			break
		}
	}
	return kept + "stale"
}

// together are the series of several pods; later ones win.
func together(pods ...scraped) scraped {
	all := make(scraped)
	for _, pod := range pods {
		maps.Copy(all, pod)
	}
	return all
}

// successor are the series of a pod that waits for the lease, and has it from a minute on.
func successor(pod string, begin int) scraped {
	return together(leader(pod, begin), standby(pod, 0), scraped{
		name(pod, "leader_election_master_status", `name="calcom-operator.platform.cal.com"`): from(begin, 0, 1),
	})
}

// elsewhere moves a pod to another namespace.
func elsewhere(namespace string, pod scraped) scraped {
	moved := make(scraped)
	for series, values := range pod {
		moved[strings.ReplaceAll(series, `namespace="calcom-system"`, fmt.Sprintf("namespace=%q", namespace))] = values
	}
	return moved
}

// twoReplicas are a leader, a, and a standby, b, with something that is different.
func twoReplicas(different scraped) scraped {
	return together(standby("b", 0), leader("a", 0), different)
}
