// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package crdcheck

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/version"
)

// checkTimeout bounds one check: two requests, of which the second is left out while nothing changes.
const checkTimeout = 20 * time.Second

// document is the part of the OpenAPI v3 document of an API group that is compared.
type document struct {
	Components struct {
		Schemas map[string]struct {
			schema
			Kinds []struct {
				Group   string `json:"group"`
				Version string `json:"version"`
				Kind    string `json:"kind"`
			} `json:"x-kubernetes-group-version-kind"`
		} `json:"schemas"`
	} `json:"components"`
}

// Finding is a CRD that this build cannot work with.
type Finding struct {
	// CRD is its name.
	CRD string
	// Absent: the API server does not serve the kind at all.
	Absent bool
	// Lacking are the fields that are not served, or served in another way, as paths like status.user.bio.
	Lacking []string
}

func (f Finding) String() string {
	if f.Absent {
		return f.CRD + " is not installed, or does not serve " + v1alpha1.GroupVersion.Version
	}
	return f.CRD + " lacks " + strings.Join(f.Lacking, ", ")
}

// OutdatedError says which CRDs are older than this build, or absent, and how to update them.
type OutdatedError struct{ Findings []Finding }

func (e *OutdatedError) Error() string {
	texts := make([]string, len(e.Findings))
	for i, finding := range e.Findings {
		texts[i] = finding.String()
	}
	const format = "the API server does not serve the CRDs of operator %s: %s; it drops missing fields without an error; update the CRDs: %s"
	return fmt.Sprintf(format, version.Version, strings.Join(texts, "; "), remedy())
}

// remedy is the command that updates the CRDs.
func remedy() string {
	source := "config/crd"
	if version.Version != "dev" {
		source = "'https://github.com/calcom-operator/calcom-operator/config/crd?ref=" + version.Version + "'"
	}
	return "kubectl apply --server-side --force-conflicts -k " + source + ", or upgrade the Helm release with crds.install=true"
}

// lacksFields reports whether a CRD is served that lacks fields.
func (e *OutdatedError) lacksFields() bool {
	return slices.ContainsFunc(e.Findings, func(f Finding) bool { return !f.Absent })
}

// Checker compares what the API server serves with what this build was made for. It is not safe for concurrent use.
type Checker struct {
	client discovery.OpenAPIV3SchemaInterfaceWithContext
	kinds  map[string]knownKind
	// compared is the address of the document that was compared last. A hash is part of it, so that it changes with
	// the document.
	compared string
	outdated *OutdatedError
}

// NewChecker returns a checker that asks the API server of a configuration, by a client that is made for it.
// ClusterOAuthClients are compared only if they are in use.
func NewChecker(config *rest.Config, client *http.Client, clusterClients bool) (*Checker, error) {
	kinds, err := known()
	if err != nil {
		return nil, err
	}
	if !clusterClients {
		delete(kinds, v1alpha1.KindClusterOAuthClient)
	}
	openapi, err := discovery.NewDiscoveryClientForConfigAndClient(config, client)
	if err != nil {
		return nil, fmt.Errorf("making a discovery client: %w", err)
	}
	return &Checker{client: openapi, kinds: kinds}, nil
}

// Check returns nil when every field is served, an *OutdatedError when one is not, and another error when the API
// server does not say.
func (c *Checker) Check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	paths, err := c.client.OpenAPIV3WithContext(ctx).PathsWithContext(ctx)
	if err != nil {
		return unreadable(err)
	}
	served, ok := paths["apis/"+v1alpha1.GroupVersion.String()]
	if !ok {
		c.outdated, c.compared = outdated(c.kinds, &document{}), ""
		return c.result()
	}
	if address := served.ServerRelativeURL(); address == "" || address != c.compared {
		text, err := served.SchemaWithContext(ctx, "application/json")
		if err != nil {
			return unreadable(err)
		}
		var is document
		if err := json.Unmarshal(text, &is); err != nil {
			return fmt.Errorf("decoding the API server's OpenAPI document of %s: %w", v1alpha1.GroupVersion, err)
		}
		c.outdated, c.compared = outdated(c.kinds, &is), address
	}
	return c.result()
}

// result is the outcome of the last comparison; a nil *OutdatedError is no error.
func (c *Checker) result() error {
	if c.outdated == nil {
		return nil
	}
	return c.outdated
}

// outdated compares each kind with a document, and returns nil if nothing is lacking.
func outdated(kinds map[string]knownKind, is *document) *OutdatedError {
	served := make(map[string]*schema)
	for name := range is.Components.Schemas {
		component := is.Components.Schemas[name]
		for _, gvk := range component.Kinds {
			if gvk.Group == v1alpha1.GroupVersion.Group && gvk.Version == v1alpha1.GroupVersion.Version {
				served[gvk.Kind] = &component.schema
			}
		}
	}
	var findings []Finding
	for kind, want := range kinds {
		have, ok := served[kind]
		if !ok {
			findings = append(findings, Finding{CRD: want.crd, Absent: true})
		} else if lacking := compareObject(&want.schema, have); len(lacking) > 0 {
			findings = append(findings, Finding{CRD: want.crd, Lacking: lacking})
		}
	}
	if len(findings) == 0 {
		return nil
	}
	slices.SortFunc(findings, func(a, b Finding) int { return strings.Compare(a.CRD, b.CRD) })
	return &OutdatedError{Findings: findings}
}

// unreadable explains why the API server's documents cannot be read.
func unreadable(err error) error {
	err = fmt.Errorf("reading /openapi/v3, which shows whether the CRDs are current: %w", err)
	if apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err) {
		return fmt.Errorf("%w; bind the ClusterRole system:discovery to the operator's ServiceAccount, "+
			"or to the group system:authenticated, as Kubernetes does by default", err)
	}
	return err
}
