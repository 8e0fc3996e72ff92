// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package controller

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"k8s.io/utils/clock"

	v1alpha1 "github.com/calcom-operator/calcom-operator/api/v1alpha1"
	"github.com/calcom-operator/calcom-operator/internal/account"
	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/manageduser"
	"github.com/calcom-operator/calcom-operator/internal/outcome"
	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// operatorTransport is the transport as the operator has it.
func operatorTransport(t *testing.T) *http.Transport {
	t.Helper()
	transport, ok := NewTransport(3).(*http.Transport)
	if !ok {
		t.Fatalf("the transport is a %T", NewTransport(3))
	}
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

func TestTransportSpeaksHTTP1(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.Header.Get("Accept-Encoding")) //nolint:gosec // Nobody browses here.
	}))
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	trusting := server.Client().Transport.(*http.Transport).TLSClientConfig //nolint:forcetypeassert // As documented.
	for _, protocol := range []string{"HTTP/2.0 gzip", "HTTP/1.1 "} {
		transport := operatorTransport(t)
		transport.TLSClientConfig = trusting.Clone()
		if protocol == "HTTP/2.0 gzip" { // What net/http would do, so that the test can fail.
			transport = http.DefaultTransport.(*http.Transport).Clone() //nolint:forcetypeassert // As documented.
			transport.TLSClientConfig = trusting.Clone()
			t.Cleanup(transport.CloseIdleConnections)
		} else {
			transport.TLSClientConfig.NextProtos = nil
		}
		response, err := (&http.Client{Transport: transport}).Get(server.URL)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(response.Body)
		_ = response.Body.Close()
		if string(body) != protocol || err != nil {
			t.Errorf("the server saw %q, want %q (%v)", body, protocol, err)
		}
	}
}

func TestTransportBounds(t *testing.T) {
	transport := operatorTransport(t)
	if transport.DialContext == nil || transport.TLSHandshakeTimeout != dialTimeout || transport.MaxIdleConnsPerHost != 3 || transport.Proxy == nil {
		t.Error("the transport lacks a bound, a proxy or its connections")
	}
	for name, answer := range map[string]string{
		"ManyHeaders": "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Name: value\r\n", 10_000) + "\r\n",
		"LongHeader":  "HTTP/1.1 200 OK\r\nX-Name: " + strings.Repeat("a", 200_000) + "\r\n\r\n",
		"ManyInterim": strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 5000) + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			response, err := (&http.Client{Transport: transport}).Get(answeringBytes(t, answer))
			if err == nil {
				_ = response.Body.Close()
				t.Errorf("%d bytes of headers were taken", len(answer))
			}
		})
	}
}

// answeringBytes serves one answer to everybody and returns the URL.
func answeringBytes(t *testing.T, answer string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close() //nolint:errcheck // The client says how it went.
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
					_, _ = io.WriteString(conn, answer)
				}
			}()
		}
	}()
	return "http://" + listener.Addr().String()
}

