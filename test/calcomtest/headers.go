// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcomtest

import (
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // An ETag is no secret; the real server uses SHA-1 for it.
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"strconv"
)

// contentType is that of every answer of the real server.
const contentType = "application/json; charset=utf-8"

// fixedHeaders come with every answer.
var fixedHeaders = map[string]string{
	"Content-Security-Policy":           "default-src 'self';base-uri 'self';font-src 'self' https: data:;form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests",
	"Cross-Origin-Opener-Policy":        "same-origin",
	"Cross-Origin-Resource-Policy":      "same-origin",
	"Origin-Agent-Cluster":              "?1",
	"Referrer-Policy":                   "no-referrer",
	"Strict-Transport-Security":         "max-age=15552000; includeSubDomains",
	"X-Content-Type-Options":            "nosniff",
	"X-Dns-Prefetch-Control":            "off",
	"X-Download-Options":                "noopen",
	"X-Frame-Options":                   "SAMEORIGIN",
	"X-Permitted-Cross-Domain-Policies": "none",
	"X-Xss-Protection":                  "0",
	"Access-Control-Allow-Origin":       "*",
}

// writeHeaders sets the headers of an answer, those of a fault last.
func writeHeaders(h http.Header, out outcome) {
	for name, value := range fixedHeaders {
		h.Set(name, value)
	}
	h.Set("Content-Type", contentType)
	if out.contentType != "" {
		h.Set("Content-Type", out.contentType)
	}
	h.Set("ETag", etag(out.body))
	if !out.early {
		h.Set("X-Request-Id", newUUID())
	}
	if out.limits != nil {
		out.limits.write(h)
	}
	for name, values := range out.header {
		maps.Copy(h, http.Header{http.CanonicalHeaderKey(name): values})
	}
}

// write sets the three headers of the rate limit. There is no Retry-After on
// the real server, and reset is in seconds from now, rounded up.
func (l *limits) write(h http.Header) {
	h.Set("X-RateLimit-Limit-Default", strconv.Itoa(l.limit))
	h.Set("X-RateLimit-Remaining-Default", strconv.Itoa(l.remaining))
	h.Set("X-RateLimit-Reset-Default", strconv.Itoa(l.seconds()))
}

// etag is the weak tag that the real server's framework computes.
func etag(body []byte) string {
	sum := sha1.Sum(body) //nolint:gosec // See the import.
	return fmt.Sprintf(`W/"%x-%s"`, len(body), base64.StdEncoding.EncodeToString(sum[:])[:27])
}

// newUUID makes a random UUID (version 4).
func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // It never fails; the runtime aborts instead.
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
