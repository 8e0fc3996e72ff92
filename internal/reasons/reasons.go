// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package reasons says, for people, what the reasons of the conditions mean and what to do about them. It is the one
// place that does; the messages of the conditions add what is known of the case at hand.
package reasons

import v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"

// Reason is one reason of a condition.
type Reason struct {
	// Name as the condition has it.
	Name string
	// Meaning says what is the case, in a sentence.
	Meaning string
	// Remedy says what to do; empty when there is nothing to do.
	Remedy string
}

// All are all reasons, in the order in which they are documented.
var All = []Reason{
	{v1alpha1.ReasonAvailable, "The user exists and equals the spec.", ""},
	{v1alpha1.ReasonObserved, "The user is mirrored in status and not changed.", ""},
	{v1alpha1.ReasonInSync, "Cal.com was compared with the spec and equals it.", ""},
	{v1alpha1.ReasonCreated, "The user was created.", ""},
	{v1alpha1.ReasonAdopted, "A user that existed before was taken over.", ""},
	{v1alpha1.ReasonUpdated, "A change of the spec was written to Cal.com.", ""},
	{v1alpha1.ReasonDriftCorrected, "A change made elsewhere was set back to the spec.", ""},
	{v1alpha1.ReasonVerified, "Cal.com accepts the credentials.", ""},
	{v1alpha1.ReasonFresh, "The Secret holds the tokens that Cal.com issued last, as far as the operator knows, and they are renewed in time.", ""},
	{v1alpha1.ReasonProgressing, "Work is under way, or the outcome of a call is awaited.", "Wait."},
	{v1alpha1.ReasonSecretNotFound, "The Secret with the secret key does not exist, or may not be read.", "Create it; the users go on within two seconds."},
	{v1alpha1.ReasonKeyNotFound, "The Secret lacks the key, or what is under it cannot be used.", "Correct the Secret; the users go on within two seconds."},
	{v1alpha1.ReasonClientNotFound, "The OAuthClient or ClusterOAuthClient that oauthClientRef names does not exist, or is another client than the user's.", "Create it; the message names it."},
	{v1alpha1.ReasonNamespaceNotAllowed, "The ClusterOAuthClient is not for this namespace.", "Have the namespace added to its allowedNamespaces."},
	{v1alpha1.ReasonUnauthorized, "Cal.com refuses the secret key or does not know the client.", "Correct the Secret. While it is wrong, only one call per interval is made with it."},
	{v1alpha1.ReasonForbidden, "The credentials are right and may not do this.", "The client's organization must be a Platform organization with an owner or admin."},
	{v1alpha1.ReasonAPIURLNotAllowed, "The operator was not allowed to call this apiURL.", "Add it to the operator's --allowed-api-urls, or correct it in a new object."},
	{v1alpha1.ReasonInvalidSpec, "Cal.com, or the operator, refuses a value; the message names the field.", "Correct the manifest."},
	{v1alpha1.ReasonAlreadyExists, "A user with this e-mail exists and is nobody's in Kubernetes.", "Set adoptionPolicy to ByEmail, or userID, or choose another e-mail."},
	{v1alpha1.ReasonOwnedElsewhere, "The user carries the mark of another object or cluster.", "Orphan it there first. A rebuilt cluster keeps its users if it starts with the same --owner-id."},
	{v1alpha1.ReasonUsernameConflict, "Another address leads to the same username: Cal.com makes it from the local part and the first two labels of the domain.", "Choose an address that differs there, or ask for a reconcile once the other user is gone."},
	{v1alpha1.ReasonRemoteInconsistent, "A half-made user: Cal.com refuses the e-mail and shows no such user.", "Only Cal.com's support, or your server's database, can remove it; ask for a reconcile afterwards."},
	{v1alpha1.ReasonMetadataBlocked, "Metadata cannot be written without erasing a nested value of Cal.com's own.", "Remove that value in Cal.com, or put metadata into createOnly."},
	{v1alpha1.ReasonNotFound, "The userID, or an observed user, does not exist.", "Correct the id in a new object, or wait for the user."},
	{v1alpha1.ReasonRefreshFailed, "The tokens of spec.tokens could not be renewed; the message says whether the published one is valid.", "What the message says; as a rule wait. If somebody else rotates them, have them read the Secret."},
	{v1alpha1.ReasonSecretConflict, "A Secret of the name in tokens.secretName exists and is not this object's.", "Set another name, or delete that Secret."},
	{v1alpha1.ReasonRateLimited, "The quota of the OAuth client is used up.", "Wait: deletions go first, then new users, edits and drift checks."},
	{v1alpha1.ReasonRemoteUnavailable, "Cal.com gave no usable answer, or the outcome of a create call is unknown.", "Wait: it is tried again. A Ready user stays Ready."},
	{v1alpha1.ReasonUnexpectedResponse, "The server answers as Cal.com's Platform API does not.", "Check apiURL, and whether Cal.com still offers its Platform API."},
	{v1alpha1.ReasonSuspended, "reconcilePolicy is Suspend, so nothing is done.", "Set it to Manage to go on."},
	{v1alpha1.ReasonDeleting, "The deletion is under way or waits for something that heals by itself.", "Wait."},
	{v1alpha1.ReasonMassDeletion, "More users of this OAuth client are to be deleted than --mass-delete-limit allows in ten minutes.", "Wait until the time in the message, or keep or release the user as the message says."},
	{v1alpha1.ReasonMassAbsence, "The user is gone from Cal.com, and so are more users of this OAuth client than --mass-absence-limit allows in ten minutes.", "Find out why: a proxy, the apiURL, the database. It heals when the users show again; if they are really gone, set the annotation that the message names."},
	{v1alpha1.ReasonDeletionBlocked, "The deletion waits for you; the message says what for.", "What the message says, or set deletionPolicy to Orphan."},
}

// Find returns a reason by its name.
func Find(name string) (Reason, bool) {
	for _, r := range All {
		if r.Name == name {
			return r, true
		}
	}
	return Reason{}, false
}

// Remedy returns what to do about a reason; nothing if that is nothing, or nobody knows.
func Remedy(name string) string {
	r, _ := Find(name)
	return r.Remedy
}
