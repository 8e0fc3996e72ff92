// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/handover"
	"github.com/calcom-operator/calcom-operator/internal/importer"
	"github.com/calcom-operator/calcom-operator/internal/version"
)

// writeInventory writes manifests of all objects that are about to go, to a file that was not there before: the
// inventory of a run that was interrupted has users that this one does not find any more. It says where.
func (s *session) writeInventory(path, ownerID string, users, clients []client.Object) error {
	text, err := inventory(ownerID, time.Now().UTC(), users, clients)
	if err != nil {
		return err
	}
	if path == "-" {
		_, err := s.Out.Write(text)
		return err
	}
	if path == "" {
		path = "calcom-inventory-" + time.Now().UTC().Format("20060102T150405Z") + ".yaml"
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // The person names the file.
	if errors.Is(err, fs.ErrExist) {
		return complain(path+" exists, and may be the only inventory of users that are released already", "give another file by --inventory")
	}
	if err != nil {
		return fmt.Errorf("writing the inventory: %w", err)
	}
	_, err = file.Write(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("writing the inventory: %w", err)
	}
	s.tell("The inventory is in %s; it holds addresses.", path)
	return nil
}

// inventory is what kubectl apply takes to have everybody back.
func inventory(ownerID string, now time.Time, users, clients []client.Object) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, `# Managed users of Cal.com, with their ids there, that kubectl calcom
# (%s) released at %s.
# The operator's owner id was %s.
# kubectl apply -f takes everybody back, in this cluster or in another one; the
# namespaces and the Secrets of the OAuth clients have to exist there.
`, version.Version, now.Format(time.RFC3339), ownerID)
	var objects []client.Object
	for _, object := range clients {
		meta := metav1.ObjectMeta{Name: object.GetName(), Namespace: object.GetNamespace(), Labels: object.GetLabels()}
		switch o := object.(type) {
		case *v1alpha1.OAuthClient:
			objects = append(objects, &v1alpha1.OAuthClient{TypeMeta: typeMeta(v1alpha1.KindOAuthClient), ObjectMeta: meta, Spec: o.Spec})
		case *v1alpha1.ClusterOAuthClient:
			objects = append(objects, &v1alpha1.ClusterOAuthClient{TypeMeta: typeMeta(v1alpha1.KindClusterOAuthClient), ObjectMeta: meta, Spec: o.Spec})
		}
	}
	for _, object := range users {
		if mu, ok := object.(*v1alpha1.ManagedUser); ok {
			kept := handover.Restorable(mu)
			delete(kept.Annotations, corev1.LastAppliedConfigAnnotation) // kubectl apply writes it anew.
			objects = append(objects, kept)
		}
	}
	for _, object := range objects {
		manifest, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			return nil, fmt.Errorf("writing the inventory: %w", err)
		}
		delete(manifest, "status") // Some of it is there even when it is empty.
		text, err := importer.Marshal(manifest)
		if err != nil {
			return nil, fmt.Errorf("writing the inventory: %w", err)
		}
		b.WriteString("---\n")
		b.Write(text)
	}
	return b.Bytes(), nil
}

func typeMeta(kind string) metav1.TypeMeta {
	return metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: kind}
}
