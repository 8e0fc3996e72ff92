// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package simulation lets the operator live through random misfortune and checks, after every step, that it kept its
// rules: nobody created twice, nobody leaked, nobody deleted by mistake, nothing secret shown.
//
// The reconcilers and the HTTP client are the real ones. Around them stand an API server in memory (apiserver.go),
// with a cache per process that lags behind (process.go), and the Cal.com look-alike of package calcomtest, reached
// without sockets (transport.go). Both misbehave. A clock that only the simulation moves, and one random source,
// make each run a function of its seed.
//
// Each reconcile is a coroutine (task.go) that stops before and after each write to Kubernetes and each call to
// Cal.com. The scheduler (world.go) picks who goes on: that is how two leaders, a crash between two writes and an
// edit at the worst moment come about. The world's own events are in events.go.
//
// What has to hold is written down without the operator's help: the ledger (ledger.go) sees each call to Cal.com and
// knows what the server really did; status.go reads what is shown; converge.go waits for the end of all misfortune,
// after which everything has to come right, and then stay still.
package simulation
