// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// inspector looks into the sandbox and changes users in it: see calcomtest.Server.Inspector.
type inspector struct {
	url    string
	client calcomtest.OAuthClient
}

// remoteUser is a user as Cal.com has it.
type remoteUser struct {
	ID       int64
	Email    string // Stored form.
	Name     string
	Bio      string
	Metadata map[string]any
}

func (i *inspector) users(ctx context.Context) ([]remoteUser, error) {
	var users []remoteUser
	err := i.ask(ctx, http.MethodGet, "/clients/"+i.client.ID+"/users", "", &users)
	return users, err
}

// calls counts all calls since the start.
func (i *inspector) calls(ctx context.Context) (tallies, error) {
	var list []calcomtest.Tally
	if err := i.ask(ctx, http.MethodGet, "/calls", "", &list); err != nil {
		return nil, err
	}
	counted := make(tallies)
	for _, t := range list {
		counted[call{t.Op, t.Status}] = t.Calls
	}
	return counted, nil
}

func (i *inspector) update(ctx context.Context, id int64, body string) error {
	return i.ask(ctx, http.MethodPatch, fmt.Sprintf("/clients/%s/users/%d", i.client.ID, id), body, &struct{}{})
}

func (i *inspector) ask(ctx context.Context, method, path, body string, answer any) error {
	request, err := http.NewRequestWithContext(ctx, method, i.url+path, strings.NewReader(body))
	if err != nil {
		return fmt.Errorf("inspecting the sandbox: %w", err)
	}
	request.Header.Set("Content-Type", "application/json")
	text, err := fetch(request)
	if err != nil {
		return fmt.Errorf("inspecting the sandbox: %w", err)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("inspecting the sandbox: %w", err)
	}
	return nil
}

// fetch returns the body of an answer that has to be 200.
func fetch(request *http.Request) ([]byte, error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, fmt.Errorf("reading an answer: %w", err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s %s answers %s: %.200s", request.Method, request.URL.Path, response.Status, text)
	}
	return text, nil
}

// call is a kind of call to Cal.com by what it was and what it was answered.
type call struct {
	op     calcomtest.Op
	status int
}

// tallies counts calls.
type tallies map[call]int

// since returns what was added to an earlier count.
func (t tallies) since(before tallies) tallies {
	added := make(tallies)
	for kind, n := range t {
		if n > before[kind] {
			added[kind] = n - before[kind]
		}
	}
	return added
}

// of counts the calls of an operation; OpAny counts all.
func (t tallies) of(op calcomtest.Op) int {
	return t.count(func(kind call) bool { return op == calcomtest.OpAny || kind.op == op })
}

// withStatus counts the calls with a status.
func (t tallies) withStatus(status int) int {
	return t.count(func(kind call) bool { return kind.status == status })
}

// but counts the calls other than those of an operation.
func (t tallies) but(op calcomtest.Op) int { return t.of(calcomtest.OpAny) - t.of(op) }

func (t tallies) count(counts func(call) bool) int {
	sum := 0
	for kind, n := range t {
		if counts(kind) {
			sum += n
		}
	}
	return sum
}
