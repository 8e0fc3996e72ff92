// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package shapes

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

func user(observed int64, conditions ...metav1.Condition) *v1alpha1.ManagedUser {
	mu := &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Generation: 7}}
	mu.Status.ObservedGeneration, mu.Status.Conditions = observed, conditions
	return mu
}

func is(kind, status, reason string, observed int64) metav1.Condition {
	return metav1.Condition{Type: kind, Status: metav1.ConditionStatus(status), Reason: reason, ObservedGeneration: observed, Message: "Asked 127.0.0.1:41234 at 2030-01-01T00:00:00Z for story-x7"}
}

// files returns a folder with files of some shapes and of the messages of Ready=True/Available.
func files(t *testing.T, shapes string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{ShapesFile: shapes, MessagesFile: "Ready=True/Available\tKept\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestCheckFindsWhatIsNew(t *testing.T) {
	const known = "ManagedUser/Manage observed=current Ready=True/Available@current\tHealthy\tCurrent\n"
	ready := is("Ready", "True", "Available", 7)
	deleted := user(7, ready)
	deleted.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
	observing := user(7, ready)
	observing.Spec.ReconcilePolicy = v1alpha1.ReconcilePolicyObserve
	for _, row := range []struct {
		name string
		mu   *v1alpha1.ManagedUser
		want string // In the error.
	}{
		{"as known", user(7, ready), ""},
		{"another policy", observing, ""},
		{"an old condition that nobody judges by", user(7, ready, is("Synced", "False", "Old", 6)), "Synced=False/Old"},
		{"not looked at", user(-1), "observed=never"},
		{"an old generation", user(6, is("Ready", "True", "Available", 6)), "observed=old Ready=True/Available@old"},
		{"a new reason", user(7, is("Ready", "False", "Eclipse", 7)), "Ready=False/Eclipse@current"},
		{"a deletion", deleted, "deleted"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Setenv(UpdateVariable, "")
			var set Set
			set.Add(row.mu)
			err := set.Check(files(t, known))
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("Check returned %v, want %q in it", err, row.want)
			}
		})
	}
}

func TestUpdateAddsAndKeeps(t *testing.T) {
	t.Setenv(UpdateVariable, "1")
	dir := files(t, "OAuthClient observed=never\tProgressing\tInProgress\n")
	var set Set
	set.Add(user(7, is("Ready", "True", "Available", 7), is("Synced", "False", "RateLimited", 6)))
	if err := set.Check(dir); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		ShapesFile: "ManagedUser/Manage observed=current Ready=True/Available@current\t\nOAuthClient observed=never\tProgressing\tInProgress\n",
		MessagesFile: "Ready=True/Available\tKept\n" +
			"Synced=False/RateLimited\tAsked 127.0.0.1:5555 at 2026-01-05T09:10:00Z for default\n",
	} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, string(content)); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}
