// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package crdcheck

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/client-go/rest"
)

// apiServer serves OpenAPI documents.
type apiServer struct {
	status    int // Of the index, 200 when zero.
	hash      string
	document  string // Nothing is listed when empty.
	documents int    // How often the document was read.
}

func (a *apiServer) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	const path = "/openapi/v3/apis/platform.cal.com/v1alpha1"
	w.Header().Set("Content-Type", "application/json")
	switch {
	case request.URL.Path == path && request.URL.Query().Get("hash") == a.hash:
		a.documents++
		_, _ = w.Write([]byte(a.document))
	case request.URL.Path != "/openapi/v3":
		http.NotFound(w, request)
	case a.status != 0:
		w.WriteHeader(a.status)
	case a.document == "":
		_, _ = w.Write([]byte(`{"paths": {"api/v1": {"serverRelativeURL": "/openapi/v3/api/v1?hash=1"}}}`))
	default:
		const index = `{"paths": {"apis/platform.cal.com/v1alpha1": {"serverRelativeURL": %q}}}`
		_, _ = fmt.Fprintf(w, index, path+"?hash="+a.hash)
	}
}

// newChecker returns a checker that asks a server.
func newChecker(t *testing.T, server http.Handler, clusterClients bool) *Checker {
	t.Helper()
	listener := httptest.NewServer(server)
	t.Cleanup(listener.Close)
	c, err := NewChecker(&rest.Config{Host: listener.URL}, listener.Client(), clusterClients)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// documentOf returns a document that serves the known kinds but some, each after a change.
func documentOf(t *testing.T, without string, change func(kind string, s map[string]any)) string {
	t.Helper()
	schemas := make(map[string]any)
	for kind, file := range map[string]string{
		"ManagedUser": "managedusers", "OAuthClient": "oauthclients", "ClusterOAuthClient": "clusteroauthclients",
	} {
		if kind == without {
			continue
		}
		s := embeddedSchema(t, file)
		change(kind, s)
		s["x-kubernetes-group-version-kind"] = []any{map[string]any{"group": "platform.cal.com", "version": "v1alpha1", "kind": kind}}
		schemas["com.cal.platform.v1alpha1."+kind] = s
	}
	text, err := json.Marshal(map[string]any{"components": map[string]any{"schemas": schemas}})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func unchanged(string, map[string]any) {}

// properties returns the properties of a field.
func properties(s map[string]any, path ...string) map[string]any {
	for _, name := range path {
		s = s["properties"].(map[string]any)[name].(map[string]any)
	}
	return s["properties"].(map[string]any)
}

func TestCheck(t *testing.T) {
	for name, tc := range map[string]struct {
		server         apiServer
		clusterClients bool
		findings       []Finding
		words          string
	}{
		"Current": {server: apiServer{document: documentOf(t, "", unchanged)}, clusterClients: true},
		"Newer": {server: apiServer{document: documentOf(t, "", func(_ string, s map[string]any) {
			properties(s, "spec")["added"] = map[string]any{"type": "string"}
		})}},
		"Older": {
			server: apiServer{document: documentOf(t, "", func(kind string, s map[string]any) {
				if kind == "ManagedUser" {
					delete(properties(s, "status"), "apiURL")
					delete(properties(s, "status", "user"), "bio")
					delete(properties(s, "spec"), "deletionPolicy")
					delete(properties(s, "status", "user")["metadata"].(map[string]any), "x-kubernetes-preserve-unknown-fields")
				}
			})},
			findings: []Finding{{CRD: "managedusers.platform.cal.com", Lacking: []string{
				"spec.deletionPolicy", "status.apiURL", "status.user.bio",
				"status.user.metadata (it lacks x-kubernetes-preserve-unknown-fields)",
			}}},
		},
		"Absent": {
			findings: []Finding{
				{CRD: "managedusers.platform.cal.com", Absent: true}, {CRD: "oauthclients.platform.cal.com", Absent: true},
			},
		},
		"NoClusterClients": {server: apiServer{document: documentOf(t, "ClusterOAuthClient", unchanged)}},
		"ClusterClientsMissing": {
			server: apiServer{document: documentOf(t, "ClusterOAuthClient", unchanged)}, clusterClients: true,
			findings: []Finding{{CRD: "clusteroauthclients.platform.cal.com", Absent: true}},
		},
		"Forbidden": {server: apiServer{status: http.StatusForbidden}, words: "bind the ClusterRole system:discovery"},
		"Broken":    {server: apiServer{status: http.StatusInternalServerError}, words: "reading /openapi/v3"},
		"Garbage":   {server: apiServer{document: "{"}, words: "decoding"},
	} {
		t.Run(name, func(t *testing.T) {
			server := tc.server
			err := newChecker(t, &server, tc.clusterClients).Check(t.Context())
			var findings []Finding
			if outdated, ok := errors.AsType[*OutdatedError](err); ok {
				findings = outdated.Findings
			} else if (err == nil) != (tc.words == "") || err != nil && !strings.Contains(err.Error(), tc.words) {
				t.Errorf("error is %v, want one with %q", err, tc.words)
			}
			if d := cmp.Diff(tc.findings, findings); d != "" {
				t.Errorf("findings (-want +got):\n%s", d)
			}
		})
	}
}

// While the hash stays the same, the document is not read again; after a change it is.
func TestCheckReadsOnlyChanges(t *testing.T) {
	server := &apiServer{hash: "old", document: documentOf(t, "OAuthClient", unchanged)}
	c := newChecker(t, server, true)
	for range 3 {
		if _, ok := errors.AsType[*OutdatedError](c.Check(t.Context())); !ok {
			t.Fatal("the missing kind is not noticed")
		}
	}
	if server.documents != 1 {
		t.Errorf("the document was read %d times", server.documents)
	}
	server.hash, server.document = "new", documentOf(t, "", unchanged)
	if err := c.Check(t.Context()); err != nil {
		t.Errorf("after the update: %v", err)
	}
}
