// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Apidoc writes docs/api.md, the reference of the API, from the CRDs: what it says of limits and rules is what the API
// server enforces.
package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"sigs.k8s.io/yaml"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "apidoc:", err)
		os.Exit(1)
	}
}

const head = `# API reference

<!-- generated: make generate -->

Group ` + "`platform.cal.com`, version `v1alpha1`" + `. In the cluster, ` + "`kubectl explain manageduser.spec`" + ` tells the same. ` +
	`**Required** fields are marked; every
other field may be absent. [The first user](first-user.md) explains those that matter most, and ` + "`config/samples`" + ` has examples.

`

// order is that of the kinds in the reference.
var order = []string{"managedusers", "oauthclients", "clusteroauthclients"}

func run(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("two arguments are needed, the folder of the CRDs and the file to write, not %d", len(args))
	}
	page := bytes.NewBufferString(head)
	for _, plural := range order {
		content, err := os.ReadFile(filepath.Join(args[0], "platform.cal.com_"+plural+".yaml"))
		if err != nil {
			return err
		}
		var crd definition
		if err := yaml.Unmarshal(content, &crd); err != nil {
			return fmt.Errorf("reading the CRD of %s: %w", plural, err)
		}
		if err := crd.write(page); err != nil {
			return fmt.Errorf("describing %s: %w", plural, err)
		}
	}
	return os.WriteFile(args[1], append(bytes.TrimSpace(page.Bytes()), '\n'), 0o644)
}
