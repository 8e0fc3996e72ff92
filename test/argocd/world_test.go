// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/stack"
	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

// control is the namespace of Argo CD.
const control = "argocd"

// underPolicies is the label of namespaces in which config/policy keeps finalizers too. The other stories show what
// Argo CD does on a cluster without those policies, so the chart's are switched off.
const underPolicies = "finalizer-policies"

// world is everything that runs.
type world struct {
	stack  *stack.Stack
	root   string // Of the operator's module.
	client client.Client
	git    gitServer
	tools  tools
	api    string // Of Argo CD.

	processes []*process
}

// newWorld starts Argo CD, which installs the operator, and then the operator. All have just the rights with which they
// are shipped.
func newWorld(t *testing.T) *world {
	t.Helper()
	root, err := stack.Root(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w := &world{root: root, tools: find(t, root)}
	w.git = serveGit(t, w.tools)
	sandbox := []string{"--rate-limit=0", "--quiet"}
	for i := range stories {
		sandbox = append(sandbox, "--client=id="+clientID(i)+",secret="+clientSecret)
	}
	stacktest.Start(t, stack.Config{
		ControllerManager: true,
		SandboxArgs:       sandbox,
		OperatorArgs:      []string{"--leader-elect=false"},
		Install:           func(_ context.Context, s *stack.Stack) error { return w.prepare(t, s) },
	})
	t.Cleanup(func() { w.stop(t) }) // Before the API server, which waits for its clients.
	return w
}

// prepare does what the operator needs before it starts. After an error, the stack that is being started has to end its
// processes, which t.Fatal would prevent in this goroutine.
func (w *world) prepare(t *testing.T, s *stack.Stack) error {
	t.Helper()
	w.stack = s
	err := errors.New("preparing the cluster failed; see above")
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.connect(t)
		w.installArgoCD(t)
		w.startArgoCD(t)
		w.installOperator(t)
		w.applyPolicies(t)
		err = nil
	}()
	<-done
	if err != nil {
		w.stop(t)
	}
	return err
}

func (w *world) connect(t *testing.T) {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", w.stack.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	if err := v1alpha1.AddToScheme(clientgoscheme.Scheme); err != nil {
		t.Fatal(err)
	}
	if w.client, err = client.New(config, client.Options{Scheme: clientgoscheme.Scheme}); err != nil {
		t.Fatal(err)
	}
}

// build returns what kustomize makes of a kustomization in a folder of its own, with links to what it refers to.
func (w *world) build(t *testing.T, kustomization string, links map[string]string) string {
	t.Helper()
	folder := t.TempDir()
	for name, target := range links {
		// Kustomize reads no file outside its folder, and follows no link that leads there.
		if err := exec.CommandContext(t.Context(), "cp", "-r", target, filepath.Join(folder, name)).Run(); err != nil {
			t.Fatalf("copying %s: %v", target, err)
		}
	}
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), filepath.Join(w.tools.bin, "kustomize"), "build", folder)
	var problems bytes.Buffer
	build.Stderr = &problems
	text, err := build.Output()
	if err != nil {
		t.Fatalf("kustomize build: %v\n%s", err, &problems)
	}
	return string(text)
}

func (w *world) applyPolicies(t *testing.T) {
	t.Helper()
	policies := w.build(t, `resources: [policy]
patches:
  - target: {kind: ValidatingAdmissionPolicyBinding, name: "calcom-operator-(secret-)?finalizers"}
    patch: |
      - op: add
        path: /spec/matchResources
        value: {namespaceSelector: {matchLabels: {`+underPolicies+`: "true"}}}
  - target: {kind: ConfigMap, name: calcom-operator-allowed-api-urls}
    patch: |
      - op: replace
        path: /data/prefixes
        value: `+w.stack.API+`
`, map[string]string{"policy": filepath.Join(w.root, "config", "policy")})
	w.kubectl(t, policies, "apply", "--server-side", "-f", "-")
}

