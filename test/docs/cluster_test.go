// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// patience bounds every wait.
const patience = 2 * time.Minute

// cluster is where a page is tried.
type cluster struct {
	*stacktest.World
	remote *remote
	client client.Client
	dir    string // Holds .curlrc and the logs.
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{dir: t.TempDir()}
	c.remote = newRemote(t, c.dir)
	c.World = stacktest.Start(t, stack.Config{
		Dir: c.dir, ControllerManager: true, OperatorEnv: c.remote.environment(),
		// As it is shipped, and the limit that docs/troubleshooting.md shows.
		OperatorArgs: []string{"--allowed-api-urls=https://", "--mass-delete-limit=10"},
	})
	kubeconfig, err := os.ReadFile(c.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.RESTConfigFromKubeConfig(kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	// What the policies keep has to go after a page.
	config.Impersonate = rest.ImpersonationConfig{UserName: "docs", Groups: []string{"system:masters", "calcom-operator:break-glass"}}
	if c.client, err = client.New(config, client.Options{}); err != nil {
		t.Fatal(err)
	}
	return c
}

// kinds are what pages leave behind, in the order in which it is removed.
var kinds = []schema.GroupVersionKind{
	{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicyBinding"},
	{Group: "admissionregistration.k8s.io", Version: "v1", Kind: "ValidatingAdmissionPolicy"},
	{Group: "platform.cal.com", Version: "v1alpha1", Kind: "ManagedUser"},
	{Group: "platform.cal.com", Version: "v1alpha1", Kind: "OAuthClient"},
	{Group: "platform.cal.com", Version: "v1alpha1", Kind: "ClusterOAuthClient"},
	{Group: "apps", Version: "v1", Kind: "Deployment"},
	{Version: "v1", Kind: "Secret"},
	{Version: "v1", Kind: "ConfigMap"},
	{Group: "events.k8s.io", Version: "v1", Kind: "Event"},
	{Version: "v1", Kind: "Namespace"},
}

// reset removes what a page left behind, by force, and forgets the users of Cal.com.
func (c *cluster) reset(t *testing.T) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		last = nil
		left := 0
		for _, kind := range kinds {
			n, err := c.remove(ctx, kind)
			left, last = left+n, errors.Join(last, err)
		}
		return left == 0 && last == nil, nil // A policy refuses for some moments after it is gone.
	})
	if err != nil {
		t.Fatalf("cleaning up after the page: %v", errors.Join(err, last))
	}
	// Pages annotate the namespace, which stays.
	namespace := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	namespace.SetGroupVersionKind(schema.GroupVersionKind{Version: "v1", Kind: "Namespace"})
	if err := c.client.Patch(t.Context(), namespace, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"annotations":null}}`))); err != nil {
		t.Fatalf("cleaning up after the page: %v", err)
	}
	c.remote.reset() // Now that nobody asks for anything any more.
}

// remove deletes all objects of a kind, and returns how many there were.
func (c *cluster) remove(ctx context.Context, kind schema.GroupVersionKind) (int, error) {
	var list unstructured.UnstructuredList
	list.SetGroupVersionKind(kind)
	if err := c.client.List(ctx, &list); err != nil {
		return 0, err
	}
	var errs []error
	n := 0
	for i := range list.Items {
		object := &list.Items[i]
		if stays(object) {
			continue
		}
		n++
		// Else the operator would have to do what the page did not: give back, delete, wait for permits. A label can
		// protect.
		if len(object.GetFinalizers()) > 0 || len(object.GetLabels()) > 0 {
			patch := client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null,"labels":null}}`))
			errs = append(errs, client.IgnoreNotFound(c.client.Patch(ctx, object, patch)))
		}
		errs = append(errs, client.IgnoreNotFound(c.client.Delete(ctx, object)))
	}
	return n, errors.Join(slices.DeleteFunc(errs, apierrors.IsConflict)...)
}

// stays tells whether an object was there before the page.
func stays(object client.Object) bool {
	system := []string{"kube-system", "kube-public", "kube-node-lease"}
	switch object.GetObjectKind().GroupVersionKind().Kind {
	case "Namespace":
		return slices.Contains(append(system, "default", stack.Namespace), object.GetName())
	case "ConfigMap":
		return object.GetName() == "kube-root-ca.crt" || slices.Contains(system, object.GetNamespace())
	case "Deployment":
		return object.GetNamespace() == stack.Namespace
	case "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding":
		return !strings.Contains(object.GetName(), "allowed-api-urls") // The others are part of config/default.
	case "Event":
		return false
	}
	return slices.Contains(system, object.GetNamespace())
}

// lines returns the end of the operator's log.
func (c *cluster) lines() string {
	const shown = 30
	printed := slices.DeleteFunc(c.Printed(), func(line string) bool { return strings.Contains(line, `"msg":"Starting`) })
	return strings.Join(printed[max(0, len(printed)-shown):], "\n")
}

// namespaced tells whether the API server has a kind, and whether its objects are in namespaces.
func (c *cluster) namespaced(kind schema.GroupVersionKind) (namespaced, known bool, err error) {
	mapping, err := c.client.RESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		return false, false, nil
	}
	if err != nil {
		return false, false, err
	}
	return mapping.Scope.Name() == meta.RESTScopeNameNamespace, true, nil
}

// copyOfRepository makes a folder to work in like a clone.
func copyOfRepository(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	err := walk(func(path string, entry os.DirEntry) error {
		target := filepath.Join(dir, filepath.FromSlash(path))
		if err := os.MkdirAll(filepath.Dir(target), 0o750); err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil || !info.Mode().IsRegular() {
			return err
		}
		content, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(path)))
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, info.Mode().Perm())
	})
	if err != nil {
		t.Fatalf("copying the repository: %v", err)
	}
	return dir
}
