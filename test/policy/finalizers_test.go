// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// patchFinalizers writes an object's list of finalizers.
func patchFinalizers(ctx context.Context, c client.Client, object client.Object, list []string, options ...client.PatchOption) error {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": list}})
	if err != nil {
		return err
	}
	changed, _ := object.DeepCopyObject().(client.Object)
	return c.Patch(ctx, changed, client.RawPatch(mergePatch, patch), options...)
}

const (
	theirs = "example.com/theirs"

	emergency      = ". If the operator is gone for good, a member of the group calcom-operator:break-glass may"
	userFinalizer  = "metadata.finalizers: only the operator takes platform.cal.com/managed-user off ManagedUser alice, once the user in Cal.com is gone; to let go of the object and leave the user there, set spec.deletionPolicy to Orphan" + emergency
	otherFinalizer = "metadata.finalizers: only the operator takes platform.cal.com/in-use off OAuthClient acme, once no object needs it any more; delete those first" + emergency
	secretRefusal  = "metadata.finalizers: only the operator takes platform.cal.com/in-use off Secret calcom, once no managed user needs its key any more; delete those users first, and keep the finalizer when you replace the Secret" + emergency
)

// guarded is an object with our finalizer, and the words in which its removal is refused.
func guarded() map[string]struct {
	object    client.Object
	finalizer string
	refusal   string
} {
	return map[string]struct {
		object    client.Object
		finalizer string
		refusal   string
	}{
		"ManagedUser": {newUser("alice", ""), v1alpha1.ManagedUserFinalizer, userFinalizer},
		"OAuthClient": {
			newOAuthClient("OAuthClient", "acme", ""), v1alpha1.InUseFinalizer, otherFinalizer,
		},
		"Secret": {&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "calcom", Namespace: namespace}}, v1alpha1.InUseFinalizer, secretRefusal},
	}
}

func TestFinalizers(t *testing.T) {
	for name, tc := range guarded() {
		t.Run(name, func(t *testing.T) {
			alice := asAlice(t)
			object := create(t, tc.object)
			must(t, patchFinalizers(t.Context(), alice, object, []string{theirs, tc.finalizer})) // Adding is no matter.
			must(t, patchFinalizers(t.Context(), alice, object, []string{tc.finalizer}))         // Neither are others.
			wantRefused(t, patchFinalizers(t.Context(), alice, object, []string{theirs}), tc.refusal)
			wantRefused(t, patchFinalizers(t.Context(), alice, object, nil), tc.refusal)

			must(t, admin.Get(t.Context(), client.ObjectKeyFromObject(object), object))
			object.SetAnnotations(map[string]string{"example.com/note": "an edit"})
			must(t, alice.Update(t.Context(), object)) // Other edits pass.
			object.SetFinalizers(nil)                  // As kubectl replace does with a manifest from Git.
			wantRefused(t, alice.Update(t.Context(), object), tc.refusal)

			must(t, alice.Delete(t.Context(), object))
			wantRefused(t, patchFinalizers(t.Context(), alice, object, nil), tc.refusal)
			wantRefused(t, patchFinalizers(t.Context(), as(t, namespaceController, "system:masters"), object, nil), tc.refusal)
			if !exists(t, object) {
				t.Fatal("the object is gone with its finalizer")
			}
		})
	}
}

// The operator, with the rights that config/rbac gives it.
func TestOperatorTakesFinalizersOff(t *testing.T) {
	for name, tc := range guarded() {
		t.Run(name, func(t *testing.T) {
			tc.object.SetFinalizers([]string{tc.finalizer})
			object := create(t, tc.object)
			must(t, asAlice(t).Delete(t.Context(), object))
			must(t, patchFinalizers(t.Context(), as(t, operator, "system:serviceaccounts"), object, nil))
			if exists(t, object) {
				t.Error("the object is still there")
			}
		})
	}
}

