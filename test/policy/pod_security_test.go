// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The namespace of config/default enforces the Pod Security Standard "restricted", and the operator's pod meets it.
// Each single step away from it is refused, so the check checks.
func TestPodSecurity(t *testing.T) {
	var space corev1.Namespace
	must(t, admin.Get(t.Context(), client.ObjectKey{Name: "calcom-system"}, &space))
	if got := space.Labels["pod-security.kubernetes.io/enforce"]; got != "restricted" {
		t.Fatalf("the namespace enforces %q, want restricted", got)
	}
	var deployment appsv1.Deployment
	must(t, admin.Get(t.Context(), client.ObjectKey{Namespace: "calcom-system", Name: "calcom-operator"}, &deployment))
	for name, tc := range map[string]struct {
		change func(*corev1.PodSpec)
		names  string // What the refusal names; nothing for a pod that is admitted.
	}{
		"AsShipped":              {func(*corev1.PodSpec) {}, ""},
		"PrivilegeEscalation":    {func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.AllowPrivilegeEscalation = new(true) }, "allowPrivilegeEscalation"},
		"NoWordOnEscalation":     {func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil }, "allowPrivilegeEscalation"},
		"Capabilities":           {func(s *corev1.PodSpec) { s.Containers[0].SecurityContext.Capabilities = nil }, "capabilities"},
		"Root":                   {func(s *corev1.PodSpec) { s.SecurityContext.RunAsUser = new(int64(0)) }, "runAsUser=0"},
		"NoWordOnRoot":           {func(s *corev1.PodSpec) { s.SecurityContext.RunAsNonRoot = nil }, "runAsNonRoot"},
		"NoSeccomp":              {func(s *corev1.PodSpec) { s.SecurityContext.SeccompProfile = nil }, "seccompProfile"},
		"HostNetwork":            {func(s *corev1.PodSpec) { s.HostNetwork = true }, "hostNetwork"},
		"FolderOfTheHost":        {func(s *corev1.PodSpec) { s.Volumes = []corev1.Volume{hostFolder()} }, "hostPath"},
		"SecondContainerIsLoose": {func(s *corev1.PodSpec) { s.Containers = append(s.Containers, corev1.Container{Name: "b", Image: "b"}) }, `container "b"`},
	} {
		t.Run(name, func(t *testing.T) {
			template := deployment.Spec.Template.DeepCopy()
			pod := &corev1.Pod{
				ObjectMeta: metav1.ObjectMeta{Name: "operator", Namespace: "calcom-system", Labels: template.Labels, Annotations: template.Annotations},
				Spec:       template.Spec,
			}
			tc.change(&pod.Spec)
			err := admin.Create(t.Context(), pod, client.DryRunAll)
			if tc.names == "" {
				must(t, err)
				return
			}
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `violates PodSecurity "restricted:`) || !strings.Contains(err.Error(), tc.names) {
				t.Errorf("got %v, want a refusal that names %s", err, tc.names)
			}
		})
	}
}

func hostFolder() corev1.Volume {
	return corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}}
}
