// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package onboarding

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/operatortest"
)

// newUser starts a sandbox of Cal.com, with the given faults, and asks for a user there by a ManagedUser.
func newUser(t *testing.T, faults ...calcomtest.Fault) (*calcomtest.Server, *v1alpha1.ManagedUser) {
	t.Helper()
	namespace := newNamespace(t)
	sandbox, credentials := operatortest.NewSandbox(t, kube, namespace)
	sandbox.Inject(faults...)
	user := &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "alice"},
		Spec: v1alpha1.ManagedUserSpec{
			OAuthClient: credentials,
			Email:       "alice@example.com",
			Name:        "Alice",
			TimeZone:    "Europe/Rome",
		},
	}
	if err := kube.Create(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	return sandbox, user
}

func eventuallyReady(t *testing.T, user *v1alpha1.ManagedUser) {
	t.Helper()
	eventually(t, user, "Ready", func(bool) bool {
		return meta.IsStatusConditionTrue(user.Status.Conditions, v1alpha1.ConditionReady) && user.Status.ObservedGeneration == user.Generation
	})
}

func eventuallyReason(t *testing.T, user *v1alpha1.ManagedUser, reason string) {
	t.Helper()
	eventually(t, user, reason, func(bool) bool {
		ready := meta.FindStatusCondition(user.Status.Conditions, v1alpha1.ConditionReady)
		return ready != nil && ready.Reason == reason
	})
}

// deleteUser deletes the object and waits until it is gone.
func deleteUser(t *testing.T, user *v1alpha1.ManagedUser) {
	t.Helper()
	if err := kube.Delete(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	eventually(t, user, "the end of the object", func(exists bool) bool { return !exists })
}

// statuses returns with what HTTP status each call of an operation was answered; 0 stands for no answer.
func statuses(sandbox *calcomtest.Server, op calcomtest.Op) (answered []int) {
	for _, call := range sandbox.CallsOf(op) {
		answered = append(answered, call.Status)
	}
	return answered
}

// emails returns who exists in Cal.com.
func emails(sandbox *calcomtest.Server) (addresses []string) {
	for _, user := range sandbox.Users(calcomtest.DefaultClient().ID) {
		addresses = append(addresses, user.Email)
	}
	return addresses
}

// What a ManagedUser does to Cal.com from its beginning to its end.
func TestLife(t *testing.T) {
	t.Parallel()
	sandbox, user := newUser(t)
	eventuallyReady(t, user)
	if d := cmp.Diff([]string{"alice+cltestclient0000000000001@example.com"}, emails(sandbox)); d != "" {
		t.Errorf("users in Cal.com (-want +got):\n%s", d)
	}

	user.Spec.Name = "Alicia"
	if err := kube.Update(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	eventuallyReady(t, user)
	if stored, _ := sandbox.UserByEmail(calcomtest.DefaultClient().ID, "alice@example.com"); *stored.Name != "Alicia" {
		t.Errorf("the name in Cal.com is %q", *stored.Name)
	}

	deleteUser(t, user)
	if left := emails(sandbox); len(left) > 0 {
		t.Errorf("%v are left in Cal.com", left)
	}
}

// Somebody changes the user in Cal.com, and the sweep puts it right.
func TestDrift(t *testing.T) {
	t.Parallel()
	sandbox, user := newUser(t)
	eventuallyReady(t, user)
	client := calcomtest.DefaultClient().ID
	sandbox.UpdateUser(client, user.Status.User.ID, func(u *calcomtest.User) { u.Name = new("Changed by hand") })
	eventually(t, user, "the old name", func(bool) bool {
		stored, _ := sandbox.User(client, user.Status.User.ID)
		return *stored.Name == "Alice"
	})
	deleteUser(t, user)
}

// What goes wrong on the way to a user, and what it costs. Whatever it is, there is one user in the end.
func TestFaults(t *testing.T) {
	for name, tc := range map[string]struct {
		fault  calcomtest.Fault
		create []int // The statuses of the create calls.
	}{
		"429: the quota is used up":       {calcomtest.Fault{Op: calcomtest.OpCreate, Status: http.StatusTooManyRequests}, []int{429, 201}},
		"500: nothing happened":           {calcomtest.Fault{Op: calcomtest.OpCreate, Status: http.StatusInternalServerError}, []int{500, 201}},
		"500: but a user was made":        {calcomtest.Fault{Op: calcomtest.OpCreate, StopAfter: calcomtest.StepTokens}, []int{500, 201}},
		"the answer is lost":              {calcomtest.Fault{Op: calcomtest.OpCreate, Cut: true, After: true}, []int{0}},
		"the answer is cut in its middle": {calcomtest.Fault{Op: calcomtest.OpCreate, CutBody: true}, []int{201}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sandbox, user := newUser(t, tc.fault)
			eventuallyReady(t, user)
			if d := cmp.Diff(tc.create, statuses(sandbox, calcomtest.OpCreate)); d != "" {
				t.Errorf("create calls (-want +got):\n%s", d)
			}
			if users := emails(sandbox); len(users) != 1 {
				t.Errorf("Cal.com has the users %v, want one", users)
			}
			deleteUser(t, user)
		})
	}
}

// The secret key is replaced in Cal.com but not in Kubernetes: the object says so.
func TestRefusedKey(t *testing.T) {
	t.Parallel()
	sandbox, user := newUser(t)
	eventuallyReady(t, user)
	client := calcomtest.DefaultClient()
	sandbox.SetSecret(client.ID, "replaced")
	eventuallyReason(t, user, v1alpha1.ReasonUnauthorized)
	sandbox.SetSecret(client.ID, client.Secret)
	eventuallyReady(t, user)
	deleteUser(t, user)
}
