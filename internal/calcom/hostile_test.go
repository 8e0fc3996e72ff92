// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package calcom

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"
)

// serveBytes is serve for answers that net/http's server is too well behaved for.
func serveBytes(t *testing.T, answer func(conn net.Conn)) *Client {
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
				defer conn.Close() //nolint:errcheck // The test looks at what the client makes of it.
				if r, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
					answer(conn)
				}
			}()
		}
	}()
	return newClient(t, "http://"+listener.Addr().String())
}

func sending(text string) func(net.Conn) {
	return func(conn net.Conn) { _, _ = io.WriteString(conn, text) }
}

// untilHungUp waits for the client to close the connection.
func untilHungUp(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) }

// endlessly answers with the beginning and then the same piece, as long as the client takes it.
func endlessly(status int, beginning, piece string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, err := io.WriteString(w, beginning)
		for err == nil {
			_, err = io.WriteString(w, piece)
		}
	}
}

// TestHostileAnswers has answers after which nothing may count as done, or as gone.
func TestHostileAnswers(t *testing.T) {
	const user = `{"status":"success","data":{"id":7,"email":"canary@example.com"`
	block := strings.Repeat(" ", 64<<10)
	deep := strings.Repeat(`{"a":[`, 200_000)
	var bomb bytes.Buffer
	packer := gzip.NewWriter(&bomb)
	for range 160 {
		_, _ = io.WriteString(packer, block)
	}
	_ = packer.Close()
	handlers := map[string]http.HandlerFunc{
		"EndlessBlanks":    endlessly(200, user, block),
		"EndlessString":    endlessly(200, user+`,"name":"`, strings.Repeat("canary", 10_000)),
		"EndlessKeys":      endlessly(200, user+`,"metadata":{"a":1`, strings.Repeat(`,"canary":1`, 5_000)),
		"EndlessUsers":     endlessly(201, `{"status":"success","data":[{"id":7}`, strings.Repeat(`,{"id":7}`, 5_000)),
		"EndlessError":     endlessly(500, `{"message":"`, block),
		"TenMegabytes":     answering(200, user+`,"name":"`+strings.Repeat("canary", 10<<20/6)+`"}}`),
		"LyingLength":      func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "9999999999999") },
		"DeepObjects":      answering(200, `{"status":"success","data":`+deep),
		"DeepArrays":       answering(200, strings.Repeat("[", 1<<20)),
		"DeepAndClosed":    answering(200, `{"status":"success","data":{"id":7,"metadata":{"a":`+strings.Repeat("[", 100_000)+strings.Repeat("]", 100_000)+`}}}`),
		"NulBytes":         answering(200, "\x00\x00\x00"),
		"InvalidUTF8":      answering(200, "\xff\xfe{\"status\":\"success\"}"),
		"ByteOrderMark":    answering(200, "\ufeff"+user+`}}`),
		"EmptyWith204":     answering(204, ""),
		"ResetContent":     answering(205, ""),
		"PartialContent":   answering(206, `{"status":"success","data":`),
		"StatusesRepeated": answering(200, `{"status":"success","data":{"id":7},"status":"error"}`),
		"DataRepeated":     answering(200, `{"status":"success","data":{"id":7},"data":{"id":8}}`),
		"CompressedAnyway": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(bomb.Bytes())
		},
		"OddStatus": answering(999, user),
	}
	for name, handler := range handlers {
		t.Run(name, func(t *testing.T) { wantNothingDone(t, serve(t, handler)) })
	}
	for name, answer := range map[string]func(net.Conn){
		"NotHTTP":            sending("220 canary.example.com ESMTP\r\n"),
		"NoAnswer":           sending(""),
		"StatusLineAlone":    sending("HTTP/1.1 200 OK\r\n"),
		"EndlessStatusLine":  endless("HTTP/1.1 200 ", "canary"),
		"EndlessHeaders":     endless("HTTP/1.1 200 OK\r\n", "X-Canary: canary\r\n"),
		"EndlessHeaderName":  endless("HTTP/1.1 200 OK\r\n", "canary"),
		"EndlessInterim":     endless("", "HTTP/1.1 103 Early Hints\r\nX-Canary: canary\r\n\r\n"),
		"EndlessContinue":    endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
		"TwoLengths":         sending("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}canary"),
		"NegativeLength":     sending("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}"),
		"BadChunks":          sending("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\ncanary\r\n"),
		"EndlessChunkHeader": endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;", "canary"),
		"EndlessTrailers":    endless("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", "X-Canary: canary\r\n"),
		"BadHeaderName":      sending("HTTP/1.1 200 OK\r\nX canary@example.com: y\r\n\r\n"),
		"NulInAHeader":       sending("HTTP/1.1 200 OK\r\nX-Canary: a\x00b\r\n\r\n"),
		"EscapeInAHeader":    sending("HTTP/1.1 200 OK\r\nX-Request-Id: \x1b[31mcanary\x07\r\n\r\n"),
		"BadStatus":          sending("HTTP/1.1 2OO canary@example.com\r\n\r\n"),
		"SwitchesProtocol": func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: canary\r\n\r\n")
			untilHungUp(conn)
		},
	} {
		t.Run(name, func(t *testing.T) { wantNothingDone(t, serveBytes(t, answer)) })
	}
}

