// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package e2e

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// kubectl wait ends when an object is Ready at its present generation: a spec that the operator has not seen yet is not
// taken for one that it has dealt with.
func TestKubectlWait(t *testing.T) {
	t.Parallel()
	w := newWorld(t, stack.Config{OperatorArgs: []string{"--leader-elect=false"}})
	w.createSecret("default")
	w.createSecret(stack.Namespace)
	credentials := fmt.Sprintf("{id: %s, apiURL: %s, secretKeyRef: {name: calcom, key: secretKey}", defaultClient.ID, w.API)
	w.MustKubectl(`apiVersion: platform.cal.com/v1alpha1
kind: OAuthClient
metadata: {name: acme}
spec: `+credentials+`}
---
apiVersion: platform.cal.com/v1alpha1
kind: ClusterOAuthClient
metadata: {name: acme}
spec: `+credentials+`, allowedNamespaces: {selector: {}}}
---
apiVersion: platform.cal.com/v1alpha1
kind: ManagedUser
metadata: {name: alice}
spec: {oauthClientRef: {name: acme}, email: canary.wait@example.com, name: Canary Name}
`, "apply", "-f", "-")
	changes := map[string]string{
		"oauthclient/acme":        `{"spec":{"secretKeyRef":{"key":"alsoSecretKey"}}}`,
		"clusteroauthclient/acme": `{"spec":{"allowedNamespaces":{"selector":null,"names":["default"]}}}`,
		"manageduser/alice":       `{"spec":{"bio":"Canary Bio"}}`,
	}
	for object := range changes {
		w.MustKubectl("", "wait", "--for=condition=Ready", object, "--timeout="+stacktest.Patience.String())
		w.wantGenerations(object)
	}
	w.MustKubectl("", "patch", "secret", "calcom", "-p", fmt.Sprintf(`{"stringData":{"alsoSecretKey":%q}}`, defaultClient.Secret))
	if err := w.StopOperator(); err != nil {
		t.Fatal(err)
	}
	for object, change := range changes {
		w.MustKubectl("", "patch", object, "--type=merge", "-p", change)
		if out, err := w.Kubectl(t.Context(), "", "wait", "--for=condition=Ready", object, "--timeout=1s"); err == nil {
			t.Errorf("kubectl takes %s for Ready with a spec that nobody has seen: %s", object, out)
		}
	}
	w.startOperator()
	for object := range changes {
		w.MustKubectl("", "wait", "--for=condition=Ready", object, "--timeout="+stacktest.Patience.String())
		w.wantGenerations(object)
	}
}

// wantGenerations checks that status and conditions tell the generation that they are about, without which kubectl
// could not.
func (w *world) wantGenerations(object string) {
	w.Helper()
	var is struct {
		Metadata struct{ Generation int64 }
		Status   struct {
			ObservedGeneration int64
			Conditions         []struct {
				Type               string
				ObservedGeneration int64
			}
		}
	}
	if err := json.Unmarshal([]byte(w.MustKubectl("", "get", object, "-o", "json")), &is); err != nil {
		w.Fatal(err)
	}
	if is.Status.ObservedGeneration != is.Metadata.Generation {
		w.Errorf("%s has the generation %d and observedGeneration %d", object, is.Metadata.Generation, is.Status.ObservedGeneration)
	}
	for _, c := range is.Status.Conditions {
		if c.ObservedGeneration < 1 || c.Type == "Ready" && c.ObservedGeneration != is.Metadata.Generation {
			w.Errorf("%s has the generation %d and the condition %+v", object, is.Metadata.Generation, c)
		}
	}
}
