// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"net/netip"
	"regexp"
	"strings"
	"unicode/utf8"
)

// storedEmail is the form in which the server keeps an address: the client ID
// is added to the local part unless it is there. The server splits at every @
// and looks at the first two parts only; one that is missing reads "undefined".
func storedEmail(email, clientID string) string {
	if strings.Contains(email, "+"+clientID+"@") {
		return email
	}
	local, domain := splitEmail(email)
	return local + "+" + clientID + "@" + domain
}

// filterEmail is what the list makes of an address in its filter, where the
// client ID anywhere in the address is enough.
func filterEmail(email, clientID string) string {
	if strings.Contains(email, clientID) {
		return email
	}
	return storedEmail(email, clientID)
}

const undefined = "undefined"

func splitEmail(email string) (local, domain string) {
	return firstTwo(strings.Split(email, "@"))
}

func firstTwo(parts []string) (string, string) {
	if len(parts) < 2 {
		return parts[0], undefined
	}
	return parts[0], parts[1]
}

// usernameOf makes the user name of a stored address: only the first two
// labels of the domain count, so that two addresses can collide.
func usernameOf(stored string) string {
	local, domain := splitEmail(stored)
	first, second := firstTwo(strings.Split(domain, "."))
	return slug(local + "-" + first + "-" + second)
}

// inviteEmail is what a create accepts as an address, after the suffix.
var inviteEmail = regexp.MustCompile(`^[^\s@]+@[^\s@]+\.[^\s@]+$`)

// validator's longest local part and domain, in bytes.
const (
	maxLocal  = 64
	maxDomain = 254
)

var localAtom = regexp.MustCompile("^[a-zA-Z0-9!#$%&'*+/=?^_`{|}~\u00a1-\ud7ff\uf900-\ufdcf\ufdf0-\uffef-]+$")

// isEmail is the check of the list's filter, after the rules of the JavaScript
// package validator. Quoted local parts are refused here.
func isEmail(s string) bool {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return false
	}
	local, domain := s[:at], s[at+1:]
	if len(local) > maxLocal || len(domain) > maxDomain || !isDomain(domain) {
		return false
	}
	for atom := range strings.SplitSeq(local, ".") {
		if !localAtom.MatchString(atom) {
			return false
		}
	}
	return true
}

var (
	label     = regexp.MustCompile("^[a-zA-Z0-9\u00a1-\uffff-]{1,63}$")
	topDomain = regexp.MustCompile("^([a-zA-Z\u00a1-\u00a8\u00aa-\ud7ff\uf900-\ufdcf\ufdf0-\uffef]{2,}|[xX][nN][a-zA-Z0-9-]{2,})$")
)

// isDomain asks for at least two labels, the last of which is no number.
func isDomain(s string) bool {
	labels := strings.Split(s, ".")
	if len(labels) < 2 || !topDomain.MatchString(labels[len(labels)-1]) {
		return false
	}
	for _, l := range labels {
		if !label.MatchString(l) || strings.HasPrefix(l, "-") || strings.HasSuffix(l, "-") {
			return false
		}
	}
	return true
}

// maxURL is validator's longest URL, in characters.
const maxURL = 2083

var port = regexp.MustCompile(`^[0-9]{1,5}$`)

// isURL is the check of avatarUrl, after the rules of validator: the scheme is
// optional, the host must be an IP address or have a top-level domain.
func isURL(s string) bool {
	if s == "" || utf8.RuneCountInString(s) > maxURL || strings.ContainsAny(s, " \t\r\n<>") {
		return false
	}
	rest := s
	if scheme, after, ok := strings.Cut(s, "://"); ok {
		switch strings.ToLower(scheme) {
		case "http", "https", "ftp":
		default:
			return false
		}
		rest = after
	}
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	rest = rest[strings.LastIndexByte(rest, '@')+1:]
	return isHost(rest)
}

// isHost takes a host with or without a port.
func isHost(s string) bool {
	host := s
	if strings.HasPrefix(s, "[") {
		inner, _, ok := strings.Cut(s[1:], "]")
		ip, err := netip.ParseAddr(inner)
		return ok && err == nil && ip.Is6()
	}
	if h, p, ok := strings.Cut(s, ":"); ok {
		if !port.MatchString(p) {
			return false
		}
		host = h
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Is4() || isDomain(host)
}
