// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/plan"
)

// stageManifests puts into a rehearsal what would be in the cluster if the manifests were applied.
func (s *session) stageManifests(ctx context.Context, r *plan.Rehearsal, m *manifests, report *planReport) error {
	c, err := s.kube()
	if err != nil {
		return err
	}
	if err := stageOthers(ctx, c, r, m); err != nil {
		return err
	}
	live, installed, err := liveUsers(ctx, c, m)
	if err != nil {
		return err
	}
	unchecked := ""
	if !installed {
		unchecked = "The operator's CRDs are not in this cluster, so that nobody has checked the manifests."
	}
	bar := s.progressOfMany("Checking manifests", len(m.users))
	defer bar.end()
	for _, mu := range m.users {
		key := client.ObjectKeyFromObject(mu)
		applied, why, err := apply(ctx, c, mu, live[key], installed)
		if err != nil {
			return err
		}
		if applied == nil {
			m.refused[key] = why
			continue
		}
		if why != "" {
			unchecked = why
		}
		if err := r.Put(applied); err != nil {
			return err
		}
		bar.add(1)
	}
	if unchecked != "" {
		report.Notes = append(report.Notes, unchecked)
	}
	return nil
}

// liveUsers lists the users that exist in the namespaces of the manifests, and tells whether the cluster knows such
// objects at all.
func liveUsers(ctx context.Context, c client.Reader, m *manifests) (live map[client.ObjectKey]*v1alpha1.ManagedUser, installed bool, err error) {
	live = make(map[client.ObjectKey]*v1alpha1.ManagedUser)
	listed := make(map[string]bool)
	for _, mu := range m.users {
		if listed[mu.Namespace] {
			continue
		}
		listed[mu.Namespace] = true
		var list v1alpha1.ManagedUserList
		err := c.List(ctx, &list, client.InNamespace(mu.Namespace))
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return nil, false, nil
		}
		if err != nil {
			return nil, false, fmt.Errorf("listing users: %w", err)
		}
		for i := range list.Items {
			live[client.ObjectKeyFromObject(&list.Items[i])] = &list.Items[i]
		}
	}
	return live, true, nil
}

// apply returns what a user would be if its manifest were applied, by the API server's word: with the manifest's spec
// as the whole spec, as a tool leaves it that owns the object. Without an object, why says what the API server has
// against it; with one, why it was not asked.
func apply(
	ctx context.Context, c client.Client, mu, live *v1alpha1.ManagedUser, installed bool,
) (applied *v1alpha1.ManagedUser, why string, err error) {
	if !installed {
		return appliedHere(mu, live), "", nil
	}
	if live == nil {
		applied = mu.DeepCopy()
		err = c.Create(ctx, applied, client.DryRunAll, client.FieldOwner("kubectl-calcom"))
	} else {
		applied = live.DeepCopy()
		var patch []byte
		if patch, err = patchOf(mu, live); err == nil {
			err = c.Patch(ctx, applied, client.RawPatch(types.JSONPatchType, patch), client.DryRunAll, client.FieldOwner("kubectl-calcom"))
		}
	}
	switch {
	case err == nil:
		if applied.Status.ObservedGeneration == 0 {
			applied.Status.ObservedGeneration = -1 // As the CRD has it for an object at which nobody has looked.
		}
		return applied, "", nil
	case apierrors.IsInvalid(err), isRefusedByPolicy(err):
		return nil, objection(err), nil
	case apierrors.IsForbidden(err):
		return appliedHere(mu, live), "You may not apply these manifests, not even as a dry run, so that the API server has not checked all of them.", nil
	case apierrors.IsNotFound(err) && live == nil:
		return appliedHere(mu, live), "A namespace does not exist yet, so that the API server has not checked the manifests in it.", nil
	}
	return nil, "", fmt.Errorf("checking %s/%s: %w", mu.Namespace, mu.Name, err)
}

// patchOf is the JSON patch from an object to what its manifest makes of it. Labels and annotations of others stay.
func patchOf(mu, live *v1alpha1.ManagedUser) ([]byte, error) {
	type operation struct {
		Op    string `json:"op"`
		Path  string `json:"path"`
		Value any    `json:"value"`
	}
	operations := []operation{{"replace", "/spec", mu.Spec}}
	for path, of := range map[string][2]map[string]string{
		"/metadata/labels": {live.Labels, mu.Labels}, "/metadata/annotations": {live.Annotations, mu.Annotations},
	} {
		if merged := merge(of[0], of[1]); len(of[1]) > 0 {
			operations = append(operations, operation{"add", path, merged})
		}
	}
	patch, err := json.Marshal(operations)
	if err != nil {
		return nil, fmt.Errorf("encoding the patch: %w", err)
	}
	return patch, nil
}

