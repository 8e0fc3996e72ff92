// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package v1alpha1

// Condition types. An OAuthClient and a ClusterOAuthClient have all but Synced and TokensReady.
const (
	// ConditionReady sums the others up and is always there. While something is wrong, its reason is the
	// reason of what is wrong.
	ConditionReady = "Ready"

	// ConditionSynced says whether the user in Cal.com equals the spec.
	ConditionSynced = "Synced"

	// ConditionCredentialsReady says whether the OAuth client can be used.
	ConditionCredentialsReady = "CredentialsReady"

	// ConditionTokensReady says whether the tokens that the spec asks for are published and kept fresh. It is there only when
	// the spec asks for some.
	ConditionTokensReady = "TokensReady"

	// ConditionReconciling is there, and true, while the operator works towards the spec or waits for something
	// that heals by itself. It follows kstatus: absent at rest.
	ConditionReconciling = "Reconciling"

	// ConditionStalled is there, and true, when a person has to act first. It follows kstatus: absent at rest,
	// and never together with Reconciling.
	ConditionStalled = "Stalled"
)

// Reasons of Ready beside those of what is wrong.
const (
	// ReasonAvailable: the user exists and equals the spec.
	ReasonAvailable = "Available"
	// ReasonObserved: the user exists and is mirrored; reconcilePolicy is Observe.
	ReasonObserved = "Observed"
	// ReasonNotFound: there is no such user, and this object will not create one (Observe, or a userID is set).
	ReasonNotFound = "NotFound"
	// ReasonSuspended: reconcilePolicy is Suspend, so nothing is done.
	ReasonSuspended = "Suspended"
	// ReasonProgressing: work is under way, or the outcome of a call is awaited.
	ReasonProgressing = "Progressing"
	// ReasonDeleting: the deletion is under way or waits for something that heals by itself.
	ReasonDeleting = "Deleting"
	// ReasonDeletionBlocked: the deletion waits for a person; the message says what for.
	ReasonDeletionBlocked = "DeletionBlocked"
	// ReasonMassDeletion: the deletion waits because many users of the OAuth client are to be deleted at once; the message
	// says until when, and how to let it go at once or keep the user.
	ReasonMassDeletion = "MassDeletion"
	// ReasonMassAbsence: the user is gone from Cal.com, and so are many others of the OAuth client; nothing is done before they show
	// again, or a person says that they are really gone.
	ReasonMassAbsence = "MassAbsence"
)

// Reasons of Synced.
const (
	// ReasonInSync: Cal.com was compared with the spec and equals it.
	ReasonInSync = "InSync"
	// ReasonCreated: the user was created.
	ReasonCreated = "Created"
	// ReasonAdopted: a user that existed before was taken over.
	ReasonAdopted = "Adopted"
	// ReasonUpdated: a change of the spec was written to Cal.com.
	ReasonUpdated = "Updated"
	// ReasonDriftCorrected: a change made elsewhere was set back to the spec.
	ReasonDriftCorrected = "DriftCorrected"
	// ReasonRateLimited: the quota of the OAuth client is used up for the moment.
	ReasonRateLimited = "RateLimited"
	// ReasonRemoteUnavailable: Cal.com gave no usable answer.
	ReasonRemoteUnavailable = "RemoteUnavailable"
	// ReasonInvalidSpec: Cal.com, or the operator before it, refuses a value of the spec.
	ReasonInvalidSpec = "InvalidSpec"
	// ReasonAlreadyExists: a user with this e-mail exists and belongs to nobody in Kubernetes.
	ReasonAlreadyExists = "AlreadyExists"
	// ReasonOwnedElsewhere: the user carries the mark of another object or another cluster.
	ReasonOwnedElsewhere = "OwnedElsewhere"
	// ReasonRemoteInconsistent: Cal.com says that the user exists and shows it nowhere; a half-made user.
	ReasonRemoteInconsistent = "RemoteInconsistent"
	// ReasonUsernameConflict: another address has the username that Cal.com would derive from this one.
	ReasonUsernameConflict = "UsernameConflict"
	// ReasonMetadataBlocked: a metadata update would erase a nested value that Cal.com keeps there.
	ReasonMetadataBlocked = "MetadataBlocked"
	// ReasonUnexpectedResponse: Cal.com answered something that the operator has no rule for.
	ReasonUnexpectedResponse = "UnexpectedResponse"
)

// Reasons of CredentialsReady.
const (
	// ReasonVerified: Cal.com accepted the credentials.
	ReasonVerified = "Verified"
	// ReasonSecretNotFound: the Secret does not exist.
	ReasonSecretNotFound = "SecretNotFound"
	// ReasonKeyNotFound: the Secret lacks the key, or the key is empty.
	ReasonKeyNotFound = "KeyNotFound"
	// ReasonUnauthorized: Cal.com refuses the client id or the secret key (401).
	ReasonUnauthorized = "Unauthorized"
	// ReasonForbidden: the credentials are right and lack a permission (403).
	ReasonForbidden = "Forbidden"
	// ReasonClientNotFound: the OAuthClient or ClusterOAuthClient that oauthClientRef names does not exist.
	ReasonClientNotFound = "ClientNotFound"
	// ReasonNamespaceNotAllowed: the ClusterOAuthClient does not allow the object's namespace to use it.
	ReasonNamespaceNotAllowed = "NamespaceNotAllowed"
	// ReasonAPIURLNotAllowed: the operator was not started with this API URL among the allowed ones.
	ReasonAPIURLNotAllowed = "APIURLNotAllowed"
)

// Reasons of TokensReady.
const (
	// ReasonFresh: the Secret holds the tokens that Cal.com issued last, as far as the operator knows, and they are renewed in time.
	ReasonFresh = "Fresh"
	// ReasonRefreshFailed: the tokens could not be renewed; the message says whether the published ones are valid.
	ReasonRefreshFailed = "RefreshFailed"
	// ReasonSecretConflict: a Secret of the name that the spec gives exists and is not this object's.
	ReasonSecretConflict = "SecretConflict"
)

// Events that stand for no condition.
const (
	// EventDeleted: the user was deleted in Cal.com, or proved gone.
	EventDeleted = "Deleted"
	// EventOrphaned: the object let go of a user that stays in Cal.com.
	EventOrphaned = "Orphaned"
	// EventRecreating: Cal.com did not finish the creation of the user, which was deleted and is created anew.
	EventRecreating = "Recreating"
	// EventUsersLeaked: a sweep found more users than before that carry the mark of an object that does not exist, or has
	// another user. Of an OAuth client.
	EventUsersLeaked = "UsersLeaked"
	// EventContested: another writer removes or changes again and again what the operator keeps on an object. Of a ManagedUser,
	// a Secret or an OAuth client; the message names the other field manager.
	EventContested = "Contested"
	// EventInUse: a Secret or an OAuth client is being deleted and stays, since an object still needs it. The message names
	// one. Of a Secret or an OAuth client.
	EventInUse = "InUse"
	// EventTokensForceRefreshed: all tokens of the user were ended and a new pair was issued; the message says why.
	EventTokensForceRefreshed = "TokensForceRefreshed"
)