func endless(beginning, piece string) func(net.Conn) {
	piece = strings.Repeat(piece, 1000)
	return func(conn net.Conn) {
		_, err := io.WriteString(conn, beginning)
		for err == nil {
			_, err = io.WriteString(conn, piece)
		}
	}
}

// wantNothingDone makes every call and wants an error of unknown outcome that says nothing of the server's choice.
func wantNothingDone(t *testing.T, c *Client) {
	t.Helper()
	for operation, send := range operations() {
		e := asError(t, send(t.Context(), c))
		if !e.OutcomeUnknown() || IsNotFound(e) || IsNoSuchAPI(e) || IsConflict(e) || IsUnauthorized(e) {
			t.Errorf("%s: got %v, want an error of unknown outcome", operation, e)
		}
		if errors.Is(e, context.DeadlineExceeded) {
			t.Errorf("%s: only the deadline ended the call: %v", operation, e)
		}
		wantNoCanary(t, e)
	}
}

// TestSlowAnswers has servers that do not come to an end, each in another phase. Only the deadline can end such a call.
func TestSlowAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
	drip := func(beginning string) func(net.Conn) {
		return func(conn net.Conn) {
			_, err := io.WriteString(conn, beginning)
			for ticks := time.NewTicker(time.Millisecond); err == nil; <-ticks.C {
				_, err = io.WriteString(conn, " ")
			}
		}
	}
	for name, answer := range map[string]func(net.Conn){
		"NeverAnswers":      untilHungUp,
		"DripsTheBody":      drip(ok),
		"DripsAnErrorBody":  drip("HTTP/1.1 500 No\r\n\r\n"),
		"DripsAHeader":      drip("HTTP/1.1 200 OK\r\nX: "),
		"DripsTheStatus":    drip("HTTP/1.1 200 "),
		"StopsInTheHeaders": func(conn net.Conn) { sending("HTTP/1.1 200 OK\r\nX-Y")(conn); untilHungUp(conn) },
		"StopsInTheBody":    func(conn net.Conn) { sending(ok + `{"status":`)(conn); untilHungUp(conn) },
		"StopsAfter101": func(conn net.Conn) {
			sending("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n")(conn)
			untilHungUp(conn)
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := serveBytes(t, answer)
			c.timeout = 50 * time.Millisecond // The client's own; the context has none.
			for operation, send := range operations() {
				if e := asError(t, send(t.Context(), c)); !e.OutcomeUnknown() || e.NotSent {
					t.Errorf("%s: got %v, want an unknown outcome", operation, e)
				}
			}
		})
	}
}

// TestRedirectsAreNotFollowed counts what reaches the other host.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var reached atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached.Add(1) }))
	t.Cleanup(other.Close)
	readable := other.URL + "/canary@example.com?key=" + testSecretKey
	locations := []string{
		readable,
		other.URL + "/?to=canary@example.com", "/elsewhere", "//" + strings.TrimPrefix(other.URL, "http://") + "/x", "",
		"http://" + testSecretKey + "@x", "http://canary%zz\x7f", "http://[canary", "\x01canary", strings.Repeat("a", 10_000),
	}
	for _, status := range []int{300, 301, 302, 303, 304, 305, 307, 308} {
		for _, location := range locations {
			var asked atomic.Int32
			c := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				asked.Add(1)
				w.Header()["Location"] = []string{location}
				w.Header().Set("Refresh", "0; url="+other.URL)
				w.WriteHeader(status)
			})
			for operation, send := range operations() {
				asked.Store(0)
				e := asError(t, send(t.Context(), c))
				if !e.OutcomeUnknown() || asked.Load() != 1 || location == readable && e.Status != status {
					t.Errorf("%s, %d to %q: %v after %d calls", operation, status, location, e, asked.Load())
				}
				wantNoCanary(t, e)
			}
		}
	}
	if n := reached.Load(); n != 0 {
		t.Errorf("%d calls reached the other host", n)
	}
}

