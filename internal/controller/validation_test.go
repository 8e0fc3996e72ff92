// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
)

// Every rule of the CRD, on a real API server: what passes, and what is refused and in which words. Manifests are
// given as YAML, since Go types could not even express some of the mistakes.
func TestValidation(t *testing.T) {
	refused := map[string]struct {
		spec  string // Laid over the valid spec; "field: null" takes a field out.
		words string
	}{
		"NoClient":                        {`oauthClient: null`, "oauthClient or oauthClientRef is required"},
		"TwoClients":                      {`oauthClientRef: {name: acme}`, "exclude each other"},
		"RefWithoutName":                  {`{oauthClient: null, oauthClientRef: {kind: OAuthClient}}`, "oauthClientRef.name: Required"},
		"RefOfAnotherKind":                {`{oauthClient: null, oauthClientRef: {kind: Secret, name: acme}}`, "oauthClientRef.kind: Unsupported value"},
		"RefToAnotherNamespace":           {`{oauthClient: null, oauthClientRef: {namespace: other, name: acme}}`, `unknown field "spec.oauthClientRef.namespace"`},
		"ClientWithoutID":                 {`oauthClient: {id: null}`, "spec.oauthClient.id: Required"},
		"ClientIDThatIsNone":              {`oauthClient: {id: "a/b"}`, "must be the id of an OAuth client"},
		"ClientWithoutSecret":             {`oauthClient: {secretKeyRef: null}`, "spec.oauthClient.secretKeyRef: Required"},
		"SecretWithoutKey":                {`oauthClient: {secretKeyRef: {key: null}}`, "secretKeyRef.key: Required"},
		"SecretInAnotherNamespace":        {`oauthClient: {secretKeyRef: {namespace: other}}`, `unknown field "spec.oauthClient.secretKeyRef.namespace"`},
		"URLWithoutScheme":                {`oauthClient: {apiURL: api.cal.com/v2}`, "must be a URL with http or https"},
		"URLOfAnotherScheme":              {`oauthClient: {apiURL: "ftp://api.cal.com"}`, "must be a URL with http or https"},
		"URLWithAUser":                    {`oauthClient: {apiURL: "https://me:pw@api.cal.com"}`, "without user"},
		"URLWithAQuery":                   {`oauthClient: {apiURL: "https://api.cal.com/v2?x=1"}`, "without user, query"},
		"NoEmail":                         {`email: null`, "spec.email: Required"},
		"EmailInUpperCase":                {`email: Alice@example.com`, "must be in lower case"},
		"EmailWithoutAt":                  {`email: alice.example.com`, "exactly one @"},
		"EmailWithTwoAts":                 {`email: alice@home@example.com`, "exactly one @"},
		"EmailWithAComma":                 {`email: "alice,bob@example.com"`, "must be an e-mail address"},
		"EmailWithASpace":                 {`email: "alice @example.com"`, "must be an e-mail address"},
		"EmailWithoutDot":                 {`email: alice@localhost`, "must be an e-mail address"},
		"EmailWithTwoDots":                {`email: a..b@example.com`, "must be an e-mail address"},
		"EmailWithALongLocalPart":         {`email: ` + strings.Repeat("a", 39) + `@example.com`, "at most 38 bytes"},
		"EmailWithALongUnicodePart":       {`email: ` + strings.Repeat("ä", 20) + `@example.com`, "at most 38 bytes"},
		"EmailThatIsTooLong":              {`email: alice@` + strings.Repeat("abcdefghi.", 25) + `com`, "254"},
		"EmailInItsStoredForm":            {`email: alice+cltestclient0000000000001@example.com`, "plain address"},
		"NoName":                          {`name: null`, "name is required"},
		"EmptyName":                       {`name: ""`, "at least 1 char"},
		"TokensWithoutName":               {`tokens: {}`, "tokens.secretName: Required"},
		"TokensInUpperCase":               {`tokens: {secretName: Alice}`, "must be the name of a Secret"},
		"TokensWithADotAtTheEnd":          {`tokens: {secretName: "alice."}`, "must be the name of a Secret"},
		"TokensWithALongName":             {`tokens: {secretName: ` + strings.Repeat("a", 254) + `}`, "253"},
		"TokensOfTheClient":               {`tokens: {secretName: calcom}`, "must not be the Secret of the OAuth client"},
		"TokensObserved":                  {"tokens: {secretName: alice}\nreconcilePolicy: Observe", "tokens cannot be had with reconcilePolicy Observe"},
		"WeekStart":                       {`weekStart: Caturday`, "weekStart: Unsupported value"},
		"WeekStartInLowerCase":            {`weekStart: monday`, "weekStart: Unsupported value"},
		"TimeFormat":                      {`timeFormat: 13`, "timeFormat: Unsupported value"},
		"Locale":                          {`locale: xx`, "locale: Unsupported value"},
		"LocaleInLowerCase":               {`locale: pt-br`, "locale: Unsupported value"},
		"LongBio":                         {`bio: ` + strings.Repeat("x", 20001), "20000"},
		"AvatarOfAnotherScheme":           {`avatarURL: "ftp://example.com/a.png"`, "must be a URL with http or https"},
		"AvatarAsData":                    {`avatarURL: "data:image/png;base64,AAAA"`, "must be a URL with http or https"},
		"AvatarWithoutScheme":             {`avatarURL: example.com/a.png`, "must be a URL with http or https"},
		"MetadataOfOtherTypes":            {`metadata: {n: 1}`, "must be of type string"},
		"MetadataWithManyKeys":            {metadata(46), "must have at most 45"},
		"MetadataWithALongKey":            {`metadata: {` + strings.Repeat("k", 41) + `: v}`, "1 to 40 characters"},
		"MetadataWithAnEmptyKey":          {`metadata: {"": v}`, "1 to 40 characters"},
		"MetadataWithALongValue":          {`metadata: {k: ` + strings.Repeat("v", 501) + `}`, "at most 500 characters"},
		"MetadataOfCalcom":                {`metadata: {defaultConferencingApp: zoom}`, "that Cal.com itself uses"},
		"MetadataOfOurs":                  {`metadata: {kubernetesOwner: me}`, "operator's own"},
		"MetadataKeyconstructor":          {`metadata: {constructor: v}`, "every JavaScript object"},
		"MetadataKey__proto__":            {`metadata: {__proto__: v}`, "every JavaScript object"},
		"MetadataKey__defineGetter__":     {`metadata: {__defineGetter__: v}`, "every JavaScript object"},
		"MetadataKey__defineSetter__":     {`metadata: {__defineSetter__: v}`, "every JavaScript object"},
		"MetadataKey__lookupGetter__":     {`metadata: {__lookupGetter__: v}`, "every JavaScript object"},
		"MetadataKey__lookupSetter__":     {`metadata: {__lookupSetter__: v}`, "every JavaScript object"},
		"MetadataKeyhasOwnProperty":       {`metadata: {hasOwnProperty: v}`, "every JavaScript object"},
		"MetadataKeyisPrototypeOf":        {`metadata: {isPrototypeOf: v}`, "every JavaScript object"},
		"MetadataKeypropertyIsEnumerable": {`metadata: {propertyIsEnumerable: v}`, "every JavaScript object"},
		"MetadataKeytoLocaleString":       {`metadata: {toLocaleString: v}`, "every JavaScript object"},
		"MetadataKeytoString":             {`metadata: {toString: v}`, "every JavaScript object"},
		"MetadataKeyvalueOf":              {`metadata: {valueOf: v}`, "every JavaScript object"},
		"DeletionPolicy":                  {`deletionPolicy: Retain`, "deletionPolicy: Unsupported value"},
		"AdoptionPolicy":                  {`adoptionPolicy: Always`, "adoptionPolicy: Unsupported value"},
		"ReconcilePolicy":                 {`reconcilePolicy: Pause`, "reconcilePolicy: Unsupported value"},
		"UserIDZero":                      {`userID: 0`, "greater than or equal to 1"},
		"UserIDBeyond32Bits":              {`userID: 2147483648`, "less than or equal to 2147483647"},
		"CreateOnlyOfAnotherField":        {`createOnly: [email]`, "createOnly[0]: Unsupported value"},
		"CreateOnlyTwice":                 {`createOnly: [bio, bio]`, "createOnly[1]: Duplicate"},
		"UnknownField":                    {`timezone: Europe/Rome`, `unknown field "spec.timezone"`},
	}
	for name, tc := range refused {
		t.Run("Refused"+name, func(t *testing.T) {
			err := createDry(t, tc.spec)
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains(err.Error(), tc.words) {
				t.Errorf("refused without the words %q:\n%v", tc.words, err)
			}
		})
	}
	accepted := map[string]string{
		"Least":               ``,
		"Ref":                 `{oauthClient: null, oauthClientRef: {name: acme}}`,
		"RefOfAKind":          `{oauthClient: null, oauthClientRef: {kind: ClusterOAuthClient, name: acme}}`,
		"URLWithoutVersion":   `oauthClient: {apiURL: "https://api.cal.com"}`,
		"URLInTheCluster":     `oauthClient: {apiURL: "http://calcom.cal.svc:5555/prefix/v2/"}`,
		"EmailWithAPlus":      `email: alice+tag@example.com`,
		"EmailInASubdomain":   `email: a.b-c_d@mail.example.co.uk`,
		"EmailInUnicode":      `email: zoë@exämple.com`,
		"EmailInPunycode":     `email: zoe@xn--exmple-cua.xn--p1ai`,
		"EmailOf38Bytes":      `email: ` + strings.Repeat("a", 38) + `@example.com`,
		"EmptyBio":            `bio: ""`,
		"EveryWeekStart":      `weekStart: Sunday`,
		"TimeFormat":          `timeFormat: 12`,
		"Locale":              `locale: zh-TW`,
		"AvatarURL":           `avatarURL: "http://x.example.com:8080/a?x=1&y=2"`,
		"MetadataAtTheLimit":  metadata(45),
		"MetadataLongest":     `metadata: {` + strings.Repeat("k", 40) + `: ` + strings.Repeat("v", 500) + `}`,
		"EmptyMetadata":       `metadata: {}`,
		"MetadataLikeMethods": `metadata: {Constructor: v, tostring: v, _proto_: v, prototype: v}`,
		"Policies":            "deletionPolicy: Orphan\nadoptionPolicy: ByEmail\nreconcilePolicy: Suspend",
		"UserID":              `userID: 2147483647`,
		"ByIDWithoutName":     "userID: 7\nname: null",
		"ObservedWithout":     "reconcilePolicy: Observe\nname: null",
		"AdoptedWithoutName":  "adoptionPolicy: ByEmail\nname: null",
		"Tokens":              `tokens: {secretName: alice.calcom-1}`,
		"TokensSuspended":     "tokens: {secretName: alice}\nreconcilePolicy: Suspend",
		"TokensOfARef":        `{oauthClient: null, oauthClientRef: {name: acme}, tokens: {secretName: calcom}}`,
		"CreateOnly":          `createOnly: [name, timeZone, weekStart, timeFormat, locale, bio, avatarURL, metadata]`,
	}
	for name, spec := range accepted {
		t.Run("Accepted"+name, func(t *testing.T) {
			if err := createDry(t, spec); err != nil {
				t.Error(err)
			}
		})
	}
}

