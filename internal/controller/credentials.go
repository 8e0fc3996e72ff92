// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/url"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
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
	// One client is one quota, however its address is written.
	base, err := calcom.BaseURL(from.APIURL)
	if err != nil || !r.config.AllowedAPIURLs.allow(base) {
		return credentials(v1alpha1.ReasonAPIURLNotAllowed, fmt.Sprintf(
			"The operator does not call this API URL; correct apiURL in a new object, or have the URL added to the operator's --allowed-api-urls (now %s)",
			r.config.AllowedAPIURLs))
	}
	secretKey, err := r.secretKey(ctx, v, from.SecretKeyRef)
	if err != nil {
		return err
	}
	login, err := r.accounts.login(base, from.ID, secretKey)
	if err != nil {
		return waitForSecret(v1alpha1.ReasonKeyNotFound, fmt.Sprintf(
			"The secret key under %s in Secret %s cannot be used (%v); correct it", from.SecretKeyRef.Key, from.SecretKeyRef.Name, err))
	}
	v.cal = &session{login: login, turn: turnOf(v), probing: v.requested()}
	v.account = accountName{apiURL: base, clientID: from.ID}
	return nil
}

// secretKey reads the Secret from the API server itself: the operator caches no Secret's data.
func (r *ManagedUserReconciler) secretKey(ctx context.Context, v *visit, ref v1alpha1.SecretKeyReference) (key calcom.Hidden[string], err error) {
	var secret corev1.Secret
	err = r.reader.Get(ctx, client.ObjectKey{Namespace: v.mu.Namespace, Name: ref.Name}, &secret)
	if apierrors.IsNotFound(err) {
		return key, waitForSecret(v1alpha1.ReasonSecretNotFound, fmt.Sprintf(
			"There is no Secret %s in this namespace; create it with the OAuth client's secret key under %s, or correct secretKeyRef", ref.Name, ref.Key))
	}
	if apierrors.IsForbidden(err) {
		return key, waitForSecret(v1alpha1.ReasonSecretNotFound, fmt.Sprintf(
			"The operator may not read Secret %s; let its ServiceAccount get secrets in this namespace", ref.Name))
	}
	if err != nil {
		return key, fmt.Errorf("reading the credentials Secret: %w", err)
	}
	v.secret = secretMetadata(secret.ObjectMeta)
	// A line break at the end is the most common mistake in a hand-made Secret.
	found := bytes.TrimSpace(secret.Data[ref.Key])
	if len(found) == 0 {
		return key, waitForSecret(v1alpha1.ReasonKeyNotFound, fmt.Sprintf(
			"Secret %s has nothing under %s; put the OAuth client's secret key there, or correct secretKeyRef", ref.Name, ref.Key))
	}
	return calcom.Hide(string(found)), nil
}

// waitForSecret is a problem that the Secret's coming ends. It is no stall: a GitOps tool may apply the Secret a
// moment after its users.
func waitForSecret(reason, message string) *problem {
	return &problem{condition: v1alpha1.ConditionCredentialsReady, reason: reason, message: message + nextLook, severity: waiting, pace: slowly}
}

// URLPrefixes are the API URLs that may be called.
type URLPrefixes []urlPrefix

// urlPrefix is the beginning of a URL: a scheme alone, or with a host, or with the beginning of a path too.
type urlPrefix struct {
	scheme, host, port, path string
}

// ParseURLPrefixes reads a comma-separated list, as "https://" or "https://api.cal.com,http://calcom.cal.svc/prefix".
func ParseURLPrefixes(list string) (URLPrefixes, error) {
	var prefixes URLPrefixes
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		u, err := url.Parse(text)
		if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.ContainsAny(text, "?# ") ||
			!strings.Contains(text, "://") || u.Hostname() == "" && text != u.Scheme+"://" || hasDots(u) {
			return nil, fmt.Errorf("%q is no URL prefix; give https:// or the beginning of a URL like https://api.cal.com/", text)
		}
		prefixes = append(prefixes, urlPrefix{
			scheme: u.Scheme, host: strings.ToLower(u.Hostname()), port: u.Port(), path: strings.TrimRight(u.EscapedPath(), "/") + "/",
		})
	}
	return prefixes, nil
}

// String returns the list as the flag takes it.
func (p URLPrefixes) String() string {
	texts := make([]string, len(p))
	for i, prefix := range p {
		texts[i] = prefix.String()
	}
	return strings.Join(texts, ",")
}

func (p urlPrefix) String() string {
	if p.host == "" {
		return p.scheme + "://"
	}
	u := url.URL{Scheme: p.scheme, Host: p.host}
	switch {
	case p.port != "":
		u.Host = net.JoinHostPort(p.host, p.port)
	case strings.Contains(p.host, ":"):
		u.Host = "[" + p.host + "]"
	}
	return u.String() + p.path
}

// allow reports whether a URL begins with one of the prefixes. The host and each element of the path count as a whole:
// https://api.cal.com allows neither https://api.cal.com.example.org nor https://api.cal.community. A prefix without a
// port allows every port of its host.
func (p URLPrefixes) allow(apiURL string) bool {
	u, err := url.Parse(apiURL)
	if err != nil || u.User != nil || u.Hostname() == "" || hasDots(u) {
		return false
	}
	for _, prefix := range p {
		if prefix.scheme == u.Scheme &&
			(prefix.host == "" || prefix.host == strings.ToLower(u.Hostname()) && (prefix.port == "" || prefix.port == u.Port())) &&
			strings.HasPrefix(strings.TrimRight(u.EscapedPath(), "/")+"/", prefix.path) {
			return true
		}
	}
	return false
}

// hasDots reports whether a server could take the URL for another one, further up.
func hasDots(u *url.URL) bool { return strings.Contains(u.Path, "..") }
