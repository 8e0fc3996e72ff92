// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// mask takes out of the server's words what must not be shown. It knows what the request held, since a validator
// or a proxy may quote any of it.
type mask struct {
	secretKey string
	values    []string // The longest first.
}

// chosen are the fields whose values come from a list: no personal data, and the rules name the whole list.
var chosen = []string{"timeZone", "weekStart", "timeFormat", "locale"}

func (c *Client) maskFor(call call) *mask {
	m := &mask{secretKey: c.secretKey.Reveal()}
	for email := range strings.SplitSeq(call.query.Reveal().Get("emails"), ",") {
		m.add(email, c.clientID)
	}
	encoded, err := json.Marshal(call.body.Reveal())
	if err != nil { // Then there was no request to be quoted.
		return m
	}
	var fields map[string]any
	decoder := json.NewDecoder(bytes.NewReader(encoded))
	decoder.UseNumber()
	if decoder.Decode(&fields) != nil {
		return m
	}
	for _, field := range chosen {
		delete(fields, field)
	}
	m.addAll(fields, c.clientID)
	slices.SortFunc(m.values, func(a, b string) int { return len(b) - len(a) })
	return m
}

func (m *mask) addAll(value any, clientID string) {
	switch value := value.(type) {
	case string:
		m.add(value, clientID)
	case json.Number:
		m.add(value.String(), clientID)
	case []any:
		for _, v := range value {
			m.addAll(v, clientID)
		}
	case map[string]any:
		for _, v := range value {
			m.addAll(v, clientID)
		}
	}
}

// add has a value masked, in the forms in which a server could show it. Values of one or two characters say
// nothing, and would be found everywhere.
func (m *mask) add(value, clientID string) {
	forms := []string{value, strings.TrimSpace(value)}
	if plain := PlainEmail(value, clientID); strings.Contains(plain, "@") {
		local, _, _ := strings.Cut(plain, "@")
		forms = append(forms, plain, StoredEmail(plain, clientID), local, local+"+"+clientID)
	}
	for _, form := range forms {
		form = m.hideTokens(form) // As it is when the values are looked for.
		if utf8.RuneCountInString(form) > 2 {
			m.values = append(m.values, form, url.QueryEscape(form), url.PathEscape(form))
		}
	}
}

var (
	// address also takes an @ that stands for something else: no @ at all is easier to rely on.
	address = regexp.MustCompile(`[^\s"<>,;:()]*(@|%(25)*40)[^\s"'<>,;:()]*`)
	jwt     = regexp.MustCompile(`[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`)

	// readable are the parts of a message that this package reads itself. None quotes the request.
	readable = regexp.MustCompile(existingUserID.String() + `|^Cannot [A-Z]+ `)

	identifier = regexp.MustCompile(`^[A-Za-z0-9_.:-]{1,64}$`)
)

// text returns a sentence in one line and without what must not be shown.
func (m *mask) text(s string) string { return printable(m.hide(s), 300) }

// message is text for an error's message.
func (m *mask) message(s string) string {
	s = m.hideTokens(s)
	var b strings.Builder
	rest := 0
	for _, at := range readable.FindAllStringIndex(s, -1) {
		if m.cutsValue(s, at[0], at[1]) {
			continue
		}
		b.WriteString(m.hide(s[rest:at[0]]) + s[at[0]:at[1]])
		rest = at[1]
	}
	b.WriteString(m.hide(s[rest:]))
	return printable(b.String(), 300)
}

// cutsValue reports whether a part of s begins or ends in the middle of a value, the rest of which would not be known any
// more.
func (m *mask) cutsValue(s string, from, to int) bool {
	for _, value := range m.values {
		for at := 0; ; at++ {
			next := strings.Index(s[at:], value)
			if next < 0 {
				break
			}
			at += next
			if end := at + len(value); at < to && end > from && (at < from || end > to) {
				return true
			}
		}
	}
	return false
}

// word returns an identifier as it is, and nothing for what is none or hides something.
func (m *mask) word(s string) string {
	if !identifier.MatchString(s) || m.hide(s) != s {
		return ""
	}
	return s
}

func (m *mask) requestID(r *http.Response) string { return m.word(r.Header.Get("X-Request-Id")) }

// hide takes the tokens out first, which a value of a few letters could tear apart, and the addresses last, which
// may stand in the middle of a value.
func (m *mask) hide(s string) string {
	s = m.hideTokens(s)
	for _, value := range m.values {
		s = strings.ReplaceAll(s, value, "[value]")
	}
	return address.ReplaceAllString(s, "[address]")
}

func (m *mask) hideTokens(s string) string {
	return jwt.ReplaceAllString(strings.ReplaceAll(s, m.secretKey, "[secret]"), "[token]")
}

// printable returns s without control characters and no longer than most runes.
func printable(s string, most int) string {
	runes := []rune(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, s))
	if len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return string(runes)
}
