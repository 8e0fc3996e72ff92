// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

func named(id int64, plain string) calcom.User {
	return usual(email(plain), func(u *calcom.User) { u.ID = id })
}

func TestNames(t *testing.T) {
	users := []calcom.User{
		named(1, "alice@example.com"), named(2, "alice@example.org"), named(3, "Jane.Doe+x@example.com"), named(4, "_._@example.com"),
		named(5, "ünï@example.com"), named(6, "a..b-.-c@example.com"), named(7, "taken@example.com"), named(8, "-x-@example.com"), named(9, "alice-2@example.com"),
		named(10, "taken-11@example.com"), named(11, "taken@example.org"),
	}
	want := []string{"alice", "alice-2", "jane.doe-x", "user-4", "n", "a.b.c", "taken-7", "x", "alice-2-9", "taken-11", "taken-11-11"}
	names := &Names{}
	names.Take("taken")
	var got []string
	for _, user := range users {
		name := names.For(user)
		if problems := validation.IsDNS1123Subdomain(name); len(problems) > 0 {
			t.Errorf("%q is no name: %v", name, problems)
		}
		got = append(got, name)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if name := (&Names{ByID: true}).For(users[0]); name != "user-1" {
		t.Errorf("by id, the name is %q", name)
	}
}

func manifest(name string, id int64) *v1alpha1.ManagedUser {
	return &v1alpha1.ManagedUser{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: v1alpha1.ManagedUserSpec{Email: name + "@example.com", UserID: id}}
}

func add(t *testing.T, folder *Folder, users ...*v1alpha1.ManagedUser) {
	t.Helper()
	for _, mu := range users {
		if err := folder.Add(mu); err != nil {
			t.Fatal(err)
		}
	}
}

func content(t *testing.T, path ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "acme")
	folder, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	add(t, folder, manifest("bob", 2), manifest("alice", 1))
	if err := folder.Close("team-a"); err != nil {
		t.Fatal(err)
	}
	want := `apiVersion: platform.cal.com/v1alpha1
kind: ManagedUser
metadata:
  name: alice
spec:
  email: alice@example.com
  userID: 1
`
	if d := cmp.Diff(want, content(t, dir, "alice.yaml")); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	want = `apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
namespace: team-a
resources:
- alice.yaml
- bob.yaml
`
	if d := cmp.Diff(want, content(t, dir, Kustomization)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

// A second run finds what the first wrote and what people have made of it, and adds no more than what is new.
func TestFolderThatIsThere(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"people.yaml":   "# Two in one file.\napiVersion: platform.cal.com/v1alpha1\nkind: ManagedUser\nmetadata: {name: al}\nspec: {userID: 1}\n---\napiVersion: platform.cal.com/v1alpha1\nkind: ManagedUser\nmetadata: {name: new}\nspec: {email: new@example.com}\n",
		"client.yml":    "apiVersion: platform.cal.com/v1alpha1\nkind: OAuthClient\nmetadata: {name: acme}\n",
		"notes.txt":     "{not yaml",
		"Values.yaml":   "replicas: 1\n",
		Kustomization:   "# Ours.\nkind: Kustomization\nnamespace: elsewhere\nresources:\n- client.yml\n- people.yaml # Both.\n",
		"sub/more.yaml": "{not yaml",
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !folder.Has(1) || folder.Has(2) {
		t.Error("the folder does not know its users")
	}
	if d := cmp.Diff([]string{"al", "new", "kustomization", "people", "values"}, folder.Names()); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	add(t, folder, manifest("bob", 2))
	other := manifest("bob", 4)
	other.Namespace = "team-b"
	add(t, folder, other)
	if err := folder.Add(manifest("people", 3)); err == nil || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("a file of somebody else was overwritten: %v", err)
	}
	if err := folder.Close("team-a"); err != nil {
		t.Fatal(err)
	}
	want := "# Ours.\nkind: Kustomization\nnamespace: elsewhere\nresources:\n- client.yml\n- people.yaml # Both.\n- bob.yaml\n- team-b.bob.yaml\n"
	if d := cmp.Diff(want, content(t, dir, Kustomization)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if d := cmp.Diff(files["people.yaml"], content(t, dir, "people.yaml")); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}

	again, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(""); err != nil || !again.Has(2) {
		t.Errorf("a third run finds user 2: %v, %v", again.Has(2), err)
	}
	if d := cmp.Diff(want, content(t, dir, Kustomization)); d != "" {
		t.Errorf("a run that adds nothing has written:\n%s", d)
	}
}

// An import that ended in the middle leaves nobody out of the kustomization, and the next one goes on.
func TestFolderInterrupted(t *testing.T) {
	dir := t.TempDir()
	folder, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	add(t, folder, manifest("alice", 1), manifest("bob", 2))
	if err := os.Mkdir(filepath.Join(dir, "bob.yaml"), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := folder.Close(""); err == nil {
		t.Fatal("a folder was written over")
	}
	if list := content(t, dir, Kustomization); !strings.Contains(list, "- alice.yaml\n- bob.yaml\n") {
		t.Errorf("the kustomization is\n%s", list)
	}
	if err := os.Remove(filepath.Join(dir, "bob.yaml")); err != nil {
		t.Fatal(err)
	}
	if folder, err = Open(dir); err != nil || !folder.Has(1) || folder.Has(2) {
		t.Fatalf("afterwards, the folder has user 1: %v, user 2: %v, %v", folder.Has(1), folder.Has(2), err)
	}
	add(t, folder, manifest("bob", 2))
	if err := folder.Close(""); err != nil {
		t.Fatal(err)
	}
	if list := content(t, dir, Kustomization); strings.Count(list, "bob.yaml") != 1 {
		t.Errorf("the kustomization is\n%s", list)
	}
}

// Every text comes back from a manifest as it was, whoever reads it.
func TestEncode(t *testing.T) {
	for _, text := range []string{
		"it\u0092s", "a\u0085b", "\n a\n\u0085b\n", "\u007f", "\ufffe\uffff", "\ufeff\u2028\U0001f680", " - a: b\n---\n%TAG {{ x }} ${y}", "0123", "no", "~", "1e3",
	} {
		want := manifest("alice", 1)
		want.Spec.Bio, want.Spec.UserID = &text, 1<<31-1
		encoded, err := Encode(want)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		got := &v1alpha1.ManagedUser{}
		if err := yaml.Unmarshal(encoded, got); err != nil {
			t.Fatalf("%q: %v in\n%s", text, err, encoded)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("-want +got:\n%s\n%s", d, encoded)
		}
	}
}

func TestFolderThatCannotBeRead(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "broken.yaml"), []byte("{no yaml"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir); err == nil || !strings.Contains(err.Error(), "broken.yaml") {
		t.Errorf("the error is %v", err)
	}
}
