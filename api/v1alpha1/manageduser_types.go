// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// ManagedUserSpec is what the user in Cal.com should be. An optional field that is absent is neither compared
// nor written: Cal.com keeps what it has.
//
// +kubebuilder:validation:XValidation:rule="has(self.oauthClient) || has(self.oauthClientRef)",message="oauthClient or oauthClientRef is required"
// +kubebuilder:validation:XValidation:rule="!has(self.oauthClient) || !has(self.oauthClientRef)",message="oauthClient and oauthClientRef exclude each other; set exactly one of them"
// +kubebuilder:validation:XValidation:rule="has(self.oauthClientRef) == has(oldSelf.oauthClientRef)",message="oauthClient and oauthClientRef cannot take each other's place, since the user exists under its client; apply a new object"
// +kubebuilder:validation:XValidation:rule="!has(self.oauthClient) || !has(oldSelf.oauthClient) || has(self.oauthClient.apiURL) == has(oldSelf.oauthClient.apiURL)",message="oauthClient.apiURL is immutable, since the user exists on this server; for another server apply a new object"
// +kubebuilder:validation:XValidation:rule="!has(self.oauthClient) || !self.email.contains(self.oauthClient.id.lowerAscii())",message="email must be the plain address, without the OAuth client's id: Cal.com adds +<client id> itself"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.userID) || has(self.userID)",message="userID cannot be removed once set"
// +kubebuilder:validation:XValidation:rule="has(self.name) || has(self.userID) || (has(self.adoptionPolicy) && self.adoptionPolicy == 'ByEmail') || (has(self.reconcilePolicy) && self.reconcilePolicy in ['Observe', 'Suspend'])",message="name is required, since Cal.com creates no user without one; only with userID, adoptionPolicy ByEmail or reconcilePolicy Observe or Suspend it may be absent"
// +kubebuilder:validation:XValidation:rule="!has(self.tokens) || !has(self.reconcilePolicy) || self.reconcilePolicy != 'Observe'",message="tokens cannot be had with reconcilePolicy Observe, which changes nothing in Cal.com; remove tokens, or set reconcilePolicy to Manage"
// +kubebuilder:validation:XValidation:rule="!has(self.tokens) || !has(self.oauthClient) || self.tokens.secretName != self.oauthClient.secretKeyRef.name",message="tokens.secretName must not be the Secret of the OAuth client; choose another name"
type ManagedUserSpec struct {
	// oauthClient is the OAuth client under which the user exists, and the Secret with its key. Exactly one of oauthClient and
	// oauthClientRef is set.
	//
	// +optional
	OAuthClient *OAuthClientCredentials `json:"oauthClient,omitempty"`

	// oauthClientRef names an object that says how to reach the OAuth client, for many users at once. It cannot be changed.
	//
	// +optional
	// +kubebuilder:validation:XValidation:rule="self.name == oldSelf.name && (has(self.kind) ? self.kind : 'OAuthClient') == (has(oldSelf.kind) ? oldSelf.kind : 'OAuthClient')",message="is immutable, since the user exists under this client; for another client apply a new object"
	OAuthClientRef *OAuthClientReference `json:"oauthClientRef,omitempty"`

	// email of the user: the plain address in lower case, at most 38 bytes before the @. Cal.com stores it
	// with +<client id> before the @; never write that here. A change renames the user, its username included.
	//
	// +required
	// +kubebuilder:validation:MinLength=3
	// +kubebuilder:validation:MaxLength=254
	// +kubebuilder:validation:XValidation:rule="self == self.lowerAscii()",message="must be in lower case: Cal.com tells addresses apart by case and then refuses the second one"
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^@]+@[^@]+$')",message="must contain exactly one @"
	// +kubebuilder:validation:XValidation:rule="self.indexOf('@') < 0 || size(bytes(self.substring(0, self.indexOf('@')))) <= 38",message="may have at most 38 bytes before the @: Cal.com adds 26 of its own, and 64 is the limit"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^[^@]+@[^@]+$') || self.matches('^[a-zA-Z0-9!#$%&\\\\x27*+/=?^_`{|}~\\\\x{00a1}-\\\\x{ffff}-]+([.][a-zA-Z0-9!#$%&\\\\x27*+/=?^_`{|}~\\\\x{00a1}-\\\\x{ffff}-]+)*@([a-zA-Z0-9\\\\x{00a1}-\\\\x{ffff}]([a-zA-Z0-9\\\\x{00a1}-\\\\x{ffff}-]{0,61}[a-zA-Z0-9\\\\x{00a1}-\\\\x{ffff}])?[.])+([a-zA-Z\\\\x{00a1}-\\\\x{ffff}]{2,63}|(xn|XN)[a-zA-Z0-9-]{2,61})$')",message="must be an e-mail address like alice@example.com"
	Email string `json:"email,omitempty"`

	// name that Cal.com shows and writes in mails.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=4000
	Name string `json:"name,omitempty"`

	// timeZone is an IANA name, like Europe/Rome. Cal.com makes a default schedule (Monday to Friday, nine to
	// five) only for a user that is created with a time zone: without one, nobody can book the user until a
	// schedule exists. A later change leaves that schedule's own zone as it was.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`

	// weekStart is the day on which the user's week begins.
	//
	// +optional
	// +kubebuilder:validation:Enum=Monday;Tuesday;Wednesday;Thursday;Friday;Saturday;Sunday
	WeekStart string `json:"weekStart,omitempty"`

	// timeFormat is 12 or 24 hours.
	//
	// +optional
	// +kubebuilder:validation:Enum=12;24
	TimeFormat int32 `json:"timeFormat,omitempty"`

	// locale is the language of the user's mails and pages, one of Cal.com's codes.
	//
	// +optional
	// +kubebuilder:validation:Enum=ar;az;bg;bn;ca;cs;da;de;el;en;es;es-419;et;eu;fi;fr;he;hr;hu;id;it;iw;ja;km;ko;lv;nl;no;pl;pt;pt-BR;ro;ru;sk;sr;sv;ta;th;tr;uk;vi;zh-CN;zh-TW
	Locale string `json:"locale,omitempty"`

	// bio is a text about the user. An empty string empties it; an absent field leaves it alone.
	//
	// +optional
	// +kubebuilder:validation:MaxLength=20000
	Bio *string `json:"bio,omitempty"`

	// avatarURL is the http or https address of the user's picture. Cal.com stores it as it is and wants a host
	// with a dot in it.
	//
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:XValidation:rule="isURL(self) && url(self).getScheme() in ['http', 'https'] && url(self).getHostname() != ''",message="must be a URL with http or https and a host, e.g. https://example.com/alice.png"
	AvatarURL string `json:"avatarURL,omitempty"`

	// metadata are keys and values of your own. Only the keys named here are compared and written; a key that
	// is taken away here stays in Cal.com as it is, like every other key there. Keys that Cal.com itself uses
	// are refused, and so are kubernetesOwner, the operator's own mark, and the names that every JavaScript
	// object has, as constructor and toString: Cal.com does not store those.
	//
	// +optional
	// +kubebuilder:validation:MaxProperties=45
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(k) >= 1 && size(k) <= 40)",message="keys must have 1 to 40 characters"
	// +kubebuilder:validation:XValidation:rule="self.all(k, size(self[k]) <= 500)",message="values may have at most 500 characters"
	// +kubebuilder:validation:XValidation:rule="self.all(k, k != 'kubernetesOwner')",message="the key kubernetesOwner is the operator's own; choose another"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['proPaidForByTeamId', 'stripeCustomerId', 'vitalSettings', 'isPremium', 'sessionTimeout', 'defaultConferencingApp', 'defaultBookerLayouts', 'emailChangeWaitingForVerification', 'migratedToOrgFrom']))",message="a key that Cal.com itself uses cannot be set: proPaidForByTeamId, stripeCustomerId, vitalSettings, isPremium, sessionTimeout, defaultConferencingApp, defaultBookerLayouts, emailChangeWaitingForVerification, migratedToOrgFrom"
	// +kubebuilder:validation:XValidation:rule="self.all(k, !(k in ['constructor', '__proto__', '__defineGetter__', '__defineSetter__', '__lookupGetter__', '__lookupSetter__', 'hasOwnProperty', 'isPrototypeOf', 'propertyIsEnumerable', 'toLocaleString', 'toString', 'valueOf']))",message="a key that every JavaScript object has cannot be set, since Cal.com does not store it: constructor, __proto__, __defineGetter__, __defineSetter__, __lookupGetter__, __lookupSetter__, hasOwnProperty, isPrototypeOf, propertyIsEnumerable, toLocaleString, toString, valueOf"
	Metadata map[string]string `json:"metadata,omitempty"`

	// deletionPolicy says what becomes of the user in Cal.com when this object is deleted: Delete deletes it
	// together with its bookings and calendars, without a mail to anybody; Orphan leaves it there. When absent:
	// Delete for a user that this object created, Orphan for one that it adopted.
	//
	// +optional
	DeletionPolicy DeletionPolicy `json:"deletionPolicy,omitempty"`

	// adoptionPolicy says what to do with a user that has this e-mail already: Never, which is the same as
	// absent, leaves it alone and says so in the conditions; ByEmail takes it over, unless it carries the mark
	// of another owner.
	//
	// +optional
	AdoptionPolicy AdoptionPolicy `json:"adoptionPolicy,omitempty"`

	// userID makes this object adopt exactly the user with this id, and never create one. It can be set once
	// and not be changed.
	//
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2147483647
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="is immutable once set; for another user apply a new object"
	UserID int64 `json:"userID,omitempty"`

	// reconcilePolicy is Manage when absent. Observe mirrors the user, found by userID or e-mail, in status and
	// changes nothing in Cal.com. Suspend does nothing at all; a deletion waits too.
	//
	// +optional
	ReconcilePolicy ReconcilePolicy `json:"reconcilePolicy,omitempty"`

	// createOnly names fields that are sent when the user is created and never compared or written afterwards.
	// Cal.com's front end writes some of them itself, the time zone from the browser for one; without this,
	// operator and browser would overwrite each other for ever.
	//
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=8
	CreateOnly []SpecField `json:"createOnly,omitempty"`

	// tokens asks for a Secret that always holds a valid access token of the user. Without it, tokens are none of the operator's
	// business. For a user that somebody else holds tokens of, the first ones that are published end all others.
	//
	// +optional
	Tokens *TokensSpec `json:"tokens,omitempty"`
}

