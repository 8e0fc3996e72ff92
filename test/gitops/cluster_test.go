// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package gitops

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
)

// patience bounds each wait.
const patience = 2 * time.Minute

// clientID and clientSecret are those of the sandbox's OAuth client, which "dev up" prints too.
const clientID, clientSecret = "cltestclient0000000000001", "test-secret-1"

// cluster is a control plane with the operator and a sandbox of Cal.com, as "make dev" starts them.
type cluster struct {
	*testing.T

	kubeconfig, api string

	mu     sync.Mutex
	output []string
}

func startCluster(t *testing.T) *cluster {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal(`KUBEBUILDER_ASSETS is not set: run "make test", or export KUBEBUILDER_ASSETS=$(hack/controlplane/assets.sh)`)
	}
	program := filepath.Join(t.TempDir(), "dev")
	build := exec.CommandContext(t.Context(), "go", "build", "-o", program, "./hack/dev")
	build.Dir = absolute(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building hack/dev: %v\n%s", err, out)
	}
	c := &cluster{T: t}
	dev := exec.CommandContext(context.WithoutCancel(t.Context()), program, "up") // It ends by signal.
	dev.Dir = absolute(t)
	reader, writer := io.Pipe()
	dev.Stdout, dev.Stderr = writer, writer
	if err := dev.Start(); err != nil {
		t.Fatal(err)
	}
	running := make(chan struct{})
	ended := make(chan error, 1)
	go c.listen(reader, running)
	go func() {
		ended <- dev.Wait()
		_ = writer.Close()
	}()
	t.Cleanup(func() {
		_ = dev.Process.Signal(syscall.SIGTERM) // It may have ended.
		if err := <-ended; err != nil || t.Failed() {
			c.mu.Lock()
			defer c.mu.Unlock()
			t.Logf("dev up ended: %v\n%s", err, strings.Join(c.output, "\n"))
		}
	})
	select {
	case <-running:
	case err := <-ended:
		ended <- err
		t.Fatal("dev up ended at once")
	case <-time.After(2 * patience): // It compiles the operator.
		t.Fatal("dev up did not say that everything runs")
	}
	return c
}

// within is the cluster for a subtest.
func (c *cluster) within(t *testing.T) *cluster {
	t.Helper()
	return &cluster{T: t, kubeconfig: c.kubeconfig, api: c.api}
}

// listen keeps what dev up prints, and finds in it where things are.
func (c *cluster) listen(reader io.Reader, running chan<- struct{}) {
	defer func() { _, _ = io.Copy(io.Discard, reader) }() // A line too long for the scanner must not block the process.
	for lines := bufio.NewScanner(reader); lines.Scan(); {
		line := lines.Text()
		c.mu.Lock()
		c.output = append(c.output, line)
		c.mu.Unlock()
		if _, path, ok := strings.Cut(line, "export KUBECONFIG="); ok {
			c.kubeconfig = path
		}
		if _, rest, ok := strings.Cut(line, "The sandbox answers at "); ok {
			c.api, _, _ = strings.Cut(rest, ",")
			close(running)
		}
	}
}

// tryKubectl returns what kubectl printed to its standard output.
func (c *cluster) tryKubectl(stdin string, args ...string) (string, error) {
	kubectl := exec.CommandContext(c.Context(), filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
	kubectl.Env = append(os.Environ(), "KUBECONFIG="+c.kubeconfig)
	kubectl.Stdin = strings.NewReader(stdin)
	var out, problems bytes.Buffer
	kubectl.Stdout, kubectl.Stderr = &out, &problems
	if err := kubectl.Run(); err != nil {
		return out.String(), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, &problems)
	}
	return out.String(), nil
}

func (c *cluster) kubectl(stdin string, args ...string) string {
	c.Helper()
	out, err := c.tryKubectl(stdin, args...)
	if err != nil {
		c.Fatal(err)
	}
	return out
}

// live reads an object as it is now.
func (c *cluster) live(object *unstructured.Unstructured) *unstructured.Unstructured {
	c.Helper()
	text := c.kubectl("", on("get", object, "-o", "json", "--show-managed-fields")...)
	is := &unstructured.Unstructured{}
	if err := is.UnmarshalJSON([]byte(text)); err != nil {
		c.Fatal(err)
	}
	return is
}

// on are the arguments of a verb for an object.
func on(verb string, object *unstructured.Unstructured, flags ...string) []string {
	args := append([]string{verb, strings.ToLower(object.GetKind()) + "/" + object.GetName()}, flags...)
	if namespace := object.GetNamespace(); namespace != "" {
		args = append(args, "--namespace="+namespace)
	}
	return args
}

// cal makes a call of the sandbox with the client's key.
func (c *cluster) cal(method, path, body string) {
	c.Helper()
	request, err := http.NewRequestWithContext(c.Context(), method, c.api+"/oauth-clients/"+clientID+path, strings.NewReader(body))
	if err != nil {
		c.Fatal(err)
	}
	request.Header.Set("x-cal-secret-key", clientSecret)
	request.Header.Set("content-type", "application/json")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		c.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode >= http.StatusMultipleChoices {
		c.Fatalf("%s %s: status %d, %v\n%s", method, path, response.StatusCode, err, answer)
	}
}

// act runs one of the actions on a live object and sends the patch, as Argo CD does.
func (c *cluster) act(custom customizations, object *unstructured.Unstructured, action string) {
	c.Helper()
	patch, err := json.Marshal(patchOf(c.T, custom.actions[object.GetKind()].definition(action), c.live(object).Object))
	if err != nil {
		c.Fatal(err)
	}
	c.kubectl("", on("patch", object, "--type=merge", "--patch="+string(patch))...)
}

// wait waits for something of an object, in kubectl's words.
func (c *cluster) wait(object *unstructured.Unstructured, condition string) {
	c.Helper()
	c.kubectl("", on("wait", object, "--for="+condition, "--timeout="+patience.String())...)
}

// eventually repeats a command until it succeeds: kubectl wait gives up at once on a CRD so new that its conditions are
// null.
func (c *cluster) eventually(stdin string, args ...string) {
	c.Helper()
	var last error
	err := wait.PollUntilContextTimeout(c.Context(), 100*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		_, last = c.tryKubectl(stdin, args...)
		return last == nil, nil
	})
	if err != nil {
		c.Fatal(last)
	}
}
