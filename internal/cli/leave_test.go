// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

func managed(labels, annotations map[string]string) client.Object {
	return &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Labels: labels, Annotations: annotations}}
}

// Who manages an object is known by what the tools write on it, and the way to pause them is told.
func TestRefuseManaged(t *testing.T) {
	for name, tc := range map[string]struct {
		object client.Object
		want   string
	}{
		"Nobody":    {managed(map[string]string{"app.kubernetes.io/instance": "users"}, nil), ""},
		"ArgoCD":    {managed(nil, map[string]string{"argocd.argoproj.io/tracking-id": "users:platform.cal.com/ManagedUser:team/alice"}), "argocd app set users --sync-policy none"},
		"ArgoLabel": {managed(map[string]string{"argocd.argoproj.io/instance": "users"}, nil), "Argo CD's Application users"},
		"Flux": {
			managed(map[string]string{"kustomize.toolkit.fluxcd.io/name": "users", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}, nil),
			"flux suspend kustomization users -n flux-system",
		},
		"FluxHelm": {
			managed(map[string]string{"helm.toolkit.fluxcd.io/name": "users", "helm.toolkit.fluxcd.io/namespace": "team"}, nil),
			"flux suspend helmrelease users -n team",
		},
	} {
		t.Run(name, func(t *testing.T) {
			err := refuseManaged([]client.Object{managed(nil, nil), tc.object})
			if (err != nil) != (tc.want != "") || err != nil && !strings.Contains(sentence(err), tc.want) {
				t.Errorf("refuseManaged returns %v, want %q", err, tc.want)
			}
		})
	}
}

// An inventory is what kubectl apply takes: no status, nothing of the server's, and the policies as they were.
func TestInventory(t *testing.T) {
	mu := &v1alpha1.ManagedUser{
		ObjectMeta: metav1.ObjectMeta{Name: "alice", Namespace: "team", UID: "u1", Finalizers: []string{v1alpha1.ManagedUserFinalizer}, CreationTimestamp: metav1.Now()},
		Spec:       v1alpha1.ManagedUserSpec{Email: "alice@example.com", Name: "Alice", OAuthClientRef: &v1alpha1.OAuthClientReference{Name: "acme"}},
		Status:     v1alpha1.ManagedUserStatus{OAuthClientID: "c1", Origin: v1alpha1.OriginCreated, User: &v1alpha1.CalcomUser{ID: 742}},
	}
	acme := &v1alpha1.OAuthClient{ObjectMeta: metav1.ObjectMeta{Name: "acme", Namespace: "team", UID: "u2"}}
	acme.Spec.ID, acme.Spec.SecretKeyRef = "c1", v1alpha1.SecretKeyReference{Name: "calcom", Key: "secretKey"}
	got, err := inventory("owner-1", time.Date(2026, 1, 5, 10, 0, 0, 0, time.UTC), []client.Object{mu}, []client.Object{acme})
	if err != nil {
		t.Fatal(err)
	}
	_, manifests, _ := strings.Cut(string(got), "---\n")
	want := `apiVersion: platform.cal.com/v1alpha1
kind: OAuthClient
metadata:
  name: acme
  namespace: team
spec:
  id: c1
  secretKeyRef:
    key: secretKey
    name: calcom
---
apiVersion: platform.cal.com/v1alpha1
kind: ManagedUser
metadata:
  name: alice
  namespace: team
spec:
  deletionPolicy: Delete
  email: alice@example.com
  name: Alice
  oauthClientRef:
    name: acme
  userID: 742
`
	if manifests != want {
		t.Errorf("the inventory is\n%s", got)
	}
	if !strings.Contains(string(got), "owner id was owner-1") {
		t.Errorf("the inventory does not tell of the owner id:\n%s", got)
	}
}

func TestParseObject(t *testing.T) {
	for arg, want := range map[string]string{
		"alice": "alice", "manageduser/alice": "alice", "calusr/alice": "alice",
		"oauthclient/acme": "oauthclient acme", "ClusterOAuthClient/acme": "clusteroauthclient acme",
		"secret/calcom": "", "oauthclient/": "", "": "",
	} {
		object, err := parseObject(arg)
		if (err == nil) != (want != "") || err == nil && nameOf(object) != want {
			t.Errorf("parseObject(%q): %v, %v", arg, object, err)
		}
	}
}

func TestWrap(t *testing.T) {
	text := wrap(strings.Repeat("word ", 40), "    ", "    ", narrow)
	for line := range strings.SplitSeq(text, "\n") {
		if len(line) > narrow || !strings.HasPrefix(line, "    word") {
			t.Errorf("a line is %q", line)
		}
	}
	if strings.Count(text, "word") != 40 {
		t.Errorf("words are lost: %s", text)
	}
}

// Resume gives back what suspend took, and a policy that nobody remembers is the default one.
func TestSuspendResume(t *testing.T) {
	for _, policy := range []v1alpha1.ReconcilePolicy{"", v1alpha1.ReconcilePolicyManage, v1alpha1.ReconcilePolicyObserve} {
		mu := &v1alpha1.ManagedUser{Spec: v1alpha1.ManagedUserSpec{ReconcilePolicy: policy}}
		suspend(mu)
		suspend(mu) // Once more changes nothing.
		if mu.Spec.ReconcilePolicy != v1alpha1.ReconcilePolicySuspend {
			t.Errorf("suspended from %q it is %q", policy, mu.Spec.ReconcilePolicy)
		}
		resume(mu)
		resume(mu)
		if mu.Spec.ReconcilePolicy != policy || len(mu.Annotations) != 0 {
			t.Errorf("resumed to %q, want %q; annotations %v", mu.Spec.ReconcilePolicy, policy, mu.Annotations)
		}
	}
	byHand := &v1alpha1.ManagedUser{Spec: v1alpha1.ManagedUserSpec{ReconcilePolicy: v1alpha1.ReconcilePolicySuspend}}
	resume(byHand)
	if byHand.Spec.ReconcilePolicy != "" {
		t.Errorf("resumed to %q", byHand.Spec.ReconcilePolicy)
	}
}

// Help is documentation for a terminal of 80 columns.
func TestHelpFits(t *testing.T) {
	var out bytes.Buffer
	for _, add := range commands {
		name := add(&session{flags: genericclioptions.NewConfigFlags(true)}).Name()
		if code := Run(t.Context(), genericiooptions.IOStreams{In: &bytes.Buffer{}, Out: &out, ErrOut: &out}, []string{name, "--help"}); code != exitOK {
			t.Errorf("%s --help ends with %d", name, code)
		}
	}
	for line := range strings.SplitSeq(out.String(), "\n") {
		if len(line) > narrow {
			t.Errorf("a line has %d columns: %s", len(line), line)
		}
	}
}
