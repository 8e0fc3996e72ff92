// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadAudit(t *testing.T) {
	const us = `"user":{"username":"system:serviceaccount:calcom-system:calcom-operator","groups":["system:authenticated"]}`
	log := strings.Join([]string{
		`{"auditID":"1","stage":"ResponseComplete","requestURI":"/api/v1/secrets?limit=500","verb":"list",` + us + `,"objectRef":{"resource":"secrets","apiVersion":"v1"},"responseStatus":{"metadata":{},"code":200}}`,
		`{"auditID":"2","stage":"ResponseStarted","requestURI":"/api/v1/secrets?watch=true","verb":"watch",` + us + `,"objectRef":{"resource":"secrets"},"responseStatus":{"code":200}}`,
		`{"auditID":"3","stage":"ResponseComplete","requestURI":"/x","verb":"patch",` + us + `,"objectRef":{"resource":"managedusers","namespace":"n","name":"a","apiGroup":"platform.cal.com","subresource":"status"},"responseStatus":{"code":409}}`,
		`{"auditID":"4","stage":"ResponseComplete","requestURI":"/y","verb":"get","user":{"username":"admin"},"objectRef":{"resource":"secrets"},"responseStatus":{"code":200}}`,
		`{"auditID":"2","stage":"ResponseComplete","requestURI":"/api/v1/secrets?watch=true","verb":"watch",` + us + `,"objectRef":{"resource":"secrets"},"responseStatus":{"code":200}}`,
		`{"auditID":"5","stage":"ResponseComplete","requestURI":"/version","verb":"get",` + us + `,"responseStatus":{"code":403}}`,
		`{"auditID":"6","stage":"Respon`, // Being written.
	}, "\n")
	want := []Request{
		{Operation: Operation{"list", "", "secrets"}, URI: "/api/v1/secrets?limit=500", Code: 200},
		{Operation: Operation{"watch", "", "secrets"}, URI: "/api/v1/secrets?watch=true", Code: 200},
		{Operation: Operation{"patch", "platform.cal.com", "managedusers/status"}, Namespace: "n", Name: "a", URI: "/x", Code: 409},
		{Operation: Operation{Verb: "get"}, URI: "/version", Code: 403},
	}
	path := filepath.Join(t.TempDir(), "audit.log")
	audit := &Audit{path: path, begun: make(map[string]bool)}
	// A log that grows is read bit by bit, wherever the writer was just then.
	var got []Request
	for _, size := range []int{len(log) / 3, len(log) / 2, len(log)} {
		if err := os.WriteFile(path, []byte(log[:size]), 0o600); err != nil {
			t.Fatal(err)
		}
		requests, err := audit.Read()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, requests...)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("requests (-want +got):\n%s", d)
	}
	if _, err := audit.read(strings.NewReader("no JSON\n")); err == nil {
		t.Error("a log that is none is read without an error")
	}
}

func TestOperationWrites(t *testing.T) {
	for op, want := range map[Operation]bool{
		{"get", "", "secrets"}:                                          false,
		{"watch", "", "secrets"}:                                        false,
		{"create", "events.k8s.io", "events"}:                           true,
		{"patch", "platform.cal.com", "managedusers/status"}:            true,
		{"create", "authentication.k8s.io", "tokenreviews"}:             false,
		{"create", "authorization.k8s.io", "localsubjectaccessreviews"}: false,
	} {
		if got := op.Writes(); got != want {
			t.Errorf("%s writes: %t, want %t", op, got, want)
		}
	}
}
