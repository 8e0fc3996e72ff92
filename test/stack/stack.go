// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package stack runs the whole thing on one machine, as demos and end-to-end tests need it: a real API server, the
// sandbox of Cal.com and the operator, the latter two as built binaries in processes of their own. The operator is
// installed from config/default, or as the test says, and runs with the flags of its Deployment under its own
// ServiceAccount, with just the rights that are shipped. Everything listens on 127.0.0.1 and keeps its files in one
// folder.
package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
)

// Namespace is where config/default puts the operator.
const Namespace = "calcom-system"

// patience bounds each wait for a process to be ready.
const patience = 60 * time.Second

// Config says what to run and where.
type Config struct {
	// Dir is an existing folder for binaries, kubeconfigs and logs.
	Dir string
	// Binaries is a folder that Build has filled, for several stacks of one version; empty has Start compile into Dir.
	Binaries string
	// SandboxArgs and OperatorArgs are added to the flags that the stack itself needs.
	SandboxArgs, OperatorArgs []string
	// OperatorEnv is what the Stack's OperatorEnv is at first.
	OperatorEnv []string
	// API is the base URL, with /v2, of a sandbox that runs already: of a test that wants its call log, or of another
	// stack. No sandbox is started then, and Inspection is empty.
	API string
	// ControllerManager also starts kube-controller-manager, which KUBEBUILDER_ASSETS has to hold then, with the
	// controllers that delete namespaces and what belongs to objects that are gone.
	ControllerManager bool
	// Sandbox, Operator and ControllerManagerLog are told each line that the processes print; nil drops them.
	Sandbox, Operator, ControllerManagerLog func(line string)
	// Install puts the operator's objects into the cluster, with a Deployment and a ServiceAccount of the name
	// calcom-operator in Namespace; nil applies config/default. The Stack has its control plane and its sandbox by
	// then.
	Install func(ctx context.Context, s *Stack) error
	// AuditLog makes OperatorRequests tell what the operator asked of the API server.
	AuditLog bool
}

// Stack is what runs. Its methods are not safe for concurrent use.
type Stack struct {
	// Kubeconfig is the path of an administrator's kubeconfig.
	Kubeconfig string
	// API is the base URL of the sandbox, with /v2.
	API string
	// Inspection is the base URL of the sandbox's inspector: see calcomtest.Server.Inspector.
	Inspection string

	// OperatorEnv are variables for the operator from its next start on, as name=value.
	OperatorEnv []string

	config            Config
	root              string
	controlPlane      *envtest.Environment
	controllerManager *process
	sandbox           *process
	operator          *process
	standby           *process
}

// Start builds the binaries and starts the control plane, the sandbox and the operator. KUBEBUILDER_ASSETS has to name
// the folder with etcd, kube-apiserver and kubectl. After an error nothing is left running.
func Start(ctx context.Context, config Config) (*Stack, error) {
	s := &Stack{config: config, Kubeconfig: filepath.Join(config.Dir, "kubeconfig"), OperatorEnv: config.OperatorEnv}
	for _, step := range []func(context.Context) error{
		s.build, s.startControlPlane, s.startControllerManager, s.startSandbox, s.install, s.StartOperator,
	} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Stop())
		}
	}
	return s, nil
}

// Stop ends everything, in the opposite order.
func (s *Stack) Stop() error {
	errs := []error{s.standby.stop(), s.StopOperator(), s.sandbox.stop()}
	if s.controllerManager != nil {
		s.controllerManager.kill() // It knows no graceful end.
	}
	if s.controlPlane != nil {
		errs = append(errs, s.controlPlane.Stop())
		s.controlPlane = nil
	}
	return errors.Join(errs...)
}

func (s *Stack) build(ctx context.Context) (err error) {
	if s.root, err = Root(ctx); err != nil {
		return err
	}
	if s.config.Binaries != "" {
		return nil
	}
	s.config.Binaries = s.config.Dir
	return Build(ctx, s.config.Dir)
}

// silence drops what envtest logs. Several stacks may start at once, and the logger of the process is set only once.
var silence = sync.OnceFunc(func() { log.SetLogger(logr.Discard()) })

// controlPlaneAttempts is how often a control plane is started before its error counts. envtest gives a new API server
// 5 s to make its first namespace, which is not always enough where other processes compile or start at the same time.
const controlPlaneAttempts = 3

func (s *Stack) startControlPlane(context.Context) error {
	silence()
	for attempt := 1; ; attempt++ {
		s.controlPlane = &envtest.Environment{ControlPlaneStartTimeout: patience}
		if err := s.configureAudit(s.controlPlane); err != nil {
			return err
		}
		_, err := s.controlPlane.Start()
		if err == nil {
			break
		}
		if attempt == controlPlaneAttempts {
			return fmt.Errorf("starting the control plane (is KUBEBUILDER_ASSETS set?): %w", err)
		}
		if err := s.controlPlane.Stop(); err != nil {
			return fmt.Errorf("stopping a control plane that did not start: %w", err)
		}
	}
	if err := os.WriteFile(s.Kubeconfig, s.controlPlane.KubeConfig, 0o600); err != nil {
		return fmt.Errorf("writing the kubeconfig: %w", err)
	}
	return nil
}