// TestHostileAnswersInWords follows hostile answers through the operator's transport, client and session to what users
// read.
func TestHostileAnswersInWords(t *testing.T) {
	const head = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n"
	for name, answer := range map[string]string{
		"NotHTTP":         "220 canary@example.com ESMTP\r\n",
		"Nothing":         "",
		"HTML":            head + "<html>canary@example.com</html>",
		"TenMegabytes":    head + `{"status":"success","data":{"id":7,"name":"` + strings.Repeat("canary", 10<<20/6),
		"AnotherUser":     head + `{"status":"success","data":{"id":8,"email":"canary@example.com"}}`,
		"Deep":            head + strings.Repeat("[", 1<<20),
		"HugeID":          head + `{"status":"success","data":{"id":9223372036854775807}}`,
		"Redirect":        "HTTP/1.1 307 canary\r\nLocation: http://canary.example.com/\r\nContent-Length: 0\r\n\r\n",
		"SwitchProtocol":  "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: canary\r\n\r\n",
		"Teapot":          "HTTP/1.1 418 canary\r\nX-Request-Id: canary canary\r\nContent-Length: 0\r\n\r\n",
		"ManyHeaders":     "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Canary: canary\r\n", 100_000) + "\r\n",
		"ErrorWithEscape": "HTTP/1.1 500 No\r\nConnection: close\r\n\r\n" + `{"error":{"code":"canary\u001b[31m","message":"\u0007canary@example.com"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			login, err := newAccounts(Config{
				Clock: clock.RealClock{}, Transport: operatorTransport(t), RateLimitShare: 1,
			}).login("ns/name", account.Name{APIURL: answeringBytes(t, answer) + "/v2", ClientID: pureClientID}, calcom.Hide("canary-secret"))
			if err != nil {
				t.Fatal(err)
			}
			mu := pureUser()
			s := &session{login: login}
			for _, send := range []func() error{
				func() error { _, err := s.User(t.Context(), 7); return err },
				func() error { _, err := s.UsersByEmail(t.Context(), mu.Spec.Email); return err },
				func() error { _, _, err := s.CreateUser(t.Context(), manageduser.NewUser(mu, pureMark)); return err },
				func() error { _, err := s.DeleteUser(t.Context(), 7); return err },
			} {
				err := send()
				p := outcome.Classify(err)
				if p == nil || !slices.Contains([]string{v1alpha1.ReasonRemoteUnavailable, v1alpha1.ReasonUnexpectedResponse}, p.Reason) {
					t.Fatalf("got %v of %v", p, err)
				}
				if isDenied(err) {
					t.Errorf("%v would pass for a denial", err)
				}
				for _, text := range []string{p.Error(), err.Error()} {
					if strings.Contains(strings.ToLower(text), "canary") || strings.ContainsAny(text, "@\n\x07\x1b") || len(text) > outcome.MaxMessage {
						t.Errorf("users and logs read %q", text)
					}
				}
			}
		})
	}
}

// A create call that is answered with somebody else's user, as by a cache in between, is neither believed nor repeated.
func TestCreateAnsweredWithAnotherUser(t *testing.T) {
	s := newStory(t)
	s.sandbox.Inject(calcomtest.Fault{Op: calcomtest.OpCreate, After: true, Status: 201, Body: `{"status":"success","data":{"user":{"id":4711,"email":"bob@example.com"},"accessToken":"a","refreshToken":"r"}}`})
	mu := s.create()
	if mu.Status.User != nil {
		t.Fatalf("status has user %d", mu.Status.User.ID)
	}
	s.reconcile(mu)
	s.wantReady(mu, "InSync")
	if n := s.sandbox.Count(calcomtest.OpCreate); n != 1 || mu.Status.User.ID == 4711 {
		t.Errorf("%d create calls, and user %d", n, mu.Status.User.ID)
	}
}

// A 404 with a list in which the server hides nothing but says nothing either frees no object.
func TestDeleteOnAHostileServer(t *testing.T) {
	for name, list := range map[string]string{
		"HTML":        `<html>nobody here</html>`,
		"NoData":      `{"status":"success"}`,
		"DataNull":    `{"status":"success","data":null}`,
		"DataObject":  `{"status":"success","data":{}}`,
		"StatusError": `{"status":"error","data":[]}`,
		"Strangers":   `{"status":"success","data":[{"id":9,"email":"other@example.com"}]}`,
		"Truncated":   `{"status":"success","data":[`,
		"TooLarge":    `{"status":"success","data":[` + strings.Repeat(" ", 2<<20) + `]}`,
	} {
		t.Run(name, func(t *testing.T) {
			s := newStory(t)
			mu := s.create()
			s.sandbox.Inject(
				calcomtest.Fault{Op: calcomtest.OpGet, Status: 404, Times: -1},
				calcomtest.Fault{Op: calcomtest.OpDelete, Status: 404, Times: -1},
				calcomtest.Fault{Op: calcomtest.OpList, Status: 200, Body: list, Times: -1},
			)
			s.delete(mu)
			s.advance(resync)
			s.reconcile(mu)
			if !s.reload(mu) {
				t.Error("the object is gone, and its user is not")
			}
		})
	}
}
