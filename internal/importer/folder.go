// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package importer

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	goyaml "go.yaml.in/yaml/v2"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kyaml "sigs.k8s.io/kustomize/kyaml/yaml"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// Kustomization is the name of the file that lists the manifests.
const Kustomization = "kustomization.yaml"

// Manifests hold addresses, so they are first of all their owner's.
const (
	filePermissions   = 0o600
	folderPermissions = 0o750
)

// Folder is a directory of manifests, as an import left it and as people have edited it since.
type Folder struct {
	path string
	root *os.Root // Nil until there is a directory.
	// users are the files of the users that have manifests, by id.
	users map[int64]string
	// names are those of the ManagedUser objects in the folder.
	names []string
	// files are the names of what is there, in lower case: some file systems take no notice of it.
	files map[string]bool
	// added are the manifests to be written, by file.
	added map[string][]byte
}

// Open reads a folder, which need not exist yet.
func Open(path string) (*Folder, error) {
	f := &Folder{path: path, users: make(map[int64]string), files: make(map[string]bool), added: make(map[string][]byte)}
	root, err := os.OpenRoot(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return nil, fmt.Errorf("opening the folder: %w", err)
	}
	f.root = root
	entries, err := fs.ReadDir(root.FS(), ".")
	if err != nil {
		return nil, fmt.Errorf("reading the folder: %w", err)
	}
	for _, entry := range entries {
		extension := filepath.Ext(entry.Name())
		f.files[strings.ToLower(entry.Name())] = true
		if entry.IsDir() || extension != ".yaml" && extension != ".yml" {
			continue
		}
		if err := f.read(entry.Name()); err != nil {
			return nil, fmt.Errorf("reading %s: %w", filepath.Join(path, entry.Name()), err)
		}
	}
	return f, nil
}

// read notes the users in a file.
func (f *Folder) read(name string) error {
	text, err := f.root.ReadFile(name)
	if err != nil {
		return err
	}
	documents := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
	for {
		document, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return nil
		}
		var user v1alpha1.ManagedUser
		if err != nil {
			return err
		}
		var kind struct{ APIVersion, Kind string }
		if err := yaml.Unmarshal(document, &kind); err != nil {
			return err
		}
		if kind.Kind != "ManagedUser" || kind.APIVersion != v1alpha1.GroupVersion.String() {
			continue
		}
		if err := yaml.Unmarshal(document, &user); err != nil {
			return err
		}
		f.names = append(f.names, user.Name)
		if user.Spec.UserID != 0 {
			f.users[user.Spec.UserID] = name
		}
	}
}

// Has reports whether there is a manifest for a user, in which file ever.
func (f *Folder) Has(id int64) bool { return f.users[id] != "" }

// Names returns the names that new objects cannot have: those of the folder's objects, and those whose files hold
// something else.
func (f *Folder) Names() []string {
	names := append(slices.Clone(f.names), strings.TrimSuffix(Kustomization, ".yaml"))
	for _, file := range slices.Sorted(maps.Keys(f.files)) {
		if name, ok := strings.CutSuffix(file, ".yaml"); ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// Add takes in the manifest of a user that has none; Close writes it.
func (f *Folder) Add(mu *v1alpha1.ManagedUser) error {
	text, err := Encode(mu)
	if err != nil {
		return err
	}
	name := mu.Name + ".yaml"
	if f.files[name] && mu.Namespace != "" { // One name in two namespaces is two objects.
		name = mu.Namespace + "." + name
	}
	if f.files[name] {
		return fmt.Errorf("%s holds something else; move it away", filepath.Join(f.path, name))
	}
	f.files[name] = true
	f.users[mu.Spec.UserID] = name
	f.added[name] = text
	return nil
}

func (f *Folder) make() (err error) {
	if f.root != nil {
		return nil
	}
	if err := os.MkdirAll(f.path, folderPermissions); err != nil {
		return err
	}
	f.root, err = os.OpenRoot(f.path)
	return err
}

// Close writes what was added. Interrupted, it leaves no manifest that the kustomization does not list, which nobody
// would notice: a file that is listed and missing, kustomize refuses, and the next import writes.
func (f *Folder) Close(namespace string) error {
	if len(f.added) == 0 {
		return nil
	}
	if err := f.make(); err != nil {
		return fmt.Errorf("making the folder: %w", err)
	}
	files := slices.Sorted(maps.Keys(f.added))
	if err := f.list(files, namespace); err != nil {
		return err
	}
	for _, name := range files {
		if err := f.root.WriteFile(name, f.added[name], filePermissions); err != nil {
			return fmt.Errorf("writing a manifest: %w", err)
		}
	}
	return nil
}

// list brings the list of the kustomization up to date, and leaves the rest of it alone. A new one puts its objects
// into the namespace, if one is given.
func (f *Folder) list(files []string, namespace string) error {
	text, err := f.root.ReadFile(Kustomization)
	if errors.Is(err, fs.ErrNotExist) {
		text = []byte("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n")
		if namespace != "" {
			text = append(text, "namespace: "+namespace+"\n"...)
		}
	} else if err != nil {
		return fmt.Errorf("reading the kustomization: %w", err)
	}
	text, err = list(text, files)
	if err != nil {
		return fmt.Errorf("adding to the resources of %s: %w", Kustomization, err)
	}
	if err := f.root.WriteFile(Kustomization, text, filePermissions); err != nil {
		return fmt.Errorf("writing the kustomization: %w", err)
	}
	return nil
}

// list adds the files to the resources of a kustomization, in order, and keeps its comments.
func list(kustomization []byte, files []string) ([]byte, error) {
	root, err := kyaml.Parse(string(kustomization))
	if err != nil {
		return nil, err
	}
	resources, err := root.Pipe(kyaml.LookupCreate(kyaml.SequenceNode, "resources"))
	if err != nil {
		return nil, err
	}
	elements, err := resources.Elements()
	if err != nil {
		return nil, err
	}
	have := make(map[string]bool, len(elements))
	for _, element := range elements {
		have[kyaml.GetValue(element)] = true
	}
	for _, file := range files {
		if have[file] {
			continue
		}
		if _, err := resources.Pipe(kyaml.Append(kyaml.NewScalarRNode(file).YNode())); err != nil {
			return nil, err
		}
	}
	text, err := root.String()
	return []byte(text), err
}

// Encode returns a manifest as it stands in a file.
func Encode(mu *v1alpha1.ManagedUser) ([]byte, error) {
	mu.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("ManagedUser"))
	text, err := Marshal(mu)
	if err != nil {
		return nil, fmt.Errorf("encoding a manifest: %w", err)
	}
	return text, nil
}

// Marshal writes YAML with whatever characters there are. The usual function reads JSON as if it were YAML on the way,
// which refuses some and changes others.
func Marshal(value any) ([]byte, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	var plain any
	if err := utiljson.Unmarshal(text, &plain); err != nil {
		return nil, err
	}
	return goyaml.Marshal(plain)
}