// metadata returns a spec with n keys.
func metadata(n int) string {
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("k%d: v", i)
	}
	return "metadata: {" + strings.Join(keys, ", ") + "}"
}

const validSpec = `
oauthClient: {id: cltestclient0000000000001, secretKeyRef: {name: calcom, key: secretKey}}
email: alice@example.com
name: Alice
`

// manifest returns an object whose spec is the valid one with another laid over it.
func manifest(t *testing.T, over string) *unstructured.Unstructured {
	t.Helper()
	return manifestOf(t, "ManagedUser", validSpec, over)
}

func manifestOf(t *testing.T, kind, valid, over string) *unstructured.Unstructured {
	t.Helper()
	var base, top map[string]any
	for text, into := range map[string]*map[string]any{valid: &base, over: &top} {
		if err := yaml.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err)
		}
	}
	overlay(base, top)
	object := &unstructured.Unstructured{Object: map[string]any{"spec": base}}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	if kind != v1alpha1.KindClusterOAuthClient {
		object.SetNamespace("default")
	}
	object.SetName("alice")
	return object
}

func overlay(base, top map[string]any) {
	for key, value := range top {
		inner, isMap := value.(map[string]any)
		below, hasMap := base[key].(map[string]any)
		switch {
		case value == nil:
			delete(base, key)
		case isMap && hasMap:
			overlay(below, inner)
		default:
			base[key] = value
		}
	}
}

