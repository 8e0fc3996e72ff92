// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"bufio"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// through returns a client whose calls go through a transport of the test's making.
func through(t *testing.T, baseURL string, transport http.RoundTripper) *Client {
	t.Helper()
	c := newClient(t, baseURL)
	c.http.Transport = transport
	return c
}

// proxy returns the address of a proxy with a password, that answers in raw bytes.
func proxy(t *testing.T, answer string) *url.URL {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	if answer == "" {
		_ = listener.Close() // Nobody is there.
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = http.ReadRequest(bufio.NewReader(conn))
			_, _ = io.WriteString(conn, answer)
			_ = conn.Close()
		}
	}()
	return &url.URL{Scheme: "http", User: url.UserPassword("canary-user", "canary-password"), Host: listener.Addr().String()}
}

// TestProxies has what a proxy, or the setting of one, puts into errors.
func TestProxies(t *testing.T) {
	// As http.ProxyFromEnvironment says it, address and all.
	const unparsable = "http://canary-user:canary%zz@proxy"
	parseError := &url.Error{Op: "parse", URL: unparsable, Err: url.EscapeError("%zz")}
	badSetting := fmt.Errorf("invalid proxy address %q: %w", unparsable, parseError)

	cases := map[string]struct {
		baseURL string
		answer  string // Of the proxy; nobody listens without one.
		scheme  string // Of the proxy's address; http without one.
		setting error
		notSent bool
	}{
		"NobodyThere":             {baseURL: "https://api.cal.com", notSent: true},
		"NobodyThereForPlainHTTP": {baseURL: "http://api.cal.com", notSent: true},
		"OtherScheme":             {baseURL: "https://api.cal.com", scheme: "canary", notSent: true},
		"Refuses": {
			baseURL: "https://api.cal.com", answer: "HTTP/1.1 407 who is canary-user canary@example.com\r\nContent-Length: 0\r\n\r\n",
		},
		"AnswersNonsense": {baseURL: "https://api.cal.com", answer: "canary-password\r\n\r\n"},
		"EndsTheTunnel":   {baseURL: "https://api.cal.com", answer: "HTTP/1.1 200 OK\r\n\r\ncanary"},
		"RefusesPlainHTTP": {
			baseURL: "http://api.cal.com", answer: "HTTP/1.1 407 canary\r\nProxy-Authenticate: canary\r\nContent-Length: 6\r\n\r\ncanary",
		},
		"BadSetting": {baseURL: "https://api.cal.com", setting: badSetting},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			address := proxy(t, tc.answer)
			address.Scheme = cmp.Or(tc.scheme, address.Scheme)
			transport := &http.Transport{Proxy: func(*http.Request) (*url.URL, error) { return address, tc.setting }}
			t.Cleanup(transport.CloseIdleConnections)
			for operation, send := range operations() {
				e := asError(t, send(t.Context(), through(t, tc.baseURL, transport)))
				if e.NotSent != tc.notSent || e.OutcomeUnknown() != (!tc.notSent && e.Status == 0) {
					t.Errorf("%s: not sent %t, want %t: %v", operation, e.NotSent, tc.notSent, e)
				}
				wantNoCanary(t, e)
			}
		})
	}
}

// TestCertificatesOfStrangers has certificates whose names say what must not be said, or say a lot.
func TestCertificatesOfStrangers(t *testing.T) {
	cases := map[string][]string{
		"NamesTheUser":     {"canary.zanzibar.example.org", "*.zanzibar"},
		"NamesTheSecret":   {testSecretKey + ".example.org"},
		"ManyNames":        strings.Split(strings.Repeat("a-long-name-of-a-server.example.org ", 90), " ")[:90],
		"ControlCharacter": {"a\x1b[31mb\x00c"},
	}
	for name, names := range cases {
		t.Run(name, func(t *testing.T) {
			certificate, pool := certify(t, names)
			server := httptest.NewUnstartedServer(answering(http.StatusOK, ""))
			server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
			server.StartTLS()
			t.Cleanup(server.Close)
			for _, roots := range []*x509.CertPool{pool, x509.NewCertPool()} { // The wrong name, and the wrong authority.
				transport := &http.Transport{
					TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
					DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
						return new(net.Dialer).DialContext(ctx, network, server.Listener.Addr().String())
					},
				}
				_, _, err := through(t, "https://api.cal.com", transport).CreateUser(t.Context(), UserFields{
					Email: Hide(new("canary.zanzibar@example.com")), Name: Hide(new("zanzibar")),
				})
				e := asError(t, err)
				if !e.NotSent || !strings.Contains(e.Error(), "certificate") {
					t.Errorf("got %v, want a certificate that is refused", e)
				}
				if n := len(e.Error()); n > 400 || strings.ContainsAny(e.Error(), "\x00\x1b\n") {
					t.Errorf("the text has %d bytes: %q", n, e.Error())
				}
				wantNoCanary(t, e, "zanzibar")
			}
		})
	}
}

// certify makes a certificate for some names, and the pool of authorities that trusts it.
func certify(t *testing.T, names []string) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: names[0], Organization: names[:1]}, DNSNames: names,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	if parsed, err := x509.ParseCertificate(der); err == nil {
		pool.AddCert(parsed)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// TestUnknownTransportErrors has errors of transports that quote what they were given, as *url.Error does.
func TestUnknownTransportErrors(t *testing.T) {
	request := "https://api.cal.com/v2/users?emails=canary%40example.com&key=" + testSecretKey
	for name, err := range map[string]error{
		"Plain":       errors.New(request),
		"URL":         &url.Error{Op: "Get", URL: request, Err: errors.New(request)},
		"URLInURL":    &url.Error{Op: "Get", URL: request, Err: &url.Error{Op: "parse", URL: request, Err: errors.New(request)}},
		"Net":         &net.OpError{Op: "read", Net: "tcp", Err: errors.New("peer says canary@example.com " + testSecretKey)},
		"NetInURL":    &url.Error{Op: "Post", URL: request, Err: &net.OpError{Op: "write", Err: errors.New("alice@example.com")}},
		"DNS":         &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "canary@example.com"}},
		"Deadline":    fmt.Errorf("%s: %w", request, context.DeadlineExceeded),
		"Cancelled":   fmt.Errorf("%s: %w", request, context.Canceled),
		"Certificate": &tls.CertificateVerificationError{Err: errors.New("canary@example.com " + testSecretKey)},
	} {
		t.Run(name, func(t *testing.T) {
			for _, send := range operations() {
				c := through(t, "https://api.cal.com", failing{err})
				e := asError(t, send(t.Context(), c))
				if e.Status != 0 {
					t.Errorf("got %v, want no status", e)
				}
				for _, canary := range []string{"@", "alice", testSecretKey, "emails="} {
					if text := fmt.Sprintf("%v %+v %#v %v", e, e, e, errors.Unwrap(e)); strings.Contains(text, canary) {
						t.Errorf("%q is shown: %s", canary, text)
					}
				}
				if errors.Is(err, context.DeadlineExceeded) != errors.Is(e, context.DeadlineExceeded) ||
					errors.Is(err, context.Canceled) != errors.Is(e, context.Canceled) {
					t.Errorf("%v does not tell the end of the context", e)
				}
			}
		})
	}
}

type failing struct{ err error }

func (f failing) RoundTrip(*http.Request) (*http.Response, error) { return nil, f.err }
