// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package policy tests the policies of config/policy, and the pod of config/default, on a real API server.
package policy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

const (
	patience  = 30 * time.Second
	namespace = "team-a"

	operator            = "system:serviceaccount:calcom-system:calcom-operator"
	namespaceController = "system:serviceaccount:kube-system:namespace-controller"
	garbageCollector    = "system:serviceaccount:kube-system:generic-garbage-collector"
	breakGlassGroup     = "calcom-operator:break-glass"
)

var (
	root    = filepath.Join("..", "..")
	cluster *rest.Config
	// admin may do everything that the policies allow.
	admin client.Client
	// kubeconfig is the administrator's, for kubectl.
	kubeconfig string
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) (code int) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		fmt.Fprintln(os.Stderr, `KUBEBUILDER_ASSETS is not set: run "make test", or export KUBEBUILDER_ASSETS=$(hack/controlplane/assets.sh)`)
		return 1
	}
	ctrl.SetLogger(logr.Discard())
	dir, err := os.MkdirTemp("", "policy")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	crds, err := standIns()
	if err != nil {
		fmt.Fprintln(os.Stderr, "finding the CRDs:", err)
		return 1
	}
	environment := &envtest.Environment{CRDDirectoryPaths: crds, ErrorIfCRDPathMissing: true}
	if cluster, err = environment.Start(); err != nil {
		fmt.Fprintln(os.Stderr, "starting the control plane:", err)
		return 1
	}
	defer func() {
		if err := environment.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "stopping the control plane:", err)
			code = 1
		}
	}()
	cluster.QPS = -1
	kubeconfig = filepath.Join(dir, "kubeconfig")
	if err := errors.Join(os.WriteFile(kubeconfig, environment.KubeConfig, 0o600), install()); err != nil {
		fmt.Fprintln(os.Stderr, "installing:", err)
		return 1
	}
	return m.Run()
}

// standIns returns CRDs for kinds that the policies cover: those that are still to come, which leave room for the real
// ones, and one for objects of any shape.
func standIns() ([]string, error) {
	files, err := filepath.Glob(filepath.Join("testdata", "crds", "*.yaml"))
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, file := range files {
		if _, err := os.Stat(filepath.Join(root, "config", "crd", "bases", filepath.Base(file))); errors.Is(err, os.ErrNotExist) {
			missing = append(missing, file)
		}
	}
	return missing, nil
}

// install applies config/default and config/policy, as docs/policies.md says.
func install() error {
	ctx, cancel := context.WithTimeout(context.Background(), patience) //nolint:forbidigo // TestMain has no context.
	defer cancel()
	for _, args := range [][]string{
		{"apply", "--server-side", "-k", filepath.Join(root, "config", "default")},
		{"wait", "--for=condition=Established", "crd/managedusers.platform.cal.com"},
		{"apply", "--server-side", "-k", filepath.Join(root, "config", "policy")},
		{"create", "namespace", namespace},
	} {
		if out, err := kubectl(ctx, args...); err != nil {
			return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
		}
	}
	var err error
	if admin, err = newClient(rest.CopyConfig(cluster)); err != nil {
		return err
	}
	return awaitPolicies(ctx)
}

// awaitPolicies waits until every binding refuses something: the API server takes a moment to take them up.
func awaitPolicies(ctx context.Context) error {
	protected := newObject("Probe", "canary", nil)
	protected.SetLabels(map[string]string{protectionLabel: "true"})
	protected.SetFinalizers([]string{v1alpha1.InUseFinalizer})
	secret := &corev1.Secret{}
	secret.Name, secret.Namespace, secret.Finalizers = "canary", namespace, []string{v1alpha1.InUseFinalizer}
	remote := newObject("Probe", "remote", map[string]any{"oauthClient": map[string]any{}})
	for _, object := range []client.Object{protected, secret, remote} {
		if err := admin.Create(ctx, object); err != nil {
			return err
		}
	}
	for what, try := range map[string]func() error{
		"deletion protection": func() error { return admin.Delete(ctx, protected, client.DryRunAll) },
		"finalizers":          func() error { return patchFinalizers(ctx, admin, protected, nil, client.DryRunAll) },
		"Secrets' finalizers": func() error { return patchFinalizers(ctx, admin, secret, nil, client.DryRunAll) },
		"API URLs of new objects": func() error {
			return admin.Create(ctx, newOAuthClient("OAuthClient", "x", "https://x.org"), client.DryRunAll)
		},
		"changed API URLs": func() error {
			return admin.Patch(ctx, remote.DeepCopy(), client.RawPatch(mergePatch, []byte(`{"spec":{"oauthClient":{"apiURL":"https://x.org"}}}`)), client.DryRunAll)
		},
	} {
		err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
			err := try()
			return apierrors.IsForbidden(err), ignoreForbidden(err)
		})
		if err != nil {
			return fmt.Errorf("waiting for the policy on %s: %w", what, err)
		}
	}
	return nil
}

