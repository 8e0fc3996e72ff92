// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// manifest is the demo's user.
func manifest(api string) string {
	return fmt.Sprintf(`apiVersion: platform.cal.com/v1alpha1
kind: ManagedUser
metadata:
  name: alice
spec:
  oauthClient:
    id: %s
    secretKeyRef: {name: calcom, key: secretKey}
    apiURL: %s
  email: alice@example.com
  name: Alice
  timeZone: Europe/Rome
  timeFormat: 24
`, calcomtest.DefaultClient().ID, api)
}

// demo shows one user's life, and fails if anything of it does not happen.
func demo(ctx context.Context, s *session) error {
	client := calcomtest.DefaultClient()
	user := fmt.Sprintf("/oauth-clients/%s/users/1", client.ID)
	steps := []struct {
		title string
		do    func() error
	}{
		{"1. Apply: a Secret with the OAuth client's key, and a user", func() error {
			s.say(indent(manifest(s.stack.API)))
			return s.all(
				func() error {
					return s.kubectl(ctx, "", "create", "secret", "generic", "calcom", "--from-literal=secretKey="+client.Secret)
				},
				func() error { return s.kubectl(ctx, manifest(s.stack.API), "apply", "-f", "-") },
				func() error {
					return s.kubectl(ctx, "", "wait", "--for=condition=Ready", "manageduser/alice", "--timeout=30s")
				},
				func() error { return s.kubectl(ctx, "", "get", "managedusers") },
				func() error {
					return s.kubectl(ctx, "", "get", "manageduser", "alice", "-o", "jsonpath={.status.user}")
				},
			)
		}},
		{"2. Change the manifest: only what differs is sent", func() error {
			return s.all(
				func() error {
					return s.kubectl(ctx, "", "patch", "manageduser", "alice", "--type=merge", "-p", `{"spec":{"name":"Alice Liddell"}}`)
				},
				func() error { return s.waitFor(ctx, "{.status.user.name}", "Alice Liddell") },
			)
		}},
		{"3. Drift: somebody changes the user behind the operator's back, and it is set back", func() error {
			return s.all(
				func() error { return s.curl(ctx, http.MethodPatch, user, `{"timeFormat":12}`, http.StatusOK) },
				func() error {
					return s.waitFor(ctx, `{.status.conditions[?(@.type=="Synced")].reason}`, "DriftCorrected")
				},
				func() error { return s.waitFor(ctx, "{.status.user.timeFormat}", "24") },
				func() error {
					return s.kubectl(ctx, "", "get", "events", "--field-selector=involvedObject.name=alice", "-o", "custom-columns=REASON:.reason,MESSAGE:.message")
				},
			)
		}},
		{"4. Delete: the finalizer calls Cal.com's DELETE endpoint, then the object goes", func() error {
			return s.all(
				func() error { return s.kubectl(ctx, "", "delete", "manageduser", "alice", "--timeout=30s") },
				func() error { return s.curl(ctx, http.MethodGet, user, "", http.StatusNotFound) },
			)
		}},
	}
	for _, step := range steps {
		s.say("\n" + step.title)
		if err := step.do(); err != nil {
			return fmt.Errorf("%s: %w", step.title, err)
		}
	}
	s.say("\nDone: created, changed, corrected and deleted. \"make dev\" keeps all of this running for you to play with.")
	return nil
}

func (s *session) all(steps ...func() error) error {
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// kubectl shows a command and what it prints.
func (s *session) kubectl(ctx context.Context, stdin string, args ...string) error {
	s.say("  $ kubectl " + quoted(args))
	out, err := s.stack.Kubectl(ctx, stdin, args...)
	s.say(indent(string(out)))
	return err
}

// waitFor waits until a field of the object has a value, and shows it.
func (s *session) waitFor(ctx context.Context, path, value string) error {
	const patience = 30 * time.Second
	deadline := time.Now().Add(patience)
	for tick := time.Tick(100 * time.Millisecond); time.Now().Before(deadline); {
		out, err := s.stack.Kubectl(ctx, "", "get", "manageduser", "alice", "-o", "jsonpath="+path)
		if err != nil {
			return fmt.Errorf("reading alice: %w: %s", err, out)
		}
		if string(out) == value {
			return s.kubectl(ctx, "", "get", "manageduser", "alice", "-o", "jsonpath="+path)
		}
		select {
		case <-tick:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%s did not become %q within %v", path, value, patience)
}

// curl shows a call to the sandbox and its answer, as curl would make it. An answer of another status is an error.
func (s *session) curl(ctx context.Context, method, path, body string, status int) error {
	shown := "  $ curl -X " + method + " " + s.stack.API + path
	if body != "" {
		shown += " -d '" + body + "'"
	}
	s.say(shown)
	request, err := http.NewRequestWithContext(ctx, method, s.stack.API+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("x-cal-secret-key", calcomtest.DefaultClient().Secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	answer, err := io.ReadAll(response.Body)
	s.say(indent(fmt.Sprintf("%s %.160s", response.Status, answer)))
	_ = response.Body.Close()
	if response.StatusCode != status {
		return fmt.Errorf("%s %s answered %s, want %d", method, path, response.Status, status)
	}
	return err
}

func quoted(args []string) string {
	shown := make([]string, len(args))
	for i, arg := range args {
		shown[i] = arg
		if strings.ContainsAny(arg, " {}'\"?*") {
			shown[i] = "'" + arg + "'"
		}
	}
	return strings.Join(shown, " ")
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}
