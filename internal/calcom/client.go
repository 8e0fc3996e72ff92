// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package calcom is a client for the managed users of Cal.com's Platform API v2.
//
// It does what it is told once: no retries, no redirects, no logging. The answers of the create and refresh
// calls are secrets, and everything else is somebody's personal data, so no error text holds a request, a
// response body, a query, an address, a token or the secret key. Every type keeps to that however it is printed,
// logged or encoded: what must not be shown is Hidden.
//
// What is said here of the server's behaviour comes from its source of December 2025 (apps/api/v2) and from
// answers recorded from a real server of that version.
package calcom

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const (
	// callTimeout bounds one call, the reading of its answer included. Creating a user loads calendars on the
	// server's side and can be slow.
	callTimeout = 30 * time.Second

	// maxBody bounds what is read of an answer, in bytes.
	maxBody = 1 << 20

	// maxRow is what each user that is asked for adds to that bound in a list. A full page is about 100 kB as a rule;
	// the metadata of one user may be 30 kB.
	maxRow = 32 << 10
)

// Config says how to reach one OAuth client.
type Config struct {
	// BaseURL is the API's address, with or without /v2 at its end. A path before that is kept.
	BaseURL string
	// ClientID is the id of the OAuth client.
	ClientID string
	// SecretKey is its secret.
	SecretKey Hidden[string]
	// UserAgent is sent with every call.
	UserAgent string
	// Transport carries the calls; http.DefaultTransport when nil.
	Transport http.RoundTripper
	// OnResponse, when set, is told of the rate limit headers and the status of every answer.
	OnResponse func(status int, limit RateLimit)
	// OnDone, when set, is told of every call that was made, once its answer was read: the status, 0 when there was no
	// answer, and how long it took.
	OnDone func(operation Operation, status int, took time.Duration)
	// Now tells the time for OnDone; time.Now when nil.
	Now func() time.Time
}

// Client calls the API in the name of one OAuth client. It is safe for concurrent use.
type Client struct {
	base       *url.URL
	apiURL     string // The same as text.
	clientID   string
	secretKey  Hidden[string]
	keyForm    string // What the secret key looks like, if not like one.
	userAgent  string
	timeout    time.Duration // Of one call; callTimeout but in tests.
	http       http.Client
	onResponse func(int, RateLimit)
	onDone     func(Operation, int, time.Duration)
	now        func() time.Time
}

