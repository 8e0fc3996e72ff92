// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"context"
	"fmt"
	"strings"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// chapter is a part of the story: what is done, what the metrics show then, and which share of the time it has.
type chapter struct {
	title string
	do    []func(context.Context) error
	until func() bool
	share float64
}

const (
	managedUsers = "calcom_operator_managed_users"
	heldUpBy     = "calcom_operator_sweep_held_up_clients"
)

// ready is how many users are.
func (w *world) ready() int {
	return int(w.value(managedUsers, "condition", "Ready", "status", "True"))
}

func (w *world) stalled(reason string) float64 {
	return w.value(managedUsers, "condition", "Stalled", "reason", reason)
}

func (w *world) chapters() []chapter {
	const few = 30
	secret := calcomtest.DefaultClient().Secret
	// Not all: the leaked user may be among them, and those whose manifest was corrected meanwhile are updated.
	drifted := func() float64 { return w.value("calcom_operator_drift_corrected_total", "kind", "changed") }
	return []chapter{
		{"A few users, some with tokens", []func(context.Context) error{
			w.kubectl(w.secret(secret)+w.client(), "apply", "-f", "-"), w.kubectl(w.users(0, few, ""), "apply", "-f", "-"),
		}, func() bool { return w.ready() == few && w.value("calcom_operator_token_min_remaining_seconds") > 0 }, 1},
		{"Many new users", []func(context.Context) error{w.leak, w.kubectl(w.users(few, w.Users, ""), "apply", "-f", "-")},
			func() bool { return w.ready() == w.Users }, 2},
		{"A mistake in a manifest", []func(context.Context) error{w.kubectl(w.users(1, 4, "Mars/Olympus"), "apply", "-f", "-")},
			func() bool {
				return w.stalled("InvalidSpec") == 3 && w.value("calcom_operator_sweep_leaked_users") == 1
			}, 2},
		{"Changes behind the operator's back", []func(context.Context) error{
			w.kubectl(w.users(1, 4, ""), "apply", "-f", "-"), w.change(w.Users/3, `{"timeFormat": 12}`),
		}, func() bool { return drifted() >= float64(w.Users/3-4) && w.ready() == w.Users }, 1.5},
		{"Cal.com is down", []func(context.Context) error{
			w.close(true), w.kubectl(w.users(w.Users, w.Users+3, ""), "apply", "-f", "-"), w.kubectl("", "delete", "manageduser", "user-6", "--wait=false"),
		}, func() bool {
			return w.value(heldUpBy, "reason", "RemoteUnavailable") == 1 && w.value("calcom_operator_deletion_oldest_timestamp_seconds") > 0
		}, 2.5},
		{"Cal.com is back", []func(context.Context) error{w.close(false)},
			func() bool { return w.ready() == w.Users+2 && w.value(heldUpBy) == 0 }, 1.5},
		{"The key is refused", []func(context.Context) error{w.kubectl(w.secret("wrong"), "apply", "-f", "-")},
			func() bool { return w.stalled("Unauthorized") > float64(w.Users/2) }, 2},
		{"The right key", []func(context.Context) error{w.kubectl(w.secret(secret), "apply", "-f", "-")},
			func() bool { return w.ready() == w.Users+2 && w.value(heldUpBy) == 0 }, 1.5},
		{"Many deletions", []func(context.Context) error{w.kubectl("", "delete", "managedusers", "-l", "part=second", "--wait=false")},
			func() bool {
				return w.value("calcom_operator_deletions_held") > 0 && w.value("calcom_operator_user_deletion_seconds_count") > 0
			}, 2.5},
	}
}

func (w *world) close(closed bool) func(context.Context) error {
	return func(context.Context) error {
		w.proxy.Closed.Store(closed)
		return nil
	}
}

func (w *world) secret(key string) string {
	return fmt.Sprintf("apiVersion: v1\nkind: Secret\nmetadata: {name: calcom, namespace: default}\nstringData: {secretKey: %s}\n---\n", key)
}

func (w *world) client() string {
	return fmt.Sprintf(`apiVersion: platform.cal.com/v1alpha1
kind: OAuthClient
metadata: {name: acme, namespace: default}
spec:
  id: %s
  secretKeyRef: {name: calcom, key: secretKey}
  apiURL: %s
---
`, calcomtest.DefaultClient().ID, w.proxy.URL)
}

// users are manifests of the users from one number up to another. The first five have tokens, and the second half a
// label.
func (w *world) users(from, to int, zone string) string {
	var all strings.Builder
	if zone == "" {
		zone = "Europe/Rome"
	}
	for i := from; i < to; i++ {
		part, tokens := "first", ""
		if i >= w.Users/2 {
			part = "second"
		}
		if i < 5 {
			tokens = fmt.Sprintf("  tokens: {secretName: user-%d}\n", i)
		}
		fmt.Fprintf(&all, `apiVersion: platform.cal.com/v1alpha1
kind: ManagedUser
metadata: {name: user-%[1]d, namespace: default, labels: {part: %[2]s}}
spec:
  oauthClientRef: {name: acme}
  email: user%[1]d@example.com
  name: User %[1]d
  timeZone: %[3]s
  timeFormat: 24
%[4]s---
`, i, part, zone, tokens)
	}
	return all.String()
}
