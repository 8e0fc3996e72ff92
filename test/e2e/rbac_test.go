// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
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

// rights are Roles and ClusterRoles, and the bindings to them, as far as they are of interest.
type rights struct {
	Items []struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
		Rules    []rbacv1.PolicyRule
		RoleRef  rbacv1.RoleRef
		Subjects []rbacv1.Subject
	}
}

// granted reads what the cluster gives the operator's ServiceAccount: the rules of every role that is bound to it by
// name.
func (w *world) granted() []grant {
	w.Helper()
	var all rights
	if err := json.Unmarshal([]byte(w.MustKubectl("", "get", "roles,rolebindings,clusterroles,clusterrolebindings", "-A", "-o", "json")), &all); err != nil {
		w.Fatal(err)
	}
	bound := make(map[string]bool)
	for _, binding := range all.Items {
		if slices.ContainsFunc(binding.Subjects, func(s rbacv1.Subject) bool { return s.Name == "calcom-operator" && s.Namespace == stack.Namespace }) {
			bound[strings.Join([]string{binding.RoleRef.Kind, binding.Metadata.Namespace, binding.RoleRef.Name}, " ")] = true
		}
	}
	var grants []grant
	for _, role := range all.Items {
		name := strings.Join([]string{role.Kind, role.Metadata.Namespace, role.Metadata.Name}, " ")
		if !bound[name] {
			continue
		}
		for _, rule := range role.Rules {
			grants = append(grants, expand(name, role.Metadata.Namespace, rule)...)
		}
	}
	if len(grants) == 0 {
		w.Fatal("no role grants anything")
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

// The operator does with its shipped rights all that it does, is never refused, by the policies of config/policy
// neither, and needs every one of them.
func TestRights(t *testing.T) {
	t.Parallel()
	metrics := freeAddress(t)
	w := newWorld(t, stack.Config{
		AuditLog:    true,
		SandboxArgs: []string{"--latency=200ms", "--rate-limit=0"}, // Time enough to edit an object in the middle of a call.
		OperatorArgs: []string{
			"--metrics-bind-address=" + metrics, "--resync-interval=1s", "--rate-limit-share=1",
			"--mass-delete-limit=10", "--operator-namespace=" + stack.Namespace,
		},
	})
	w.MustKubectl("", "apply", "--server-side", "-k", filepath.Join("..", "..", "config", "policy"))
	w.MustKubectl("", "patch", "configmap", "calcom-operator-allowed-api-urls", "-n", stack.Namespace, "--type=merge", `--patch={"data":{"prefixes":"`+w.API+`"}}`)
	w.live(life{metrics: metrics, clusterClients: true})
	w.checkRights()
}

// checkRights ends the operator and finds what it was refused, and the rights that it never used.
func (w *world) checkRights() {
	w.Helper()
	if err := w.StopOperator(); err != nil { // It lets go of its lease and says so.
		w.Error(err)
	}
	requests, grants := w.requests(), w.granted()
	for _, g := range grants {
		if !slices.ContainsFunc(requests, g.covers) {
			w.Errorf("granted and never used: %s", g)
		}
	}
	for _, r := range requests {
		if r.Code == http.StatusForbidden || r.Code == http.StatusUnauthorized {
			w.Errorf("the operator was refused (%d): %s of %s/%s, %s", r.Code, r.Operation, r.Namespace, r.Name, r.URI)
		}
	}
	for _, line := range w.Printed() {
		if strings.Contains(line, "unknown namespace") {
			w.Errorf("the operator looked where it does not watch: %s", line)
		}
	}
	w.Logf("%d rights, %d requests", len(grants), len(requests))
}

func freeAddress(t *testing.T) string {
	t.Helper()
	address, err := stack.FreeAddress(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func (w *world) requests() []stack.Request {
	w.Helper()
	requests, err := w.OperatorRequests()
	if err != nil {
		w.Fatal(err)
	}
	return requests
}

// life says what a life has in it.
type life struct {
	// metrics is where they are served, to nobody but a reader; empty when they are not.
	metrics string
	// clusterClients has a user of a ClusterOAuthClient.
	clusterClients bool
}

// live takes users through all that can happen to them.
func (w *world) live(in life) {
	w.Helper()
	// A Secret that comes late, and is marked as in use.
	w.Eventually("the API URL to be allowed", func() bool {
		_, err := w.Kubectl(w.Context(), w.users(3), "apply", "-f", "-")
		return err == nil
	})
	w.Eventually("the missing Secret to be noticed", func() bool {
		return strings.Contains(w.MustKubectl("", "get", "managedusers"), "SecretNotFound")
	})
	w.MustKubectl("", "create", "secret", "generic", "calcom", "--from-literal=secretKey="+calcomtest.DefaultClient().Secret)
	w.MustKubectl("", "wait", "--for=condition=Ready", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
	if got := w.finalizers("secret/calcom"); !strings.Contains(got, "platform.cal.com/in-use") {
		w.Errorf("the Secret has the finalizers %q", got)
	}

	// An update, and then drift again and again: events of one kind become a series.
	w.MustKubectl("", "patch", "manageduser", "canary-0", "--type=merge", `--patch={"spec":{"bio":"Another"}}`)
	w.Eventually("the update", func() bool { return w.remote(0).Bio == "Another" })
	w.Eventually("a series of events", func() bool {
		w.drift(0)
		w.Eventually("the drift to be corrected", func() bool { return w.remote(0).Bio == "Another" })
		return slices.ContainsFunc(w.requests(), func(r stack.Request) bool {
			return r.Operation == stack.Operation{Verb: "patch", APIGroup: "events.k8s.io", Resource: "events"}
		})
	})

	w.removed(0)
	w.removed(1)
	w.clients(in.clusterClients)
	w.tokens()
	w.editedWhileRefused()
	if in.metrics != "" {
		w.scrape(in.metrics)
	}

	// One user is left in Cal.com, the others are deleted, which goes on record; the Secret is free.
	w.MustKubectl("", "patch", "manageduser", "canary-1", "--type=merge", `--patch={"spec":{"deletionPolicy":"Orphan"}}`)
	w.MustKubectl("", "delete", "managedusers", "--all", "--timeout="+stacktest.Patience.String())
	if left := w.remoteUsers(); len(left) != 1 || !strings.HasPrefix(left[0].Email, "canary.1") {
		w.Errorf("Cal.com has %v, want just the orphan", left)
	}
	w.Eventually("the Secret to be let go", func() bool { return w.finalizers("secret/calcom") == "" })

	// A second leader finds the lease of the first. It lists before it watches, as client-go does where the API server
	// cannot stream a list: before Kubernetes 1.34 it often cannot.
	if err := w.StopOperator(); err != nil {
		w.Error(err)
	}
	w.OperatorEnv = []string{"KUBE_FEATURE_WatchListClient=false"}
	if err := w.StartOperator(w.Context()); err != nil {
		w.Fatal(err)
	}
	w.Eventually("the lease to be taken again", func() bool {
		return w.MustKubectl("", "get", "lease", "-n", stack.Namespace, "-o", "jsonpath={.items[0].spec.leaseTransitions}") != "0" &&
			w.MustKubectl("", "get", "lease", "-n", stack.Namespace, "-o", "jsonpath={.items[0].spec.holderIdentity}") != ""
	})
}

// clients has a user of each kind of OAuth client, which stays until its user has gone.
func (w *world) clients(clusterClients bool) {
	w.Helper()
	kinds := []string{"OAuthClient"}
	if clusterClients {
		kinds = append(kinds, "ClusterOAuthClient")
	}
	secret := "--from-literal=secretKey=" + calcomtest.DefaultClient().Secret
	w.MustKubectl("", "create", "secret", "generic", "calcom", secret, "-n", stack.Namespace)
	for n, kind := range kinds {
		acme, user := strings.ToLower(kind)+"/acme", fmt.Sprintf("manageduser/canary-%d", 50+n)
		w.MustKubectl(w.clientManifests(kind, 50+n), "apply", "-f", "-")
		w.MustKubectl("", "wait", "--for=condition=Ready", acme, user, "--timeout="+stacktest.Patience.String())
		w.MustKubectl("", "delete", acme, "--wait=false")
		w.Eventually("the client to be held", func() bool { return strings.Contains(w.MustKubectl("", "get", acme), "Deleting") })
		w.MustKubectl("", "delete", user, "--timeout="+stacktest.Patience.String())
		w.MustKubectl("", "wait", "--for=delete", acme, "--timeout="+stacktest.Patience.String())
	}
	w.Eventually("the operator's Secret to be let go", func() bool {
		return w.MustKubectl("", "get", "secret", "calcom", "-n", stack.Namespace, "-o", "jsonpath={.metadata.finalizers}") == ""
	})
}

// tokens has a user's tokens published, moved and taken away again.
func (w *world) tokens() {
	w.Helper()
	const user = "manageduser/canary-2"
	patch := func(tokens string) {
		w.MustKubectl("", "patch", user, "--type=merge", `--patch={"spec":{"tokens":`+tokens+`}}`)
	}
	secrets := func() string {
		return w.MustKubectl("", "get", "secrets", "--field-selector=type=platform.cal.com/managed-user-tokens", "-o", "name")
	}
	patch(`{"secretName":"canary-tokens"}`)
	w.MustKubectl("", "wait", "--for=condition=TokensReady", user, "--timeout="+stacktest.Patience.String())
	w.MustKubectl("", "annotate", user, "--overwrite", "platform.cal.com/reconcile-requested-at=tokens")
	patch(`{"secretName":"canary-moved"}`)
	w.Eventually("the Secret to move", func() bool { return strings.TrimSpace(secrets()) == "secret/canary-moved" })
	w.MustKubectl("", "delete", "secret", "canary-moved")
	w.Eventually("the Secret to be put back", func() bool { return strings.TrimSpace(secrets()) == "secret/canary-moved" })
	w.MustKubectl("", "patch", "secret", "canary-moved", "--type=merge", `--patch={"stringData":{"email":"edited"}}`)
	w.Eventually("the edit to be undone", func() bool {
		return w.MustKubectl("", "get", "secret", "canary-moved", "-o", `go-template={{.data.email | base64decode}}`) == "canary.2@example.com"
	})
	patch("null")
	w.Eventually("the Secret to go", func() bool { return strings.TrimSpace(secrets()) == "" })
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
	return w.MustKubectl("", "get", object, "-o", "jsonpath={.metadata.finalizers[*]}")
}

// editedWhileRefused has Cal.com refuse to create a user whose object is edited at the same moment: the operator reads
// the object afresh before it takes back its record. Tried until an edit came at the right time.
func (w *world) editedWhileRefused() {
	w.Helper()
	n := 100
	w.Eventually("an edit during a call", func() bool {
		n++
		name := fmt.Sprintf("manageduser/canary-%d", n)
		w.MustKubectl(strings.ReplaceAll(strings.ReplaceAll(w.users(1), "canary-0", fmt.Sprintf("canary-%d", n)), "canary.0", fmt.Sprintf("canary.%d", n))+
			"  avatarURL: https://nodot/picture.png\n", "apply", "-f", "-")
		w.Eventually("the record of intent or the refusal", func() bool {
			return w.finalizers(name) != "" || strings.Contains(w.MustKubectl("", "get", name), "InvalidSpec")
		})
		w.MustKubectl("", "annotate", name, "example.com/edit=now")
		w.Eventually("the refusal", func() bool { return strings.Contains(w.MustKubectl("", "get", name), "InvalidSpec") })
		w.MustKubectl("", "delete", name, "--timeout="+stacktest.Patience.String())
		return slices.ContainsFunc(w.requests(), func(r stack.Request) bool {
			return r.Operation == stack.Operation{Verb: "get", APIGroup: "platform.cal.com", Resource: "managedusers"}
		})
	})
}

// scrape reads the metrics as Prometheus does.
func (w *world) scrape(metrics string) {
	w.Helper()
	token := w.token("prometheus")
	w.MustKubectl("", "create", "clusterrolebinding", "prometheus", "--clusterrole=calcom-operator-metrics-reader", "--serviceaccount=default:prometheus")
	w.Eventually("the metrics", func() bool {
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
	w.behind(http.MethodPatch, n, `{"bio":"Drifted"}`)
}

// removed removes the n-th user behind the operator's back. That it may be created anew goes on record.
func (w *world) removed(n int) {
	w.Helper()
	was := w.remote(n).ID
	w.behind(http.MethodDelete, n, "{}")
	w.Eventually("the user to be created anew", func() bool { is := w.remote(n).ID; return is != 0 && is != was })
	w.MustKubectl("", "wait", "--for=condition=Ready", fmt.Sprintf("manageduser/canary-%d", n), "--timeout="+stacktest.Patience.String())
}

// behind makes a call about the n-th user as somebody else does who has the secret key.
func (w *world) behind(method string, n int, body string) {
	w.Helper()
	client := calcomtest.DefaultClient()
	url := fmt.Sprintf("%s/oauth-clients/%s/users/%d", w.API, client.ID, w.remote(n).ID)
	request, err := http.NewRequestWithContext(w.Context(), method, url, strings.NewReader(body))
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
