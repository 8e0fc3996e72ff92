// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// BaseURL returns the canonical form of an API's address: with /v2 at its end, and the same text for every spelling of
// one server that RFC 3986, section 6.2.2 and 6.2.3, calls equivalent. That is the case of scheme, host and
// percent-encoding, encoded letters and digits, the default port, dot segments and the forms of an IPv6 address; beyond
// the RFC, empty segments of the path and the dot at the end of a host name. A host name that is not ASCII stays in its
// own script.
//
// Accounts, quotas, limits and permissions are keyed by this form. It is an error, which does not show the URL, when
// servers could read the URL in different ways.
func BaseURL(s string) (string, error) {
	u, err := parseBaseURL(s)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// SameURL reports whether two API URLs are spellings of one. One that is not usable equals only itself.
func SameURL(a, b string) bool {
	if a == b {
		return true
	}
	canonicalA, errA := BaseURL(a)
	canonicalB, errB := BaseURL(b)
	return errA == nil && errB == nil && canonicalA == canonicalB
}

// parseURL takes an API URL apart that has nothing but a scheme, a host, a port and a path.
func parseURL(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil {
		return nil, errors.New("API URL cannot be parsed") // The cause would quote the URL.
	}
	if (u.Scheme != "https" && u.Scheme != "http") || u.Hostname() == "" {
		return nil, errors.New("API URL must begin with https:// or http:// and name a host")
	}
	if u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" {
		return nil, errors.New("API URL must have no user, query or fragment")
	}
	return u, nil
}

func parseBaseURL(s string) (*url.URL, error) {
	u, err := parseURL(s)
	if err != nil {
		return nil, err
	}
	host, port, err := CanonicalAuthority(u)
	if err != nil {
		return nil, err
	}
	path, err := CanonicalPath(u)
	if err != nil {
		return nil, err
	}
	if !strings.HasSuffix(path, "/v2") {
		path += "/v2"
	}
	decoded, err := url.PathUnescape(path)
	if err != nil {
		return nil, errors.New("API URL cannot be parsed")
	}
	if port == defaultPorts[u.Scheme] {
		port = ""
	}
	return &url.URL{Scheme: u.Scheme, Host: joinHostPort(host, port), Path: decoded, RawPath: path}, nil
}

// defaultPorts are the ports of the schemes, by RFC 9110, section 4.2.
var defaultPorts = map[string]string{"https": "443", "http": "80"}

// DefaultPort returns the port that a URL with a scheme has when it names none.
func DefaultPort(scheme string) string { return defaultPorts[scheme] }

func joinHostPort(host, port string) string {
	switch {
	case port != "":
		return net.JoinHostPort(host, port)
	case strings.Contains(host, ":"):
		return "[" + host + "]"
	}
	return host
}

// CanonicalAuthority returns the canonical host of a URL, an IPv6 address without brackets, and the canonical port,
// which is empty when the URL names none. A URL without a host has an empty one.
func CanonicalAuthority(u *url.URL) (host, port string, err error) {
	if host, err = canonicalHost(u.Hostname()); err != nil {
		return "", "", err
	}
	if u.Port() == "" {
		return host, "", nil
	}
	number, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil || number == 0 {
		return "", "", errors.New("API URL must have a port from 1 to 65535, or none")
	}
	return host, strconv.FormatUint(number, 10), nil
}

func canonicalHost(host string) (string, error) {
	address, err := netip.ParseAddr(host)
	switch {
	case err == nil && strings.IndexFunc(address.Zone(), isReserved) < 0:
		return address.Unmap().String(), nil // RFC 5952. The mapped form of an IPv4 address leads to the same server.
	case strings.Contains(host, ":"):
		return "", errors.New("API URL must have an IPv6 address, or nothing, in brackets")
	case !utf8.ValidString(host):
		return "", errors.New("API URL must have a host name in UTF-8")
	}
	name := strings.TrimSuffix(strings.ToLower(host), ".")
	if strings.HasSuffix(name, ".") || name == "" && host != "" {
		return "", errors.New("API URL must have a host name without an empty label at its end")
	}
	if address, err := netip.ParseAddr(name); err == nil {
		return address.String(), nil
	}
	// Resolvers differ about 127.1, 0x7f.0.0.1 and 2130706433: an address for some, the name of a host for others.
	if last := name[strings.LastIndexByte(name, '.')+1:]; isNumber(last) {
		return "", errors.New("API URL must have an IPv4 address with four decimal numbers and no leading zeros, or the name of a host")
	}
	return name, nil
}

// isNumber reports whether the last label of a host name is a number, by which resolvers take the whole for an IPv4
// address.
func isNumber(label string) bool {
	digits, hex := strings.CutPrefix(label, "0x")
	if hex {
		return strings.Trim(digits, "0123456789abcdef") == ""
	}
	return label != "" && strings.Trim(label, "0123456789") == ""
}

// CanonicalPath returns the canonical path of a URL, percent-encoded and without a slash at its end; the root is empty.
func CanonicalPath(u *url.URL) (string, error) {
	raw := u.RawPath
	if raw == "" {
		raw = u.EscapedPath()
	}
	var segments []string
	for segment := range strings.SplitSeq(canonicalEscapes(raw), "/") {
		switch segment {
		case "", ".":
		case "..":
			segments = segments[:max(0, len(segments)-1)]
		default:
			if hidesDots(segment) {
				return "", errors.New("API URL must have no dot segment beside an encoded slash: servers read it in different ways")
			}
			segments = append(segments, segment)
		}
	}
	if len(segments) == 0 {
		return "", nil
	}
	return "/" + strings.Join(segments, "/"), nil
}

// hidesDots reports whether a segment holds a dot segment for a server that decodes slashes before it resolves these,
// or that takes a backslash for a slash.
func hidesDots(segment string) bool {
	decoded, err := url.PathUnescape(segment)
	if err != nil {
		return true
	}
	parts := strings.FieldsFunc(decoded, func(r rune) bool { return r == '/' || r == '\\' })
	return slices.Contains(parts, ".") || slices.Contains(parts, "..")
}

// canonicalEscapes encodes each byte of a path that has to be, decodes those that need not be, and writes the codes in
// upper case.
func canonicalEscapes(path string) string {
	var b strings.Builder
	for i := 0; i < len(path); i++ {
		c, encoded := path[i], false
		if c == '%' && i+2 < len(path) {
			if n, err := strconv.ParseUint(path[i+1:i+3], 16, 8); err == nil {
				c, encoded, i = byte(n), true, i+2
			}
		}
		if isUnreserved(c) || !encoded && strings.IndexByte("!$&'()*+,;=:@/", c) >= 0 {
			b.WriteByte(c)
			continue
		}
		fmt.Fprintf(&b, "%%%02X", c)
	}
	return b.String()
}

// isUnreserved reports whether a byte means the same encoded and not, by RFC 3986, section 2.3.
func isUnreserved(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-._~", c) >= 0
}

func isReserved(r rune) bool { return r >= utf8.RuneSelf || !isUnreserved(byte(r)) } //nolint:gosec // It is ASCII.
