// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package bench

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
	"github.com/calcom-operator/calcom-operator/test/stack"
)

const (
	// namespaces are as many as share the users, each with a Secret of its own.
	namespaces = 4
	// pushers are as many as write to the API server at a time.
	pushers = 8
	// pollPeriod is how often the figures of other processes are looked at.
	pollPeriod = 20 * time.Millisecond
	// keptLines of the operator's log are shown after an error.
	keptLines = 20
)

// world is what runs and what looks at it.
type world struct {
	config  Config
	stack   *stack.Stack
	audit   *stack.Audit
	kube    client.Client
	seen    *observer
	sandbox *inspector
	// metrics and pprof are the base URLs of the operator's endpoints.
	metrics, pprof string
	cancel         context.CancelFunc // Ends the observer.
	users          int                // Created up to now.

	mu    sync.Mutex
	lines []string
}

func newWorld(ctx context.Context, config Config, dir string) (*world, error) {
	w := &world{config: config, sandbox: &inspector{client: calcomtest.DefaultClient()}}
	if err := w.startStack(ctx, dir); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, w.lastLines())
	}
	w.sandbox.url, w.audit = w.stack.Inspection, w.stack.Audit()
	watching, cancel := context.WithCancel(ctx)
	w.cancel = cancel
	if err := errors.Join(w.connect(watching), w.prepare(ctx)); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) startStack(ctx context.Context, dir string) error {
	addresses := make([]string, 2)
	for i := range addresses {
		var err error
		if addresses[i], err = stack.FreeAddress(ctx); err != nil {
			return err
		}
	}
	w.metrics, w.pprof = "http://"+addresses[0]+"/metrics", "http://"+addresses[1]+"/debug/pprof/"
	limit := 0
	if w.config.Profile == Quota {
		limit = quotaLimit
	}
	operator := []string{
		"--metrics-bind-address=" + addresses[0], "--metrics-secure=false",
		"--allowed-api-urls=http://127.0.0.1", // The sandbox, and the server of the slow client.
		fmt.Sprintf("--resync-interval=%v", w.config.Interval), fmt.Sprintf("--quota-window=%v", w.config.window()),
	}
	if w.config.ProfileDir != "" {
		operator = append(operator, "--pprof-bind-address="+addresses[1])
	}
	operator = append(operator, w.config.OperatorFlags...)
	started, err := stack.Start(ctx, stack.Config{
		Dir: dir, AuditLog: true, OperatorArgs: operator, Operator: w.keep,
		SandboxArgs: []string{
			"--quiet", fmt.Sprintf("--latency=%v", w.config.Latency),
			fmt.Sprintf("--rate-limit=%d", limit), fmt.Sprintf("--time-scale=%v", w.config.TimeScale),
		},
	})
	w.stack = started
	return err
}

// keep keeps the last lines of the operator's log.
func (w *world) keep(line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line)
	if len(w.lines) > keptLines {
		w.lines = w.lines[1:]
	}
}

func (w *world) lastLines() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return "the operator's last lines:\n" + strings.Join(w.lines, "\n")
}

func (w *world) close() error {
	if w.cancel != nil {
		w.cancel()
	}
	return w.stack.Stop()
}

// connect makes the client and begins to observe.
func (w *world) connect(ctx context.Context) error {
	config, err := clientcmd.BuildConfigFromFlags("", w.stack.Kubeconfig)
	if err != nil {
		return fmt.Errorf("reading the kubeconfig: %w", err)
	}
	config.QPS = -1 // The API server does the limiting.
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return fmt.Errorf("making the scheme: %w", err)
	}
	if w.kube, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return fmt.Errorf("making the client: %w", err)
	}
	w.seen, err = observe(ctx, config, scheme)
	return err
}

// prepare makes what users need: namespaces, each with the Secret of the OAuth client, and what ClientKind asks for.
func (w *world) prepare(ctx context.Context) error {
	if w.kube == nil {
		return nil // Connecting failed.
	}
	for i := range namespaces {
		name := namespaceOf(i)
		if err := w.kube.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}); err != nil {
			return fmt.Errorf("making a namespace: %w", err)
		}
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: name, Name: secretName}}
		secret.StringData = map[string]string{secretKey: w.sandbox.client.Secret}
		if err := w.kube.Create(ctx, secret); err != nil {
			return fmt.Errorf("making a Secret: %w", err)
		}
		if err := clientKinds[w.config.ClientKind].prepare(ctx, w, name); err != nil {
			return fmt.Errorf("making an OAuth client: %w", err)
		}
	}
	return nil
}

// setSecretKey changes the secret key in every namespace.
func (w *world) setSecretKey(ctx context.Context, value string) error {
	patch := client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"stringData":{%q:%q}}`, secretKey, value))
	for i := range namespaces {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespaceOf(i), Name: secretName}}
		if err := w.kube.Patch(ctx, secret, patch); err != nil {
			return fmt.Errorf("changing a Secret: %w", err)
		}
	}
	return nil
}

// each calls a function for 0 to n-1, several at a time, and returns the first error.
func each(ctx context.Context, n int, do func(ctx context.Context, i int) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workqueue.ParallelizeUntil(ctx, pushers, n, func(i int) {
		if err := do(ctx, i); err != nil {
			cancel(err) // The first one counts.
		}
	})
	return context.Cause(ctx)
}

// until waits for a condition. The error says what for.
func (w *world) until(ctx context.Context, what string, holds func(context.Context) (bool, error)) error {
	if err := wait.PollUntilContextTimeout(ctx, pollPeriod, w.config.patience(), true, holds); err != nil {
		return fmt.Errorf("waiting for %s: %w", what, err)
	}
	return nil
}

// pause lets time pass in which nothing is asked of anybody.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
