// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"bytes"
	"cmp"
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
	clientID  string // Shown, although it may look like a key.
	values    []string
}

// chosen are the fields whose values come from a list: no personal data, and the rules name the whole list.
var chosen = []string{"timeZone", "weekStart", "timeFormat", "locale"}

func (c *Client) maskFor(call call) *mask {
	m := &mask{secretKey: c.secretKey.Reveal(), clientID: c.clientID}
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
	spans := m.spans(s)
	for _, at := range readable.FindAllStringIndex(s, -1) {
		spans = slices.DeleteFunc(spans, func(x span) bool {
			return (x.kind == "value" || x.kind == "key") && at[0] <= x.from && x.to <= at[1]
		})
	}
	return printable(replaced(s, spans), 300)
}

// word returns an identifier as it is, and nothing for what is none or hides something.
func (m *mask) word(s string) string {
	if !identifier.MatchString(s) || m.hide(s) != s {
		return ""
	}
	return s
}

// requestID returns the header as it is if it is an identifier and hides nothing. Long ones are usual.
func (m *mask) requestID(r *http.Response) string {
	id := r.Header.Get("X-Request-Id")
	if !identifier.MatchString(id) || len(m.known(id)) > 0 {
		return ""
	}
	return id
}

// hide takes out what must not be shown.
func (m *mask) hide(s string) string { return replaced(s, m.spans(s)) }

// span is a part of a text, in bytes, that must not be shown.
type span struct {
	from, to int
	kind     string
}

// kinds are the kinds of spans. Where some overlap, the first of them names the whole.
var kinds = []string{"secret", "token", "key", "value", "address"}

// spans finds what must not be shown: what is known, and what could be a key of others.
func (m *mask) spans(s string) []span {
	spans := m.known(s)
	for _, at := range opaque(s) {
		if s[at[0]:at[1]] != m.clientID {
			spans = append(spans, span{at[0], at[1], "key"})
		}
	}
	return spans
}

// known finds what must not be shown, other than opaque texts. All of it is looked for in the text as it is: what is
// taken out before could tear apart what is looked for next.
func (m *mask) known(s string) []span {
	var spans []span
	add := func(kind string, found [][]int) {
		for _, at := range found {
			spans = append(spans, span{at[0], at[1], kind})
		}
	}
	add("secret", occurrencesInLines(s, m.secretKey))
	add("token", jwt.FindAllStringIndex(s, -1))
	add("key", apiKey.FindAllStringIndex(s, -1))
	for _, value := range m.values {
		add("value", occurrences(s, value))
	}
	add("address", address.FindAllStringIndex(s, -1))
	return spans
}

// occurrences returns where a part occurs in a text, overlapping ones included.
func occurrences(s, part string) [][]int {
	var found [][]int
	if part == "" {
		return nil
	}
	for from := 0; ; {
		next := strings.Index(s[from:], part)
		if next < 0 {
			return found
		}
		found = append(found, []int{from + next, from + next + len(part)})
		from += next + 1
	}
}

// replaced returns a text with each group of overlapping spans replaced by the name of its kind.
func replaced(s string, spans []span) string {
	slices.SortFunc(spans, func(a, b span) int { return cmp.Or(a.from-b.from, b.to-a.to) })
	var b strings.Builder
	shown := 0
	for len(spans) > 0 {
		group, n := spans[0], 1
		for ; n < len(spans) && spans[n].from < group.to; n++ {
			group.to = max(group.to, spans[n].to)
			if slices.Index(kinds, spans[n].kind) < slices.Index(kinds, group.kind) {
				group.kind = spans[n].kind
			}
		}
		b.WriteString(s[shown:group.from] + "[" + group.kind + "]")
		shown, spans = group.to, spans[n:]
	}
	return b.String() + s[shown:]
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