func (s *Stack) startSandbox(context.Context) error {
	if s.config.API != "" {
		s.API = s.config.API
		return nil
	}
	const greeting, inspection = "Cal.com sandbox at ", "inspection at "
	urls := map[string]chan string{greeting: make(chan string, 1), inspection: make(chan string, 1)}
	var err error
	args := append([]string{"--listen=127.0.0.1:0", "--inspect=127.0.0.1:0"}, s.config.SandboxArgs...)
	s.sandbox, err = start(filepath.Join(s.config.Binaries, "calcom-sandbox"), args, nil, func(line string) {
		for prefix, url := range urls {
			if rest, ok := strings.CutPrefix(line, prefix); ok {
				select {
				case url <- strings.Trim(strings.Fields(rest)[0], ","):
				default:
				}
				return
			}
		}
		if s.config.Sandbox != nil {
			s.config.Sandbox(line)
		}
	})
	if err != nil {
		return fmt.Errorf("starting the sandbox: %w", err)
	}
	late := time.After(patience)
	for prefix, url := range map[string]*string{greeting: &s.API, inspection: &s.Inspection} {
		select {
		case *url = <-urls[prefix]:
		case <-s.sandbox.ended:
			return errors.New("the sandbox ended at once")
		case <-late:
			return errors.New("the sandbox did not say where it listens")
		}
	}
	return nil
}

func (s *Stack) operatorKubeconfig() string {
	return filepath.Join(s.config.Dir, "operator.kubeconfig")
}

// StartOperator starts the operator, again or for the first time, and waits until it is ready.
func (s *Stack) StartOperator(ctx context.Context) (err error) {
	s.operator, err = s.launch(ctx)
	return err
}

// StartStandby starts a second operator beside the first, with flags of its own after the others, and waits until it is
// ready. It waits for the first one's lease, and is the operator from when that one is killed.
func (s *Stack) StartStandby(ctx context.Context, flags ...string) (err error) {
	s.standby, err = s.launch(ctx, flags...)
	return err
}

// launch returns an operator that is ready. When it does not become ready, it is returned with the error.
func (s *Stack) launch(ctx context.Context, flags ...string) (*process, error) {
	probe, err := FreeAddress(ctx)
	if err != nil {
		return nil, err
	}
	args, err := s.installedArgs(ctx)
	if err != nil {
		return nil, err
	}
	args = append(args, "--kubeconfig="+s.operatorKubeconfig(), "--metrics-bind-address=0", "--health-probe-bind-address="+probe,
		"--leader-election-namespace="+Namespace, "--operator-namespace="+Namespace)
	if !slices.ContainsFunc(args, func(arg string) bool { return strings.HasPrefix(arg, "--allowed-api-urls=") }) {
		args = append(args, "--allowed-api-urls="+s.API)
	}
	args = append(append(args, s.config.OperatorArgs...), flags...)
	p, err := start(filepath.Join(s.config.Binaries, "manager"), args, s.OperatorEnv, s.config.Operator)
	if err != nil {
		return nil, fmt.Errorf("starting the operator: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for tick := time.NewTicker(50 * time.Millisecond); ; {
		if answers(ctx, "http://"+probe+"/readyz") {
			tick.Stop()
			return p, nil
		}
		select {
		case <-tick.C:
		case <-p.ended:
			return p, errors.New("the operator ended at once; its log says why")
		case <-ctx.Done():
			return p, errors.New("the operator did not become ready; its log says why")
		}
	}
}

// installedArgs returns the flags of the Deployment. Those that tell a pod where it is have to follow.
func (s *Stack) installedArgs(ctx context.Context) ([]string, error) {
	out, err := s.Kubectl(ctx, "", "get", "deployment", "calcom-operator", "-n", Namespace, "-o", "jsonpath={.spec.template.spec.containers[0].args}")
	if err != nil {
		return nil, fmt.Errorf("reading the operator's Deployment: %w\n%s", err, out)
	}
	var args []string
	if err := json.Unmarshal(out, &args); err != nil {
		return nil, fmt.Errorf("reading the operator's flags from %q: %w", out, err)
	}
	return args, nil
}

// Binaries returns the folder that holds manager and calcom-sandbox.
func (s *Stack) Binaries() string { return s.config.Binaries }

// OperatorPID returns the id of the operator's process.
func (s *Stack) OperatorPID() int { return s.operator.cmd.Process.Pid }

// StopOperator ends the operator as Kubernetes would, by SIGTERM.
func (s *Stack) StopOperator() error { return s.operator.stop() }

// KillOperator ends the operator at once, by SIGKILL. A standby is the operator from then on.
func (s *Stack) KillOperator() {
	s.operator.kill()
	if s.standby != nil {
		s.operator, s.standby = s.standby, nil
	}
}

// Kubectl runs kubectl as an administrator, with the given standard input, and returns what it printed.
func (s *Stack) Kubectl(ctx context.Context, stdin string, args ...string) ([]byte, error) {
	kubectl := exec.CommandContext(ctx, filepath.Join(os.Getenv("KUBEBUILDER_ASSETS"), "kubectl"), args...)
	kubectl.Env = append(os.Environ(), "KUBECONFIG="+s.Kubeconfig)
	kubectl.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	kubectl.Stdout, kubectl.Stderr = &out, &out
	err := kubectl.Run()
	return out.Bytes(), err
}

func answers(ctx context.Context, url string) bool {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return false
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return false
	}
	_ = response.Body.Close()
	return response.StatusCode == http.StatusOK
}

// The ports that FreeAddress chooses from. They are below those from which systems take the ports of outgoing
// connections: one of these may be taken between two looks.
const firstPort, ports = 20_000, 10_000

// FreeAddress returns an address that nobody listens on at the moment.
func FreeAddress(ctx context.Context) (string, error) {
	var listener net.Listener
	err := errors.New("no attempt")
	for attempt := 0; err != nil && attempt < 20; attempt++ {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(firstPort+rand.IntN(ports))) //nolint:gosec // It guards nothing.
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	}
	if err != nil {
		return "", fmt.Errorf("finding a free port: %w", err)
	}
	return listener.Addr().String(), listener.Close()
}
