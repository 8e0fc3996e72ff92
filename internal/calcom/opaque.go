// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"
)

// minOpaque is from how many characters on a run of letters and digits may be a key.
const minOpaque = 20

// lineBreak is one in a text, as it is or escaped, with the blanks around it. A key that was wrapped goes on behind it.
const lineBreak = `[ \t]*(?:[\r\n]|\\[rn])(?:\s|\\[rn])*`

var (
	// apiKey is one of Cal.com's API keys. It goes on behind a line break, and behind a blank where a digit follows.
	apiKey = regexp.MustCompile(`\bcal_[^\s"'<>,;]*(?:` + lineBreak + `[\w+/=.-]+|[ \t]+[\w+/=-]*[0-9][\w+/=-]*)*`)

	// run is a text in the characters of hexadecimal numbers and of both base64 alphabets, over any number of lines.
	run = regexp.MustCompile(`[\w+/=-]+(?:` + lineBreak + `[\w+/=-]+)*`)

	breaks = regexp.MustCompile(lineBreak)
)

// opaque finds the parts of a text, as positions in bytes, that could be a key or a token.
func opaque(s string) [][]int {
	var found [][]int
	for _, at := range run.FindAllStringIndex(s, -1) {
		text := s[at[0]:at[1]]
		if breaks.MatchString(text) && isOpaque(breaks.ReplaceAllString(text, "")) {
			found = append(found, at)
			continue
		}
		found = append(found, opaqueLines(s, at)...)
	}
	return found
}

// opaqueLines finds the opaque parts of a run whose lines do not belong together. A path is taken apart.
func opaqueLines(s string, at []int) [][]int {
	var found [][]int
	from := at[0]
	part := func(to int) {
		if isOpaque(s[from:to]) {
			found = append(found, []int{from, to})
		}
	}
	isPath := s[from] == '/'
	for i := at[0]; i < at[1]; i++ {
		if isPath && s[i] == '/' || s[i] == '\\' || unicode.IsSpace(rune(s[i])) {
			part(i)
			from = i + 1
		}
	}
	part(at[1])
	return found
}

// isOpaque reports whether a run is too long and too mixed for a word or the name of something: it has a digit, or
// changes between small and capital letters more often than words that are strung together.
func isOpaque(text string) bool {
	if len(text) < minOpaque {
		return false
	}
	changes, was := 0, rune(0)
	for _, r := range text {
		if unicode.IsDigit(r) {
			return true
		}
		if !unicode.IsLetter(r) {
			continue
		}
		if was != 0 && unicode.IsLower(r) != unicode.IsLower(was) {
			changes++
		}
		was = r
	}
	return changes > len(text)/3
}

// occurrencesInLines is occurrences for a part that may be broken into lines, or hold other white space.
func occurrencesInLines(s, part string) [][]int {
	found := occurrences(s, part)
	if strings.IndexFunc(s, unicode.IsSpace) < 0 {
		return found
	}
	var squeezed strings.Builder
	var positions []int // Of each byte of the squeezed text in s.
	for i, r := range s {
		if unicode.IsSpace(r) {
			continue
		}
		squeezed.WriteRune(r)
		for n := squeezed.Len() - len(positions); n > 0; n-- {
			positions = append(positions, i)
		}
	}
	whole := strings.Join(strings.Fields(part), "")
	for _, at := range occurrences(squeezed.String(), whole) {
		last := positions[at[1]-1]
		_, size := utf8.DecodeRuneInString(s[last:])
		found = append(found, []int{positions[at[0]], last + size})
	}
	return found
}
