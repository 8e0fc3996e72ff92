// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// testOperator is the Deployment of an operator that runs, with flags.
func testOperator(args ...string) *appsv1.Deployment {
	deployment := &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Namespace: "calcom-system", Name: "calcom-operator", Labels: operatorLabels}}
	deployment.Spec.Template.Spec.Containers = []corev1.Container{{Args: append([]string{"--owner-id=cluster-uid"}, args...)}}
	deployment.Status.AvailableReplicas = 1
	return deployment
}

// The conditions of a user stay as they are when the operator comes not to look after it; what keeps it from that is
// said then.
func TestStatusTellsWhyConditionsAreOld(t *testing.T) {
	const allowed = "--allowed-api-urls=https://,http://127.0.0.1"
	type setup struct {
		user     *v1alpha1.ManagedUser
		operator *appsv1.Deployment
		lease    *coordinationv1.Lease
		shared   *v1alpha1.ClusterOAuthClient
	}
	for name, tc := range map[string]struct {
		change func(*setup)
		want   []string
		// many is what the table of users is followed by.
		many string
	}{
		"AllWell": {func(*setup) {}, []string{"Cal.com: Europe/London"}, ""},
		"URLNotAllowed": {func(s *setup) { s.operator = testOperator("--allowed-api-urls=https://") },
			[]string{"APIURLNotAllowed: The operator does not call this API URL", "(now https://)"}, ""},
		"NamespaceNotAllowed": {func(s *setup) {
			s.shared = &v1alpha1.ClusterOAuthClient{ObjectMeta: metav1.ObjectMeta{Name: "acme"}}
			s.shared.Spec.OAuthClientCredentials, s.user.Spec.OAuthClient = *s.user.Spec.OAuthClient, nil
			s.user.Spec.OAuthClientRef = &v1alpha1.OAuthClientReference{Kind: v1alpha1.KindClusterOAuthClient, Name: "acme"}
		}, []string{"NamespaceNotAllowed: ClusterOAuthClient acme does not allow this namespace"}, ""},
		"NamespaceNotWatched": {func(s *setup) { s.operator = testOperator(allowed, "--watch-namespaces=other") },
			[]string{"does not watch namespace team (--watch-namespaces)"}, "does not watch namespace team"},
		"OperatorDown": {func(s *setup) { s.operator.Status.AvailableReplicas = 0 },
			[]string{"operator in namespace calcom-system does not run", "--replicas=1"}, "does not run"},
		"OperatorDownAndNoUser": {func(s *setup) { s.operator.Status.AvailableReplicas = 0; s.user.Status = v1alpha1.ManagedUserStatus{} },
			[]string{"no user of this object is known yet", "operator in namespace calcom-system does not run"}, "does not run"},
		"NobodyLeads": {func(s *setup) {
			s.operator = testOperator(allowed, "--leader-elect")
			s.lease.Spec.HolderIdentity = nil
		},
			[]string{"operator in namespace calcom-system does not run"}, "does not run"},
		"Leads": {func(s *setup) { s.operator = testOperator(allowed, "--leader-elect") }, []string{"Cal.com: Europe/London"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			setup := &setup{user: settledUser(calcomtest.New(t)), operator: testOperator(allowed), shared: &v1alpha1.ClusterOAuthClient{}}
			setup.shared.Name = "none"
			setup.lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: "calcom-system", Name: leaseName}}
			setup.lease.Spec.HolderIdentity, setup.lease.Spec.RenewTime = new("pod"), &metav1.MicroTime{Time: time.Now()}
			tc.change(setup)
			s, out := testSession(t, nil, testSecret(), setup.user, setup.operator, setup.lease, setup.shared)
			var warnings bytes.Buffer
			s.ErrOut = &warnings
			if err := execute(t, newStatus(s), "ada"); err != nil {
				t.Fatal(err)
			}
			text := strings.Join(strings.Fields(out.String()), " ")
			for _, want := range tc.want {
				if !strings.Contains(text, want) {
					t.Errorf("the output lacks %q:\n%s", want, out)
				}
			}
			if strings.Contains(text, "see the conditions") || len(tc.want) == 1 && tc.many == "" && strings.Contains(text, "Note:") {
				t.Errorf("the output has too much:\n%s", out)
			}
			if err := execute(t, newStatus(s)); err != nil {
				t.Fatal(err)
			}
			if got := warnings.String(); !strings.Contains(got, tc.many) || tc.many == "" && got != "" {
				t.Errorf("the warnings are %q, want %q", got, tc.many)
			}
		})
	}
}
