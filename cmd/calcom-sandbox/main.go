// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Command calcom-sandbox serves an imitation of Cal.com's API v2 for managed
// users, for demonstrations and for trying out clients without an account. The
// state is in memory and gone when it ends.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := run(ctx, os.Args[1:], os.Stdout); {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "calcom-sandbox:", err)
		stop()
		os.Exit(1) //nolint:gocritic // The deferred call was made just above.
	}
}
