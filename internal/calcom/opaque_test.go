// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"strings"
	"testing"
)

// TestMaskHidesForeignKeys has the server's text quote keys that no request of this process held.
func TestMaskHidesForeignKeys(t *testing.T) {
	hexadecimal := strings.Repeat("0123456789abcdef", 4)
	for name, tc := range map[string]struct{ text, want string }{
		"APIKey":             {"Key cal_live_abcdefghij is invalid", "Key [key] is invalid"},
		"ShortAPIKey":        {"Key cal_ab, sorry", "Key [key], sorry"},
		"APIKeyBrokenByLine": {"Key cal_live_abc\n  defghi is invalid", "Key [key] is invalid"},
		"APIKeyWithABlank":   {"Key cal_live_abc 1defg is invalid", "Key [key] is invalid"},
		"Hexadecimal":        {"token " + hexadecimal + " unknown", "token [key] unknown"},
		"HexadecimalInLines": {"token " + hexadecimal[:10] + "\r\n\t" + hexadecimal[10:25] + " unknown", "token [key] unknown"},
		"EscapedLineBreak":   {"token " + hexadecimal[:10] + `\n` + hexadecimal[10:25] + " unknown", "token [key] unknown"},
		"Base64":             {"secret QUJDREVGR0hJSktMTU5PUFFS+/8=.", "secret [key]."},
		"Base64Letters":      {"secret aBcDeFgHiJkLmNoPqRsTuVwX", "secret [key]"},
		"OwnKey":             {"secret " + testSecretKey + "!", "secret [secret]!"},
		"OwnKeyInLines":      {"secret " + testSecretKey[:5] + "\n" + testSecretKey[5:] + "!", "secret [secret]!"},
		"UUID":               {"request 6ab100ae-33c4-46f7-b40b-9717a27326e3", "request [key]"},
		"ClientID":           {"Client with ID " + testClientID + " not found", "Client with ID " + testClientID + " not found"},
		"GuardsName":         {"OrganizationRolesGuard - User must have one of the roles: ADMIN, OWNER.", "OrganizationRolesGuard - User must have one of the roles: ADMIN, OWNER."},
		"Constant":           {"INTERNAL_SERVER_ERROR_OCCURRED", "INTERNAL_SERVER_ERROR_OCCURRED"},
		"Lines":              {"first line\nsecond line", "first line second line"},
		"Path":               {"Cannot GET /v2/oauth-clients/x/users/123", "Cannot GET /v2/oauth-clients/x/users/123"},
		"OtherWords":         {"the local_time of a mythical_being", "the local_time of a mythical_being"},
		"Dashes":             {"a-well-known-and-harmless-text", "a-well-known-and-harmless-text"},
	} {
		t.Run(name, func(t *testing.T) {
			m := &mask{secretKey: testSecretKey, clientID: testClientID}
			if got := m.message(tc.text); got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
			if got := m.text(tc.text); got != tc.want {
				t.Errorf("as a rule: got %q, want %q", got, tc.want)
			}
		})
	}
}

// TestMaskOfCodes shows a code only where it is an identifier and no key.
func TestMaskOfCodes(t *testing.T) {
	for code, want := range map[string]string{
		"UnauthorizedException": "UnauthorizedException", "INTERNAL_SERVER_ERROR": "INTERNAL_SERVER_ERROR", "TRPCError": "TRPCError",
		"cal_live_abcdef": "", strings.Repeat("0123456789abcdef", 4): "", "two words": "", testSecretKey: "",
	} {
		if got := (&mask{secretKey: testSecretKey}).word(code); got != want {
			t.Errorf("%q became %q, want %q", code, got, want)
		}
	}
}
