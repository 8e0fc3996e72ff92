// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package onboarding

import (
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/operatortest"
)

// newPerson describes a person in a namespace with an OAuthClient of the operator, as the controller under test wants it.
func newPerson(t *testing.T, faults ...calcomtest.Fault) (*calcomtest.Server, *corev1.ConfigMap) {
	t.Helper()
	namespace := newNamespace(t)
	sandbox, credentials := operatortest.NewSandbox(t, kube, namespace)
	sandbox.Inject(faults...)
	person := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "alice", Labels: map[string]string{PersonLabel: ""}},
		Data:       map[string]string{"email": "alice@example.com", "name": "Alice", "timeZone": "Europe/Rome"},
	}
	acme := &v1alpha1.OAuthClient{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "acme"},
		Spec:       v1alpha1.OAuthClientSpec{OAuthClientCredentials: *credentials},
	}
	if err := kube.Create(t.Context(), acme); err != nil {
		t.Fatal(err)
	}
	if err := kube.Create(t.Context(), person); err != nil {
		t.Fatal(err)
	}
	return sandbox, person
}

// A person gets a user and learns its number, also when Cal.com is out of order for a while.
func TestPersonGetsAUser(t *testing.T) {
	for name, faults := range map[string][]calcomtest.Fault{
		"at once":         nil,
		"after an outage": {{Status: 502, Body: "<html>Bad gateway</html>", ContentType: "text/html", Times: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sandbox, person := newPerson(t, faults...)
			eventually(t, person, "the number of the user", func(bool) bool { return person.Annotations[UserIDAnnotation] != "" })
			stored, ok := sandbox.UserByEmail(calcomtest.DefaultClient().ID, person.Data["email"])
			if want := strconv.FormatInt(stored.ID, 10); !ok || person.Annotations[UserIDAnnotation] != want {
				t.Errorf("the person's number is %s, want %s", person.Annotations[UserIDAnnotation], want)
			}

			var user v1alpha1.ManagedUser
			user.Namespace, user.Name = person.Namespace, person.Name
			eventuallyReady(t, &user)
			if !metav1.IsControlledBy(&user, person) {
				t.Error("the user would outlive the person") // Nobody collects garbage here: the reference has to do.
			}
			if err := kube.Delete(t.Context(), person); err != nil {
				t.Fatal(err)
			}
			deleteUser(t, &user)
		})
	}
}
