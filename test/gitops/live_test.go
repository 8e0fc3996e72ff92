// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"context"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	_ "github.com/argoproj/argo-cd/v3/resource_customizations" // Keeps the module in go.mod, whose CRDs the examples are tried on.
	"github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/argoproj/gitops-engine/pkg/health"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/yaml"
)

// manager is the field manager of Argo CD's applies.
const manager = "argocd-controller"

// tenant is what is applied to a namespace, as Argo CD would.
type tenant struct {
	*cluster

	namespace string
	// apply are the arguments of kubectl apply, and ways those in which Argo CD may compare what was applied so.
	apply   []string
	ways    map[string][]diff.Option
	desired []*unstructured.Unstructured
}

// manifests are all samples, for a namespace and the sandbox, with the Secret that they need.
func (c *cluster) manifests(namespace string) []*unstructured.Unstructured {
	c.Helper()
	secret := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": map[string]any{"name": "calcom"},
		"stringData": map[string]any{"secretKey": clientSecret},
	}}
	objects := []*unstructured.Unstructured{secret}
	samples, err := filepath.Glob(absolute(c.T, "config", "samples", group[:8]+"*.yaml"))
	if err != nil || len(samples) < 5 {
		c.Fatalf("found the samples %v: %v", samples, err)
	}
	for _, sample := range samples {
		objects = append(objects, documents(c.T, readFile(c.T, "config", "samples", filepath.Base(sample)))...)
	}
	dave := objects[len(objects)-1].DeepCopy() // Of the ClusterOAuthClient.
	dave.Object = map[string]any{
		"apiVersion": group + "/v1alpha1", "kind": kindUser, "metadata": map[string]any{"name": "dave"},
		"spec": map[string]any{
			"oauthClientRef": map[string]any{"kind": kindClusterClient, "name": "acme"}, "email": "dave@example.com", "name": "Dave",
			"metadata": map[string]any{"plan": "gold"}, "tokens": map[string]any{"secretName": "dave-calcom"},
		},
	}
	objects = append(objects, dave)
	for _, object := range objects {
		c.settle(object, namespace)
	}
	return objects
}

// settle makes a sample one of a namespace.
func (c *cluster) settle(object *unstructured.Unstructured, namespace string) {
	c.Helper()
	set := func(value any, path ...string) {
		if err := unstructured.SetNestedField(object.Object, value, path...); err != nil {
			c.Fatal(err)
		}
	}
	switch object.GetKind() {
	case kindClusterClient:
		object.SetName("acme-" + namespace)
		set(map[string]any{"names": []any{namespace}}, "spec", "allowedNamespaces")
		set(c.api, "spec", "apiURL")
	case kindClient:
		set(c.api, "spec", "apiURL")
	case kindUser:
		email, _, _ := unstructured.NestedString(object.Object, "spec", "email")
		set(strings.Replace(email, "@", "."+namespace+"@", 1), "spec", "email")
		if _, inline, _ := unstructured.NestedMap(object.Object, "spec", "oauthClient"); inline {
			set(c.api, "spec", "oauthClient", "apiURL")
		}
		if kind, _, _ := unstructured.NestedString(object.Object, "spec", "oauthClientRef", "kind"); kind == kindClusterClient {
			set("acme-"+namespace, "spec", "oauthClientRef", "name")
		}
	}
	if object.GetKind() != kindClusterClient {
		object.SetNamespace(namespace)
	}
	annotations := object.GetAnnotations()
	if annotations == nil {
		annotations = make(map[string]string)
	}
	annotations["argocd.argoproj.io/tracking-id"] = namespace + ":" + group + "/" + object.GetKind() + ":" + namespace + "/" + object.GetName()
	object.SetAnnotations(annotations)
}

// find returns a manifest.
func (n *tenant) find(kind, name string) *unstructured.Unstructured {
	n.Helper()
	i := slices.IndexFunc(n.desired, func(o *unstructured.Unstructured) bool {
		return o.GetKind() == kind && strings.HasPrefix(o.GetName(), name)
	})
	if i < 0 {
		n.Fatalf("there is no manifest of the %s %s", kind, name)
	}
	return n.desired[i]
}

// applyAll applies the manifests and waits until everything is Ready.
func (n *tenant) applyAll() {
	n.Helper()
	n.kubectl("", "create", "namespace", n.namespace)
	// Bob exists already and is adopted.
	n.cal("POST", "/users", `{"email":"bob.`+n.namespace+`@example.com","name":"Robert"}`)
	for _, object := range n.desired {
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			n.Fatal(err)
		}
		n.kubectl(string(text), append([]string{"apply", "-f", "-"}, n.apply...)...)
	}
	for _, object := range n.desired {
		if object.GetKind() != "Secret" {
			n.wait(object, "condition=Ready")
		}
	}
	for _, name := range []string{"bob", "dave"} {
		n.wait(n.find(kindUser, name), "condition=TokensReady")
	}
}

