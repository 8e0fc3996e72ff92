// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

const (
	shippedList = "https://api.cal.com\n"
	addToList   = "have it added to the key prefixes of ConfigMap calcom-operator-allowed-api-urls in namespace calcom-system"
)

// lists counts the lists that were written, so that each can be told from the one before.
var lists int

// setList replaces the list, for this test, and waits until the API server goes by it. The list gets one more entry, by
// which that is seen.
func setList(t *testing.T, prefixes string) {
	t.Helper()
	lists++
	seen := fmt.Sprintf("gopher://list-%d", lists)
	writeList(t, map[string]string{"prefixes": prefixes + "\n" + seen})
	eventually(t, "the list", func() bool {
		err := createProbe(t, "https://%zz") // Nothing allows this, and the refusal tells the entries that are of no use.
		return err != nil && strings.HasSuffix(err.Error(), seen)
	})
}

// writeList replaces the content of the list, for this test; nil deletes the ConfigMap.
func writeList(t *testing.T, data map[string]string) {
	t.Helper()
	must(t, writeListIn(t.Context(), data))
	t.Cleanup(func() { // The next test must not meet this one's list.
		ctx := context.WithoutCancel(t.Context())
		must(t, writeListIn(ctx, map[string]string{"prefixes": shippedList}))
		must(t, wait.PollUntilContextTimeout(ctx, 5*time.Millisecond, patience, true, func(context.Context) (bool, error) {
			return createIn(ctx, probe("https://api.cal.com")) == nil && createIn(ctx, probe("https://x.org")) != nil, nil
		}))
	})
}

func writeListIn(ctx context.Context, data map[string]string) error {
	list := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "calcom-operator-allowed-api-urls", Namespace: "calcom-system"}, Data: data}
	if data == nil {
		return admin.Delete(ctx, list)
	}
	err := admin.Update(ctx, list)
	if apierrors.IsNotFound(err) {
		return admin.Create(ctx, list)
	}
	return err
}

// probe is an object in the shape of a ManagedUser whose address no CRD looks at, only the policy.
func probe(apiURL string) *unstructured.Unstructured {
	return newObject("Probe", "probe", map[string]any{"oauthClient": map[string]any{"apiURL": apiURL}})
}

func createProbe(t *testing.T, apiURL string) error {
	t.Helper()
	return createIn(t.Context(), probe(apiURL))
}

// createIn tries whether an object could be created.
func createIn(ctx context.Context, object client.Object) error {
	copied, _ := object.DeepCopyObject().(client.Object)
	return admin.Create(ctx, copied, client.DryRunAll)
}

// The policy decides as the operator does: internal/controller has the same rows.
func TestAllowedAPIURLs(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("testdata", "api_urls.yaml"))
	must(t, err)
	var table []struct {
		Prefixes         string
		Allowed, Refused []string
	}
	must(t, yaml.UnmarshalStrict(text, &table))
	if len(table) == 0 {
		t.Fatal("the table is empty")
	}
	for _, list := range table {
		t.Run(list.Prefixes, func(t *testing.T) {
			setList(t, list.Prefixes)
			for _, apiURL := range list.Allowed {
				if err := createProbe(t, apiURL); err != nil {
					t.Errorf("%s is refused: %v", apiURL, err)
				}
			}
			for _, apiURL := range list.Refused {
				err := createProbe(t, apiURL)
				if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "is not allowed in this cluster; choose one that begins with ") {
					t.Errorf("%s: got %v, want a refusal", apiURL, err)
				}
			}
		})
	}
}

// A list is written by people: blanks, comments, empty lines and commas are fine.
func TestListAsPeopleWriteIt(t *testing.T) {
	setList(t, "# Ours\n\n  https://a.b  \r\nhttps://c.d,https://e.f\n#https://g.h\n")
	for apiURL, allowed := range map[string]bool{
		"https://a.b": true, "https://c.d": true, "https://e.f": true, "https://g.h": false, "https://i.j": false,
	} {
		if err := createProbe(t, apiURL); (err == nil) != allowed {
			t.Errorf("%s: got %v", apiURL, err)
		}
	}
}

