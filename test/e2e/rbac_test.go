// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

// grant is one thing that the operator's roles let it do.
type grant struct {
	stack.Operation
	role      string // With its kind.
	namespace string // Of a Role; empty for a ClusterRole.
	name      string // If only this object.
}

func (g grant) String() string {
	text := g.role + ": " + g.Operation.String()
	if g.name != "" {
		text += " " + g.name
	}
	return text
}

func (g grant) covers(r stack.Request) bool {
	return g.Operation == r.Operation && (g.namespace == "" || g.namespace == r.Namespace) && (g.name == "" || g.name == r.Name)
}

// role is a Role or ClusterRole, and a binding to one, as far as they are of interest.
type role struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Rules    []rbacv1.PolicyRule
	RoleRef  rbacv1.RoleRef
	Subjects []rbacv1.Subject
}

// granted reads what config/rbac gives the operator's ServiceAccount: the rules of every role that is bound to it.
func granted(t *testing.T) []grant {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "rbac", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var grants []grant
	bound := make(map[string]bool)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			var r role
			if err := yaml.Unmarshal(document, &r); err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			if slices.ContainsFunc(r.Subjects, func(s rbacv1.Subject) bool { return s.Name == "calcom-operator" }) {
				bound[r.RoleRef.Kind+" "+r.RoleRef.Name] = true
			}
			for _, rule := range r.Rules {
				grants = append(grants, expand(r.Kind+" "+r.Metadata.Name, r.Metadata.Namespace, rule)...)
			}
		}
	}
	grants = slices.DeleteFunc(grants, func(g grant) bool { return !bound[g.role] })
	if len(bound) == 0 || len(grants) == 0 {
		t.Fatal("no role grants anything")
	}
	return grants
}

func expand(role, namespace string, rule rbacv1.PolicyRule) []grant {
	names := rule.ResourceNames
	if len(names) == 0 {
		names = []string{""}
	}
	var grants []grant
	for _, group := range rule.APIGroups {
		for _, resource := range rule.Resources {
			for _, verb := range rule.Verbs {
				for _, name := range names {
					operation := stack.Operation{Verb: verb, APIGroup: group, Resource: resource}
					grants = append(grants, grant{Operation: operation, role: role, namespace: namespace, name: name})
				}
			}
		}
	}
	return grants
}

// The operator does with its shipped rights all that it does, is never refused, by the policies of config/policy neither,
// and needs every one of them.
func TestRights(t *testing.T) {
	const metrics = "127.0.0.1:18444"
	w := newWorld(t, stack.Config{
		AuditLog:    true,
		SandboxArgs: []string{"--latency=200ms", "--rate-limit=0"}, // Time enough to edit an object in the middle of a call.
		OperatorArgs: []string{
			"--metrics-bind-address=" + metrics, "--resync-interval=1s", "--rate-limit-share=1",
			"--mass-delete-limit=10", "--operator-namespace=" + stack.Namespace,
		},
	})
	w.kubectl("", "apply", "--server-side", "-k", filepath.Join("..", "..", "config", "policy"))
	w.kubectl("", "patch", "configmap", "calcom-operator-allowed-api-urls", "-n", stack.Namespace, "--type=merge", `--patch={"data":{"prefixes":"`+w.API+`"}}`)
	w.live(metrics)
	if err := w.StopOperator(); err != nil { // It lets go of its lease and says so.
		t.Error(err)
	}
	requests := w.requests()
	unused := slices.DeleteFunc(granted(t), func(g grant) bool { return slices.ContainsFunc(requests, g.covers) })
	for _, g := range unused {
		t.Errorf("granted and never used: %s", g)
	}
	for _, r := range requests {
		if r.Code == http.StatusForbidden || r.Code == http.StatusUnauthorized {
			t.Errorf("the operator was refused (%d): %s of %s/%s, %s", r.Code, r.Operation, r.Namespace, r.Name, r.URI)
		}
	}
	t.Logf("%d rights, %d requests", len(granted(t)), len(requests))
}

func (w *world) requests() []stack.Request {
	w.Helper()
	requests, err := w.OperatorRequests()
	if err != nil {
		w.Fatal(err)
	}
	return requests
}