func TestHostileHeaders(t *testing.T) {
	var many strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&many, "X-RateLimit-Remaining-%d: 1\r\nX-RateLimit-Limit-%d: %d\r\nX-RateLimit-Reset-%d: 1e309\r\n", i, i, i+1, i)
	}
	for name, headers := range map[string]string{
		"Absurd":     "X-RateLimit-Limit-Default: 1e309\r\nX-RateLimit-Remaining-Default: NaN\r\nX-RateLimit-Reset-Default: -Inf\r\nRetry-After: NaN\r\n",
		"Negative":   "X-RateLimit-Limit: -5\r\nX-RateLimit-Remaining: -5\r\nX-RateLimit-Reset: -5\r\nRetry-After: -9223372036854775809\r\n",
		"Overflow":   "X-RateLimit-Limit: 9223372036854775808\r\nX-RateLimit-Remaining: 0\r\nRetry-After: 1e400\r\n",
		"Far":        "X-RateLimit-Limit: 9223372036854775807\r\nX-RateLimit-Remaining: 9223372036854775807\r\nX-RateLimit-Reset: 9223372036854775807\r\n",
		"Thousands":  many.String(),
		"RequestID":  "X-Request-Id: a\u202e canary\xff\tb\r\nX-Request-Id: canary@example.com\r\n",
		"Folded":     "X-Request-Id: a\r\n b\r\n\tcanary\r\n",
		"EmptyNames": "X-RateLimit-Remaining-: 1\r\nX-RateLimit-Limit-: 1\r\nX-RateLimit-Reset-: x\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			c := serveBytes(t, sending("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n"+headers+"\r\n"))
			c.onResponse = func(_ int, limit RateLimit) { wantSaneLimit(t, limit) }
			e := asError(t, operations()[OpCreate](t.Context(), c))
			if !IsRateLimited(e) || e.RequestID != "" || e.RetryAfter < 0 || e.RetryAfter > maxReset {
				t.Errorf("got %v after %v, want a plain 429", e, e.RetryAfter)
			}
			wantSaneLimit(t, e.RateLimit)
			wantNoCanary(t, e)
		})
	}
}

func wantSaneLimit(t *testing.T, limit RateLimit) {
	t.Helper()
	if limit.Limit < 0 || limit.Remaining < 0 || limit.Reset < 0 || limit.Reset > maxReset || !limit.Known && limit != (RateLimit{}) {
		t.Errorf("out of bounds: %+v", limit)
	}
}

// TestUsersThatAreOdd has users of which the values are odd, and the form is right: they are taken as what they are.
func TestUsersThatAreOdd(t *testing.T) {
	for name, data := range map[string]string{
		"InvalidUTF8":  "{\"id\":7,\"email\":\"a@b.c\",\"name\":\"\xff\xfe\",\"metadata\":{\"\xff\":\"\xff\"}}",
		"Nul":          `{"id":7,"email":"a@b.c","name":"a\u0000b","bio":"\ud800"}`,
		"UnknownField": `{"id":7,"email":"a@b.c","more":{"a":[1,2,{"b":null}]}}`,
		"IDTwice":      `{"id":8,"id":7,"email":"a@b.c"}`,
	} {
		t.Run(name, func(t *testing.T) {
			user, err := serve(t, answering(200, `{"status":"success","data":`+data+`}`)).User(t.Context(), 7)
			if err != nil || user.ID != 7 {
				t.Fatalf("got user %d, %v", user.ID, err)
			}
			for _, text := range []*string{user.Name.Reveal(), user.Bio.Reveal()} {
				if text != nil && !utf8.ValidString(*text) {
					t.Errorf("%q is no UTF-8", *text)
				}
			}
			for key := range user.Metadata.Reveal() {
				if !utf8.ValidString(key) {
					t.Errorf("%q is no UTF-8", key)
				}
			}
		})
	}
}

// TestCreatedSomebodyElse has an answer that belongs to another call, as from a cache in between.
func TestCreatedSomebodyElse(t *testing.T) {
	for email, good := range map[string]bool{
		"alice+" + testClientID + "@example.com": true,
		"Alice+" + testClientID + "@Example.com": true,
		"alice@example.com":                      true,
		"canary@example.com":                     false,
		"alice+" + testClientID + "@example.org": false,
		"":                                       false,
	} {
		body := `{"status":"success","data":{"user":{"id":7,"email":"` + email + `"},"accessToken":"canary","refreshToken":"canary"}}`
		user, _, err := serve(t, answering(201, body)).CreateUser(t.Context(), UserFields{Email: Hide(new("alice@example.com")), Name: Hide(new("Alice"))})
		if good {
			if err != nil || user.ID != 7 {
				t.Errorf("%q: got user %d, %v", email, user.ID, err)
			}
			continue
		}
		e := asError(t, err)
		if user.ID != 0 || !e.Unreadable || !e.OutcomeUnknown() {
			t.Errorf("%q: got user %d, %v; want an unknown outcome", email, user.ID, e)
		}
		wantNoCanary(t, e)
	}
}