// CEL has a budget; a long list must not exhaust it.
func TestLongList(t *testing.T) {
	var b strings.Builder
	for i := range 300 {
		fmt.Fprintf(&b, "https://calcom-%d.some.quite.long.name.example.com/with/a/path\n", i)
	}
	setList(t, b.String())
	must(t, createProbe(t, "https://calcom-299.some.quite.long.name.example.com/with/a/path/v2"))
	err := createProbe(t, "https://calcom-299.some.quite.long.name.example.com/v2")
	if want := "is not allowed in this cluster; choose one that begins with one of the 300 entries, or " + addToList; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

func TestAllowedAPIURLsOfEachKind(t *testing.T) {
	for kind, field := range map[string]string{
		"ManagedUser": "spec.oauthClient.apiURL", "OAuthClient": "spec.apiURL", "ClusterOAuthClient": "spec.apiURL",
	} {
		t.Run(kind, func(t *testing.T) {
			object := func(apiURL string) *unstructured.Unstructured {
				if kind == "ManagedUser" {
					return newUser("alice", apiURL)
				}
				return newOAuthClient(kind, "acme", apiURL)
			}
			must(t, createIn(t.Context(), object("")))
			must(t, createIn(t.Context(), object("https://api.cal.com")))
			wantRefused(t, createIn(t.Context(), object("https://api.cal.com.evil.org/v2")), field+
				": https://api.cal.com.evil.org/v2 is not allowed in this cluster; choose one that begins with https://api.cal.com, or "+addToList)
			writeList(t, map[string]string{"prefixes": "https://cal.example.com"})
			var err error
			eventually(t, "the list", func() bool { err = createIn(t.Context(), object("")); return err != nil })
			wantRefused(t, err, field+", absent, means https://api.cal.com/v2, which is not allowed in this cluster; "+
				"choose one that begins with https://cal.example.com, or "+addToList)
		})
	}
	t.Run("WithoutAddress", func(t *testing.T) { // It names an OAuthClient, whose address was looked at.
		must(t, createIn(t.Context(), newObject("Probe", "probe", map[string]any{"oauthClientRef": map[string]any{"name": "acme"}})))
		without := newObject("Probe", "probe", nil)
		delete(without.Object, "spec")
		must(t, createIn(t.Context(), without))
	})
}

// elsewhere makes objects with an address that the list no longer has, with the operator's finalizer.
func elsewhere(t *testing.T) (user, existing *unstructured.Unstructured) {
	t.Helper()
	existing = create(t, newObject("Probe", "existing", map[string]any{"oauthClient": map[string]any{}})) // Of our kinds, none lets its address change.
	setList(t, "https://cal.example.com")
	user = newUser("alice", "https://cal.example.com/v2")
	user.SetFinalizers([]string{v1alpha1.ManagedUserFinalizer})
	create(t, user)
	return user, existing
}

// wantEditable edits an object in every way that leaves its address alone, and deletes it as the operator does.
func wantEditable(t *testing.T, user *unstructured.Unstructured) {
	t.Helper()
	for _, patch := range []string{
		`{"metadata":{"labels":{"a":"b"}}}`, `{"spec":{"name":"Another"}}`,
		`{"metadata":{"annotations":{"platform.cal.com/reconcile-requested-at":"now"}}}`,
	} {
		must(t, asAlice(t).Patch(t.Context(), user, client.RawPatch(mergePatch, []byte(patch))))
	}
	must(t, asAlice(t).Delete(t.Context(), user))
	must(t, asAlice(t).Patch(t.Context(), user, client.RawPatch(mergePatch, []byte(`{"spec":{"deletionPolicy":"Delete"}}`))))
	must(t, patchFinalizers(t.Context(), as(t, operator, "system:serviceaccounts"), user, nil))
	if exists(t, user) {
		t.Error("the object is still there")
	}
}

func TestWhatExistsStaysEditable(t *testing.T) {
	user, existing := elsewhere(t)
	setList(t, "https://other.example.com")
	wantEditable(t, user)

	// A change of the address is another matter, unless it means the same.
	change := func(patch string) error {
		return asAlice(t).Patch(t.Context(), existing.DeepCopy(), client.RawPatch(mergePatch, []byte(patch)))
	}
	must(t, change(`{"spec":{"oauthClient":{"apiURL":"https://api.cal.com/v2"}}}`))
	must(t, change(`{"spec":{"oauthClient":{"apiURL":null}}}`))
	must(t, change(`{"spec":{"oauthClient":{"apiURL":"https://other.example.com"}}}`))
	wantChangeRefused := func() {
		t.Helper()
		err := change(`{"spec":{"oauthClient":{"apiURL":"https://cal.example.com"}}}`)
		if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "spec.oauthClient.apiURL: https://cal.example.com is not allowed in this cluster") {
			t.Errorf("got %v, want a refusal", err)
		}
	}
	wantChangeRefused()
	must(t, patchFinalizers(t.Context(), asAlice(t), existing, []string{theirs}))
	must(t, asAlice(t).Delete(t.Context(), existing))
	wantChangeRefused() // A deletion sends the secret key to the address as well.
}

