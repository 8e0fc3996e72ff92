// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package stack

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// OperatorUser is the name under which the API server knows the operator.
const OperatorUser = "system:serviceaccount:" + Namespace + ":calcom-operator"

// auditPolicy logs who asked for what, and not the objects themselves. One request is one line, written when it has
// been answered, and a watch two, the first when it begins.
const auditPolicy = `apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - level: Metadata
    users: ["` + OperatorUser + `"]
  - level: None
`

// Operation is something to do with a kind of object, in the words of RBAC.
type Operation struct {
	// Verb is get, list, watch, create, update, patch, delete or deletecollection.
	Verb string
	// APIGroup is empty for the core group.
	APIGroup string
	// Resource is the plural, with the subresource if it is about one: managedusers/status.
	Resource string
}

// String returns the operation as "patch managedusers/status.platform.cal.com".
func (o Operation) String() string {
	if o.APIGroup == "" {
		return o.Verb + " " + o.Resource
	}
	return o.Verb + " " + o.Resource + "." + o.APIGroup
}

// Writes reports whether the operation changes what the API server stores. A TokenReview or SubjectAccessReview is
// created to ask something, and never stored.
func (o Operation) Writes() bool {
	return slices.Contains([]string{"create", "update", "patch", "delete", "deletecollection"}, o.Verb) &&
		o.APIGroup != "authentication.k8s.io" && o.APIGroup != "authorization.k8s.io"
}

// Request is a request to the API server and its answer.
type Request struct {
	// Operation has no APIGroup and Resource when the request was not about objects, but about /version for one.
	Operation
	// Namespace and Name are empty where the operation has none; an object that is created may have no name.
	Namespace, Name string
	// URI is the path with the query.
	URI string
	// Code is the HTTP status of the answer.
	Code int
}

// configureAudit makes the API server log what the operator asks for.
func (s *Stack) configureAudit(environment *envtest.Environment) error {
	if !s.config.AuditLog {
		return nil
	}
	policy := filepath.Join(s.config.Dir, "audit-policy.yaml")
	if err := os.WriteFile(policy, []byte(auditPolicy), 0o600); err != nil {
		return fmt.Errorf("writing the audit policy: %w", err)
	}
	environment.ControlPlane.GetAPIServer().Configure().
		Set("audit-policy-file", policy).
		Set("audit-log-path", s.auditLog()).
		Set("audit-log-maxsize", "100000") // MB, so that it is never rotated: a benchmark makes more than the default of 100.
	return nil
}

func (s *Stack) auditLog() string { return filepath.Join(s.config.Dir, "audit.log") }

// OperatorRequests returns the requests that the operator has made up to now, as the audit log has them: a request
// counts when it has been answered, a watch when it has begun. An answer can reach the operator a moment before the
// log, so wait for a last request that you expect. Config.AuditLog has to be set.
func (s *Stack) OperatorRequests() ([]Request, error) {
	if !s.config.AuditLog {
		return nil, errors.New("reading the audit log: there is none; set AuditLog in the stack's Config")
	}
	return s.Audit().Read()
}

// Audit reads the audit log bit by bit.
type Audit struct {
	path   string
	offset int64           // Of what was not read yet.
	begun  map[string]bool // Watches that were counted when they began.
}

// Audit returns a reader that begins with the first request. Config.AuditLog has to be set.
func (s *Stack) Audit() *Audit { return &Audit{path: s.auditLog(), begun: make(map[string]bool)} }

// Read returns the operator's requests since the last Read: see OperatorRequests.
func (a *Audit) Read() ([]Request, error) {
	file, err := os.Open(a.path)
	if err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	defer func() { _ = file.Close() }()
	if _, err := file.Seek(a.offset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("reading the audit log: %w", err)
	}
	return a.read(file)
}

// auditEvent is what is of interest in an audit.k8s.io/v1 Event.
type auditEvent struct {
	AuditID    string
	Stage      string
	RequestURI string
	Verb       string
	User       struct{ Username string }
	ObjectRef  struct {
		APIGroup, Resource, Subresource, Namespace, Name string
	}
	ResponseStatus struct{ Code int }
}

func (a *Audit) read(log io.Reader) ([]Request, error) {
	var requests []Request
	for reader := bufio.NewReader(log); ; {
		line, err := reader.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return requests, nil // What is left has no end yet: it is being written.
		}
		if err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		a.offset += int64(len(line))
		var event auditEvent
		if err := json.Unmarshal(line, &event); err != nil {
			return nil, fmt.Errorf("reading the audit log: %w", err)
		}
		if event.User.Username != OperatorUser || a.begun[event.AuditID] {
			continue
		}
		if event.Stage == "ResponseStarted" {
			a.begun[event.AuditID] = true
		}
		requests = append(requests, event.request())
	}
}

func (e *auditEvent) request() Request {
	resource := strings.TrimSuffix(e.ObjectRef.Resource+"/"+e.ObjectRef.Subresource, "/")
	return Request{
		Operation: Operation{Verb: e.Verb, APIGroup: e.ObjectRef.APIGroup, Resource: resource},
		Namespace: e.ObjectRef.Namespace,
		Name:      e.ObjectRef.Name,
		URI:       e.RequestURI,
		Code:      e.ResponseStatus.Code,
	}
}