// live takes users through all that can happen to them.
func (w *world) live(metrics string) {
	w.Helper()
	// A Secret that comes late, and is marked as in use.
	w.eventually("the API URL to be allowed", func() bool {
		_, err := w.Kubectl(w.Context(), w.users(3), "apply", "-f", "-")
		return err == nil
	})
	w.eventually("the missing Secret to be noticed", func() bool {
		return strings.Contains(w.kubectl("", "get", "managedusers"), "SecretNotFound")
	})
	w.kubectl("", "create", "secret", "generic", "calcom", "--from-literal=secretKey="+calcomtest.DefaultClient().Secret)
	w.kubectl("", "wait", "--for=condition=Ready", "managedusers", "--all", "--timeout="+patience.String())
	if got := w.finalizers("secret/calcom"); !strings.Contains(got, "platform.cal.com/in-use") {
		w.Errorf("the Secret has the finalizers %q", got)
	}

	// An update, and then drift again and again: events of one kind become a series.
	w.kubectl("", "patch", "manageduser", "canary-0", "--type=merge", `--patch={"spec":{"bio":"Another"}}`)
	w.eventually("the update", func() bool { return w.remote(0).Bio == "Another" })
	w.eventually("a series of events", func() bool {
		w.drift(0)
		w.eventually("the drift to be corrected", func() bool { return w.remote(0).Bio == "Another" })
		return slices.ContainsFunc(w.requests(), func(r stack.Request) bool {
			return r.Operation == stack.Operation{Verb: "patch", APIGroup: "events.k8s.io", Resource: "events"}
		})
	})

	w.clients()
	w.tokens()
	w.editedWhileRefused()
	w.scrape(metrics)

	// One user is left in Cal.com, the others are deleted, which goes on record; the Secret is free.
	w.kubectl("", "patch", "manageduser", "canary-1", "--type=merge", `--patch={"spec":{"deletionPolicy":"Orphan"}}`)
	w.kubectl("", "delete", "managedusers", "--all", "--timeout="+patience.String())
	if left := w.remoteUsers(); len(left) != 1 || !strings.HasPrefix(left[0].Email, "canary.1") {
		w.Errorf("Cal.com has %v, want just the orphan", left)
	}
	w.eventually("the Secret to be let go", func() bool { return w.finalizers("secret/calcom") == "" })

	// A second leader finds the lease of the first. It lists before it watches, as client-go does where the API server
	// cannot stream a list: before Kubernetes 1.34 it often cannot.
	if err := w.StopOperator(); err != nil {
		w.Error(err)
	}
	w.Setenv("KUBE_FEATURE_WatchListClient", "false")
	if err := w.StartOperator(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.eventually("the lease to be taken again", func() bool {
		return w.kubectl("", "get", "lease", "-n", stack.Namespace, "-o", "jsonpath={.items[0].spec.leaseTransitions}") != "0" &&
			w.kubectl("", "get", "lease", "-n", stack.Namespace, "-o", "jsonpath={.items[0].spec.holderIdentity}") != ""
	})
}

// clients has users of both kinds of OAuth client, which stay until their users have gone.
func (w *world) clients() {
	w.Helper()
	secret := "--from-literal=secretKey=" + calcomtest.DefaultClient().Secret
	w.kubectl("", "create", "secret", "generic", "calcom", secret, "-n", stack.Namespace)
	for n, kind := range []string{"OAuthClient", "ClusterOAuthClient"} {
		acme, user := strings.ToLower(kind)+"/acme", fmt.Sprintf("manageduser/canary-%d", 50+n)
		w.kubectl(w.clientManifests(kind, 50+n), "apply", "-f", "-")
		w.kubectl("", "wait", "--for=condition=Ready", acme, user, "--timeout="+patience.String())
		w.kubectl("", "delete", acme, "--wait=false")
		w.eventually("the client to be held", func() bool { return strings.Contains(w.kubectl("", "get", acme), "Deleting") })
		w.kubectl("", "delete", user, "--timeout="+patience.String())
		w.kubectl("", "wait", "--for=delete", acme, "--timeout="+patience.String())
	}
}

// tokens has a user's tokens published, moved and taken away again.
func (w *world) tokens() {
	w.Helper()
	const user = "manageduser/canary-2"
	patch := func(tokens string) {
		w.kubectl("", "patch", user, "--type=merge", `--patch={"spec":{"tokens":`+tokens+`}}`)
	}
	secrets := func() string {
		return w.kubectl("", "get", "secrets", "--field-selector=type=platform.cal.com/managed-user-tokens", "-o", "name")
	}
	patch(`{"secretName":"canary-tokens"}`)
	w.kubectl("", "wait", "--for=condition=TokensReady", user, "--timeout="+patience.String())
	w.kubectl("", "annotate", user, "--overwrite", "platform.cal.com/reconcile-requested-at=tokens")
	patch(`{"secretName":"canary-moved"}`)
	w.eventually("the Secret to move", func() bool { return strings.TrimSpace(secrets()) == "secret/canary-moved" })
	w.kubectl("", "delete", "secret", "canary-moved")
	w.eventually("the Secret to be put back", func() bool { return strings.TrimSpace(secrets()) == "secret/canary-moved" })
	w.kubectl("", "patch", "secret", "canary-moved", "--type=merge", `--patch={"stringData":{"email":"edited"}}`)
	w.eventually("the edit to be undone", func() bool {
		return w.kubectl("", "get", "secret", "canary-moved", "-o", `go-template={{.data.email | base64decode}}`) == "canary.2@example.com"
	})
	patch("null")
	w.eventually("the Secret to go", func() bool { return strings.TrimSpace(secrets()) == "" })
}

// clientManifests are an OAuth client and a user of it.
func (w *world) clientManifests(kind string, n int) string {
	allowed := ""
	if kind == "ClusterOAuthClient" {
		allowed = "\n  allowedNamespaces: {selector: {}}"
	}
	return fmt.Sprintf(`
apiVersion: platform.cal.com/v1alpha1
kind: %[1]s
metadata: {name: acme}
spec:
  id: %[2]s
  apiURL: %[3]s
  secretKeyRef: {name: calcom, key: secretKey}%[4]s
---
apiVersion: platform.cal.com/v1alpha1
kind: ManagedUser
metadata: {name: canary-%[5]d}
spec:
  oauthClientRef: {kind: %[1]s, name: acme}
  email: canary.%[5]d@example.com
  name: Canary %[5]d
`, kind, calcomtest.DefaultClient().ID, w.API, allowed, n)
}

func (w *world) finalizers(object string) string {
	w.Helper()
	return w.kubectl("", "get", object, "-o", "jsonpath={.metadata.finalizers[*]}")
}

// editedWhileRefused has Cal.com refuse to create a user whose object is edited at the same moment: the operator reads
// the object afresh before it takes back its record. Tried until an edit came at the right time.
func (w *world) editedWhileRefused() {
	w.Helper()
	n := 100
	w.eventually("an edit during a call", func() bool {
		n++
		name := fmt.Sprintf("manageduser/canary-%d", n)
		w.kubectl(strings.ReplaceAll(strings.ReplaceAll(w.users(1), "canary-0", fmt.Sprintf("canary-%d", n)), "canary.0", fmt.Sprintf("canary.%d", n))+
			"  avatarURL: https://nodot/picture.png\n", "apply", "-f", "-")
		w.eventually("the record of intent or the refusal", func() bool {
			return w.finalizers(name) != "" || strings.Contains(w.kubectl("", "get", name), "InvalidSpec")
		})
		w.kubectl("", "annotate", name, "example.com/edit=now")
		w.eventually("the refusal", func() bool { return strings.Contains(w.kubectl("", "get", name), "InvalidSpec") })
		w.kubectl("", "delete", name, "--timeout="+patience.String())
		return slices.ContainsFunc(w.requests(), func(r stack.Request) bool {
			return r.Operation == stack.Operation{Verb: "get", APIGroup: "platform.cal.com", Resource: "managedusers"}
		})
	})
}

// scrape reads the metrics as Prometheus does.
func (w *world) scrape(metrics string) {
	w.Helper()
	token := w.token("prometheus")
	w.kubectl("", "create", "clusterrolebinding", "prometheus", "--clusterrole=calcom-operator-metrics-reader", "--serviceaccount=default:prometheus")
	w.eventually("the metrics", func() bool {
		status, _ := w.getMetrics(metrics, token)
		return status == http.StatusOK
	})
}

// remote returns the n-th user as Cal.com has it, or nothing.
func (w *world) remote(n int) remoteUser {
	w.Helper()
	for _, user := range w.remoteUsers() {
		if strings.HasPrefix(user.Email, fmt.Sprintf("canary.%d+", n)) {
			return user
		}
	}
	return remoteUser{}
}

// drift changes the n-th user behind the operator's back.
func (w *world) drift(n int) {
	w.Helper()
	client := calcomtest.DefaultClient()
	url := fmt.Sprintf("%s/oauth-clients/%s/users/%d", w.API, client.ID, w.remote(n).ID)
	request, err := http.NewRequestWithContext(w.Context(), http.MethodPatch, url, strings.NewReader(`{"bio":"Drifted"}`))
	if err != nil {
		w.Fatal(err)
	}
	request.Header.Set("x-cal-secret-key", client.Secret)
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusOK {
		w.Fatalf("changing a user in Cal.com answers %s", response.Status)
	}
}
