// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// DefaultAPIURL is the base URL of Cal.com's hosted API, used where none is given.
const DefaultAPIURL = "https://api.cal.com/v2"

// SecretKeyReference points at one key of a Secret in the namespace of the object; for an object without a namespace, in
// the operator's.
type SecretKeyReference struct {
	// name of the Secret. It is in the namespace of this object; that of a ClusterOAuthClient is in the operator's
	// namespace.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// key in the Secret's data whose value is the secret key of the OAuth client.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}

// OAuthClientCredentials says how to reach one Cal.com Platform OAuth client.
type OAuthClientCredentials struct {
	// id of the OAuth client, as Cal.com's Platform settings show it. It cannot be changed: users exist
	// under this client.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_-]+$')",message="must be the id of an OAuth client: letters, digits, - and _"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable, since users exist under this client; for another client apply a new object"
	ID string `json:"id,omitempty"`

	// secretKeyRef points at the OAuth client's secret key. The Secret may be replaced at any time; the change
	// is taken up within two seconds.
	//
	// +required
	SecretKeyRef SecretKeyReference `json:"secretKeyRef,omitzero"`

	// apiURL is the base URL of the Cal.com API, with or without /v2 at its end; a path before that is kept.
	// https://api.cal.com/v2 when absent. It cannot be changed. The operator only calls URLs that its
	// --allowed-api-urls flag allows, https:// by default.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != '' && !self.contains('@') && !self.contains('?') && !self.contains('#')",message="must be a URL with http or https and a host, without user, query and fragment, e.g. https://api.cal.com/v2"
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable, since users exist on this server; for another server apply a new object"
	APIURL string `json:"apiURL,omitempty"`
}

// Kinds that an OAuthClientReference names.
const (
	KindOAuthClient        = "OAuthClient"
	KindClusterOAuthClient = "ClusterOAuthClient"
)

// OAuthClientReference names an OAuthClient in the namespace of the object, or a ClusterOAuthClient.
type OAuthClientReference struct {
	// kind is OAuthClient, which is the same as absent, or ClusterOAuthClient.
	//
	// +optional
	// +kubebuilder:validation:Enum=OAuthClient;ClusterOAuthClient
	Kind string `json:"kind,omitempty"`

	// name of the object.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`
}

// OAuthClientSpec says how to reach an OAuth client.
//
// +kubebuilder:validation:XValidation:rule="has(self.apiURL) == has(oldSelf.apiURL)",message="apiURL is immutable, since users exist on this server; for another server apply a new object"
type OAuthClientSpec struct {
	OAuthClientCredentials `json:",inline"`
}

// OAuthClientStatus is what the operator knows of an OAuth client. It is written when something has changed, and counts of users
// at most once a minute.
type OAuthClientStatus struct {
	// conditions tell whether the client can be used. Ready sums up; CredentialsReady says whether Cal.com accepts the
	// credentials. Reconciling and Stalled follow kstatus and are absent at rest.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that was last dealt with.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// users is the number of ManagedUser objects that refer to this one.
	//
	// +optional
	Users int32 `json:"users"`

	// sweep is what the last comparison of all users with Cal.com found.
	//
	// +optional
	Sweep *SweepStatus `json:"sweep,omitempty"`

	// quota is the limit of calls as Cal.com told it last.
	//
	// +optional
	Quota *QuotaStatus `json:"quota,omitempty"`

	// lastHandledReconcileAt is the value of the annotation platform.cal.com/reconcile-requested-at that was
	// acted upon last: the credentials were verified anew.
	//
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// SweepStatus is what a sweep found: the comparison of all settled users of the OAuth client with what Cal.com has, once per
// --resync-interval. It covers all users of the client at its API URL, whichever objects they name it by.
type SweepStatus struct {
	// since is when a sweep first found what stands here. Sweeps that find the same are not written; the metric
	// calcom_operator_sweep_last_success_timestamp_seconds tells of each.
	//
	// +optional
	Since metav1.Time `json:"since,omitzero"`

	// users is the number of users that were compared.
	//
	// +optional
	Users int32 `json:"users"`

	// drifted is how many differed from their spec or their status, and were looked at again one by one.
	//
	// +optional
	Drifted int32 `json:"drifted"`

	// missing is how many Cal.com did not show, and were looked for again one by one.
	//
	// +optional
	Missing int32 `json:"missing"`

	// leaked is how many users carry the mark of this cluster's operator and have no object any more. They are reported
	// and never touched.
	//
	// +optional
	Leaked int32 `json:"leaked"`

	// leakedUserIDs are the ids of leaked users in Cal.com, ten at most.
	//
	// +optional
	// +listType=atomic
	LeakedUserIDs []int64 `json:"leakedUserIDs,omitempty"`

	// census is Complete when all users of the client were seen, so that none that leaked was overlooked, and Partial when
	// there are more than Cal.com lists without being told their addresses, which is 500.
	//
	// +optional
	Census string `json:"census,omitempty"`
}

// QuotaStatus is the quota of calls of an OAuth client in any 60 seconds.
type QuotaStatus struct {
	// limit is how many calls Cal.com allows the client.
	//
	// +optional
	Limit int32 `json:"limit"`

	// allowed is how many of them this operator may make, by its flag --rate-limit-share.
	//
	// +optional
	Allowed int32 `json:"allowed"`
}

// OAuthClient says how to reach one Cal.com Platform OAuth client: its id, the Secret with its key, and the API URL. ManagedUser
// objects in the same namespace refer to it.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=oauthclients,shortName=caloauth,categories=calcom
// +kubebuilder:selectablefield:JSONPath=`.spec.id`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Users",type=integer,JSONPath=`.status.users`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Client",type=string,priority=1,JSONPath=`.spec.id`
// +kubebuilder:printcolumn:name="Limit",type=integer,priority=1,JSONPath=`.status.quota.limit`
// +kubebuilder:printcolumn:name="Leaked",type=integer,priority=1,JSONPath=`.status.sweep.leaked`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type OAuthClient struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	//
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says how to reach the OAuth client.
	//
	// +required
	Spec OAuthClientSpec `json:"spec,omitzero"`

	// status is what the operator knows of the OAuth client. It starts with an observedGeneration of -1, so that kstatus
	// tools take an object that nobody has looked at yet for in progress.
	//
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status OAuthClientStatus `json:"status,omitzero"`
}

// OAuthClientList is a list of OAuth clients.
//
// +kubebuilder:object:root=true
type OAuthClientList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	//
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the OAuth clients.
	//
	// +required
	Items []OAuthClient `json:"items"`
}