// installOperator has Argo CD install the operator by the example, from the chart as it is here.
func (w *world) installOperator(t *testing.T) {
	t.Helper()
	repo := w.git.repository(t, "calcom-operator")
	copied := exec.CommandContext(t.Context(), "cp", "-r", filepath.Join(w.root, "charts"), repo.worktree)
	if out, err := copied.CombinedOutput(); err != nil {
		t.Fatalf("copying the chart: %v\n%s", err, out)
	}
	revision := repo.commit("The chart")
	text, err := os.ReadFile(filepath.Join(w.root, "config", "argocd", "example", "operator.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	manifest := strings.NewReplacer(
		"https://github.com/calcom-operator/calcom-operator.git", repo.url,
		"targetRevision: v0.1.0", "targetRevision: main",
		"https://api.cal.com", w.stack.API,
		"        massDeleteLimit: 10\n", "        massDeleteLimit: 10\n        policies: {enabled: false}\n", // See underPolicies.
	).Replace(string(text))
	w.kubectl(t, manifest, "apply", "--server-side", "-f", "-")
	// No kubelet makes the Deployment available, so the Application is never Healthy.
	eventually(t, "Argo CD to install the operator", func() (string, bool) {
		a := w.application(t, "calcom-operator")
		return a.String(), a.has(revision)
	})
}

// installArgoCD applies Argo CD's manifests with our component, as docs/gitops.md says. No kubelet runs their pods.
func (w *world) installArgoCD(t *testing.T) {
	t.Helper()
	manifests := w.build(t, `namespace: `+control+`
resources: [install.yaml]
components: [component]
`, map[string]string{
		"install.yaml": filepath.Join(w.tools.assets, "install.yaml"),
		"component":    filepath.Join(w.root, "config", "argocd", "component"),
	})
	w.kubectl(t, "", "create", "namespace", control)
	w.kubectl(t, manifests, "apply", "--server-side", "-f", "-")
	w.kubectl(t, "", "wait", "--for=condition=Established", "--timeout="+patience.String(),
		"crd/applications.argoproj.io", "crd/applicationsets.argoproj.io", "crd/appprojects.argoproj.io")
}

func (w *world) startArgoCD(t *testing.T) {
	t.Helper()
	port, redis := freePort(t)
	w.start(t, nil, w.tools.redis, "--bind", "127.0.0.1", "--port", port, "--dir", t.TempDir(),
		"--save", "", "--appendonly", "no").answering(t, redis, "")

	port, repo := freePort(t)
	metricsPort, metrics := freePort(t)
	w.start(t, w.repoServerEnv(t), w.tools.argocd, "argocd-repo-server",
		"--disable-tls", "--client-ca-path=", "--redis="+redis, "--address=127.0.0.1", "--port="+port,
		"--metrics-address=127.0.0.1", "--metrics-port="+metricsPort).answering(t, metrics, "/healthz")

	metricsPort, metrics = freePort(t)
	w.serve(t, "argocd-application-controller", "--redis="+redis, "--repo-server="+repo,
		"--metrics-port="+metricsPort).answering(t, metrics, "/healthz")

	port, w.api = freePort(t)
	metricsPort, _ = freePort(t)
	w.serve(t, "argocd-server", "--redis="+redis, "--repo-server="+repo,
		"--insecure", "--disable-auth", "--address=127.0.0.1", "--port="+port, "--staticassets="+t.TempDir(),
		"--metrics-address=127.0.0.1", "--metrics-port="+metricsPort).answering(t, w.api, "/healthz")

	_, probe := freePort(t)
	_, webhook := freePort(t)
	w.serve(t, "argocd-applicationset-controller", "--argocd-repo-server="+repo, "--metrics-addr=0",
		"--probe-addr="+probe, "--webhook-addr="+webhook).answering(t, probe, "") // It knows no path.
}

// serve starts a server of Argo CD that acts in the cluster.
func (w *world) serve(t *testing.T, name string, args ...string) *process {
	t.Helper()
	args = append([]string{name, "--namespace=" + control, "--repo-server-plaintext"}, args...)
	return w.start(t, w.env(t, name), w.tools.argocd, args...)
}

// repoServerEnv keeps the repo server from all that is outside a folder of its own.
func (w *world) repoServerEnv(t *testing.T) []string {
	t.Helper()
	folder := t.TempDir()
	path := []string{w.tools.bin, w.tools.assets, os.Getenv("PATH")}
	return []string{
		"PATH=" + strings.Join(path, string(os.PathListSeparator)),
		"HOME=" + folder, "TMPDIR=" + folder, "ARGOCD_ASK_PASS_SOCK=" + filepath.Join(folder, "ask.sock"),
		"ARGOCD_GPG_ENABLED=false", "ARGOCD_TLS_DATA_PATH=" + folder, "ARGOCD_SSH_DATA_PATH=" + folder,
		"ARGOCD_PLUGINSOCKFILEPATH=" + folder, "no_proxy=127.0.0.1",
	}
}

// env is for a server of Argo CD that acts in the cluster, under the ServiceAccount of its name.
func (w *world) env(t *testing.T, account string) []string {
	t.Helper()
	config, err := clientcmd.LoadFromFile(w.stack.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	token := w.kubectl(t, "", "create", "token", account, "--namespace="+control, "--duration=24h")
	for name := range config.AuthInfos {
		config.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: strings.TrimSpace(token)}
	}
	for _, one := range config.Contexts {
		one.Namespace = control
	}
	path := filepath.Join(t.TempDir(), "kubeconfig")
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	// The second has what the examples call https://kubernetes.default.svc be the cluster of the kubeconfig.
	return []string{"KUBECONFIG=" + path, "ARGOCD_FAKE_IN_CLUSTER=true", "ARGOCD_GPG_ENABLED=false"}
}

// kubectl runs a command that has to succeed, as an administrator.
func (w *world) kubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, err := w.stack.Kubectl(t.Context(), stdin, args...)
	if err != nil {
		t.Fatalf("kubectl %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}
