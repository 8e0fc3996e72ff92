// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// application is what Argo CD says of one.
type application struct {
	Metadata struct{ DeletionTimestamp string }
	Status   struct {
		Sync       struct{ Status, Revision string }
		Health     struct{ Status string }
		Conditions []appCondition
		History    []struct{ Revision string }

		OperationState struct {
			Phase, Message string
			RetryCount     int
			SyncResult     struct {
				Revision  string
				Resources []struct{ Kind, Name, Status, Message, HookPhase string }
			}
		}
	}
}

type appCondition struct{ Type, Message string }

// String is the status in short.
func (a *application) String() string {
	text, err := json.Marshal(a.Status)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// example returns an example of config/argocd for the story: its repository, its namespace, its folder.
func (s *story) example(name string) *unstructured.Unstructured {
	s.Helper()
	text, err := os.ReadFile(filepath.Join(s.root, "config", "argocd", "example", name))
	if err != nil {
		s.Fatal(err)
	}
	filled := strings.NewReplacer(
		"https://git.example.com/scheduling.git", s.repo.url,
		"tenants/team-a", s.folder, "team-a-users", s.app, "namespace: team-a", "namespace: "+s.namespace,
	).Replace(string(text))
	example := &unstructured.Unstructured{}
	if err := yaml.Unmarshal([]byte(filled), &example.Object); err != nil {
		s.Fatal(err)
	}
	return example
}

// apply commits what the repository has and creates the Application of config/argocd/example for it, with changes.
func (s *story) apply(changes ...func(*unstructured.Unstructured)) (revision string) {
	s.Helper()
	revision = s.repo.commit("The tenant " + s.namespace)
	example := s.example("application.yaml")
	for _, change := range changes {
		change(example)
	}
	if err := s.client.Create(s.Context(), example); err != nil {
		s.Fatal(err)
	}
	return revision
}

// set changes a field of a manifest.
func (s *story) set(value any, path ...string) func(*unstructured.Unstructured) {
	return func(object *unstructured.Unstructured) {
		s.Helper()
		if err := unstructured.SetNestedField(object.Object, value, path...); err != nil {
			s.Fatal(err)
		}
	}
}

// push commits, and tells Argo CD as the webhook of a Git server would.
func (s *story) push(message string) (revision string) {
	s.Helper()
	revision = s.repo.commit(message)
	s.annotate("argocd.argoproj.io/refresh", "normal")
	return revision
}

// annotate annotates the Application.
func (s *story) annotate(name, value string) {
	s.Helper()
	s.patch(fmt.Sprintf(`{"metadata":{"annotations":{%q:%q}}}`, name, value))
}

// patch merges a patch into the Application.
func (s *story) patch(patch string) {
	s.Helper()
	s.kubectl(s.T, "", "patch", "application", s.app, "--namespace="+control, "--type=merge", "--patch="+patch)
}

// application returns an Application, or nil if there is none.
func (w *world) application(t *testing.T, name string) *application {
	t.Helper()
	live := &unstructured.Unstructured{}
	live.SetAPIVersion("argoproj.io/v1alpha1")
	live.SetKind("Application")
	err := w.client.Get(t.Context(), client.ObjectKey{Namespace: control, Name: name}, live)
	if client.IgnoreNotFound(err) != nil {
		t.Fatal(err)
	}
	if err != nil {
		return nil
	}
	text, err := live.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	var a application
	if err := json.Unmarshal(text, &a); err != nil {
		t.Fatal(err)
	}
	return &a
}

// read returns the story's Application, or nil if there is none.
func (s *story) read() *application {
	s.Helper()
	return s.application(s.T, s.app)
}

// until waits for something of the Application.
func (s *story) until(what string, holds func(*application) bool) {
	s.Helper()
	s.eventually(what, func() (string, bool) {
		a := s.read()
		if a == nil {
			return "there is no Application", false
		}
		return a.String(), holds(a)
	})
}

// settled waits until Argo CD has applied a revision and calls everything Healthy.
func (s *story) settled(revision string) {
	s.Helper()
	s.until("the revision "+revision+" to be applied and Healthy", func(a *application) bool {
		return a.has(revision) && a.Status.Health.Status == "Healthy"
	})
}

// has reports whether a revision has been applied.
func (a *application) has(revision string) bool {
	operation := a.Status.OperationState
	return a.Status.Sync.Status == "Synced" && a.Status.Sync.Revision == revision &&
		operation.Phase == "Succeeded" && operation.SyncResult.Revision == revision
}

// resource returns what the last sync says of an object.
func (a *application) resource(kind, name string) string {
	for _, one := range a.Status.OperationState.SyncResult.Resources {
		if one.Kind == kind && one.Name == name {
			return strings.TrimSpace(one.Status + " " + one.HookPhase + " " + one.Message)
		}
	}
	return ""
}

// call makes a call of Argo CD's API.
func (s *story) call(method, path string, body any) []byte {
	s.Helper()
	text, err := json.Marshal(body)
	if err != nil {
		s.Fatal(err)
	}
	full := "http://" + s.api + "/api/v1/applications/" + s.app + path
	request, err := http.NewRequestWithContext(s.Context(), method, full, bytes.NewReader(text))
	if err != nil {
		s.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.Fatalf("%s %s: status %d, %v\n%s", method, path, response.StatusCode, err, answer)
	}
	return answer
}

// actions returns the names of the actions that Argo CD offers for a user, those that are greyed out with a "-".
func (s *story) actions(name string) []string {
	s.Helper()
	query := url.Values{
		"appNamespace": {control}, "namespace": {s.namespace}, "resourceName": {name},
		"group": {"platform.cal.com"}, "version": {"v1alpha1"}, "kind": {"ManagedUser"},
	}
	var list struct {
		Actions []struct {
			Name     string
			Disabled bool
		}
	}
	if err := json.Unmarshal(s.call(http.MethodGet, "/resource/actions?"+query.Encode(), nil), &list); err != nil {
		s.Fatal(err)
	}
	var names []string
	for _, one := range list.Actions {
		if one.Disabled {
			one.Name = "-" + one.Name
		}
		names = append(names, one.Name)
	}
	return names
}

// act runs an action on an object.
func (s *story) act(kind, name, action string) {
	s.Helper()
	s.call(http.MethodPost, "/resource/actions/v2", map[string]any{
		"name": s.app, "appNamespace": control, "namespace": s.namespace, "resourceName": name,
		"group": "platform.cal.com", "version": "v1alpha1", "kind": kind, "action": action,
	})
}

// users are the ManagedUsers of the namespace.
func (s *story) users() []v1alpha1.ManagedUser {
	s.Helper()
	var list v1alpha1.ManagedUserList
	if err := s.client.List(s.Context(), &list, client.InNamespace(s.namespace)); err != nil {
		s.Fatal(err)
	}
	return list.Items
}

// summary is status and reason of a condition of a user.
func summary(user *v1alpha1.ManagedUser, kind string) string {
	if found := meta.FindStatusCondition(user.Status.Conditions, kind); found != nil {
		return string(found.Status) + " " + found.Reason
	}
	return "none"
}
