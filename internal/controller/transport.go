// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"fmt"
	"net"
	"net/http"
	"time"
)

const (
	// dialTimeout bounds the making of a connection, and again the TLS handshake. It is well below the time of a call:
	// a server that is not there is known not to have got the call, and nobody has to wait for its outcome.
	dialTimeout = 10 * time.Second

	// maxHeader bounds the headers of an answer, interim answers included, in bytes. Cal.com's, with those of the
	// network in front of it, are about 3 kB; net/http would take 10 MB, from each call at a time.
	maxHeader = 64 << 10
)

// NewTransport returns the HTTP transport for calls to Cal.com: the standard one, proxies and all, with enough
// kept connections for the given number of workers, and less trust in the server.
func NewTransport(workers int) http.RoundTripper {
	transport, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		panic(fmt.Sprintf("http.DefaultTransport is a %T", http.DefaultTransport))
	}
	transport = transport.Clone()
	transport.MaxIdleConnsPerHost = workers
	transport.DialContext = (&net.Dialer{Timeout: dialTimeout, KeepAlive: 30 * time.Second}).DialContext
	transport.TLSHandshakeTimeout = dialTimeout
	transport.MaxResponseHeaderBytes = maxHeader
	transport.DisableCompression = true // The client asks for none either; see there.
	// HTTP/2 lets a server have a call repeated, by saying that it did not look at it; net/http then sends a POST again
	// by itself. Only a broken server says so of a POST that it carried out, but then there are two users.
	transport.ForceAttemptHTTP2 = false
	transport.Protocols = new(http.Protocols)
	transport.Protocols.SetHTTP1(true)
	return transport
}