func createDry(t *testing.T, over string) error {
	t.Helper()
	return dryRun(t, manifest(t, over))
}

func dryRun(t *testing.T, object *unstructured.Unstructured) error {
	t.Helper()
	return client.WithFieldValidation(newClient(t), "Strict").Create(t.Context(), object, client.DryRunAll)
}

// What says where the user is cannot be changed; the rest can.
func TestImmutability(t *testing.T) {
	cases := map[string]struct {
		before, after string
		words         string // Empty: accepted.
	}{
		"ClientID":      {``, `oauthClient: {id: another}`, "is immutable"},
		"APIURL":        {`oauthClient: {apiURL: "https://a.example.com"}`, `oauthClient: {apiURL: "https://b.example.com"}`, "is immutable"},
		"APIURLSet":     {``, `oauthClient: {apiURL: "https://b.example.com"}`, "apiURL is immutable"},
		"APIURLRemoved": {`oauthClient: {apiURL: "https://a.example.com"}`, ``, "apiURL is immutable"},
		"ClientRemoved": {``, `oauthClient: null`, "oauthClient or oauthClientRef is required"},
		"ClientToRef":   {``, `{oauthClient: null, oauthClientRef: {name: acme}}`, "cannot take each other's place"},
		"RefToClient":   {`{oauthClient: null, oauthClientRef: {name: acme}}`, ``, "cannot take each other's place"},
		"RefName":       {`{oauthClient: null, oauthClientRef: {name: acme}}`, `{oauthClient: null, oauthClientRef: {name: other}}`, "is immutable"},
		"RefKind":       {`{oauthClient: null, oauthClientRef: {name: acme}}`, `{oauthClient: null, oauthClientRef: {kind: ClusterOAuthClient, name: acme}}`, "is immutable"},
		"RefKindSpelt":  {`{oauthClient: null, oauthClientRef: {name: acme}}`, `{oauthClient: null, oauthClientRef: {kind: OAuthClient, name: acme}}`, ""},
		"UserID":        {`userID: 7`, `userID: 8`, "is immutable"},
		"UserIDRemoved": {`userID: 7`, ``, "userID cannot be removed"},
		"UserIDSetOnce": {``, `userID: 7`, ""},
		"Secret":        {``, `oauthClient: {secretKeyRef: {name: other, key: other}}`, ""},
		"Everything":    {`bio: x`, "email: b@example.com\nname: B\ntimeZone: UTC\ndeletionPolicy: Orphan", ""},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			object := manifest(t, tc.before)
			object.SetNamespace(s.namespace)
			s.must(s.client.Create(t.Context(), object))
			changed := manifest(t, tc.after)
			changed.SetNamespace(s.namespace)
			changed.SetResourceVersion(object.GetResourceVersion())
			err := s.client.Update(t.Context(), changed)
			switch {
			case tc.words == "" && err != nil:
				t.Error(err)
			case tc.words != "" && (!apierrors.IsInvalid(err) || !strings.Contains(err.Error(), tc.words)):
				t.Errorf("ended with %v, want a refusal with %q", err, tc.words)
			}
		})
	}
}

