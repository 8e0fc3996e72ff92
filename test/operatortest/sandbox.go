// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package operatortest

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// secretKey is the key in the Secret of NewSandbox.
const secretKey = "secretKey"

// NewSandbox starts a look-alike of Cal.com for one test, with one OAuth client, puts the client's key into a new
// Secret of the namespace, and returns how to reach it: the spec.oauthClient of a ManagedUser, and the spec of an
// OAuthClient.
//
// It takes at most one calcomtest.Options. Unless those have a TimeScale, a minute of the sandbox's rate limit takes a
// Window. Of several clients, the credentials are those of the first.
func NewSandbox(t TB, c client.Client, namespace string, options ...calcomtest.Options) (*calcomtest.Server, *v1alpha1.OAuthClientCredentials) {
	t.Helper()
	var o calcomtest.Options
	switch len(options) {
	case 0:
	case 1:
		o = options[0]
	default:
		t.Fatalf("NewSandbox takes at most one calcomtest.Options, not %d", len(options))
	}
	if o.TimeScale == 0 {
		o.TimeScale = float64(time.Minute / Window)
	}
	if len(o.Clients) == 0 {
		o.Clients = []calcomtest.OAuthClient{calcomtest.DefaultClient()}
	}
	sandbox := calcomtest.New(t, o)
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "calcom-"},
		StringData: map[string]string{secretKey: o.Clients[0].Secret},
	}
	if err := c.Create(t.Context(), secret); err != nil {
		t.Fatalf("creating the Secret of the sandbox: %v", err)
	}
	return sandbox, &v1alpha1.OAuthClientCredentials{
		ID:           o.Clients[0].ID,
		SecretKeyRef: v1alpha1.SecretKeyReference{Name: secret.Name, Key: secretKey},
		APIURL:       sandbox.URL(),
	}
}
