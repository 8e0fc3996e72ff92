// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"encoding/base64"
	"strings"
	"testing"
)

// TestSecretKeyForms has all the forms in which a secret key has been put into a Secret by mistake.
func TestSecretKeyForms(t *testing.T) {
	const key = "canary0key1canary2key3"
	twice := base64.StdEncoding.EncodeToString([]byte(key + "\n"))
	for name, tc := range map[string]struct {
		key  string
		form string // What a 401 says; empty for a key that nothing seems to be wrong with.
		flaw string // Why it is not sent; empty for what is.
	}{
		"Key":               {key: key},
		"Token":             {key: "eyJhbGciOiJIUzI1NiJ9.eyJuYW1lIjoiY2FuYXJ5In0.c2lnbmF0dXJlLWNhbmFyeQ"},
		"LongToken":         {key: "eyJ" + strings.Repeat("a", 8000)},
		"Hexadecimal":       {key: strings.Repeat("c0ffee42", 8)},
		"Short":             {key: "canary"},
		"Digits":            {key: "12345678"},
		"PaddedAtTheEnd":    {key: "canarycanarycanary=="},
		"Empty":             {flaw: "is empty"},
		"ByteOrderMark":     {key: "\ufeff" + key, form: "byte order mark", flaw: "byte order mark"},
		"Quotes":            {key: `"` + key + `"`, form: "quotation marks"},
		"Apostrophes":       {key: "'" + key + "'", form: "quotation marks"},
		"TypographicQuotes": {key: "\u201c" + key + "\u201d", form: "quotation marks", flaw: "quotation marks"},
		"ZeroWidth":         {key: key[:5] + "\u200b" + key[5:], form: "cannot be seen", flaw: "cannot be seen"},
		"NoBreakSpace":      {key: key[:5] + "\u00a0" + key[5:], form: "cannot be seen", flaw: "cannot be seen"},
		"BeyondASCII":       {key: "c\u0430nary", flaw: "beyond ASCII"},
		"LineBreak":         {key: key[:5] + "\n" + key[5:], form: "line break", flaw: "line break"},
		"Nul":               {key: key + "\x00", flaw: "control character"},
		"UTF16":             {key: "\xff\xfec\x00a\x00n\x00", flaw: "no text"},
		"Base64Twice":       {key: twice, form: "base64 twice"},
		"Base64WithoutPad":  {key: strings.TrimRight(twice, "="), form: "base64 twice"},
		"Bearer":            {key: "Bearer " + key, form: "is a header"},
		"BearerInCapitals":  {key: "BEARER " + key, form: "is a header"},
		"Header":            {key: "x-cal-secret-key: " + key, form: "is a header"},
		"Assignment":        {key: "CALCOM_SECRET=" + key, form: "begins with a name"},
		"Export":            {key: "export KEY = " + key, form: "begins with a name"},
		"YAML":              {key: "secretKey: " + key, form: "begins with a name"},
		"Blank":             {key: "canary key", form: "blank"},
		"PEM":               {key: "-----BEGIN PRIVATE KEY-----\nY2FuYXJ5\n-----END PRIVATE KEY-----", form: "PEM", flaw: "PEM"},
		"JSON":              {key: `{"secret":"` + key + `"}`, form: "JSON", flaw: "JSON"},
		"List":              {key: `["` + key + `"]`, form: "JSON", flaw: "JSON"},
		"Large":             {key: strings.Repeat("canary", 120_000), flaw: "720000 bytes"},
		"LargePEM":          {key: "-----BEGIN CERTIFICATE-----\n" + strings.Repeat("canary", 120_000), form: "PEM", flaw: "PEM"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := formOf(tc.key); tc.form == "" && got != "" || !strings.Contains(got, tc.form) || strings.Contains(got, "canary") {
				t.Errorf("form is %q, want one with %q", got, tc.form)
			}
			err := CheckSecretKey(tc.key)
			switch {
			case tc.flaw == "" && err != nil:
				t.Errorf("it is not sent: %v", err)
			case tc.flaw != "" && (err == nil || !strings.Contains(err.Error(), tc.flaw) || strings.Contains(err.Error(), "canary")):
				t.Errorf("got error %v, want one with %q", err, tc.flaw)
			}
			if _, err := New(Config{BaseURL: "https://api.cal.com/v2", ClientID: testClientID, SecretKey: Hide(tc.key)}); (err != nil) != (tc.flaw != "") {
				t.Errorf("the client is made with %v", err)
			}
		})
	}
}

// TestKeyFormOfRefusals tells of the form with a 401 and with nothing else.
func TestKeyFormOfRefusals(t *testing.T) {
	for status, want := range map[int]bool{401: true, 403: false, 404: false, 500: false} {
		c := serve(t, answering(status, `{}`))
		c.keyForm = formOf("'canary'")
		e := asError(t, operations()[OpGet](t.Context(), c))
		if got := e.KeyForm != ""; e.Status != status || got != want || strings.Contains(e.Error(), "quotation marks") != want {
			t.Errorf("status %d: %v with the form %q", status, e, e.KeyForm)
		}
		wantNoCanary(t, e)
	}
}