// difference reports whether Argo CD finds an object OutOfSync, and in what.
func (n *tenant) difference(desired *unstructured.Unstructured, way string) (string, bool) {
	n.Helper()
	live := n.live(desired)
	config := desired
	if desired.GetKind() == "Secret" {
		var err error
		if config, live, err = diff.HideSecretData(desired, live, nil); err != nil {
			n.Fatal(err)
		}
	}
	result, err := diff.Diff(config, live, n.ways[way]...)
	if err != nil {
		n.Fatalf("comparing %s %s: %v", desired.GetKind(), desired.GetName(), err)
	}
	return "live:\n" + string(result.NormalizedLive) + "\nwanted:\n" + string(result.PredictedLive), result.Modified
}

func (n *tenant) wantInSync(when string) {
	n.Helper()
	for _, desired := range n.desired {
		for way := range n.ways {
			if found, modified := n.difference(desired, way); modified {
				n.Errorf("%s %s is OutOfSync %s (%s)\n%s", desired.GetKind(), desired.GetName(), when, way, found)
			}
		}
	}
}

func (n *tenant) wantOutOfSync(desired *unstructured.Unstructured) {
	n.Helper()
	for way := range n.ways {
		if _, modified := n.difference(desired, way); !modified {
			n.Errorf("%s %s was changed by hand and is in sync all the same (%s)", desired.GetKind(), desired.GetName(), way)
		}
	}
}

// wantHealth checks what Argo CD says of a live object, and that kstatus agrees as far as it has words for that.
func (n *tenant) wantHealth(custom customizations, desired *unstructured.Unstructured, want health.HealthStatusCode, wantKind status.Status) {
	n.Helper()
	v := judge(n.T, custom, n.live(desired))
	if v.engine.Status != want || v.kstatus.Status != wantKind {
		n.Errorf("%s %s is %s (%s) and %s, want %s and %s", desired.GetKind(), desired.GetName(), v.engine.Status, v.engine.Message, v.kstatus.Status, want, wantKind)
	}
}

// dryRunner is how Argo CD asks the API server what an apply would come to.
type dryRunner struct{ *cluster }

// Run returns the object as it would be.
func (r dryRunner) Run(_ context.Context, object *unstructured.Unstructured, manager string) (string, error) {
	text, err := object.MarshalJSON()
	if err != nil {
		return "", err
	}
	return r.tryKubectl(string(text), "apply", "--server-side", "--dry-run=server", "--force-conflicts", "--field-manager="+manager, "-o", "json", "--show-managed-fields", "-f", "-")
}

func (c *cluster) parser() *managedfields.GvkParser {
	c.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", c.kubeconfig)
	if err != nil {
		c.Fatal(err)
	}
	_, parser, err := (&kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}).LoadOpenAPISchema(config)
	if err != nil {
		c.Fatal(err)
	}
	return parser
}

func TestOnACluster(t *testing.T) {
	c := startCluster(t)
	t.Run("examples", func(t *testing.T) { testExamples(c.within(t)) })
	t.Run("differences", func(t *testing.T) { testDifferences(c.within(t)) })
}

// testDifferences: whatever the operator does with what was applied, Argo CD finds nothing to set back; no
// ignoreDifferences are needed.
func testDifferences(c *cluster) {
	custom := readCustomizations(c.T)
	c.kubectl("", "create", "secret", "generic", "calcom", "--namespace=calcom-system", "--from-literal=secretKey="+clientSecret)
	parser := c.parser()
	quiet := diff.WithLogr(logr.Discard())
	structured := []diff.Option{quiet, diff.WithStructuredMergeDiff(true), diff.WithGVKParser(parser), diff.WithManager(manager)}
	asked := []diff.Option{quiet, diff.WithServerSideDiff(true), diff.WithServerSideDryRunner(dryRunner{c}), diff.WithGVKParser(parser), diff.WithManager(manager)}
	for _, n := range []*tenant{
		{namespace: "client-side", ways: map[string][]diff.Option{"three-way": {quiet}}},
		{namespace: "server-side", apply: []string{"--server-side", "--field-manager=" + manager}, ways: map[string][]diff.Option{"structured merge": structured, "dry run": asked}},
	} {
		c.Run(n.namespace, func(t *testing.T) {
			n.cluster = c.within(t)
			n.desired = n.manifests(n.namespace)
			n.applyAll()
			for _, held := range []*unstructured.Unstructured{n.find("Secret", "calcom"), n.find(kindClient, "acme"), n.find(kindClusterClient, "acme"), n.find(kindUser, "alice")} {
				if len(n.live(held).GetFinalizers()) != 1 {
					t.Errorf("%s %s is not protected, and the test proves nothing of that", held.GetKind(), held.GetName())
				}
			}
			n.wantInSync("once everything is Ready")
			for _, desired := range n.desired[1:] {
				n.wantHealth(custom, desired, health.HealthStatusHealthy, status.CurrentStatus)
			}
			n.liveThroughDrift(custom)
			n.wantInSync("after drift and requests for a look")
			n.suspendAndResume(custom)
			n.changeByHand()
		})
	}
}

