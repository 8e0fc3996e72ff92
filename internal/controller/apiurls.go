// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
)

// URLPrefixes are the API URLs that may be called.
type URLPrefixes []urlPrefix

// urlPrefix is the beginning of a URL: a scheme alone, or with a host, or with the beginning of a path too.
type urlPrefix struct {
	scheme, host, port, path string
}

// ParseURLPrefixes reads a comma-separated list, as "https://" or "https://api.cal.com,http://calcom.cal.svc/prefix".
// The spelling of a prefix does not matter, as that of a URL does not; see calcom.BaseURL.
func ParseURLPrefixes(list string) (URLPrefixes, error) {
	var prefixes URLPrefixes
	for text := range strings.SplitSeq(list, ",") {
		text = strings.TrimSpace(text)
		prefix, err := parseURLPrefix(text)
		if err != nil {
			return nil, fmt.Errorf("%q is no URL prefix (%w); give https:// or the beginning of a URL like https://api.cal.com/", text, err)
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}

func parseURLPrefix(text string) (urlPrefix, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || strings.ContainsAny(text, "?# ") ||
		!strings.Contains(text, "://") || u.Hostname() == "" && text != u.Scheme+"://" || hasDots(u) {
		return urlPrefix{}, errors.New("it is not of that form")
	}
	host, port, err := calcom.CanonicalAuthority(u)
	if err != nil {
		return urlPrefix{}, err
	}
	path, err := calcom.CanonicalPath(u)
	return urlPrefix{scheme: u.Scheme, host: host, port: port, path: path + "/"}, err
}

// String returns the list as the flag takes it.
func (p URLPrefixes) String() string {
	texts := make([]string, len(p))
	for i, prefix := range p {
		texts[i] = prefix.String()
	}
	return strings.Join(texts, ",")
}

func (p urlPrefix) String() string {
	if p.host == "" {
		return p.scheme + "://"
	}
	u := url.URL{Scheme: p.scheme, Host: p.host}
	switch {
	case p.port != "":
		u.Host = net.JoinHostPort(p.host, p.port)
	case strings.Contains(p.host, ":"):
		u.Host = "[" + p.host + "]"
	}
	return u.String() + p.path
}

// allow reports whether a URL begins with one of the prefixes, however either is written. The host and each element of
// the path count as a whole: https://api.cal.com allows neither https://api.cal.com.example.org nor
// https://api.cal.community. A prefix without a port allows every port of its host.
func (p URLPrefixes) allow(apiURL string) bool {
	u, err := url.Parse(apiURL)
	if err != nil || u.User != nil || u.Hostname() == "" || hasDots(u) {
		return false
	}
	host, port, err := calcom.CanonicalAuthority(u)
	if err != nil {
		return false
	}
	path, err := calcom.CanonicalPath(u)
	if err != nil {
		return false
	}
	port = cmp.Or(port, calcom.DefaultPort(u.Scheme))
	return slices.ContainsFunc(p, func(prefix urlPrefix) bool {
		return prefix.scheme == u.Scheme && (prefix.host == "" || prefix.host == host) &&
			(prefix.port == "" || prefix.port == port) && strings.HasPrefix(path+"/", prefix.path)
	})
}

// hasDots reports whether a server could take the URL for another one, further up.
func hasDots(u *url.URL) bool { return strings.Contains(u.Path, "..") }
