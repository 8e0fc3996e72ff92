// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package plain is an example of code that calls Cal.com itself, without Kubernetes. Its tests are meant to be copied.
package plain

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Client calls Cal.com for one OAuth client.
type Client struct {
	BaseURL, ID, Secret string
	// Wait waits between two attempts; time.After in production.
	Wait func(time.Duration) <-chan time.Time
}

// attempts is how often a call is sent before Rename gives up.
const attempts = 3

// Rename gives a managed user another name. A PATCH may be repeated, so it is: when Cal.com is out of order, when the answer is lost,
// and after a block for too many calls.
func (c *Client) Rename(ctx context.Context, userID int64, name string) error {
	var err error
	for range attempts {
		var again time.Duration
		if again, err = c.rename(ctx, userID, name); err == nil || again == 0 {
			return err
		}
		select {
		case <-c.Wait(again):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// rename makes one attempt. After an error that may go away it says when to try again.
func (c *Client) rename(ctx context.Context, userID int64, name string) (again time.Duration, err error) {
	body, err := json.Marshal(map[string]string{"name": name})
	if err != nil {
		return 0, err
	}
	url := fmt.Sprintf("%s/oauth-clients/%s/users/%d", c.BaseURL, c.ID, userID)
	request, err := http.NewRequestWithContext(ctx, http.MethodPatch, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("X-Cal-Client-Id", c.ID)
	request.Header.Set("X-Cal-Secret-Key", c.Secret)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return time.Second, err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return time.Second, err
	}
	switch {
	case response.StatusCode == http.StatusOK:
		return 0, nil
	case response.StatusCode == http.StatusTooManyRequests: // There is no Retry-After; the block is a minute.
		again, _ = time.ParseDuration(response.Header.Get("X-RateLimit-Reset-Default") + "s")
		return max(again, time.Second), fmt.Errorf("renaming user %d: too many calls", userID)
	case response.StatusCode >= http.StatusInternalServerError:
		again = time.Second
	}
	return again, fmt.Errorf("renaming user %d: Cal.com answered %s", userID, response.Status)
}