func ignoreForbidden(err error) error {
	if apierrors.IsForbidden(err) {
		return nil
	}
	return err
}

func kubectl(ctx context.Context, args ...string) (string, error) {
	command := exec.CommandContext(ctx, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
	command.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	out, err := command.CombinedOutput()
	return string(out), err
}

func newClient(config *rest.Config) (client.Client, error) {
	c, err := client.New(config, client.Options{})
	if err != nil {
		return nil, err
	}
	return c, errors.Join(v1alpha1.AddToScheme(c.Scheme()))
}

// as returns a client that acts as another user. A member of system:masters may do everything, so that nothing but the
// policies can refuse it; the others have just what the cluster and config/default give them.
func as(t *testing.T, user string, groups ...string) client.Client {
	t.Helper()
	config := rest.CopyConfig(cluster)
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	c, err := newClient(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func asAlice(t *testing.T) client.Client {
	t.Helper()
	return as(t, "alice", "system:masters")
}

// newObject returns an object of our group, in the namespace of these tests if it has one.
func newObject(kind, name string, spec map[string]any) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	object.SetName(name)
	if !strings.HasPrefix(kind, "Cluster") {
		object.SetNamespace(namespace)
	}
	if spec == nil {
		spec = map[string]any{}
	}
	object.Object["spec"] = spec
	return object
}

// newOAuthClient returns the least OAuthClient or ClusterOAuthClient, at an API URL if one is given.
func newOAuthClient(kind, name, apiURL string) *unstructured.Unstructured {
	spec := map[string]any{"id": "cltestclient0000000000001", "secretKeyRef": map[string]any{"name": "calcom", "key": "secretKey"}}
	if apiURL != "" {
		spec["apiURL"] = apiURL
	}
	if kind == v1alpha1.KindClusterOAuthClient {
		spec["allowedNamespaces"] = map[string]any{"selector": map[string]any{}}
	}
	return newObject(kind, name, spec)
}

// newUser returns the least ManagedUser, at an API URL if one is given.
func newUser(name, apiURL string) *unstructured.Unstructured {
	oauthClient := map[string]any{
		"id": "cltestclient0000000000001", "secretKeyRef": map[string]any{"name": "calcom", "key": "secretKey"},
	}
	if apiURL != "" {
		oauthClient["apiURL"] = apiURL
	}
	return newObject("ManagedUser", name, map[string]any{
		"oauthClient": oauthClient, "email": name + "@example.com", "name": name, "deletionPolicy": "Orphan",
	})
}

// create makes an object that goes with the test, whatever the policies say about it.
func create[T client.Object](t *testing.T, object T) T {
	t.Helper()
	must(t, admin.Create(t.Context(), object))
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		free := []byte(`{"metadata":{"finalizers":null,"labels":null}}`)
		rescuer := as(t, "rescuer", "system:masters", breakGlassGroup)
		err := rescuer.Patch(ctx, object, client.RawPatch(mergePatch, free))
		if err == nil {
			err = rescuer.Delete(ctx, object)
		}
		must(t, client.IgnoreNotFound(err))
	})
	return object
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantRefused checks that a policy refused a request, and with which words.
func wantRefused(t *testing.T, err error, want string) {
	t.Helper()
	if !apierrors.IsForbidden(err) {
		t.Fatalf("got %v, want a refusal", err)
	}
	_, got, found := strings.Cut(err.Error(), " denied request: ")
	if !found {
		t.Fatalf("not refused by a policy: %v", err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("refusal (-want +got):\n%s", d)
	}
}

// wantDocumented checks that docs/policies.md shows a refusal just as it is printed.
func wantDocumented(t *testing.T, printed string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "policies.md"))
	must(t, err)
	if !strings.Contains(string(text), strings.TrimSpace(printed)) {
		t.Errorf("docs/policies.md does not show this refusal:\n%s", printed)
	}
}

// eventually waits until a condition holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		return holds(), nil
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}
