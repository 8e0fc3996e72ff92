// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// A patch of a status may be made from an old copy of the object. It takes nothing back that it is not about.
func TestStatusPatchWritesWhatDiffers(t *testing.T) {
	ready := []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonAvailable}}
	for _, row := range []struct {
		name          string
		before, after v1alpha1.OAuthClientStatus
		want          []string
	}{
		{"a number goes without the generation", v1alpha1.OAuthClientStatus{ObservedGeneration: -1}, v1alpha1.OAuthClientStatus{ObservedGeneration: -1, Users: 3}, []string{"add /status/users"}},
		{
			"conditions go with it", v1alpha1.OAuthClientStatus{ObservedGeneration: 1}, v1alpha1.OAuthClientStatus{ObservedGeneration: 1, Conditions: ready},
			[]string{"add /status/conditions", "add /status/observedGeneration"},
		},
		{
			"a generation that is dealt with goes alone", v1alpha1.OAuthClientStatus{ObservedGeneration: 1, Conditions: ready},
			v1alpha1.OAuthClientStatus{ObservedGeneration: 2, Conditions: ready}, []string{"add /status/observedGeneration"},
		},
		{
			"what is gone is removed, if it is there or not", v1alpha1.OAuthClientStatus{LastHandledReconcileAt: "now"}, v1alpha1.OAuthClientStatus{},
			[]string{"add /status/lastHandledReconcileAt", "remove /status/lastHandledReconcileAt"},
		},
	} {
		t.Run(row.name, func(t *testing.T) {
			steps, err := statusPatch(&row.before, &row.after)
			if err != nil {
				t.Fatal(err)
			}
			var have []string
			for _, step := range steps {
				have = append(have, step.Op+" "+step.Path)
			}
			if d := cmp.Diff(row.want, have); d != "" {
				t.Errorf("steps (-want +got):\n%s", d)
			}
		})
	}
}

// What identifies the user goes with the user: the status may have been emptied since it was read.
func TestStatusPatchWritesTheIdentityWithTheUser(t *testing.T) {
	before := v1alpha1.ManagedUserStatus{
		OAuthClientID: "client", APIURL: "https://api.cal.com/v2", Origin: v1alpha1.OriginCreated, User: &v1alpha1.CalcomUser{ID: 7},
	}
	after := *before.DeepCopy()
	after.User.WeekStart = "Monday"
	steps, err := statusPatch(&before, &after)
	if err != nil {
		t.Fatal(err)
	}
	var have []string
	for _, step := range steps {
		have = append(have, step.Path)
	}
	want := []string{"/status/apiURL", "/status/oauthClientID", "/status/origin", "/status/user"}
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("fields (-want +got):\n%s", d)
	}
}