// The samples are what people paste first.
func TestSamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "config", "samples", "platform_*.yaml"))
	if err != nil || len(files) < 5 {
		t.Fatalf("samples %v: %v", files, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			s := newStory(t)
			text, err := os.ReadFile(file)
			s.must(err)
			var applied unstructured.Unstructured
			s.must(yaml.Unmarshal(text, &applied.Object))
			if applied.GetKind() != v1alpha1.KindClusterOAuthClient {
				applied.SetNamespace(s.namespace)
			}
			s.must(client.WithFieldValidation(s.client, "Strict").Create(t.Context(), applied.DeepCopy(), client.DryRunAll))
			if applied.GetKind() != "ManagedUser" {
				return
			}
			if _, refers, _ := unstructured.NestedString(applied.Object, "spec", "oauthClientRef", "name"); refers {
				s.acme()
			} else {
				s.must(unstructured.SetNestedField(applied.Object, s.sandbox.URL(), "spec", "oauthClient", "apiURL"))
			}
			s.must(s.client.Create(t.Context(), &applied))
			mu := s.user()
			mu.Name = applied.GetName()
			s.reconcile(mu)
			if mu.Spec.Tokens != nil {
				s.wantFresh(mu, "Created")
				return
			}
			s.wantReady(mu, "Created")
		})
	}
}

// A new object is in progress for kstatus tools before anybody has looked at it.
func TestNewObjectIsInProgress(t *testing.T) {
	s := newStory(t)
	mu := s.user()
	s.must(s.client.Create(t.Context(), mu))
	s.reload(mu)
	if mu.Status.ObservedGeneration != -1 {
		t.Errorf("observedGeneration is %d, want -1", mu.Status.ObservedGeneration)
	}
}