// New returns a client. An unusable configuration is an error that names the field, and never its value where
// that is secret.
func New(c Config) (*Client, error) {
	base, err := parseBaseURL(c.BaseURL)
	if err != nil {
		return nil, err
	}
	if c.ClientID == "" {
		return nil, errors.New("client id is empty")
	}
	if !isHeaderValue(c.ClientID) {
		return nil, errors.New("client id holds a character that no HTTP header can carry")
	}
	if err := CheckSecretKey(c.SecretKey.Reveal()); err != nil {
		return nil, err
	}
	if !isHeaderValue(c.UserAgent) {
		return nil, errors.New("user agent holds a character that no HTTP header can carry")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Client{
		base:      base,
		apiURL:    base.String(),
		clientID:  c.ClientID,
		secretKey: c.SecretKey,
		keyForm:   formOf(c.SecretKey.Reveal()),
		userAgent: c.UserAgent,
		timeout:   callTimeout,
		http: http.Client{
			Transport: c.Transport,
			// A redirect could carry the secret to another host, and a POST would become a GET.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		onResponse: c.OnResponse,
		onDone:     c.OnDone,
		now:        c.Now,
	}, nil
}

// isHeaderValue reports whether net/http would send s as the value of a header. Asked beforehand, because its
// own error would quote the value.
func isHeaderValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}

// Operation is a call of the API, in the words in which errors tell of it.
type Operation string

// The operations.
const (
	OpCreate       Operation = "creating the user"
	OpGet          Operation = "getting the user"
	OpList         Operation = "listing users"
	OpUpdate       Operation = "updating the user"
	OpDelete       Operation = "deleting the user"
	OpRefresh      Operation = "refreshing tokens"
	OpForceRefresh Operation = "force-refreshing tokens"
)

// call describes one request.
type call struct {
	name   Operation
	method string
	path   []string // Below the base URL, unescaped.
	query  Hidden[url.Values]
	body   Hidden[any]
	most   int // Bytes of the answer that are read; maxBody when zero.
}

// envelope is the form of every successful answer. Data is decoded apart, so that its absence can be told
// from an empty value.
type envelope struct {
	Status string          `json:"status"`
	Data   json.RawMessage `json:"data"`
}

// do sends the call and decodes the data of its answer into out. Every failure is an *Error.
func (c *Client) do(ctx context.Context, call call, out any) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := c.request(ctx, call)
	if err != nil {
		return &Error{Operation: call.name, NotSent: true, err: err}
	}
	status := 0
	if c.onDone != nil {
		begun := c.now()
		defer func() { c.onDone(call.name, status, c.now().Sub(begun)) }()
	}
	response, err := c.http.Do(request)
	if err != nil {
		return c.transportError(call, err)
	}
	defer response.Body.Close() //nolint:errcheck // Nothing depends on it: the body was read or is given up.
	status = response.StatusCode
	limit := parseRateLimit(response.Header)
	if c.onResponse != nil {
		c.onResponse(response.StatusCode, limit)
	}
	most := cmp.Or(call.most, maxBody)
	body, err := read(response, most)
	if response.StatusCode/100 != 2 {
		return c.statusError(call, response, limit, body)
	}
	switch {
	case err != nil:
		err = c.maskFor(call).cause(err)
	case len(body) > most:
		err = fmt.Errorf("answer is larger than %d MiB", most>>20)
	default:
		err = decode(body, out)
	}
	if err != nil {
		return &Error{
			Operation: call.name, Status: response.StatusCode, Unreadable: true,
			RequestID: c.maskFor(call).requestID(response), RateLimit: limit, err: err,
		}
	}
	return nil
}

// read returns the body, up to a byte more than may be.
func read(response *http.Response, most int) ([]byte, error) {
	if response.StatusCode == http.StatusSwitchingProtocols {
		// What is called the body is the connection then, which no deadline ends.
		return nil, nil
	}
	return io.ReadAll(io.LimitReader(response.Body, int64(most)+1))
}

func (c *Client) request(ctx context.Context, call call) (*http.Request, error) {
	var body io.Reader
	if content := call.body.Reveal(); content != nil {
		encoded, err := json.Marshal(content)
		if err != nil {
			return nil, errors.New("encoding the body: a metadata value is no JSON") // The cause could quote it.
		}
		body = bytes.NewReader(encoded)
	}
	// JoinPath would clean a ".." element away; escaping each one keeps it what it is.
	target := *c.base
	for _, element := range call.path {
		target.Path += "/" + element
	}
	target.RawPath = escapedPath(c.base, call.path)
	target.RawQuery = call.query.Reveal().Encode() // Encodes + as %2B, which the server needs: it reads a bare + as a space.
	request, err := http.NewRequestWithContext(ctx, call.method, target.String(), body)
	if err != nil {
		return nil, errors.New("building the request") // The cause would quote the URL.
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Accept", "application/json")
	// Without it net/http would ask for compressed answers and unpack them, and a few bytes could become many.
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", c.userAgent)
	// The id is needed beside the secret: the server counts calls without it in a small bucket per IP address.
	request.Header.Set("x-cal-client-id", c.clientID)
	request.Header.Set("x-cal-secret-key", c.secretKey.Reveal())
	return request, nil
}

func escapedPath(base *url.URL, elements []string) string {
	var path strings.Builder
	path.WriteString(base.EscapedPath())
	for _, element := range elements {
		path.WriteString("/" + url.PathEscape(element))
	}
	return path.String()
}

func decode(body []byte, out any) error {
	var e envelope
	if err := json.Unmarshal(body, &e); err != nil {
		return errors.New("answer is not the JSON that was expected") // The cause could quote the body.
	}
	if e.Status != "success" || len(e.Data) == 0 || bytes.Equal(e.Data, []byte("null")) {
		return errors.New("answer lacks the status success or its data")
	}
	if err := json.Unmarshal(e.Data, out); err != nil {
		return errors.New("data of the answer has another shape than was expected")
	}
	return nil
}
