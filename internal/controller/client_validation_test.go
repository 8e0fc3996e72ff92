// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

var validClients = map[string]string{
	v1alpha1.KindOAuthClient:        `{id: cltestclient0000000000001, secretKeyRef: {name: calcom, key: secretKey}}`,
	v1alpha1.KindClusterOAuthClient: `{id: cltestclient0000000000001, secretKeyRef: {name: calcom, key: secretKey}, allowedNamespaces: {names: [team-a]}}`,
}

// Every rule of the CRDs of OAuth clients, on a real API server.
func TestClientValidation(t *testing.T) {
	both := map[string]struct {
		spec  string
		words string // Empty: accepted.
	}{
		"Least":                    {``, ""},
		"WithURL":                  {`apiURL: "https://calcom.example.com/prefix/v2"`, ""},
		"NoID":                     {`id: null`, "spec.id: Required"},
		"IDThatIsNone":             {`id: "a/b"`, "must be the id of an OAuth client"},
		"NoSecret":                 {`secretKeyRef: null`, "spec.secretKeyRef: Required"},
		"SecretWithoutKey":         {`secretKeyRef: {key: null}`, "secretKeyRef.key: Required"},
		"SecretInAnotherNamespace": {`secretKeyRef: {namespace: other}`, `unknown field "spec.secretKeyRef.namespace"`},
		"URLWithoutScheme":         {`apiURL: api.cal.com/v2`, "must be a URL with http or https"},
		"URLWithAUser":             {`apiURL: "https://me:pw@api.cal.com"`, "without user"},
		"SecretInTheOpen":          {`secretKey: abc`, `unknown field "spec.secretKey"`},
	}
	for kind, valid := range validClients {
		for name, tc := range both {
			t.Run(kind+name, func(t *testing.T) { wantRefusal(t, dryRun(t, manifestOf(t, kind, valid, tc.spec)), tc.words) })
		}
	}
	namespaces := map[string]struct {
		spec  string
		words string
	}{
		"Selector":     {`allowedNamespaces: {names: null, selector: {matchLabels: {team: a}}}`, ""},
		"Everybody":    {`allowedNamespaces: {names: null, selector: {}}`, ""},
		"Both":         {`allowedNamespaces: {selector: {}}`, ""},
		"NoNamespaces": {`allowedNamespaces: null`, "spec.allowedNamespaces: Required"},
		"Neither":      {`allowedNamespaces: {names: null}`, "must have names or a selector; selector: {} allows every namespace"},
		"NoNames":      {`allowedNamespaces: {names: []}`, "at least 1 items"},
		"NameTwice":    {`allowedNamespaces: {names: [a, a]}`, "Duplicate value"},
		"EmptyName":    {`allowedNamespaces: {names: [""]}`, "at least 1 char"},
	}
	for name, tc := range namespaces {
		t.Run("Namespaces"+name, func(t *testing.T) {
			wantRefusal(t, dryRun(t, manifestOf(t, v1alpha1.KindClusterOAuthClient, validClients[v1alpha1.KindClusterOAuthClient], tc.spec)), tc.words)
		})
	}
	over := `allowedNamespaces: {names: [team-a]}`
	wantRefusal(t, dryRun(t, manifestOf(t, v1alpha1.KindOAuthClient, validClients[v1alpha1.KindOAuthClient], over)), `unknown field "spec.allowedNamespaces"`)
}

// What says which client it is cannot be changed; the rest can.
func TestClientImmutability(t *testing.T) {
	cases := map[string]struct{ before, after, words string }{
		"ID":            {``, `id: another`, "is immutable"},
		"APIURL":        {`apiURL: "https://a.example.com"`, `apiURL: "https://b.example.com"`, "is immutable"},
		"APIURLSet":     {``, `apiURL: "https://b.example.com"`, "apiURL is immutable"},
		"APIURLRemoved": {`apiURL: "https://a.example.com"`, ``, "apiURL is immutable"},
		"Secret":        {``, `secretKeyRef: {name: other, key: other}`, ""},
	}
	for kind, valid := range validClients {
		for name, tc := range cases {
			t.Run(kind+name, func(t *testing.T) {
				s := newStory(t)
				object, changed := manifestOf(t, kind, valid, tc.before), manifestOf(t, kind, valid, tc.after)
				if kind == v1alpha1.KindOAuthClient {
					object.SetNamespace(s.namespace)
					changed.SetNamespace(s.namespace)
				}
				object.SetName(s.namespace)
				changed.SetName(s.namespace)
				s.must(s.client.Create(t.Context(), object))
				changed.SetResourceVersion(object.GetResourceVersion())
				err := s.client.Update(t.Context(), changed)
				s.must(client.IgnoreNotFound(s.client.Delete(t.Context(), object)))
				if tc.words != "" && !apierrors.IsInvalid(err) {
					t.Errorf("ended with %v", err)
				}
				wantRefusal(t, err, tc.words)
			})
		}
	}
}

func wantRefusal(t *testing.T, err error, words string) {
	t.Helper()
	switch {
	case words == "" && err != nil:
		t.Error(err)
	case words != "" && (err == nil || !strings.Contains(err.Error(), words)):
		t.Errorf("ended with %v, want a refusal with %q", err, words)
	}
}
