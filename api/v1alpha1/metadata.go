// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

const (
	// ManagedUserFinalizer stands on every object that has created or adopted a user in Cal.com, or is about
	// to. It is written before the first such call, so an object without it has never created anything.
	ManagedUserFinalizer = "platform.cal.com/managed-user"

	// InUseFinalizer stands on a credentials Secret, an OAuthClient and a ClusterOAuthClient for as long as an object with
	// ManagedUserFinalizer needs them, so that a namespace can be deleted in any order.
	InUseFinalizer = "platform.cal.com/in-use"

	// ReleasingAnnotation stands on whatever has InUseFinalizer while the operator makes sure that nobody needs it any more. An
	// object that comes to need it at the same moment takes it off, and the Secret stays.
	ReleasingAnnotation = "platform.cal.com/releasing"

	// CreateIntentAnnotation records, as JSON, the create call that was about to be sent: its time, the e-mail
	// that it named, the UID of the object and the id of the user that it replaces. While the outcome of that call is
	// unknown, the user is looked up under that e-mail, whatever the spec says by then. It is written again when it is
	// lost.
	CreateIntentAnnotation = "platform.cal.com/create-intent"

	// AdoptedAnnotation holds the id of the user that the object adopted rather than created. Without a
	// deletionPolicy, an adopted user is left in Cal.com when its object goes. It is written again when it is lost.
	AdoptedAnnotation = "platform.cal.com/adopted"

	// ReconcileRequestedAtAnnotation asks for a look at Cal.com now: any new value does. The value that was
	// acted upon last stands in status.lastHandledReconcileAt.
	ReconcileRequestedAtAnnotation = "platform.cal.com/reconcile-requested-at"

	// AllowMassDeletionAnnotation lets deletions go at once that the operator holds up because of their number (its flag
	// --mass-delete-limit), with the value "true" on an object or its namespace.
	AllowMassDeletionAnnotation = "platform.cal.com/allow-mass-deletion"

	// AllowMassAbsenceAnnotation says that users which are gone from Cal.com were really removed, with the value "true" on an object, its
	// namespace, or its OAuthClient or ClusterOAuthClient. Then they are created anew, and objects released, however many they are
	// (the operator's flag --mass-absence-limit).
	AllowMassAbsenceAnnotation = "platform.cal.com/allow-mass-absence"

	// HandoverAnnotation stands on a ManagedUser that kubectl calcom is moving to another cluster or releasing. It records, as JSON,
	// the policies that the object had before and where the move comes from or goes to, so that it can be gone on with.
	HandoverAnnotation = "platform.cal.com/handover"

	// SuspendedAnnotation stands on a ManagedUser that kubectl calcom suspended, and holds the reconcilePolicy that it had before.
	SuspendedAnnotation = "platform.cal.com/suspended"

	// TokensAnnotation stands on a Secret with a user's tokens. It records, as JSON, what the operator needs to keep them fresh
	// and no secret: when they were issued, and the call for new ones that was about to be sent.
	TokensAnnotation = "platform.cal.com/tokens"

	// OwnerMetadataKey is the key in the Cal.com user's metadata under which the operator writes whose user it
	// is: <owner id>/<namespace>/<name>/<uid>, and :adopted behind the uid when the object did not create the user.
	OwnerMetadataKey = "kubernetesOwner"
)

// TokensSecretType is the type of the Secrets that hold a user's tokens.
const TokensSecretType = "platform.cal.com/managed-user-tokens"

// Keys of a Secret that holds a user's tokens.
const (
	// TokensKeyAccessToken is the key of the access token.
	TokensKeyAccessToken = "accessToken"
	// TokensKeyRefreshToken is the key of the refresh token. It is the operator's: whoever else uses it ends it.
	TokensKeyRefreshToken = "refreshToken"
	// TokensKeyAccessTokenExpiresAt is the key of the end of the access token, in RFC 3339.
	TokensKeyAccessTokenExpiresAt = "accessTokenExpiresAt"
	// TokensKeyRefreshTokenExpiresAt is the key of the end of the refresh token, in RFC 3339.
	TokensKeyRefreshTokenExpiresAt = "refreshTokenExpiresAt"
	// TokensKeyUserID is the key of the user's id in Cal.com.
	TokensKeyUserID = "userID"
	// TokensKeyEmail is the key of the user's plain e-mail address.
	TokensKeyEmail = "email"
	// TokensKeyClientID is the key of the OAuth client's id.
	TokensKeyClientID = "clientID"
	// TokensKeyAPIURL is the key of the base URL of the API that takes the access token.
	TokensKeyAPIURL = "apiURL"
)
