// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package sweep

import (
	"net/url"
	"strconv"
	"strings"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// MaxURL is how long the URL of a call may get, in bytes. Proxies and servers refuse request lines of 8 KiB and more.
const MaxURL = 7 << 10

// Room returns how many bytes of a list's URL are left for the addresses, in the form in which they are sent, at an API
// URL (as calcom.BaseURL returns it) for a client.
func Room(apiURL, clientID string) int {
	rest := apiURL + "/oauth-clients/" + url.PathEscape(clientID) + "/users?emails=&limit=" + strconv.Itoa(calcom.MaxListed)
	return MaxURL - len(rest)
}

// separator is the comma between two addresses, as it is sent.
const separator = "%2C"

// Batch returns how many of the addresses, from the first on, one call can ask for: at most most, and no more than fit
// into room bytes. It is at least 1 where there is an address, so that nobody is passed over for ever.
func Batch(addresses []string, most, room int) int {
	taken, length := 0, 0
	for _, address := range addresses[:min(len(addresses), max(most, 1))] {
		if taken > 0 {
			length += len(separator)
		}
		if length += escapedLength(address); length > room && taken > 0 {
			break
		}
		taken++
	}
	return taken
}

// Batches returns how many calls it takes to ask for all addresses.
func Batches(addresses []string, most, room int) int {
	calls := 0
	for len(addresses) > 0 {
		addresses = addresses[Batch(addresses, most, room):]
		calls++
	}
	return calls
}

// escapedLength is len(url.QueryEscape(s)), without the string.
func escapedLength(s string) int {
	length := 0
	for i := range len(s) {
		switch c := s[i]; {
		case isAlphanumeric(c), c == '-', c == '_', c == '.', c == '~', c == ' ': // A space is sent as a plus sign.
			length++
		default:
			length += 3
		}
	}
	return length
}

func isAlphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// The longest parts of an address and of a host name, in bytes.
const (
	maxLocal  = 64
	maxDomain = 253
	maxLabel  = 63
)

// Askable reports whether an address can stand in the list's filter. One bad address makes the server refuse all that
// stand beside it (the check is isEmail of the JavaScript package validator), so that this is strict: ASCII, unquoted,
// within all lengths. The server takes an address with the client's id anywhere in it for a stored one and finds nobody
// under it.
func Askable(address, clientID string) bool {
	local, domain, ok := strings.Cut(address, "@")
	return ok && isLocal(local) && isDomain(domain) && (clientID == "" || !strings.Contains(address, clientID))
}

func isLocal(local string) bool {
	for atom := range strings.SplitSeq(local, ".") {
		if atom == "" || !consistsOf(atom, "!#$%&'*+/=?^_`{|}~-") {
			return false
		}
	}
	return len(local) <= maxLocal
}

func isDomain(domain string) bool {
	labels := strings.Split(domain, ".")
	for _, label := range labels {
		if label == "" || len(label) > maxLabel || !consistsOf(label, "-") || strings.Trim(label, "-") != label {
			return false
		}
	}
	return len(domain) <= maxDomain && len(labels) > 1 && isTopDomain(labels[len(labels)-1])
}

func consistsOf(s, signs string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte(signs, s[i]) < 0 {
			return false
		}
	}
	return true
}

// isTopDomain reports whether a label can stand at the end: letters, or a name in another script.
func isTopDomain(label string) bool {
	if len(label) > 4 && strings.EqualFold(label[:4], "xn--") {
		return true
	}
	return len(label) > 1 && !strings.ContainsAny(label, "0123456789-")
}
