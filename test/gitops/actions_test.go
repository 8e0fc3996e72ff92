// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/util/jsonmergepatch"
)

const requestedAt = "platform.cal.com/reconcile-requested-at"

// patchOf runs an action on an object and returns the merge patch that Argo CD would send.
func patchOf(t *testing.T, script string, object map[string]any) map[string]any {
	t.Helper()
	before, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	after, err := runLua(t, script, object)
	if err != nil {
		t.Fatal(err)
	}
	// What is empty comes back from Lua as a list; Argo CD sees to that (cleanReturnedObj), and no object here has such
	// a field.
	data, err := jsonmergepatch.CreateThreeWayJSONMergePatch(before, after, before)
	if err != nil {
		t.Fatal(err)
	}
	patch := make(map[string]any)
	if err := json.Unmarshal(data, &patch); err != nil {
		t.Fatal(err)
	}
	return patch
}

func userWith(policy string, annotations map[string]any) map[string]any {
	spec := map[string]any{"email": "alice@example.com", "userID": int64(742), "createOnly": []any{"timeZone"}}
	if policy != "" {
		spec["reconcilePolicy"] = policy
	}
	metadata := map[string]any{"name": "alice", "generation": int64(2)}
	if annotations != nil {
		metadata["annotations"] = annotations
	}
	return map[string]any{"apiVersion": group + "/v1alpha1", "kind": kindUser, "metadata": metadata, "spec": spec}
}

// Of suspend and resume, the one is offered that can be taken back by the other.
func TestActionsThatAreOffered(t *testing.T) {
	c := readCustomizations(t)
	for _, row := range []struct {
		kind, policy string
		want         map[string]bool // Whether it can be chosen.
	}{
		{kindUser, "", map[string]bool{"reconcile": true, "suspend": true}},
		{kindUser, "Manage", map[string]bool{"reconcile": true, "suspend": true}},
		{kindUser, "Suspend", map[string]bool{"reconcile": false, "resume": true}},
		{kindUser, "Observe", map[string]bool{"reconcile": true}},
		{kindClient, "", map[string]bool{"reconcile": true}},
		{kindClusterClient, "", map[string]bool{"reconcile": true}},
	} {
		t.Run(row.kind+row.policy, func(t *testing.T) {
			result, err := runLua(t, c.actions[row.kind].Discovery, userWith(row.policy, nil))
			if err != nil {
				t.Fatal(err)
			}
			var offered map[string]struct {
				Disabled               bool
				DisplayName, IconClass string
			}
			if err := json.Unmarshal(result, &offered); err != nil {
				t.Fatal(err)
			}
			have := make(map[string]bool)
			for name, action := range offered {
				have[name] = !action.Disabled
				if action.DisplayName == "" || action.IconClass == "" {
					t.Errorf("%s has the name %q and the icon %q", name, action.DisplayName, action.IconClass)
				}
				if c.actions[row.kind].definition(name) == "" {
					t.Errorf("%s is offered and not defined", name)
				}
			}
			if d := cmp.Diff(row.want, have); d != "" {
				t.Errorf("actions (-want +got):\n%s", d)
			}
		})
	}
}

// An action changes one field.
func TestActionsChangeOneField(t *testing.T) {
	c := readCustomizations(t)
	for _, row := range []struct {
		name, action string
		object       map[string]any
		want         map[string]any
	}{
		{"suspend", "suspend", userWith("", nil), map[string]any{"spec": map[string]any{"reconcilePolicy": "Suspend"}}},
		{"suspend what is managed", "suspend", userWith("Manage", nil), map[string]any{"spec": map[string]any{"reconcilePolicy": "Suspend"}}},
		{"resume", "resume", userWith("Suspend", nil), map[string]any{"spec": map[string]any{"reconcilePolicy": "Manage"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if d := cmp.Diff(row.want, patchOf(t, c.actions[kindUser].definition(row.action), row.object)); d != "" {
				t.Errorf("patch (-want +got):\n%s", d)
			}
		})
	}
	for _, kind := range []string{kindUser, kindClient, kindClusterClient} {
		for name, annotations := range map[string]map[string]any{
			"without annotations": nil, "beside others": {"example.com/note": "kept"}, "again": {requestedAt: "2026-01-05T09:00:00Z"},
		} {
			t.Run("reconcile "+kind+" "+name, func(t *testing.T) {
				patch := patchOf(t, c.actions[kind].definition("reconcile"), userWith("", annotations))
				metadata, _ := patch["metadata"].(map[string]any)
				changed, _ := metadata["annotations"].(map[string]any)
				value, _ := changed[requestedAt].(string)
				if _, err := time.Parse(time.RFC3339, value); err != nil {
					t.Errorf("the request is %q: %v", value, err)
				}
				if len(patch) != 1 || len(metadata) != 1 || len(changed) != 1 {
					t.Errorf("the patch is %v, which changes more than one field", patch)
				}
			})
		}
	}
}