// liveThroughDrift changes a user in Cal.com, and has everything looked at by the actions.
func (n *tenant) liveThroughDrift(custom customizations) {
	n.Helper()
	alice := n.find(kindUser, "alice")
	id, _, _ := unstructured.NestedInt64(n.live(alice).Object, "status", "user", "id")
	n.cal("PATCH", "/users/"+strconv.FormatInt(id, 10), `{"name":"Somebody else"}`)
	for _, object := range []*unstructured.Unstructured{alice, n.find(kindClient, "acme"), n.find(kindClusterClient, "acme")} {
		n.act(custom, object, "reconcile")
		requested := n.live(object).GetAnnotations()[requestedAt]
		n.wait(object, "jsonpath={.status.lastHandledReconcileAt}="+requested)
	}
	n.wait(alice, `jsonpath={.status.user.name}=Alice`)
}

func (n *tenant) suspendAndResume(custom customizations) {
	n.Helper()
	carol := n.find(kindUser, "carol")
	n.act(custom, carol, "suspend")
	n.wait(carol, `jsonpath={.status.conditions[?(@.type=="Ready")].reason}=Suspended`)
	n.wantHealth(custom, carol, health.HealthStatusSuspended, status.InProgressStatus)
	n.wantInSync("while a user is suspended")
	n.act(custom, carol, "resume")
	n.wait(carol, `jsonpath={.status.conditions[?(@.type=="Ready")].reason}=Available`)
	n.wantHealth(custom, carol, health.HealthStatusHealthy, status.CurrentStatus)
	n.wantInSync("after a user was resumed")
}

// changeByHand makes differences that have to be found.
func (n *tenant) changeByHand() {
	n.Helper()
	for _, row := range []struct{ kind, name, patch string }{
		{kindUser, "alice", `{"spec":{"name":"Changed"}}`},
		{kindUser, "dave", `{"spec":{"tokens":null}}`},
		{kindClient, "acme", `{"spec":{"secretKeyRef":{"key":"changed"}}}`},
		{kindClusterClient, "acme", `{"spec":{"allowedNamespaces":{"names":["changed"]}}}`},
		{"Secret", "calcom", `{"stringData":{"secretKey":"changed"}}`},
	} {
		object := n.find(row.kind, row.name)
		n.kubectl("", on("patch", object, "--type=merge", "--patch="+row.patch)...)
		n.wantOutOfSync(object)
	}
}

// testExamples: the API server with Argo CD's own CRDs takes the examples, and the patch adds to a ConfigMap that is
// there.
func testExamples(c *cluster) {
	t := c.T
	list := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/argoproj/argo-cd/v3")
	module, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	crds := filepath.Join(strings.TrimSpace(string(module)), "manifests", "crds")
	c.kubectl("", "apply", "--server-side", "-f", filepath.Join(crds, "application-crd.yaml"), "-f", filepath.Join(crds, "applicationset-crd.yaml"))
	c.eventually("", "wait", "--for=condition=Established", "crd/applications.argoproj.io", "crd/applicationsets.argoproj.io", "--timeout=10s")
	c.kubectl("", "create", "namespace", "argocd")
	for _, name := range []string{"application.yaml", "applicationset.yaml", "operator.yaml"} {
		example := string(readFile(t, "config", "argocd", "example", name))
		c.kubectl(example, "apply", "--server-side", "--validate=strict", "-f", "-")
		if strings.Contains(example, "\n  ignoreDifferences:") || strings.Contains(example, "\n      ignoreDifferences:") {
			t.Errorf("%s has ignoreDifferences", name)
		}
		wrong := strings.Replace(example, "selfHeal:", "selfHeel:", 1)
		if _, err := c.tryKubectl(wrong, "apply", "--server-side", "--validate=strict", "-f", "-"); err == nil {
			t.Errorf("%s passes with a field that does not exist", name)
		}
	}
	operator := documents(t, readFile(t, "config", "argocd", "example", "operator.yaml"))[0].Object
	path, _, _ := unstructured.NestedString(operator, "spec", "source", "path")
	values, _, _ := unstructured.NestedMap(operator, "spec", "source", "helm", "valuesObject")
	checkChart(t, path, values)
	c.kubectl("", "create", "configmap", "argocd-cm", "--namespace=argocd", "--from-literal=url=https://argocd.example.com")
	c.kubectl("", "patch", "configmap", "argocd-cm", "--namespace=argocd", "--patch-file="+absolute(t, "config", "argocd", "argocd-cm-patch.yaml"))
	var patched struct{ Data map[string]string }
	if err := yaml.Unmarshal([]byte(c.kubectl("", "get", "configmap", "argocd-cm", "--namespace=argocd", "-o", "yaml")), &patched); err != nil {
		t.Fatal(err)
	}
	if len(patched.Data) != 7 || patched.Data["url"] == "" {
		t.Errorf("the ConfigMap has %d keys, want six beside its own", len(patched.Data))
	}
}
