// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package monitoring

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

// Config says what is recorded.
type Config struct {
	// Dir is a folder for binaries and logs.
	Dir string
	// Scale is how much faster time goes on the server.
	Scale float64
	// Users is how many users there are at most.
	Users int
	// Minutes are how long each chapter lasts at least, in the recording's time; 0 for as long as it takes.
	Minutes float64
	// Say is told which chapter begins.
	Say func(string)
}

// ownerID begins the marks of the operator that is recorded.
const ownerID = "recorded"

// patience is how long anything may take, in real time.
const patience = 3 * time.Minute

// world is what is recorded: a leader, a standby, and a server.
type world struct {
	Config
	*Recording

	stack *stack.Stack
	proxy *proxy
	pods  map[string]string // By name, the addresses of their metrics.
	tick  *time.Ticker
}

// Record has a real operator, with a standby, live through good and bad times on a real API server, and scrapes both of
// them. KUBEBUILDER_ASSETS has to name the control plane's folder, and the working directory has to be in the
// operator's module.
func Record(ctx context.Context, config Config) (_ *Recording, err error) {
	w := &world{Config: config, pods: make(map[string]string)}
	if w.proxy, err = newProxy(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.proxy.server.Close()) }()
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.stack.Stop()) }()
	if w.Recording, err = newRecording(config.Scale, time.Now()); err != nil {
		return nil, err
	}
	every := time.Duration(15 / config.Scale * float64(time.Second))
	w.tick = time.NewTicker(every)
	defer w.tick.Stop()
	for _, c := range w.chapters() {
		config.Say(c.title)
		if err := w.live(ctx, c); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", c.title, err), w.Recording.Close())
		}
	}
	return w.Recording, nil
}

func (w *world) start(ctx context.Context) (err error) {
	flags := make(map[string][]string)
	for _, pod := range []string{"calcom-operator-a", "calcom-operator-b"} {
		if w.pods[pod], err = stack.FreeAddress(ctx); err != nil {
			return err
		}
		flags[pod] = []string{"--metrics-bind-address=" + w.pods[pod], "--metrics-secure=false"}
	}
	w.stack, err = stack.Start(ctx, stack.Config{
		Dir:         w.Dir,
		SandboxArgs: []string{"--rate-limit=75", fmt.Sprint("--time-scale=", w.Scale), "--quiet"},
		OperatorArgs: append([]string{
			"--allowed-api-urls=" + w.proxy.URL, "--owner-id=" + ownerID, "--mass-delete-limit=10",
			fmt.Sprint("--resync-interval=", w.real(10)), fmt.Sprint("--quota-window=", w.real(1)), fmt.Sprint("--unknown-outcome-grace=", w.real(2)),
		}, flags["calcom-operator-a"]...),
	})
	if err != nil {
		return err
	}
	if err := w.proxy.forwardTo(w.stack.API); err != nil {
		return errors.Join(err, w.stack.Stop())
	}
	if err := w.stack.StartStandby(ctx, flags["calcom-operator-b"]...); err != nil {
		return errors.Join(err, w.stack.Stop())
	}
	return nil
}

// real returns how long some minutes of the recording last.
func (w *world) real(minutes float64) time.Duration {
	return time.Duration(minutes * 60 / w.Scale * float64(time.Second)).Round(time.Millisecond)
}

// live does what happens in a chapter, and scrapes meanwhile, until it is seen in the metrics and the time has passed.
func (w *world) live(ctx context.Context, c chapter) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- inOrder(ctx, c.do) }()
	busy := true
	for begin := time.Now(); ; {
		select {
		case <-ctx.Done():
			return fmt.Errorf("the metrics do not show it: %s", w.summary())
		case err := <-done:
			if busy = false; err != nil {
				return err
			}
		case <-w.tick.C:
		}
		if err := w.scrape(ctx); err != nil {
			return err
		}
		if !busy && c.until() && time.Since(begin) >= w.real(w.Minutes*c.share) {
			return nil
		}
	}
}

func inOrder(ctx context.Context, steps []func(context.Context) error) error {
	for _, do := range steps {
		if err := do(ctx); err != nil {
			return err
		}
	}
	return nil
}

// summary tells how the users are.
func (w *world) summary() string {
	var all []string
	for _, s := range w.latest {
		if name := string(s.Metric["__name__"]); (name == managedUsers || name == heldUpBy) && s.Value != 0 {
			all = append(all, s.String())
		}
	}
	return strings.Join(all, "\n")
}

func (w *world) scrape(ctx context.Context) error {
	w.latest = nil
	for pod, address := range w.pods {
		body, err := send(ctx, http.MethodGet, "http://"+address+"/metrics", nil)
		if err != nil {
			return fmt.Errorf("scraping %s: %w", pod, err)
		}
		if err := w.add(ctx, pod, time.Now(), bytes.NewReader(body)); err != nil {
			return err
		}
	}
	return nil
}

// kubectl returns a step.
func (w *world) kubectl(stdin string, args ...string) func(context.Context) error {
	return func(ctx context.Context) error {
		out, err := w.stack.Kubectl(ctx, stdin, args...)
		if err != nil {
			return fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, out)
		}
		return nil
	}
}

// change changes some users in Cal.com as somebody would by hand.
func (w *world) change(users int, body string) func(context.Context) error {
	return func(ctx context.Context) error {
		base := w.stack.Inspection + "/clients/" + calcomtest.DefaultClient().ID + "/users"
		answer, err := send(ctx, http.MethodGet, base, nil)
		if err != nil {
			return err
		}
		var all []struct{ ID int64 }
		if err := json.Unmarshal(answer, &all); err != nil {
			return fmt.Errorf("reading the users: %w", err)
		}
		for _, user := range all[:min(users, len(all))] {
			if _, err := send(ctx, http.MethodPatch, fmt.Sprint(base, "/", user.ID), []byte(body)); err != nil {
				return err
			}
		}
		return nil
	}
}

// leak creates a user in Cal.com with the mark of an object that does not exist.
func (w *world) leak(ctx context.Context) error {
	client := calcomtest.DefaultClient()
	_, err := send(ctx, http.MethodPost, w.stack.API+"/oauth-clients/"+client.ID+"/users",
		[]byte(`{"email": "ghost@example.com", "name": "Ghost", "metadata": {"kubernetesOwner": "`+ownerID+`/default/ghost/00000000-0000-4000-8000-000000000001"}}`))
	return err
}

func send(ctx context.Context, method, url string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	client := calcomtest.DefaultClient()
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Cal-Client-Id", client.ID)
	request.Header.Set("X-Cal-Secret-Key", client.Secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	var answer bytes.Buffer
	if _, err := answer.ReadFrom(response.Body); err != nil {
		return nil, err
	}
	if response.StatusCode >= http.StatusMultipleChoices {
		return nil, fmt.Errorf("%s %s: status %d: %s", method, url, response.StatusCode, answer.Bytes())
	}
	return answer.Bytes(), nil
}
