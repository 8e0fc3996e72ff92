// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/calcom-operator/calcom-operator/test/calcomtest"
)

// defaultRateLimit is the real server's, in calls per minute and client.
const defaultRateLimit = 500

// config is what the flags say.
type config struct {
	listen    string
	inspect   string
	clients   []calcomtest.OAuthClient
	latency   time.Duration
	rateLimit int
	timeScale float64
	quiet     bool
}

const usage = `calcom-sandbox serves an imitation of Cal.com's API v2 for managed users.

The state is in memory and gone when the program ends. A first call:

  calcom-sandbox &
  curl -H 'x-cal-secret-key: test-secret-1' \
       -H 'x-cal-client-id: cltestclient0000000000001' \
       -H 'Content-Type: application/json' \
       -d '{"email": "alice@example.com", "name": "Alice"}' \
       http://127.0.0.1:5555/v2/oauth-clients/cltestclient0000000000001/users

To edit a user by hand, as somebody would in the user interface, send a PATCH:

  curl -X PATCH -d '{"name": "Alice B."}' … same headers … /users/1

Flags:
`

// parse reads the flags. Help goes to out, with flag.ErrHelp as the error.
func parse(args []string, out io.Writer) (config, error) {
	cfg := config{}
	fs := flag.NewFlagSet("calcom-sandbox", flag.ContinueOnError)
	fs.SetOutput(io.Discard) // The caller prints the error, once.
	fs.StringVar(&cfg.listen, "listen", "127.0.0.1:5555", "`address` to listen on; port 0 chooses a free one")
	fs.StringVar(&cfg.inspect, "inspect", "", "`address` at which tests count calls and change users without credentials, as 127.0.0.1:0; none when empty")
	fs.Func("client", "OAuth client to know, as `id=…,secret=…[,organization=…][,defaultEventTypes=true]`; repeatable (default: "+
		calcomtest.DefaultClient().ID+" with secret "+calcomtest.DefaultClient().Secret+")", cfg.addClient)
	fs.DurationVar(&cfg.latency, "latency", 0, "`time` to wait before each answer, such as 150ms")
	fs.IntVar(&cfg.rateLimit, "rate-limit", defaultRateLimit, "`calls` per minute and client before 429; 0 for no limit")
	fs.Float64Var(&cfg.timeScale, "time-scale", 1, "`factor` by which the windows of the rate limit and the life of tokens are shorter")
	fs.BoolVar(&cfg.quiet, "quiet", false, "print no line per call")
	if err := fs.Parse(args); err != nil {
		return config{}, explain(err, fs, out)
	}
	if fs.NArg() > 0 {
		return config{}, fmt.Errorf("unexpected argument %q: flags only, see --help", fs.Arg(0))
	}
	if len(cfg.clients) == 0 {
		cfg.clients = []calcomtest.OAuthClient{calcomtest.DefaultClient()}
	}
	if err := cfg.check(); err != nil {
		return config{}, err
	}
	return cfg, nil
}

// explain turns the flag package's error into one that names the remedy.
func explain(err error, fs *flag.FlagSet, out io.Writer) error {
	if errors.Is(err, flag.ErrHelp) {
		_, _ = io.WriteString(out, usage) // Nobody is left to tell.
		fs.SetOutput(out)
		fs.PrintDefaults()
		return err
	}
	return fmt.Errorf("%w; see --help", err)
}

// check refuses values that the flag package lets through.
func (c *config) check() error {
	if _, _, err := net.SplitHostPort(c.listen); err != nil {
		return fmt.Errorf("--listen %q: want host:port, such as 127.0.0.1:5555 or :8080: %w", c.listen, err)
	}
	if _, _, err := net.SplitHostPort(c.inspect); c.inspect != "" && err != nil {
		return fmt.Errorf("--inspect %q: want host:port, such as 127.0.0.1:0: %w", c.inspect, err)
	}
	if c.latency < 0 {
		return fmt.Errorf("--latency %v: want a time of 0 or more, such as 150ms", c.latency)
	}
	if c.rateLimit < 0 {
		return fmt.Errorf("--rate-limit %d: want a number of calls per minute, or 0 for no limit", c.rateLimit)
	}
	if !(c.timeScale > 0) || math.IsInf(c.timeScale, 0) {
		return fmt.Errorf("--time-scale %v: want a number above 0, such as 60 to make minutes seconds", c.timeScale)
	}
	return nil
}

// addClient reads one --client.
func (c *config) addClient(value string) error {
	client := calcomtest.OAuthClient{Organization: calcomtest.DefaultClient().Organization}
	for part := range strings.SplitSeq(value, ",") {
		key, v, ok := strings.Cut(part, "=")
		if !ok {
			// The value may be a secret, which must not be repeated.
			return errors.New("want id=…,secret=…, a part has no =")
		}
		if err := set(&client, key, v); err != nil {
			return err
		}
	}
	if client.ID == "" || client.Secret == "" {
		return errors.New("want both id=… and secret=…")
	}
	for _, other := range c.clients {
		if other.ID == client.ID {
			return fmt.Errorf("client %s is given twice", client.ID)
		}
	}
	c.clients = append(c.clients, client)
	return nil
}

func set(client *calcomtest.OAuthClient, key, value string) error {
	switch key {
	case "id":
		if strings.ContainsAny(value, "/?#%@ ") {
			return fmt.Errorf("id %q must fit into a path segment and an e-mail address", value)
		}
		client.ID = value
	case "secret":
		client.Secret = value
	case "organization":
		client.Organization = value
	case "defaultEventTypes":
		on, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("defaultEventTypes=%s: want true or false", value)
		}
		client.DefaultEventTypes = on
	default:
		return fmt.Errorf("unknown key %q: want id, secret, organization or defaultEventTypes", key)
	}
	return nil
}
