// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// remote is https://api.cal.com, as far as the operator can tell: a proxy that knows one host, and a certificate
// for it.
type remote struct {
	proxy string // Its URL.
	ca    string // Path of the certificate that signs for the host.

	mu     sync.Mutex
	server *calcomtest.Server
}

func newRemote(t *testing.T, dir string) *remote {
	t.Helper()
	r := &remote{ca: filepath.Join(dir, "ca.pem")}
	r.reset()
	api := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		r.current().ServeHTTP(w, request)
	}))
	api.TLS = &tls.Config{Certificates: []tls.Certificate{certificate(t, r.ca, "api.cal.com")}, MinVersion: tls.VersionTLS12}
	api.StartTLS()
	t.Cleanup(api.Close)
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		if request.Method != http.MethodConnect || request.Host != "api.cal.com:443" {
			http.Error(w, "there is no such host", http.StatusBadGateway)
			return
		}
		if err := tunnel(w, api.Listener.Addr().String()); err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
		}
	}))
	t.Cleanup(proxy.Close)
	r.proxy = proxy.URL
	// Only curl's calls go there too: Go's tools may have to ask a module proxy.
	curl := fmt.Sprintf("proxy = %q\ncacert = %q\nnoproxy = \"127.0.0.1\"\n", r.proxy, r.ca)
	if err := os.WriteFile(filepath.Join(dir, ".curlrc"), []byte(curl), 0o600); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *remote) current() *calcomtest.Server {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.server
}

// reset forgets all users, clients and faults.
func (r *remote) reset() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.server != nil {
		r.server.Close()
	}
	r.server = calcomtest.NewHandler(calcomtest.Options{RateLimit: 500})
}

// environment makes a process take the look-alike for api.cal.com.
func (r *remote) environment() []string {
	return []string{"HTTPS_PROXY=" + r.proxy, "SSL_CERT_FILE=" + r.ca}
}

// tunnel connects the caller with an address until either hangs up.
func tunnel(w http.ResponseWriter, address string) error {
	server, err := net.Dial("tcp", address)
	if err != nil {
		return err
	}
	client, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = server.Close()
		return err
	}
	_, _ = io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	pipe := func(to, from net.Conn) {
		_, _ = io.Copy(to, from)
		_ = to.Close() // Ends the other direction.
	}
	go pipe(server, client)
	go pipe(client, server)
	return nil
}

// certificate makes a certificate for a host that signs itself, and writes it to a file.
func certificate(t *testing.T, path, host string) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// change does to the look-alike what a "cal.com" line of a setup says:
//
//	cal.com client ID SECRET                    a further OAuth client
//	cal.com secret ID SECRET                    another secret key for a client
//	cal.com user ID EMAIL [KEY=VALUE …]         a user that others created, with metadata; KEY={} is a nested value, .KEY=VALUE a field
//	cal.com edit ID EMAIL .KEY=VALUE …          what others change of a user
//	cal.com wipe ID                             all users of a client are lost
//	cal.com half-made ID EMAIL                  what a crash leaves
//	cal.com answer OPERATION STATUS [TIMES]     an error instead of an answer; without TIMES until the end of the page
//	cal.com well                                no errors any more
func (r *remote) change(line string) (err error) {
	defer func() { // The look-alike panics where a test can only be wrong.
		if wrong := recover(); wrong != nil {
			err = fmt.Errorf("%s: %v", line, wrong)
		}
	}()
	words := slices.Concat(strings.Fields(line)[1:], make([]string, 4)) // What is left out is empty.
	server := r.current()
	switch words[0] {
	case "client":
		server.AddClient(calcomtest.OAuthClient{ID: words[1], Secret: words[2], Organization: strconv.Itoa(100 + len(server.Calls()))})
	case "secret":
		server.SetSecret(words[1], words[2])
	case "user":
		user := calcomtest.User{Email: words[2], Metadata: metadata(words[3:])}
		setFields(&user, words[3:])
		server.AddUser(words[1], user)
	case "edit":
		user, _ := server.UserByEmail(words[1], words[2])
		if !server.UpdateUser(words[1], user.ID, func(u *calcomtest.User) { setFields(u, words[3:]) }) {
			return fmt.Errorf("%s: there is no such user", line)
		}
	case "wipe":
		for _, user := range server.Users(words[1]) {
			server.RemoveUser(words[1], user.ID)
		}
	case "half-made":
		server.AddHalfMadeUser(words[1], words[2])
	case "answer":
		status, err := strconv.Atoi(words[2])
		if err != nil {
			return fmt.Errorf("%s: %w", line, err)
		}
		times := -1
		if words[3] != "" {
			if times, err = strconv.Atoi(words[3]); err != nil {
				return fmt.Errorf("%s: %w", line, err)
			}
		}
		op := calcomtest.Op(words[1])
		if op == "any" {
			op = calcomtest.OpAny
		}
		server.Inject(calcomtest.Fault{Op: op, Status: status, Times: times})
	case "well":
		server.ClearFaults()
	default:
		return fmt.Errorf("%s: there is no such change; see remote_test.go", line)
	}
	return nil
}

func setFields(user *calcomtest.User, pairs []string) {
	for _, pair := range pairs {
		switch key, value, _ := strings.Cut(pair, "="); key {
		case ".name":
			user.Name = &value
		case ".timeZone":
			user.TimeZone = value
		}
	}
}

func metadata(pairs []string) map[string]any {
	values := make(map[string]any)
	for _, pair := range pairs {
		key, value, ok := strings.Cut(pair, "=")
		switch {
		case !ok, strings.HasPrefix(key, "."):
		case value == "{}":
			values[key] = map[string]any{"nested": true}
		default:
			values[key] = value
		}
	}
	return values
}
