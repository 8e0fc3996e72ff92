// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package simulation

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// changeTokens deletes or edits a Secret with tokens, or puts one in the way.
func (w *World) changeTokens(c *cluster) {
	name := types.NamespacedName{Namespace: namespace, Name: pick(w, tokensSpecs[1:]).SecretName}
	stored, ok := c.api.secrets[name]
	switch {
	case !ok:
		w.tracef("WORLD: %s gets a Secret %s of somebody else's", c.ownerID, name.Name)
		c.api.setSecret(name, map[string][]byte{"theirs": []byte("canary")})
	case w.random.IntN(2) == 0 || metav1.GetControllerOf(stored) == nil:
		w.tracef("WORLD: Secret %s of %s is deleted", name.Name, c.ownerID)
		c.api.removeSecret(name)
	default:
		w.tracef("WORLD: Secret %s of %s is edited", name.Name, c.ownerID)
		edited := stored.DeepCopy()
		edited.Data[pick(w, []string{v1alpha1.TokensKeyAccessToken, v1alpha1.TokensKeyRefreshToken})] = []byte("canary by hand")
		c.api.storeSecret(edited)
	}
}

// checkTokens checks, in the end, that each Secret with tokens is wanted, and that what an object says of its own is
// true.
func (w *World) checkTokens(c *cluster) {
	for _, name := range sortedKeys(c.api.secrets) {
		owner := metav1.GetControllerOf(c.api.secrets[name])
		if !strings.HasPrefix(name.Name, tokensPrefix) || owner == nil {
			continue
		}
		mu := c.api.users[types.NamespacedName{Namespace: name.Namespace, Name: owner.Name}]
		if mu == nil || mu.UID != owner.UID || mu.Spec.Tokens == nil {
			w.violate("Secret %s of %s is left behind in the end", name.Name, c.ownerID)
		}
	}
}

// hasTokens reports whether a Ready object's tokens are published and good, if it wants any.
func (w *World) hasTokens(c *cluster, mu *v1alpha1.ManagedUser) bool {
	fresh := meta.IsStatusConditionTrue(mu.Status.Conditions, v1alpha1.ConditionTokensReady)
	if mu.Spec.Tokens == nil {
		return !fresh && mu.Status.Tokens == nil
	}
	secret, ok := c.api.secrets[types.NamespacedName{Namespace: mu.Namespace, Name: mu.Spec.Tokens.SecretName}]
	return fresh && ok && w.accepts(secret.Data[v1alpha1.TokensKeyAccessToken])
}

// tokensReady is what an object says of its tokens.
func tokensReady(mu *v1alpha1.ManagedUser) string {
	if c := meta.FindStatusCondition(mu.Status.Conditions, v1alpha1.ConditionTokensReady); c != nil {
		return string(c.Status) + c.Reason
	}
	return ""
}

// isInTheWay reports whether the Secret that an object wants its tokens in is somebody else's.
func (c *cluster) isInTheWay(mu *v1alpha1.ManagedUser) bool {
	if mu.Spec.Tokens == nil {
		return false
	}
	secret, ok := c.api.secrets[types.NamespacedName{Namespace: mu.Namespace, Name: mu.Spec.Tokens.SecretName}]
	owner := metav1.GetControllerOf(secret)
	return ok && (owner == nil || owner.UID != mu.UID)
}
