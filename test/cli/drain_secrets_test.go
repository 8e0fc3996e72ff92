// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// A namespace that no operator watches is Terminating because of our finalizer. Somebody with the rights of docs/cli.md
// frees it, where the policies are installed as a member of the group that may. What users need stays.
func TestReleaseSecretsOfAnUnwatchedNamespace(t *testing.T) {
	t.Parallel()
	w := newWorld(t, newSandbox(t, calcomtest.Options{}), stack.Config{ControllerManager: true, OperatorArgs: []string{"--watch-namespaces=team"}})
	w.client("team")
	w.users("team", "canary", 1)
	w.ready("team")
	w.client("left")
	const hold = `{"metadata":{"finalizers":["platform.cal.com/in-use"]}}`
	w.MustKubectl("", "patch", "secret/calcom", "oauthclient/acme", "-n", "left", "--type=merge", "-p", hold)
	w.MustKubectl(releaseRights, "apply", "-f", "-")
	w.MustKubectl("", "delete", "namespace", "left", "--wait=false")
	w.MustKubectl("", "wait", "namespace", "left", "--for=condition=NamespaceFinalizersRemaining", "--timeout="+stacktest.Patience.String())

	ann := []string{"drain", "--release-secrets", "-n", "left", "--yes", "--operator-namespace=calcom-system", "--as=ann"}
	w.Eventually("the policies", func() bool {
		for _, object := range []string{"secret/calcom", "oauthclient/acme"} {
			if _, err := w.Kubectl(w.Context(), "", "patch", object, "-n", "left", "--type=merge", "-p", `{"metadata":{"finalizers":null}}`, "--dry-run=server"); err == nil {
				return false
			}
		}
		return true
	})
	r := w.calcom("", ann...)
	if r.code != 2 || strings.Count(r.err, "only the operator takes platform.cal.com/in-use off") != 2 || !strings.Contains(r.err, "--as-group=GROUP") {
		t.Errorf("a release against the policies ends with %+v", r)
	}
	if r := w.calcom("", append(ann, "--as-group=calcom-operator:break-glass")...); r.code != 0 || r.out != "Released 2 of 2 Secrets and OAuth clients\n" {
		t.Errorf("the release ends with %+v", r)
	}
	w.MustKubectl("", "wait", "namespace", "left", "--for=delete", "--timeout="+stacktest.Patience.String())

	r = w.calcom("", "drain", "--release-secrets", "-A", "--yes")
	if r.code != 0 || !strings.Contains(r.out, "nothing to release") || !strings.Contains(r.err, "secret team/calcom is kept: managed user team/canary-0 needs it") {
		t.Errorf("the release of what is needed ends with %+v", r)
	}
	if held := w.MustKubectl("", "get", "secret/calcom", "oauthclient/acme", "-n", "team", "-o", "jsonpath={.items[*].metadata.finalizers}"); strings.Count(held, "in-use") != 2 {
		t.Errorf("what a user needs has lost its finalizer: %s", held)
	}
}

// releaseRights are those that docs/cli.md says, in the cluster: a Role would go with the namespace.
const releaseRights = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: release}
rules:
  - {apiGroups: [""], resources: [secrets], verbs: [list, get, patch]}
  - {apiGroups: [platform.cal.com], resources: [oauthclients], verbs: [list, get, patch]}
  - {apiGroups: [platform.cal.com], resources: [managedusers], verbs: [list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: release}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: release}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ann}]
`
