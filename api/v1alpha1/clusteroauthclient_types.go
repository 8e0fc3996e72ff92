// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ClusterOAuthClientSpec says how to reach an OAuth client, and who may use it. The Secret is in the operator's namespace.
//
// +kubebuilder:validation:XValidation:rule="has(self.apiURL) == has(oldSelf.apiURL)",message="apiURL is immutable, since users exist on this server; for another server apply a new object"
type ClusterOAuthClientSpec struct {
	OAuthClientCredentials `json:",inline"`

	// allowedNamespaces says whose users may refer to this client. A namespace that is named or selected may; selector: {}
	// allows every namespace. Where a namespace loses the right, its users stay in Cal.com as they are, and say so.
	//
	// +required
	AllowedNamespaces NamespaceSelection `json:"allowedNamespaces,omitzero"`
}

// NamespaceSelection is a set of namespaces.
//
// +kubebuilder:validation:XValidation:rule="has(self.names) || has(self.selector)",message="must have names or a selector; selector: {} allows every namespace"
type NamespaceSelection struct {
	// names of namespaces.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=500
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Names []string `json:"names,omitempty"`

	// selector of namespaces by their labels. The empty one selects all.
	//
	// +optional
	Selector *metav1.LabelSelector `json:"selector,omitempty"`
}

// ClusterOAuthClient says how to reach one Cal.com Platform OAuth client for ManagedUser objects in many namespaces. Its
// Secret is in the operator's namespace, so that nobody else needs to see the key.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=clusteroauthclients,shortName=calcoauth,categories=calcom,scope=Cluster
// +kubebuilder:selectablefield:JSONPath=`.spec.id`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Users",type=integer,JSONPath=`.status.users`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Client",type=string,priority=1,JSONPath=`.spec.id`
// +kubebuilder:printcolumn:name="Limit",type=integer,priority=1,JSONPath=`.status.quota.limit`
// +kubebuilder:printcolumn:name="Leaked",type=integer,priority=1,JSONPath=`.status.sweep.leaked`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type ClusterOAuthClient struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	//
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says how to reach the OAuth client.
	//
	// +required
	Spec ClusterOAuthClientSpec `json:"spec,omitzero"`

	// status is what the operator knows of the OAuth client. It starts with an observedGeneration of -1, so that kstatus
	// tools take an object that nobody has looked at yet for in progress.
	//
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status OAuthClientStatus `json:"status,omitzero"`
}

// ClusterOAuthClientList is a list of OAuth clients.
//
// +kubebuilder:object:root=true
type ClusterOAuthClientList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	//
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the OAuth clients.
	//
	// +required
	Items []ClusterOAuthClient `json:"items"`
}
