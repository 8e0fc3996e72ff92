// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	protectionLabel = "platform.cal.com/deletion-protection"
	mergePatch      = types.MergePatchType
)

func protect[T client.Object](object T) T {
	object.SetLabels(map[string]string{protectionLabel: "true"})
	return object
}

func label(t *testing.T, object client.Object, value string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // Cleanups label too.
	must(t, admin.Patch(ctx, object, client.RawPatch(mergePatch, []byte(`{"metadata":{"labels":{"`+protectionLabel+`":`+value+`}}}`))))
}

func exists(t *testing.T, object client.Object) bool {
	t.Helper()
	err := admin.Get(t.Context(), client.ObjectKeyFromObject(object), object)
	must(t, client.IgnoreNotFound(err))
	return err == nil
}

const aliceIsProtected = "ManagedUser alice is protected from deletion by its label platform.cal.com/deletion-protection; " +
	"if it shall go, take the label off first: kubectl label managedusers.platform.cal.com/alice platform.cal.com/deletion-protection- --namespace=team-a"

func TestProtectedObjectStays(t *testing.T) {
	user := create(t, protect(newUser("alice", "")))
	wantRefused(t, asAlice(t).Delete(t.Context(), user), aliceIsProtected)
	wantRefused(t, asAlice(t).DeleteAllOf(t.Context(), user, client.InNamespace(namespace)), aliceIsProtected)
	// A cascading deletion is the accident that the label is for.
	wantRefused(t, as(t, garbageCollector).Delete(t.Context(), user), aliceIsProtected)
	printed, err := kubectl(t.Context(), "delete", "managedusers", "alice", "--namespace="+namespace)
	if err == nil {
		t.Error("kubectl delete succeeded")
	}
	wantDocumented(t, printed)
	if !exists(t, user) {
		t.Fatal("a protected object is gone")
	}

	label(t, user, "null") // The two steps.
	must(t, asAlice(t).Delete(t.Context(), user))
	if exists(t, user) {
		t.Error("the object is still there")
	}
}

// Every kind of the group is protected, namespaced or not, those to come included.
func TestProtectionOfOtherKinds(t *testing.T) {
	for kind, command := range map[string]string{
		"OAuthClient":        "oauthclients.platform.cal.com/protected platform.cal.com/deletion-protection- --namespace=team-a",
		"ClusterOAuthClient": "clusteroauthclients.platform.cal.com/protected platform.cal.com/deletion-protection-",
	} {
		t.Run(kind, func(t *testing.T) {
			object := create(t, protect(newOAuthClient(kind, "protected", "")))
			wantRefused(t, asAlice(t).Delete(t.Context(), object), kind+" protected is protected from deletion by its label "+
				"platform.cal.com/deletion-protection; if it shall go, take the label off first: kubectl label "+command)
		})
	}
}

func TestUnprotectedObjectsGo(t *testing.T) {
	for name, labels := range map[string]map[string]string{
		"none":        nil,
		"another":     {"platform.cal.com/protection": "true"},
		"switchedoff": {protectionLabel: "false"},
	} {
		t.Run(name, func(t *testing.T) {
			user := newUser(name, "")
			user.SetLabels(labels)
			create(t, user)
			must(t, asAlice(t).Delete(t.Context(), user))
			if exists(t, user) {
				t.Error("the object is still there")
			}
		})
	}
}

// A namespace never wedges: its controller may delete what is protected, one by one and all together.
func TestNamespaceControllerIsExcepted(t *testing.T) {
	controller := as(t, namespaceController, "system:serviceaccounts", "system:serviceaccounts:kube-system")
	one, two := create(t, protect(newUser("one", ""))), create(t, protect(newUser("two", "")))
	must(t, controller.Delete(t.Context(), one))
	must(t, controller.DeleteAllOf(t.Context(), two, client.InNamespace(namespace), client.MatchingLabels{protectionLabel: "true"},
		client.MatchingFields{"metadata.name": "two"}))
	if exists(t, one) || exists(t, two) {
		t.Error("the namespace controller could not delete")
	}
}

// Where all controllers run under one name, what the namespace controller does shows who it is.
func TestTerminatingNamespace(t *testing.T) {
	ended := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "ended-"}}
	must(t, admin.Create(t.Context(), ended))
	user := protect(newUser("alice", ""))
	user.SetNamespace(ended.Name)
	create(t, user)
	must(t, admin.Delete(t.Context(), ended)) // No controller finishes this here, so it stays as it is.
	controller := as(t, "system:kube-controller-manager", "system:masters")
	eventually(t, "the deletion to be let through", func() bool {
		err := controller.Delete(t.Context(), user)
		must(t, ignoreForbidden(err))
		return err == nil
	})
}

// An object that is on its way already is not called protected.
func TestProtectionComesTooLate(t *testing.T) {
	user := newUser("late", "")
	user.SetFinalizers([]string{"example.com/slow"})
	create(t, user)
	must(t, asAlice(t).Delete(t.Context(), user))
	label(t, user, `"true"`)
	must(t, asAlice(t).Delete(t.Context(), user))
}

func TestProtectedNamespaceStays(t *testing.T) {
	team := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team-b"}}
	must(t, admin.Create(t.Context(), protect(team)))
	wantRefused(t, asAlice(t).Delete(t.Context(), team), "Namespace team-b is protected from deletion by its label platform.cal.com/deletion-protection; "+
		"if it shall go, take the label off first: kubectl label namespaces/team-b platform.cal.com/deletion-protection-")
	label(t, team, "null")
	must(t, asAlice(t).Delete(t.Context(), team))
}

func TestProtectedCRDStays(t *testing.T) {
	for name, refused := range map[string]bool{
		"probes.platform.cal.com":     true,
		"widgets.strange.example.com": false,
	} {
		t.Run(name, func(t *testing.T) {
			crd := &unstructured.Unstructured{}
			crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
			crd.SetName(name)
			label(t, crd, `"true"`)
			t.Cleanup(func() { label(t, crd, "null") })
			err := asAlice(t).Delete(t.Context(), crd, client.DryRunAll)
			if !refused {
				must(t, err)
				return
			}
			wantRefused(t, err, "CustomResourceDefinition "+name+" is protected from deletion by its label platform.cal.com/deletion-protection; "+
				"if it shall go, take the label off first: kubectl label customresourcedefinitions.apiextensions.k8s.io/"+name+" platform.cal.com/deletion-protection-")
		})
	}
}

// Without the right to delete, the policies are no way in.
func TestStrangerMayNothing(t *testing.T) {
	user := create(t, newUser("stranger", ""))
	if err := as(t, "mallory").Delete(t.Context(), user); !apierrors.IsForbidden(err) {
		t.Errorf("got %v, want a refusal", err)
	}
}