// TokensSpec says where the user's tokens are published.
type TokensSpec struct {
	// secretName is the name of a Secret in the namespace of this object that the operator makes, owns and keeps fresh. It has the
	// type platform.cal.com/managed-user-tokens and the keys accessToken, refreshToken, accessTokenExpiresAt, refreshTokenExpiresAt,
	// userID, email, clientID and apiURL. A Secret of that name that is not this object's is never touched.
	//
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')",message="must be the name of a Secret: lower case letters, digits, - and ., beginning and ending with a letter or digit"
	SecretName string `json:"secretName,omitempty"`
}

// ManagedUserStatus is what the operator knows of the user.
type ManagedUserStatus struct {
	// conditions tell how the user is doing. Ready sums up; Synced says whether Cal.com equals the spec; CredentialsReady whether the OAuth
	// client can be used. Reconciling and Stalled follow kstatus and are absent at rest.
	//
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`

	// observedGeneration is the generation of the spec that was last dealt with.
	//
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// oauthClientID is the OAuth client under which the user exists.
	//
	// +optional
	OAuthClientID string `json:"oauthClientID,omitempty"`

	// apiURL is the base URL of the Cal.com API at which the user exists.
	//
	// +optional
	APIURL string `json:"apiURL,omitempty"`

	// origin says how the object came to own the user: Created or Adopted. It is absent while the object owns none, as with
	// reconcilePolicy Observe. Without a deletionPolicy in the spec it decides what becomes of the user when the object is
	// deleted: a created user is deleted, an adopted one is kept.
	//
	// +optional
	Origin Origin `json:"origin,omitempty"`

	// user is the user as Cal.com last returned it.
	//
	// +optional
	User *CalcomUser `json:"user,omitempty"`

	// tokens says where the user's tokens are published, and how long they live.
	//
	// +optional
	Tokens *TokensStatus `json:"tokens,omitempty"`

	// lastHandledReconcileAt is the value of the annotation platform.cal.com/reconcile-requested-at that was
	// acted upon last.
	//
	// +optional
	LastHandledReconcileAt string `json:"lastHandledReconcileAt,omitempty"`
}

// TokensStatus is what is published of the user's tokens.
type TokensStatus struct {
	// secretName is the name of the Secret that holds the tokens.
	//
	// +optional
	SecretName string `json:"secretName,omitempty"`

	// accessTokenExpiresAt is the end of the access token. It is replaced well before.
	//
	// +optional
	AccessTokenExpiresAt metav1.Time `json:"accessTokenExpiresAt,omitzero"`

	// refreshTokenExpiresAt is the end of the refresh token, about a year after it was issued.
	//
	// +optional
	RefreshTokenExpiresAt metav1.Time `json:"refreshTokenExpiresAt,omitzero"`
}

// ManagedUser is one managed user of a Cal.com Platform OAuth client: created through Cal.com's API, kept equal
// to its spec, mirrored in its status, and deleted with the object.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:path=managedusers,shortName=calusr,categories=calcom
// +kubebuilder:selectablefield:JSONPath=`.spec.oauthClient.id`
// +kubebuilder:selectablefield:JSONPath=`.spec.oauthClientRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.deletionPolicy`
// +kubebuilder:selectablefield:JSONPath=`.spec.adoptionPolicy`
// +kubebuilder:selectablefield:JSONPath=`.spec.reconcilePolicy`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="User ID",type=integer,JSONPath=`.status.user.id`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Client",type=string,priority=1,JSONPath=`.spec.oauthClient.id`
// +kubebuilder:printcolumn:name="Client Ref",type=string,priority=1,JSONPath=`.spec.oauthClientRef.name`
// +kubebuilder:printcolumn:name="Policy",type=string,priority=1,JSONPath=`.spec.reconcilePolicy`
// +kubebuilder:printcolumn:name="Message",type=string,priority=1,JSONPath=`.status.conditions[?(@.type=="Ready")].message`
type ManagedUser struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object metadata.
	//
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is what the user in Cal.com should be.
	//
	// +required
	Spec ManagedUserSpec `json:"spec,omitzero"`

	// status is what the operator knows of the user. It starts with an observedGeneration of -1, so that kstatus
	// tools take an object that nobody has looked at yet for in progress.
	//
	// +optional
	// +kubebuilder:default:={"observedGeneration":-1}
	Status ManagedUserStatus `json:"status,omitzero"`
}

// ManagedUserList is a list of managed users.
//
// +kubebuilder:object:root=true
type ManagedUserList struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard list metadata.
	//
	// +optional
	metav1.ListMeta `json:"metadata,omitzero"`

	// items are the managed users.
	//
	// +required
	Items []ManagedUser `json:"items"`
}
