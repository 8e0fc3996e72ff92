// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/calcom-operator/calcom-operator/test/stack/stacktest"
)

func TestMain(m *testing.M) { os.Exit(stacktest.Main(m)) }

// tools are programs that the tests take from the machine or build.
type tools struct {
	redis, gitBackend, argocd string
	assets                    string // What hack/argocd/assets.sh has made.
	bin                       string // Programs that it is not about.
}

// find returns the tools, and says all that is missing and how to get it.
func find(t *testing.T, root string) tools {
	t.Helper()
	assets := os.Getenv("ARGOCD_ASSETS")
	if assets == "" {
		t.Skip(`ARGOCD_ASSETS is not set, the folder of a built Argo CD: run "make test-argocd", which builds it`)
	}
	var missing []string
	look := func(program, remedy string) string {
		path, err := exec.LookPath(program)
		if err != nil {
			missing = append(missing, program+": "+remedy)
		}
		return path
	}
	found := tools{
		argocd: look(filepath.Join(assets, "argocd"), `"hack/argocd/assets.sh" builds it, and prints ARGOCD_ASSETS`),
		redis:  look("redis-server", "install the package redis-server or redis"),
		assets: assets,
		bin:    t.TempDir(),
	}
	if git := look("git", "install the package git"); git != "" {
		folder, err := exec.CommandContext(t.Context(), git, "--exec-path").Output()
		if err != nil {
			t.Fatalf("asking git for its folder: %v", err)
		}
		found.gitBackend = look(filepath.Join(strings.TrimSpace(string(folder)), "git-http-backend"),
			"it belongs to git; some systems have it in a package git-daemon")
	}
	if missing != nil {
		t.Fatalf("these programs are needed and missing:\n%s", strings.Join(missing, "\n"))
	}
	for name, args := range map[string][]string{
		"kustomize": {"-modfile=hack/tools/go.mod", "kustomize"},
		"helm":      {"-modfile=hack/tools/helm/go.mod", "helm.sh/helm/v3/cmd/helm"},
	} {
		tool := exec.CommandContext(t.Context(), "go", append([]string{"tool", "-n"}, args...)...)
		tool.Dir = root
		path, err := tool.Output()
		if err != nil {
			t.Fatalf("building %s: %v", name, err)
		}
		if err := os.Symlink(strings.TrimSpace(string(path)), filepath.Join(found.bin, name)); err != nil {
			t.Fatal(err)
		}
	}
	return found
}
