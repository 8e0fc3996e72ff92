// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// maxSecretKey bounds a secret key, in bytes. Cal.com's are JSON Web Tokens that hold the OAuth client's name, its
// permissions and its redirect URIs, of which there may be many. The server takes headers of 16 kB in all.
const maxSecretKey = 8 << 10

// CheckSecretKey returns why a text cannot be a secret key, and nil if it can. The error says what the text probably is
// and quotes nothing of it.
func CheckSecretKey(key string) error {
	switch what := formOf(key); {
	case key == "":
		return errors.New("secret key is empty")
	case what != "" && !isSendable(key):
		return fmt.Errorf("secret key %s", what)
	case len(key) > maxSecretKey:
		return fmt.Errorf("secret key has %d bytes, and at most %d are possible", len(key), maxSecretKey)
	case !utf8.ValidString(key):
		return errors.New("secret key is no text, as a file in UTF-16 or a compressed one")
	case !isASCII(key):
		return errors.New("secret key holds a character beyond ASCII")
	case !isHeaderValue(key):
		return errors.New("secret key holds a line break or another control character")
	}
	return nil
}

// isSendable reports whether a text may be a secret key, whatever it seems to be.
func isSendable(key string) bool {
	return len(key) <= maxSecretKey && isASCII(key) && isHeaderValue(key) && !isPEM(key) && !isJSON(key)
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}

func isJSON(key string) bool {
	return (strings.HasPrefix(key, "{") || strings.HasPrefix(key, "[")) && json.Valid([]byte(key))
}

func isPEM(key string) bool { return strings.HasPrefix(key, "-----BEGIN ") }

// invisible are characters that a text editor or a web page leaves behind and that are not seen: the soft hyphen, those
// of width zero, marks of direction, and blanks other than the space.
const invisible = "\u00ad\u00a0\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u202f\u2060\ufeff\u3000"

// assignment is a line of a file with settings, as those of a shell.
var assignment = regexp.MustCompile(`^(?:export\s+)?[A-Za-z][A-Za-z0-9_.-]*\s*(?:=[^=]|:\s)`)

// formOf says what a text is that looks like something other than a secret key, and nothing for any other text. Words
// that go on after "secret key". It quotes nothing.
func formOf(key string) string {
	switch {
	case strings.HasPrefix(key, "\ufeff"):
		return "begins with a byte order mark, as some editors write it; save the file without"
	case isPEM(key):
		return "is a certificate or a key in PEM form; Cal.com gives a secret of another kind"
	case isJSON(key):
		return "is a JSON document; put in the value of its field alone"
	case hasPrefixFold(key, "bearer "), hasPrefixFold(key, "authorization:"), hasPrefixFold(key, "x-cal-secret-key"):
		return "is a header; leave out its name and the word Bearer"
	case assignment.MatchString(key):
		return "begins with a name, as a line of a file with settings; put in what follows the name alone"
	case isQuoted(key):
		return "has quotation marks around it; leave them out"
	case strings.ContainsAny(key, invisible):
		return "holds a character that cannot be seen, as a blank of width zero; copy it as plain text"
	case strings.ContainsAny(key, "\r\n"):
		return "has a line break in it; put it in one line"
	case isEncodedTwice(key):
		return "is probably encoded in base64 twice; put it under stringData, or encode it once"
	case strings.ContainsAny(key, " \t"):
		return "has a blank in it; copy it without"
	}
	return ""
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}

func isQuoted(key string) bool {
	for _, pair := range [][2]string{{`"`, `"`}, {"'", "'"}, {"`", "`"}, {"\u201c", "\u201d"}, {"\u2018", "\u2019"}, {"\u00ab", "\u00bb"}, {"\u201e", "\u201c"}} {
		if len(key) > len(pair[0]) && strings.HasPrefix(key, pair[0]) && strings.HasSuffix(key, pair[1]) {
			return true
		}
	}
	return false
}

// isEncodedTwice reports whether a text is base64 of a printable one. That hardly ever happens to a random key.
func isEncodedTwice(key string) bool {
	const least = 16 // Of fewer characters, some random keys would be.
	if len(key) < least {
		return false
	}
	decoded, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		decoded, err = base64.RawStdEncoding.DecodeString(key)
	}
	if err != nil {
		return false
	}
	text := strings.TrimSpace(string(decoded))
	return text != "" && isASCII(text) && isHeaderValue(text)
}
