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

	"github.com/google/go-cmp/cmp"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

func TestUsers(t *testing.T) {
	for name, tc := range map[string]struct {
		users []v1alpha1.ManagedUser
		want  []string
	}{
		"None": {nil, []string{"deletions_held 0", "managed_users Ready,Available,True 0"}},
		"ByConditionAndReason": {
			[]v1alpha1.ManagedUser{
				object("Ready=True/Available", "Synced=True/Created", "CredentialsReady=True/Verified"),
				object("Ready=True/Available", "Synced=True/InSync", "CredentialsReady=True/Verified"),
				object("Ready=False/InvalidSpec", "Synced=False/InvalidSpec", "Stalled=True/InvalidSpec"),
				object(),
			},
			[]string{
				"deletions_held 0",
				"managed_users CredentialsReady,,True 2",
				"managed_users Ready,,Unknown 1",
				"managed_users Ready,Available,True 2",
				"managed_users Ready,InvalidSpec,False 1",
				"managed_users Stalled,,True 1",
				"managed_users Synced,,False 1",
				"managed_users Synced,,True 2",
			},
		},
		"HeldDeletions": {
			[]v1alpha1.ManagedUser{
				deleted(object("Ready=False/MassDeletion")), deleted(object("Ready=False/Deleting")), object("Ready=False/MassDeletion"),
			},
			[]string{
				"deletions_held 1",
				"managed_users Ready,Available,True 0",
				"managed_users Ready,Deleting,False 1",
				"managed_users Ready,MassDeletion,False 2",
			},
		},
		"WhatOthersWrote": {
			[]v1alpha1.ManagedUser{
				object("Ready=True/canary_example_com", "canary.example.com/Canary=True/Available"),
				object("Ready=canary/Available"),
			},
			[]string{
				"deletions_held 0",
				"managed_users Other,,True 1",
				"managed_users Ready,Available,True 0",
				"managed_users Ready,Available,Unknown 1",
				"managed_users Ready,Other,True 1",
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := values(scrape(t, NewUsers(func() ([]v1alpha1.ManagedUser, bool) { return tc.users, true })), "")
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// A replica that does not lead, or knows nothing yet, has no figures: a zero would be one.
func TestUsersNotKnown(t *testing.T) {
	if got := values(scrape(t, NewUsers(func() ([]v1alpha1.ManagedUser, bool) { return nil, false })), ""); len(got) != 0 {
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
