// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// connect reads the credentials and readies the visit's session with Cal.com. It makes no call there.
func (r *ManagedUserReconciler) connect(ctx context.Context, v *visit) error {
	if v.mu.Spec.OAuthClient == nil {
		return synced(v1alpha1.ReasonInvalidSpec, "There is no OAuth client; set oauthClient")
	}
	from := *v.mu.Spec.OAuthClient
	if from.APIURL == "" {
		from.APIURL = v1alpha1.DefaultAPIURL
	}
	if !r.config.AllowedAPIURLs.allow(from.APIURL) {
		return credentials(v1alpha1.ReasonAPIURLNotAllowed, fmt.Sprintf(
			"The operator does not call this API URL; correct apiURL in a new object, or have the URL added to the operator's --allowed-api-urls (now %s)",
			r.config.AllowedAPIURLs))
	}
	secretKey, err := r.secretKey(ctx, v.mu.Namespace, from.SecretKeyRef)
	if err != nil {
		return err
	}
	login, err := r.accounts.login(from.APIURL, from.ID, secretKey)
	if err != nil {
		return waitForSecret(v1alpha1.ReasonKeyNotFound, fmt.Sprintf(
			"The secret key under %s in Secret %s cannot be used (%v); correct it", from.SecretKeyRef.Key, from.SecretKeyRef.Name, err))
	}
	v.cal = &session{login: login, probing: v.requested()}
	return nil
}

// secretKey reads the Secret from the API server itself: the operator caches no Secret's data.
func (r *ManagedUserReconciler) secretKey(
	ctx context.Context, namespace string, ref v1alpha1.SecretKeyReference,
) (string, error) {
	var secret corev1.Secret
	err := r.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: ref.Name}, &secret)
	if apierrors.IsNotFound(err) {
		return "", waitForSecret(v1alpha1.ReasonSecretNotFound, fmt.Sprintf(
			"There is no Secret %s in this namespace; create it with the OAuth client's secret key under %s, or correct secretKeyRef", ref.Name, ref.Key))
	}
	if err != nil {
		return "", fmt.Errorf("reading the credentials Secret: %w", err)
	}
	// A line break at the end is the most common mistake in a hand-made Secret.
	key := bytes.TrimSpace(secret.Data[ref.Key])
	if len(key) == 0 {
		return "", waitForSecret(v1alpha1.ReasonKeyNotFound, fmt.Sprintf(
			"Secret %s has nothing under %s; put the OAuth client's secret key there, or correct secretKeyRef", ref.Name, ref.Key))
	}
	return string(key), nil
}

// waitForSecret is a problem that the Secret's coming ends. It is no stall: a GitOps tool may apply the Secret a
// moment after its users.
func waitForSecret(reason, message string) *problem {
	return &problem{condition: v1alpha1.ConditionCredentialsReady, reason: reason, message: message, severity: waiting, pace: slowly}
}

// URLPrefixes are the API URLs that may be called: a scheme alone (https://), or a scheme and host with or without
// the beginning of a path.
type URLPrefixes []string

// ParseURLPrefixes reads a comma-separated list.
func ParseURLPrefixes(list string) (URLPrefixes, error) {
	var prefixes URLPrefixes
	for prefix := range strings.SplitSeq(list, ",") {
		prefix = strings.TrimSpace(prefix)
		scheme, rest, ok := strings.Cut(prefix, "://")
		if !ok || scheme != "https" && scheme != "http" || strings.ContainsAny(rest, "?#@ ") {
			return nil, fmt.Errorf("%q is no URL prefix; give https:// or the beginning of a URL like https://api.cal.com/", prefix)
		}
		host, path, _ := strings.Cut(strings.TrimRight(rest, "/")+"/", "/")
		prefix = scheme + "://"
		if host != "" {
			prefix += strings.ToLower(host) + "/" + path
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

// String returns the list as the flag takes it.
func (p URLPrefixes) String() string { return strings.Join(p, ",") }

// allow reports whether a URL begins with one of the prefixes. A host and each element of a path count as a whole:
// https://api.cal.com allows neither https://api.cal.com.example.org nor https://api.cal.community.
func (p URLPrefixes) allow(apiURL string) bool {
	u, err := url.Parse(apiURL)
	if err != nil || u.User != nil || u.Host == "" || strings.Contains(u.Path, "..") {
		return false
	}
	target := u.Scheme + "://" + strings.ToLower(u.Host) + strings.TrimRight(u.EscapedPath(), "/") + "/"
	for _, prefix := range p {
		if strings.HasPrefix(target, prefix) {
			return true
		}
	}
	return false
}
