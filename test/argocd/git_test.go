// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package argocd

import (
	"net/http/cgi" //nolint:gosec // Httpoxy was mended in Go 1.6.3.
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// gitServer serves the repositories of a folder by HTTP, to be read only.
type gitServer struct{ url, folder string }

func serveGit(t *testing.T, found tools) gitServer {
	t.Helper()
	s := gitServer{folder: t.TempDir()}
	server := httptest.NewServer(&cgi.Handler{
		Path: found.gitBackend,
		Env:  []string{"GIT_PROJECT_ROOT=" + s.folder, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	})
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// repository is a Git repository with one branch, main.
type repository struct {
	t        *testing.T
	url      string
	worktree string
}

// repository makes an empty one, which the server has as name.git.
func (s gitServer) repository(t *testing.T, name string) *repository {
	t.Helper()
	r := &repository{t: t, url: s.url + "/" + name + ".git", worktree: t.TempDir()}
	r.git("init", "--quiet", "--initial-branch=main", "--separate-git-dir="+filepath.Join(s.folder, name+".git"))
	return r
}

func (r *repository) git(args ...string) string {
	r.t.Helper()
	git := exec.CommandContext(r.t.Context(), "git", args...)
	git.Dir = r.worktree
	git.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
		"GIT_AUTHOR_NAME=Test", "GIT_AUTHOR_EMAIL=test@example.com",
		"GIT_COMMITTER_NAME=Test", "GIT_COMMITTER_EMAIL=test@example.com")
	out, err := git.CombinedOutput()
	if err != nil {
		r.t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits the worktree as it is and returns the revision.
func (r *repository) commit(message string) string {
	r.t.Helper()
	r.git("add", "--all")
	r.git("commit", "--quiet", "--message="+message)
	return r.git("rev-parse", "HEAD")
}

func (r *repository) write(path, content string) {
	r.t.Helper()
	full := filepath.Join(r.worktree, path)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(content), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *repository) read(path string) string {
	r.t.Helper()
	content, err := os.ReadFile(filepath.Join(r.worktree, path))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(content)
}

// edit replaces a text that a file has to have.
func (r *repository) edit(path, before, after string) {
	r.t.Helper()
	content := r.read(path)
	if !strings.Contains(content, before) {
		r.t.Fatalf("%s does not have %q:\n%s", path, before, content)
	}
	r.write(path, strings.ReplaceAll(content, before, after))
}

func (r *repository) remove(path string) {
	r.t.Helper()
	if err := os.RemoveAll(filepath.Join(r.worktree, path)); err != nil {
		r.t.Fatal(err)
	}
}
