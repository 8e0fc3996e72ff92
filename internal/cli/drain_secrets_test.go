// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// inUse makes an object one that the operator protects.
func inUse(object client.Object, namespace, name string) client.Object {
	object.SetNamespace(namespace)
	object.SetName(name)
	object.SetFinalizers([]string{v1alpha1.InUseFinalizer, "example.com/other"})
	return object
}

func heldSecret(namespace, name string) client.Object {
	return inUse(&corev1.Secret{}, namespace, name)
}

// heldClient is an OAuthClient, or a ClusterOAuthClient where there is no namespace, with the key in Secret calcom.
func heldClient(namespace, name string) client.Object {
	credentials := v1alpha1.OAuthClientCredentials{ID: "c1", SecretKeyRef: v1alpha1.SecretKeyReference{Name: "calcom", Key: "secretKey"}}
	if namespace == "" {
		return inUse(&v1alpha1.ClusterOAuthClient{Spec: v1alpha1.ClusterOAuthClientSpec{OAuthClientCredentials: credentials}}, "", name)
	}
	return inUse(&v1alpha1.OAuthClient{Spec: v1alpha1.OAuthClientSpec{OAuthClientCredentials: credentials}}, namespace, name)
}

// boundUser is a user in Cal.com, of an OAuth client given as KIND/NAME, or with a Secret of its own.
func boundUser(namespace, name, of string) *v1alpha1.ManagedUser {
	mu := &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Finalizers: []string{v1alpha1.ManagedUserFinalizer}}}
	if kind, referred, ok := strings.Cut(of, "/"); ok {
		mu.Spec.OAuthClientRef = &v1alpha1.OAuthClientReference{Kind: kind, Name: referred}
	} else {
		mu.Spec.OAuthClient = &v1alpha1.OAuthClientCredentials{ID: "c1", SecretKeyRef: v1alpha1.SecretKeyReference{Name: of, Key: "secretKey"}}
	}
	return mu
}