// In a kustomization of somebody else's, the operator has another namespace or another name.
func TestOperatorsByName(t *testing.T) {
	user := newUser("by-name", "")
	user.SetFinalizers([]string{v1alpha1.ManagedUserFinalizer})
	object := create(t, user)
	for name, takes := range map[string]bool{
		"cal-ops:calcom-operator": true, "cal-ops:prod-calcom-operator-v2": true,
		"cal-ops:calcom-operators": false, "cal-ops:mycalcom-operator": false, "argocd:argocd-application-controller": false,
	} {
		err := patchFinalizers(t.Context(), as(t, "system:serviceaccount:"+name, "system:masters"), object, nil, client.DryRunAll)
		if ignoreForbidden(err) != nil || (err == nil) != takes {
			t.Errorf("%s takes a finalizer off: %t (%v), want %t", name, err == nil, err, takes)
		}
	}
}

func TestBreakGlass(t *testing.T) {
	for name, tc := range guarded() {
		t.Run(name, func(t *testing.T) {
			tc.object.SetFinalizers([]string{tc.finalizer})
			object := create(t, tc.object)
			must(t, asAlice(t).Delete(t.Context(), object))
			must(t, patchFinalizers(t.Context(), as(t, "alice", breakGlassGroup, "system:masters"), object, nil))
			if exists(t, object) {
				t.Error("the object is still there")
			}
		})
	}
}

// Who breaks the glass needs the right to write all the same.
func TestBreakGlassGivesNoRights(t *testing.T) {
	user := newUser("norights", "")
	user.SetFinalizers([]string{v1alpha1.ManagedUserFinalizer})
	create(t, user)
	if err := patchFinalizers(t.Context(), as(t, "mallory", breakGlassGroup), user, nil); ignoreForbidden(err) != nil || err == nil {
		t.Errorf("got %v, want a refusal", err)
	}
}

func TestFinalizersRefusalsAsDocumented(t *testing.T) {
	for _, name := range []string{"ManagedUser", "Secret"} {
		tc := guarded()[name]
		tc.object.SetFinalizers([]string{tc.finalizer})
		object := create(t, tc.object)
		printed, err := kubectl(t.Context(), "patch", name, object.GetName(), "--namespace="+namespace, "--type=merge", `--patch={"metadata":{"finalizers":null}}`)
		if err == nil {
			t.Error("kubectl patch succeeded")
		}
		wantDocumented(t, printed)
	}
}

// The procedure of docs/policies.md, command by command.
func TestBreakGlassAsDocumented(t *testing.T) {
	user := guarded()["ManagedUser"].object
	user.SetFinalizers([]string{v1alpha1.ManagedUserFinalizer})
	create(t, user)
	text, err := os.ReadFile(filepath.Join(root, "docs", "policies.md"))
	must(t, err)
	_, procedure, _ := strings.Cut(string(text), "### Breaking the glass")
	_, procedure, _ = strings.Cut(procedure, "```sh\n")
	procedure, _, _ = strings.Cut(procedure, "```")
	commands := strings.Split(strings.TrimSpace(procedure), "\n")
	if len(commands) != 4 {
		t.Fatalf("the procedure has %d commands, want 4:\n%s", len(commands), procedure)
	}
	for i, command := range commands {
		args := strings.Fields(strings.ReplaceAll(command, "'", ""))
		if out, err := kubectl(t.Context(), args[1:]...); err != nil {
			t.Errorf("%s: %v\n%s", command, err, out)
		}
		if i == 2 {
			must(t, admin.Get(t.Context(), client.ObjectKeyFromObject(user), user))
			if list := user.GetFinalizers(); len(list) > 0 {
				t.Errorf("after it, the object has the finalizers %v", list)
			}
		}
	}
}

// Secrets that are none of ours are edited and let go as ever.
func TestSecretsOfStrangers(t *testing.T) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "strange", Namespace: namespace, Finalizers: []string{theirs}}}
	create(t, secret)
	secret.StringData = map[string]string{"a": "b"}
	must(t, asAlice(t).Update(t.Context(), secret))
	must(t, asAlice(t).Delete(t.Context(), secret))
	must(t, patchFinalizers(t.Context(), asAlice(t), secret, nil))
	if exists(t, secret) {
		t.Error("the Secret is still there")
	}
}
