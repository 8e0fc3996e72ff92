// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/yaml"
)

// object is a manifest of a page.
type object map[string]any

func (o object) kind() schema.GroupVersionKind {
	version, _ := o["apiVersion"].(string)
	kind, _ := o["kind"].(string)
	return schema.FromAPIVersionAndKind(version, kind)
}

// scratch is a namespace for what is sent to the API server only to be looked at.
const scratch = "docs-dry-run"

var documents = regexp.MustCompile(`(?m)^---\s*$`)

// check looks at a yaml block, and saves it if it is a file.
func (r *reader) check(s *step) error {
	if name, ok := s.mark("file"); ok {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(s.text), 0o600); err != nil {
			return err
		}
	}
	if chart, ok := s.mark("values of"); ok {
		return r.render(chart, s.text)
	}
	if where, ok := s.mark("part of"); ok {
		return r.checkPart(where, s.text)
	}
	for _, document := range documents.Split(s.text, -1) {
		var o object
		if err := yaml.UnmarshalStrict([]byte(document), &o); err != nil {
			return err
		}
		r.objects = append(r.objects, o)
		if err := r.dryRun(o); err != nil {
			return err
		}
	}
	return nil
}

// dryRun has the API server check an object, or looks at it roughly if the server does not know its kind.
func (r *reader) dryRun(o object) error {
	kind := o.kind()
	if kind.Kind == "" || kind.Version == "" {
		return errors.New(`the block is no object: say what it is a "part of", or that it is "not run"`)
	}
	namespaced, known, err := r.cluster.namespaced(kind)
	if err != nil {
		return err
	}
	if !known {
		return foreign(o)
	}
	copied := maps.Clone(o)
	if metadata, ok := o["metadata"].(map[string]any); ok && namespaced {
		metadata = maps.Clone(metadata)
		delete(metadata, "namespace") // Another object of this name must not be in the way.
		copied["metadata"] = metadata
	}
	manifest, err := yaml.Marshal(copied)
	if err != nil {
		return err
	}
	args := []string{"apply", "--server-side", "--dry-run=server", "--validate=strict", "--force-conflicts", "--filename=-"}
	if namespaced {
		if out, err := r.cluster.Kubectl(r.Context(), "", "create", "namespace", scratch); err != nil && !strings.Contains(string(out), "AlreadyExists") {
			return fmt.Errorf("making a namespace: %w: %s", err, out)
		}
		args = append(args, "--namespace="+scratch)
	}
	if out, err := r.cluster.Kubectl(r.Context(), string(manifest), args...); err != nil {
		return fmt.Errorf("the API server refuses the manifest: %w: %s", err, out)
	}
	return nil
}

// foreign checks the outline of an object whose kind is another project's.
func foreign(o object) error {
	kind := o.kind()
	if !strings.Contains(kind.Group, ".") {
		return fmt.Errorf("the API server has no kind %s", kind)
	}
	if kind.Group == "platform.cal.com" {
		return fmt.Errorf("there is no kind %s", kind)
	}
	metadata, _ := o["metadata"].(map[string]any)
	if name, _ := metadata["name"].(string); name == "" && kind.Group != "kustomize.config.k8s.io" {
		return fmt.Errorf("%s has no metadata.name", kind.Kind)
	}
	return nil
}

// skeletons are objects of which pages show a part alone.
var skeletons = map[string]object{
	"ConfigMap": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": "part"}},
}

// checkPart puts a piece into the last object of a kind on the page, and checks the whole.
func (r *reader) checkPart(where, text string) error {
	kind, path, _ := strings.Cut(where, " at ")
	whole := skeletons[kind]
	for _, o := range slices.Backward(r.objects) {
		if o.kind().Kind == kind {
			whole = o
			break
		}
	}
	if whole == nil {
		return fmt.Errorf("no %s stands before its part", kind)
	}
	var part any
	if err := yaml.UnmarshalStrict([]byte(text), &part); err != nil {
		return err
	}
	var keys []string
	if path != "" {
		keys = strings.Split(path, ".")
	}
	merged, err := put(map[string]any(whole), keys, part)
	if err != nil {
		return fmt.Errorf("part of %s: %w", where, err)
	}
	fields, ok := merged.(map[string]any)
	if !ok {
		return fmt.Errorf("part of %s: the whole is no object", where)
	}
	return r.dryRun(fields)
}

// put returns a copy of a value with a part merged into it at a path of keys and indices.
func put(value any, path []string, part any) (any, error) {
	switch value := value.(type) {
	case map[string]any:
		copied := maps.Clone(value)
		if len(path) > 0 {
			inner, err := put(value[path[0]], path[1:], part)
			copied[path[0]] = inner
			return copied, err
		}
		fields, ok := part.(map[string]any)
		if !ok {
			return nil, errors.New("the part is no map")
		}
		maps.Copy(copied, fields)
		return copied, nil
	case []any:
		if len(path) == 0 {
			return part, nil
		}
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(value) {
			return nil, fmt.Errorf("there is no item %s", path[0])
		}
		copied := slices.Clone(value)
		copied[i], err = put(value[i], path[1:], part)
		return copied, err
	case nil:
		if len(path) > 0 {
			inner, err := put(nil, path[1:], part)
			return map[string]any{path[0]: inner}, err
		}
	}
	if len(path) > 0 {
		return nil, fmt.Errorf("there is no %s", path[0])
	}
	return part, nil
}

// render has Helm read values, by the chart's schema too.
func (r *reader) render(chart, values string) error {
	binary, err := helm(r.Context())
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(r.Context(), binary, "template", "docs", chart, "--values=-")
	cmd.Dir = root
	cmd.Stdin = strings.NewReader(values)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("rendering %s with these values: %w\n%s", chart, err, out)
	}
	return nil
}

// helm returns the path of the Helm that the repository pins, which is compiled the first time.
func helm(ctx context.Context) (string, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "-n", "-modfile="+filepath.Join("hack", "tools", "helm", "go.mod"), "helm.sh/helm/v4/cmd/helm")
	cmd.Dir = root
	out, err := cmd.Output()
	if failed, ok := errors.AsType[*exec.ExitError](err); ok {
		return "", fmt.Errorf("building helm: %w\n%s", err, failed.Stderr)
	}
	return strings.TrimSpace(string(out)), err
}

func TestPut(t *testing.T) {
	whole := map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": "1", "d": "2"}}}}
	for name, tc := range map[string]struct {
		path []string
		part any
		want any
	}{
		"Top":     {nil, map[string]any{"e": "3"}, map[string]any{"a": whole["a"], "e": "3"}},
		"Inner":   {[]string{"a", "b", "0"}, map[string]any{"c": "3"}, map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": "3", "d": "2"}}}}},
		"New":     {[]string{"x", "y"}, "z", map[string]any{"a": whole["a"], "x": map[string]any{"y": "z"}}},
		"NoItem":  {[]string{"a", "b", "7"}, "z", nil},
		"NoField": {[]string{"a", "b", "0", "c", "x"}, "z", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := put(whole, tc.path, tc.part)
			if (err != nil) != (tc.want == nil) {
				t.Fatalf("error: %v", err)
			}
			if err != nil {
				return
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("merged (-want +got):\n%s", d)
			}
		})
	}
}
