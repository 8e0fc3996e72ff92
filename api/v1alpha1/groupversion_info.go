// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package v1alpha1 holds the API of the operator for Cal.com, group platform.cal.com.
//
// +kubebuilder:object:generate=true
// +kubebuilder:ac:generate=true
// +groupName=platform.cal.com
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of the objects of this package.
	GroupVersion = schema.GroupVersion{Group: "platform.cal.com", Version: "v1alpha1"}

	// SchemeGroupVersion is the same under the name that generated code uses.
	SchemeGroupVersion = GroupVersion

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme makes the types of this package known to a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&ManagedUser{}, &ManagedUserList{},
		&OAuthClient{}, &OAuthClientList{},
		&ClusterOAuthClient{}, &ClusterOAuthClientList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