// stillHeld names what has the finalizer in the cluster of a session.
func stillHeld(t *testing.T, s *session) (names []string) {
	t.Helper()
	for _, list := range []client.ObjectList{&corev1.SecretList{}, &v1alpha1.OAuthClientList{}, &v1alpha1.ClusterOAuthClientList{}} {
		if err := s.cluster.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		if err := meta.EachListItem(list, func(item runtime.Object) error {
			object, ok := item.(client.Object)
			if !ok {
				return errors.New("no object")
			}
			name := nameOf(object)
			if _, signed := object.GetAnnotations()[v1alpha1.ReleasingAnnotation]; signed {
				name += " (releasing)"
			}
			if slices.Contains(object.GetFinalizers(), v1alpha1.InUseFinalizer) {
				names = append(names, name)
			}
			if !slices.Contains(object.GetFinalizers(), "example.com/other") {
				t.Errorf("%s has lost the finalizer of somebody else", name)
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return names
}

// What nobody needs is released, where no operator runs, and what a user needs stays.
func TestReleaseSecrets(t *testing.T) {
	leftovers := func() []client.Object {
		return []client.Object{heldSecret("team", "calcom"), heldClient("team", "acme"), heldSecret("other", "copy"), heldClient("", "shared")}
	}
	unbound := boundUser("team", "never", "OAuthClient/acme")
	unbound.Finalizers = nil
	signed := heldSecret("team", "signed")
	signed.SetAnnotations(map[string]string{v1alpha1.ReleasingAnnotation: "true"})
	foreign := heldSecret("team", "foreign")
	foreign.SetFinalizers([]string{"example.com/other"})
	for name, tc := range map[string]struct {
		objects []client.Object
		args    []string
		out     string
		warns   []string // Empty when nothing is told.
		held    []string
	}{
		"Namespace": {
			objects: append(leftovers(), foreign, unbound), args: []string{"-y"},
			out: "Released 2 of 2 Secrets and OAuth clients\n", held: []string{"other/copy", "clusteroauthclient shared"},
		},
		"Everywhere": {
			objects: leftovers(), args: []string{"-A", "-y"},
			out: "Released 4 of 4 Secrets and OAuth clients\n",
		},
		"DryRun": {
			objects: leftovers(), args: []string{"-A", "--dry-run"},
			out:  "would release oauthclient team/acme\nwould release secret other/copy\nwould release secret team/calcom\nwould release clusteroauthclient shared\n",
			held: []string{"other/copy", "team/calcom", "oauthclient team/acme", "clusteroauthclient shared"},
		},
		"Nothing":            {objects: []client.Object{foreign}, args: []string{"-A", "-y"}, out: "There is nothing to release\n"},
		"KilledBeforeTheEnd": {objects: []client.Object{signed}, args: []string{"-y"}, out: "Released 1 of 1 Secrets and OAuth clients\n"},
		"NeededThroughTheClient": {
			objects: append(leftovers(), boundUser("team", "alice", "OAuthClient/acme")), args: []string{"-A", "-y"},
			out: "Released 2 of 2 Secrets and OAuth clients\n", held: []string{"team/calcom", "oauthclient team/acme"},
			warns: []string{"oauthclient team/acme is kept: managed user team/alice needs it", "secret team/calcom is kept: managed user team/alice needs it", "Release or delete those users first"},
		},
		"NeededByTheUserItself": {
			objects: append(leftovers(), boundUser("other", "bob", "copy")), args: []string{"-A", "-y"},
			out: "Released 3 of 3 Secrets and OAuth clients\n", held: []string{"other/copy"}, warns: []string{"secret other/copy is kept: managed user other/bob needs it"},
		},
		"OnlyInItsNamespace": { // The name of the client is the same, and the namespace is not.
			objects: append(leftovers(), boundUser("other", "bob", "OAuthClient/acme")), args: []string{"-y"},
			out: "Released 2 of 2 Secrets and OAuth clients\n", held: []string{"other/copy", "clusteroauthclient shared"},
		},
		"SharedClient": {
			objects: append(leftovers(), heldSecret("calcom-system", "calcom"), testOperator("--watch-namespaces=elsewhere"), boundUser("other", "bob", "ClusterOAuthClient/shared")),
			args:    []string{"-A", "-y"}, out: "Released 3 of 3 Secrets and OAuth clients\n", held: []string{"calcom-system/calcom", "clusteroauthclient shared"},
			warns: []string{"clusteroauthclient shared is kept: managed user other/bob needs it", "secret calcom-system/calcom is kept"},
		},
		"SharedClientOfAnOperatorThatIsGone": {
			objects: append(leftovers(), boundUser("other", "bob", "ClusterOAuthClient/shared")), args: []string{"-y"},
			out: "Released 1 of 1 Secrets and OAuth clients\n", held: []string{"other/copy", "team/calcom", "clusteroauthclient shared"},
			warns: []string{"secret team/calcom is kept: managed user other/bob needs it if this namespace is the operator's, which was not found: name the operator's by --operator-namespace"},
		},
		"SharedClientInTheNamespaceThatIsNamed": {
			objects: append(leftovers(), boundUser("other", "bob", "ClusterOAuthClient/shared")), args: []string{"-y"},
			out: "Released 2 of 2 Secrets and OAuth clients\n", held: []string{"other/copy", "clusteroauthclient shared"},
		},
		"OperatorRuns": {
			objects: append(leftovers(), testOperator()), args: []string{"-y"},
			out: "Released 2 of 2 Secrets and OAuth clients\n", held: []string{"other/copy", "clusteroauthclient shared"},
			warns: []string{"The operator in namespace calcom-system runs and works in all namespaces: there it releases by itself"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, out := testSession(t, nil, tc.objects...)
			if strings.HasSuffix(name, "ThatIsNamed") {
				s.operatorNamespace = "calcom-system"
			}
			var warnings bytes.Buffer
			s.ErrOut = &warnings
			if err := execute(t, newDrainCommand(s), append(tc.args, "--release-secrets")...); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.out, out.String()); d != "" {
				t.Errorf("output (-want +got):\n%s", d)
			}
			if d := cmp.Diff(tc.held, stillHeld(t, s)); d != "" {
				t.Errorf("what is held (-want +got):\n%s", d)
			}
			told := strings.Join(strings.Fields(warnings.String()), " ")
			for _, want := range tc.warns {
				if !strings.Contains(told, want) {
					t.Errorf("it does not tell %q:\n%s", want, told)
				}
			}
			if len(tc.warns) == 0 && told != "" {
				t.Errorf("it tells %q", told)
			}
		})
	}
}

// A user that comes to need a Secret while the command runs keeps it, whether its list shows the user or only the
// operator's answer does.
func TestReleaseSecretsLosesNoRace(t *testing.T) {
	for name, arrive := range map[string]func(*session) error{
		"UserIsListed": func(s *session) error { return s.cluster.Create(t.Context(), boundUser("team", "late", "calcom")) },
		"SignIsTakenOff": func(s *session) error { // As the operator does once its user has the finalizer.
			secret := heldSecret("team", "calcom")
			return s.cluster.Update(t.Context(), secret)
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s *session
			var errs []error
			patches := 0
			s, _ = testSession(t, func(verb string, _ client.Object) error {
				if verb != "patch" {
					return nil
				}
				patches++
				if name == "UserIsListed" && patches == 1 || name == "SignIsTakenOff" && patches == 2 {
					errs = append(errs, arrive(s))
				}
				return nil
			}, heldSecret("team", "calcom"))
			err := execute(t, newDrainCommand(s), "--release-secrets", "-y")
			if (err != nil) != (name == "SignIsTakenOff") || errors.Join(errs...) != nil {
				t.Errorf("the command ends with %v, the arrival with %v", err, errs)
			}
			if d := cmp.Diff([]string{"team/calcom"}, stillHeld(t, s)); d != "" {
				t.Errorf("what is held (-want +got):\n%s", d)
			}
		})
	}
}

// What is wrong with the command line, or with the rights, is told with what to do.
func TestReleaseSecretsRefusals(t *testing.T) {
	policy := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, "calcom",
		errors.New("ValidatingAdmissionPolicy 'calcom-operator-secret-finalizers' denied request: a member of the group calcom-operator:break-glass may"))
	for name, tc := range map[string]struct {
		args   []string
		refuse map[string]error
		want   []string
		held   []string
	}{
		"Clients":       {args: []string{"-y", "--clients"}, want: []string{"--release-secrets excludes --clients", "drain the users first"}, held: []string{"team/calcom"}},
		"OneClient":     {args: []string{"-y", "--client=acme"}, want: []string{"--release-secrets excludes"}, held: []string{"team/calcom"}},
		"Selector":      {args: []string{"-y", "-l", "a=b"}, want: []string{"--release-secrets excludes"}, held: []string{"team/calcom"}},
		"NobodySaysYes": {want: []string{"say so by --yes"}, held: []string{"team/calcom"}},
		"Policy":        {args: []string{"-y"}, refuse: map[string]error{"patch": policy}, want: []string{"1 of 1 failed", "start it again"}, held: []string{"team/calcom"}},
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := testSession(t, func(verb string, _ client.Object) error { return tc.refuse[verb] }, heldSecret("team", "calcom"))
			var warnings bytes.Buffer
			s.ErrOut = &warnings
			err := execute(t, newDrainCommand(s), append(tc.args, "--release-secrets")...)
			if err == nil {
				t.Fatal("it succeeds")
			}
			for _, want := range tc.want {
				if !strings.Contains(sentence(err), want) {
					t.Errorf("the error lacks %q: %s", want, sentence(err))
				}
			}
			if told := strings.Join(strings.Fields(warnings.String()), " "); name == "Policy" && !strings.Contains(told, "--as-group=GROUP") {
				t.Errorf("it does not tell whose right it takes: %s", told)
			}
			if d := cmp.Diff(tc.held, stillHeld(t, s)); d != "" {
				t.Errorf("what is held (-want +got):\n%s", d)
			}
		})
	}
}
