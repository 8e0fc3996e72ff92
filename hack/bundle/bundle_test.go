// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
)

func TestDisplayName(t *testing.T) {
	for path, want := range map[string]string{
		"email": "Email", "userID": "User ID", "avatarURL": "Avatar URL", "apiURL": "API URL", "id": "ID", "oauthClientRef": "OAuth client ref",
		"oauthClient.secretKeyRef.name": "OAuth client secret key ref name", "timeZone": "Time zone",
	} {
		if got := displayName(path); got != want {
			t.Errorf("%s is called %q, want %q", path, got, want)
		}
	}
}

const base = `
apiVersion: operators.coreos.com/v1alpha1
kind: ClusterServiceVersion
metadata: {name: x, annotations: {}}
spec:
  version: 0.1.0
  install: {}
  customresourcedefinitions: {owned: []}
`

// What the bundle cannot say is an error, and not left out.
func TestBuildRefuses(t *testing.T) {
	for name, tc := range map[string]struct{ manifests, words string }{
		"no base":      {"kind: Service\nmetadata: {name: x}", "no ClusterServiceVersion"},
		"strange kind": {base + "---\nkind: NetworkPolicy\nmetadata: {name: x}", "what is a NetworkPolicy"},
		"binding of a role that is elsewhere": {base + `---
kind: ClusterRoleBinding
metadata: {name: x}
roleRef: {kind: ClusterRole, name: cluster-admin}
subjects: [{kind: ServiceAccount, name: x}]`, "binds ClusterRole/cluster-admin"},
		"ClusterRole for one namespace": {base + `---
kind: ClusterRole
metadata: {name: x}
rules: []
---
kind: RoleBinding
metadata: {name: x}
roleRef: {kind: ClusterRole, name: x}
subjects: [{kind: ServiceAccount, name: x}]`, "binds ClusterRole/x"},
		"another image": {base + `---
kind: Deployment
metadata: {name: x}
spec: {template: {spec: {containers: [{image: other}]}}}`, "has the image"},
		"CRD that is not owned": {base + "---\nkind: CustomResourceDefinition\nmetadata: {name: x}", "owns 0 kinds, but there are 1 CRDs"},
	} {
		t.Run(name, func(t *testing.T) {
			objects, err := read(strings.NewReader(tc.manifests))
			if err != nil {
				t.Fatal(err)
			}
			if _, _, err := build(objects, options{}); err == nil || !strings.Contains(err.Error(), tc.words) {
				t.Errorf("error is %v, want one with %q", err, tc.words)
			}
		})
	}
}

// A release gives version and image.
func TestBuildForARelease(t *testing.T) {
	objects, err := read(strings.NewReader(base))
	if err != nil {
		t.Fatal(err)
	}
	csv, _, err := build(objects, options{version: "v1.2.3", image: "registry/image@sha256:0"})
	if err != nil {
		t.Fatal(err)
	}
	if name := nameOf(csv); name != "calcom-operator.v1.2.3" || text(csv, "spec", "version") != "1.2.3" {
		t.Errorf("the bundle is %s, version %s", name, text(csv, "spec", "version"))
	}
	if image := text(csv, "metadata", "annotations", "containerImage"); image != "registry/image@sha256:0" {
		t.Errorf("the image is %s", image)
	}
}
