// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package metrics

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

func TestUsers(t *testing.T) {
	for name, tc := range map[string]struct {
		users []v1alpha1.ManagedUser
		want  []string
	}{
		"None": {nil, []string{"create_outcomes_open 0", "deletions_held 0", "managed_users Ready,Available,True 0"}},
		"ByConditionAndReason": {
			[]v1alpha1.ManagedUser{
				object("Ready=True/Available", "Synced=True/Created", "CredentialsReady=True/Verified"),
				object("Ready=True/Available", "Synced=True/InSync", "CredentialsReady=True/Verified"),
				object("Ready=False/InvalidSpec", "Synced=False/InvalidSpec", "Stalled=True/InvalidSpec"),
				object(),
			},
			[]string{
				"create_outcomes_open 0",
				"deletions_held 0",
				"managed_users CredentialsReady,,True 2",
				"managed_users Ready,,Unknown 1",
				"managed_users Ready,Available,True 2",
				"managed_users Ready,InvalidSpec,False 1",
				"managed_users Stalled,InvalidSpec,True 1",
				"managed_users Synced,,False 1",
				"managed_users Synced,,True 2",
			},
		},
		"HeldDeletions": {
			[]v1alpha1.ManagedUser{
				deleted(object("Ready=False/MassDeletion")), deleted(object("Ready=False/Deleting")), object("Ready=False/MassDeletion"),
			},
			[]string{
				"create_outcomes_open 0",
				"deletion_oldest_timestamp_seconds 1.893553445e+09",
				"deletions_held 1",
				"managed_users Ready,Available,True 0",
				"managed_users Ready,Deleting,False 1",
				"managed_users Ready,MassDeletion,False 2",
			},
		},
		"OldestDeletion": {
			[]v1alpha1.ManagedUser{
				deleted(object("Ready=False/Deleting")), earlierBy(time.Minute, deleted(object())), earlierBy(time.Hour, deleted(object("Ready=False/DeletionBlocked"))),
				earlierBy(time.Hour, deleted(object("Ready=False/Suspended"))), earlierBy(time.Hour, deleted(object("Ready=False/MassDeletion"))),
				earlierBy(time.Hour, withoutFinalizer(deleted(object()))),
			},
			[]string{
				"create_outcomes_open 0",
				"deletion_oldest_timestamp_seconds 1.893553385e+09",
				"deletions_held 1",
				"managed_users Ready,,Unknown 2",
				"managed_users Ready,Available,True 0",
				"managed_users Ready,Deleting,False 1",
				"managed_users Ready,DeletionBlocked,False 1",
				"managed_users Ready,MassDeletion,False 1",
				"managed_users Ready,Suspended,False 1",
			},
		},
		"OpenCreates": {
			[]v1alpha1.ManagedUser{object("Ready=False/Progressing"), object("Ready=False/RemoteUnavailable"), object("Ready=True/Available")},
			[]string{
				"create_outcomes_open 2",
				"deletions_held 0",
				"managed_users Ready,Available,True 1",
				"managed_users Ready,Progressing,False 1",
				"managed_users Ready,RemoteUnavailable,False 1",
			},
		},
		"WhatOthersWrote": {
			[]v1alpha1.ManagedUser{
				object("Ready=True/canary_example_com", "canary.example.com/Canary=True/Available"),
				object("Ready=canary/Available"),
			},
			[]string{
				"create_outcomes_open 0",
				"deletions_held 0",
				"managed_users Other,,True 1",
				"managed_users Ready,Available,True 0",
				"managed_users Ready,Available,Unknown 1",
				"managed_users Ready,Other,True 1",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := values(scrape(t, NewUsers(func() ([]v1alpha1.ManagedUser, bool) { return tc.users, true }, isProgressing)), "")
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// isProgressing stands for the judgement whether a create call is open.
func isProgressing(mu *v1alpha1.ManagedUser) bool {
	return reasonOf(mu) == v1alpha1.ReasonProgressing || reasonOf(mu) == v1alpha1.ReasonRemoteUnavailable
}

func earlierBy(by time.Duration, mu v1alpha1.ManagedUser) v1alpha1.ManagedUser {
	mu.DeletionTimestamp = &metav1.Time{Time: mu.DeletionTimestamp.Add(-by)}
	return mu
}

func withoutFinalizer(mu v1alpha1.ManagedUser) v1alpha1.ManagedUser {
	mu.Finalizers = nil
	return mu
}

// A replica that does not lead, or knows nothing yet, has no figures: a zero would be one.
func TestUsersNotKnown(t *testing.T) {
	if got := values(scrape(t, NewUsers(func() ([]v1alpha1.ManagedUser, bool) { return nil, false }, isNotOpen)), ""); len(got) != 0 {
		t.Errorf("there are figures: %v", got)
	}
}

// A condition or a reason of the API that is not known here would be shown as other.
func TestReasonsAreKnown(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), filepath.Join("..", "..", "api", "v1alpha1", "conditions.go"), nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	// Those of other conditions when these are True: Ready never has them.
	success := []string{"InSync", "Created", "Adopted", "Updated", "DriftCorrected", "Verified"}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		literal, ok := spec.Values[0].(*ast.BasicLit)
		if !ok {
			return true
		}
		name, value := spec.Names[0].Name, strings.Trim(literal.Value, `"`)
		switch {
		case strings.HasPrefix(name, "Reason") && !slices.Contains(reasons, value) && !slices.Contains(success, value):
			t.Errorf("%s is not among the reasons", name)
		case strings.HasPrefix(name, "Condition") && !slices.Contains(conditionTypes, value):
			t.Errorf("%s is not among the conditions", name)
		}
		found++
		return true
	})
	if found < 30 {
		t.Errorf("only %d constants were found", found)
	}
}