func merge(base, over map[string]string) map[string]string {
	merged := maps.Clone(base)
	if merged == nil {
		merged = make(map[string]string, len(over))
	}
	maps.Copy(merged, over)
	return merged
}

// appliedHere is apply without an API server.
func appliedHere(mu, live *v1alpha1.ManagedUser) *v1alpha1.ManagedUser {
	if live == nil {
		applied := mu.DeepCopy()
		applied.Generation = 1
		applied.CreationTimestamp = metav1.NewTime(time.Now())
		applied.Status = v1alpha1.ManagedUserStatus{ObservedGeneration: -1}
		return applied
	}
	applied := live.DeepCopy()
	applied.Spec = *mu.Spec.DeepCopy()
	applied.Labels, applied.Annotations = merge(live.Labels, mu.Labels), merge(live.Annotations, mu.Annotations)
	if !equality.Semantic.DeepEqual(applied.Spec, live.Spec) {
		applied.Generation++
	}
	return applied
}

// refusedValue is how an API server quotes a value that it refuses, which may be somebody's.
var refusedValue = regexp.MustCompile(`^[A-Z][a-z ]+: (?:"(?:[^"\\]|\\.)*"|[0-9]+|null): `)

// objection is what an API server has against an object, without values.
func objection(err error) string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		_, policy, _ := strings.Cut(err.Error(), "denied request: ")
		if policy == "" {
			return "The API server refuses it"
		}
		return "The API server refuses it: " + strings.TrimRight(policy, ".")
	}
	var causes []string
	for _, cause := range status.Status().Details.Causes {
		field, _, _ := strings.Cut(cause.Field, "[")
		causes = append(causes, field+" "+refusedValue.ReplaceAllString(cause.Message, ""))
	}
	slices.Sort(causes)
	return strings.TrimRight(strings.Join(slices.Compact(causes), "; "), ".")
}

// stageOthers puts the objects into a rehearsal that users need.
func stageOthers(ctx context.Context, c client.Reader, r *plan.Rehearsal, m *manifests) error {
	for _, namespace := range m.namespaces {
		if err := stageOver(ctx, c, r, namespace, &corev1.Namespace{}, func(live *corev1.Namespace) {
			live.Labels = merge(live.Labels, namespace.Labels)
		}); err != nil {
			return err
		}
	}
	for _, secret := range m.secrets {
		if err := stageOver(ctx, c, r, secret, &corev1.Secret{}, func(live *corev1.Secret) {
			live.Data, live.StringData = secret.Data, secret.StringData
		}); err != nil {
			return err
		}
	}
	for _, oauth := range m.clients {
		if err := stageOver(ctx, c, r, oauth, &v1alpha1.OAuthClient{}, func(live *v1alpha1.OAuthClient) { live.Spec = oauth.Spec }); err != nil {
			return err
		}
	}
	for _, oauth := range m.clusterClients {
		if err := stageOver(ctx, c, r, oauth, &v1alpha1.ClusterOAuthClient{}, func(live *v1alpha1.ClusterOAuthClient) { live.Spec = oauth.Spec }); err != nil {
			return err
		}
	}
	return nil
}

// stageOver puts an object into a rehearsal as its manifest changes it. Where nobody may read what there is, the
// manifest is all.
func stageOver[P client.Object](ctx context.Context, c client.Reader, r *plan.Rehearsal, manifest, live P, change func(P)) error {
	err := c.Get(ctx, client.ObjectKeyFromObject(manifest), live)
	switch {
	case err == nil:
		change(live)
		manifest = live
	case apierrors.IsNotFound(err), apierrors.IsForbidden(err), meta.IsNoMatchError(err):
	default:
		return fmt.Errorf("reading %s: %w", manifest.GetName(), err)
	}
	if secret, ok := any(manifest).(*corev1.Secret); ok {
		fold(secret)
	}
	return r.Put(manifest)
}

// fold does with stringData what the API server does.
func fold(secret *corev1.Secret) {
	for key, value := range secret.StringData {
		if secret.Data == nil {
			secret.Data = make(map[string][]byte)
		}
		secret.Data[key] = []byte(value)
	}
	secret.StringData = nil
}

// addressesOf returns the addresses by which the users of an account can be found.
func (m *manifests) addressesOf(ctx context.Context, r *plan.Rehearsal, config *settings, of plan.Account) []string {
	var emails []string
	for _, mu := range m.users {
		credentials, _, ok := credentialsOf(ctx, r, config, mu)
		if !ok || credentials.ID != of.ClientID {
			continue
		}
		emails = append(emails, mu.Spec.Email)
		staged := &v1alpha1.ManagedUser{}
		if err := r.Get(ctx, client.ObjectKeyFromObject(mu), staged); err == nil && staged.Status.User != nil {
			emails = append(emails, calcom.PlainEmail(staged.Status.User.Email, of.ClientID))
		}
	}
	slices.Sort(emails)
	return slices.Compact(emails)
}