// Without the list nothing new is taken, and what exists is edited and deleted as ever.
func TestMissingList(t *testing.T) {
	user, _ := elsewhere(t)
	writeList(t, nil)
	var err error
	eventually(t, "the list to be missed", func() bool {
		err = createProbe(t, "https://cal.example.com")
		return err != nil
	})
	if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "binding 'calcom-operator-allowed-api-urls-create' denied request: failed to configure binding: no params found") {
		t.Errorf("got %v, want a refusal for want of a list", err)
	}
	wantEditable(t, user)
}

func TestMalformedList(t *testing.T) {
	const refused = "spec.oauthClient.apiURL: https://api.cal.com is not allowed in this cluster; "
	for name, tc := range map[string]struct {
		data map[string]string
		want string
	}{
		"Empty":        {map[string]string{"prefixes": " \n"}, refused + addToList + ", which is missing or empty"},
		"CommentsOnly": {map[string]string{"prefixes": "# https://api.cal.com"}, refused + addToList + ", which is missing or empty"},
		"AnotherKey":   {map[string]string{"urls": "https://api.cal.com"}, refused + addToList + ", which is missing or empty"},
		"NoData":       {map[string]string{}, refused + addToList + ", which is missing or empty"},
		"NoURLs": {
			map[string]string{"prefixes": "api.cal.com\nftp://api.cal.com\nhttps:///\nHTTPS://\nhttps://u@api.cal.com\nhttps://api.cal.com/../x\nhttps://api.cal.com?\nhttps://api cal.com"},
			refused + addToList + ", where these are no beginnings of URLs, like https://api.cal.com, and count for nothing: api.cal.com and ftp://api.cal.com and https:/// and HTTPS:// and https://u@api.cal.com and https://api.cal.com/../x and https://api.cal.com? and https://api cal.com",
		},
		"OneIsNoURL": {
			map[string]string{"prefixes": "api.cal.com\nhttps://cal.example.com"},
			refused + "choose one that begins with https://cal.example.com, or " + addToList + ", where these are no beginnings of URLs, like https://api.cal.com, and count for nothing: api.cal.com",
		},
	} {
		t.Run(name, func(t *testing.T) {
			writeList(t, tc.data)
			var err error
			eventually(t, "the list", func() bool { err = createProbe(t, "https://api.cal.com"); return err != nil })
			wantRefused(t, err, tc.want)
		})
	}
}

// A value that a message cannot hold, as it has a line break, is refused in general words.
func TestAddressWithLineBreak(t *testing.T) {
	wantRefused(t, createProbe(t, "https://x.org\n"),
		"The API URL is not on this cluster's list of allowed API URLs; choose another, or have it added to the list")
}

func TestAllowedAPIURLsAsDocumented(t *testing.T) {
	file := filepath.Join(t.TempDir(), "alice.yaml")
	manifest, err := yaml.Marshal(newUser("alice", "https://cal.example.com/v2"))
	must(t, err)
	must(t, os.WriteFile(file, manifest, 0o600))
	printed, err := kubectl(t.Context(), "create", "--filename="+file)
	if err == nil {
		t.Error("kubectl create succeeded")
	}
	wantDocumented(t, strings.ReplaceAll(printed, file, "alice.yaml"))

	writeList(t, nil)
	eventually(t, "the list to be missed", func() bool {
		printed, err = kubectl(t.Context(), "create", "--filename="+file)
		return err != nil && strings.Contains(printed, "no params found")
	})
	wantDocumented(t, strings.ReplaceAll(printed, file, "alice.yaml"))
}
