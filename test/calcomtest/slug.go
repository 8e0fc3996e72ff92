// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"regexp"
	"strings"
	"unicode"
)

// The server's rules for user names, in the order in which it applies them.
// What it does to dots and at the ends is from its source; the rest was
// recorded.
var (
	dashes       = regexp.MustCompile(`[\s_#]+`)
	periods      = regexp.MustCompile(`\.{2,}`)
	doubleDashes = regexp.MustCompile(`-+`)
)

// slug makes a user name: lower case, without diacritics, and a dash for every
// run of characters that are neither letters nor digits nor dots.
func slug(s string) string {
	s = withoutDiacritics(strings.TrimSpace(strings.ToLower(s)))
	s = dashes.ReplaceAllString(dashed(s), "-")
	s = strings.TrimLeft(s, "-")
	s = strings.TrimLeft(periods.ReplaceAllString(s, "."), ".")
	s = doubleDashes.ReplaceAllString(s, "-")
	return strings.TrimRight(strings.TrimRight(s, "-"), ".")
}

// dashed puts one dash for each run of characters that a slug cannot have.
func dashed(s string) string {
	var b strings.Builder
	inRun := false
	for _, r := range s {
		if slugRune(r) {
			b.WriteRune(r)
			inRun = false
			continue
		}
		if !inRun {
			b.WriteByte('-')
		}
		inRun = true
	}
	return b.String()
}

// slugRune tells what stays. Spaces do, to become dashes afterwards; so do
// symbols such as emoji, and the asterisk and the hash sign, which Unicode
// counts among them.
func slugRune(r rune) bool {
	return r == '.' || r == '*' || r == '#' || unicode.In(r, unicode.L, unicode.N, unicode.Zs, unicode.So)
}

// withoutDiacritics maps precomposed letters to their base and drops combining
// marks. It stands for Unicode's canonical decomposition, which the standard
// library does not have, and covers Latin, Greek and Cyrillic.
func withoutDiacritics(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		if base, ok := baseLetter[r]; ok {
			return base
		}
		return r
	}, s)
}

var baseLetter = func() map[rune]rune {
	out := map[rune]rune{}
	for base, letters := range decomposed {
		for _, r := range letters {
			out[r] = base
		}
	}
	return out
}()

// decomposed lists, for each base, the lower-case letters that Unicode
// decomposes into it and marks.
var decomposed = map[rune]string{
	'a': "àáâãäåāăąǎǟǡǻȁȃȧḁạảấầẩẫậắằẳẵặ",
	'b': "ḃḅḇ",
	'c': "çćĉċčḉ",
	'd': "ďḋḍḏḑḓ",
	'e': "èéêëēĕėęěȅȇȩḕḗḙḛḝẹẻẽếềểễệ",
	'f': "ḟ",
	'g': "ĝğġģǧǵḡ",
	'h': "ĥȟḣḥḧḩḫẖ",
	'i': "ìíîïĩīĭįǐȉȋḭḯỉị",
	'j': "ĵǰ",
	'k': "ķǩḱḳḵ",
	'l': "ĺļľḷḹḻḽ",
	'm': "ḿṁṃ",
	'n': "ñńņňǹṅṇṉṋ",
	'o': "òóôõöōŏőơǒǫǭȍȏȫȭȯȱṍṏṑṓọỏốồổỗộớờởỡợ",
	'p': "ṕṗ",
	'r': "ŕŗřȑȓṙṛṝṟ",
	's': "śŝşšșṡṣṥṧṩ",
	't': "ţťțṫṭṯṱẗ",
	'u': "ùúûüũūŭůűųưǔǖǘǚǜȕȗṳṵṷṹṻụủứừửữự",
	'v': "ṽṿ",
	'w': "ŵẁẃẅẇẉẘ",
	'x': "ẋẍ",
	'y': "ýÿŷȳẏẙỳỵỷỹ",
	'z': "źżžẑẓẕ",
	'æ': "ǣǽ",
	'ø': "ǿ",
	'ſ': "ẛ",
	'ʒ': "ǯ",
	'α': "ά",
	'ε': "έ",
	'η': "ή",
	'ι': "ΐίϊ",
	'ο': "ό",
	'υ': "ΰϋύ",
	'ω': "ώ",
	'г': "ѓ",
	'е': "ѐё",
	'и': "йѝ",
	'к': "ќ",
	'у': "ў",
	'і': "ї",
}
