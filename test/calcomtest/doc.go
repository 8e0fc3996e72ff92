// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

// Package calcomtest is a stateful look-alike of Cal.com's API v2 for managed
// users, over real HTTP, for the tests of whoever calls that API. It imports
// nothing but the standard library.
//
// It imitates answers recorded from a real Cal.com server (source of
// 2025-12-19): status codes, bodies down to the order of keys, headers, and
// also what nobody would expect, such as
//
//   - time zones that come back in another spelling, America/Port-au-Prince as
//     America/Port-au-prince;
//   - e-mail addresses that are stored with "+clientID" in them, compared with
//     case, and refused with one of two kinds of 409: the one with the ID of the
//     user who has the address, and the one without for a user name that only
//     looks the same;
//   - 500 for a null time zone, 404 for another client's user, 401 for an
//     unknown client, 429 without Retry-After;
//   - a list that is cut at 250 users and an offset of 250.
//
// # State and faults
//
// Tests look at the state with Users and Calls, change it as another tool would
// with AddUser, UpdateUser and RemoveUser, and inject faults: refusals, slow
// answers, answers lost before or after the effect, connections cut in the
// middle of a body, effects long after the caller gave up, and users that were
// made by half.
//
// What a caller started is finished even if the caller hangs up, as on the real
// server.
//
// # What it does not imitate
//
// It answers 404 for the rest of the API, webhooks, schedules and event types
// included. It serializes all calls, so that the losers of a race for one
// address get the 409 with an ID, where on the real server most get the other
// one; a Fault with Status 409 makes that one. GET /v2/me knows access tokens
// only, and there is no API key that works. For what was not recorded, such as
// 498 for an access token past its time and the wording of most errors in
// broken JSON, it follows the source of the real server or a guess.
package calcomtest
