// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// story is a test with a tenant of its own: a repository with one folder, an Application and a namespace.
type story struct {
	*testing.T
	*world

	namespace string
	clientID  string
	folder    string // In the repository.
	repo      *repository
	app       string // The name of the Application.
}

// clientID is the OAuth client of a story. Each has its own, because --mass-delete-limit counts by OAuth client.
func clientID(i int) string { return fmt.Sprintf("clstory%018d", i) }

// clientSecret is the key of all of them.
const clientSecret = "story-secret"

// show logs what is there, for whoever has to find out why a story failed.
func (s *story) show() {
	for _, args := range [][]string{
		{"get", "managedusers,oauthclients,secrets", "--namespace=" + s.namespace, "-o", "yaml"},
		{"get", "application", s.app, "--namespace=" + control, "-o", "yaml"},
	} {
		out, err := s.stack.Kubectl(context.WithoutCancel(s.Context()), "", args...)
		s.Logf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// sample writes config/samples/tenant into the story's folder, for the sandbox and with the Secret that it needs.
func (s *story) sample() { s.sampleIn(s.folder, s.namespace) }

func (s *story) sampleIn(folder, domain string) {
	s.Helper()
	source := os.DirFS(filepath.Join(s.root, "config", "samples", "tenant"))
	err := fs.WalkDir(source, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(source, name)
		manifest := strings.ReplaceAll(string(content), "@example.com", "@"+domain+".example.com")
		s.repo.write(filepath.Join(folder, name), manifest)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	s.repo.edit(folder+"/kustomization.yaml", "resources:\n", "resources:\n  - secrets\n")
	s.repo.edit(folder+"/clients/acme.yaml", calcomtest.DefaultClient().ID, s.clientID)
	s.repo.edit(folder+"/clients/acme.yaml", "  secretKeyRef:", "  apiURL: "+s.stack.API+"\n  secretKeyRef:")
	s.repo.write(folder+"/secrets/kustomization.yaml", "resources: [calcom.yaml]\n")
	s.repo.write(folder+"/secrets/calcom.yaml", `apiVersion: v1
kind: Secret
metadata:
  name: calcom
  annotations:
    argocd.argoproj.io/sync-wave: "0"
stringData:
  secretKey: `+clientSecret+"\n")
}

// user writes a user of the sample's OAuth client, with lines to add to its metadata, and lists it.
func (s *story) user(name, metadata string) {
	s.Helper()
	path := s.folder + "/users/" + name + ".yaml"
	s.repo.write(path, fmt.Sprintf(`apiVersion: platform.cal.com/v1alpha1
kind: ManagedUser
metadata:
  name: %s
%sspec:
  oauthClientRef:
    name: acme
  email: %[1]s@%[3]s.example.com
  name: The first name
`, name, metadata, s.namespace))
	s.repo.edit(s.folder+"/users/kustomization.yaml", "resources:\n", "resources:\n  - "+name+".yaml\n")
}

// unprotect takes off the label by which the policies keep the sample's users.
func (s *story) unprotect() {
	s.Helper()
	path := s.folder + "/users/kustomization.yaml"
	before, rest, found := strings.Cut(s.repo.read(path), "labels:\n")
	_, after, ends := strings.Cut(rest, "resources:\n")
	if !found || !ends || !strings.Contains(rest, protection) {
		s.Fatalf("%s does not give users the label %s", path, protection)
	}
	s.repo.write(path, before+"resources:\n"+after)
}

// drop removes a user's manifest.
func (s *story) drop(name string) {
	s.Helper()
	s.repo.remove(s.folder + "/users/" + name + ".yaml")
	s.repo.edit(s.folder+"/users/kustomization.yaml", "  - "+name+".yaml\n", "")
}

// eventually waits until a condition holds, which otherwise says what it found.
func eventually(t *testing.T, what string, look func() (found string, holds bool)) {
	t.Helper()
	late := time.After(patience)
	for tick := time.Tick(200 * time.Millisecond); ; {
		found, holds := look()
		if holds {
			return
		}
		select {
		case <-tick:
		case <-late:
			t.Fatalf("waiting for %s: not within %v, but %s", what, patience, found)
		}
	}
}

func (s *story) eventually(what string, look func() (found string, holds bool)) {
	s.Helper()
	eventually(s.T, what, look)
}

// get reads an object and reports whether there is one.
func (s *story) get(name string, object client.Object) bool {
	s.Helper()
	err := s.client.Get(s.Context(), client.ObjectKey{Namespace: s.namespace, Name: name}, object)
	if err != nil && !apierrors.IsNotFound(err) {
		s.Fatal(err)
	}
	return err == nil
}

// managedUser returns an object that has to be there.
func (s *story) managedUser(name string) *v1alpha1.ManagedUser {
	s.Helper()
	user := &v1alpha1.ManagedUser{}
	if !s.get(name, user) {
		s.Fatalf("there is no ManagedUser %s", name)
	}
	return user
}

// id returns the user's id in Cal.com.
func (s *story) id(name string) int64 {
	s.Helper()
	status := s.managedUser(name).Status
	if status.User == nil {
		s.Fatalf("ManagedUser %s has no user", name)
	}
	return status.User.ID
}

func (s *story) gone(name string, object client.Object) {
	s.Helper()
	s.eventually(fmt.Sprintf("the end of %T %s", object, name), func() (string, bool) {
		return "it is there", !s.get(name, object)
	})
}

func (s *story) secret() *corev1.Secret {
	s.Helper()
	secret := &corev1.Secret{}
	if !s.get("calcom", secret) {
		s.Fatal("there is no Secret")
	}
	return secret
}

// people returns the users of a domain that Cal.com has: names by the part of the address before the first "+" or "@".
func (s *story) people(domain string) map[string]string {
	s.Helper()
	people := make(map[string]string)
	const page = 250
	for offset := 0; ; offset += page {
		list, err := s.page(offset, page)
		if err != nil {
			s.Fatal(err)
		}
		for _, user := range list {
			if strings.HasSuffix(user.Email, "@"+domain+".example.com") {
				people[user.Email[:strings.IndexAny(user.Email, "+@")]] = user.Name
			}
		}
		if len(list) < page {
			return people
		}
	}
}

type person struct {
	ID          int64
	Email, Name string
}

func (s *story) page(offset, limit int) (_ []person, err error) {
	url := fmt.Sprintf("%s/oauth-clients/%s/users?limit=%d&offset=%d", s.stack.API, s.clientID, limit, offset)
	request, err := http.NewRequestWithContext(s.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("x-cal-secret-key", clientSecret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	var list struct{ Data []person }
	return list.Data, json.NewDecoder(response.Body).Decode(&list)
}
