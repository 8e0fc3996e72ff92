// Copyright The calcom-operator Authors
// SPDX-License-Identifier: Apache-2.0

package renewal

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"
	"time"

	"github.com/calcom-operator/calcom-operator/internal/calcom"
	"github.com/calcom-operator/calcom-operator/internal/quota"
)

// load is many users of one OAuth client whose tokens are renewed as the operator does it: at the moment that the
// calendar says, when the quota lets them.
type load struct {
	*testing.T

	now      time.Time
	random   *rand.Rand
	budget   *quota.Budget
	calendar *Calendar[int]
	visits   visits
	lives    map[int]Life
	// minutes are the renewals by minute, least the shortest life that was left at one.
	minutes map[int64]int
	least   time.Duration
}

// visit is when a user is looked at next; a user without a life is to be created.
type visit struct {
	at   time.Time
	user int
}

type visits []visit

func (v *visits) Len() int { return len(*v) }

func (v *visits) Less(i, j int) bool {
	x, y := (*v)[i], (*v)[j]
	return x.at.Before(y.at) || x.at.Equal(y.at) && x.user < y.user
}

func (v *visits) Swap(i, j int) { (*v)[i], (*v)[j] = (*v)[j], (*v)[i] }

func (v *visits) Push(x any) {
	if one, ok := x.(visit); ok {
		*v = append(*v, one)
	}
}

func (v *visits) Pop() any {
	last := (*v)[len(*v)-1]
	*v = (*v)[:len(*v)-1]
	return last
}

func newLoad(t *testing.T, users int) *load {
	t.Helper()
	l := &load{
		T: t, now: began, random: rand.New(rand.NewPCG(1, 1)), //nolint:gosec // A reproducible schedule is wanted.
		lives: map[int]Life{}, minutes: map[int64]int{}, least: time.Hour,
	}
	l.restart()
	for user := range users {
		heap.Push(&l.visits, visit{l.now, user})
	}
	return l
}

// restart forgets all that is kept in memory, and looks at everybody in an order of its own.
func (l *load) restart() {
	l.budget = quota.New(quota.Options{Share: 0.8, Now: func() time.Time { return l.now }})
	l.budget.Observe(http.StatusOK, calcom.RateLimit{Known: true, Limit: 500, Remaining: 499, Reset: time.Minute})
	l.calendar = NewCalendar[int](quota.DefaultWindow)
	l.visits = l.visits[:0]
	for user := range l.lives {
		heap.Push(&l.visits, visit{l.now.Add(time.Duration(l.random.Int64N(int64(30 * time.Second)))), user})
	}
}

func (l *load) run(until time.Time) {
	for len(l.visits) > 0 && l.visits[0].at.Before(until) {
		v, ok := heap.Pop(&l.visits).(visit)
		if !ok {
			l.Fatal("the agenda holds something else")
		}
		l.now = v.at
		heap.Push(&l.visits, visit{l.visit(v.user), v.user})
	}
	l.now = until
}

// visit looks at a user and returns when to look again.
func (l *load) visit(user int) time.Time {
	life, exists := l.lives[user]
	request := quota.Request{Class: quota.Create, Namespace: "a", Key: fmt.Sprint(user), Calls: 1}
	if exists {
		at, planned := l.calendar.At(user)
		if !planned {
			at = l.plan(user)
		}
		if at.After(l.now) {
			return at
		}
		request.Class, request.Deadline = quota.Tokens, life.Expires
	}
	if promise := l.budget.Take(request); !promise.IsZero() {
		return promise
	}
	l.budget.Use()
	if exists {
		l.minutes[l.now.Unix()/60]++
		l.least = min(l.least, life.Expires.Sub(l.now))
	}
	// Cal.com cuts the end to the minute.
	l.lives[user] = Life{Issued: l.now, Expires: l.now.Add(time.Hour).Truncate(time.Minute)}
	return l.plan(user)
}

func (l *load) plan(user int) time.Time {
	return l.calendar.Plan(user, l.lives[user], Phase(fmt.Sprint(user)), l.budget.TokensAllowed(), l.now)
}

// check looks at the renewals of some minutes.
func (l *load) check(from, to time.Time, fewest int, least time.Duration) {
	l.Helper()
	const most = 200 // Half of the calls.
	for minute := from.Unix() / 60; minute < to.Unix()/60; minute++ {
		if n := l.minutes[minute]; n < fewest || n > most {
			l.Errorf("%d renewals in minute %d, want %d to %d", n, minute-began.Unix()/60, fewest, most)
		}
	}
	if l.least < least {
		l.Errorf("a token was renewed with %v left, want %v", l.least, least)
	}
	l.Logf("least life left: %v", l.least)
	l.least = time.Hour
}

// Ten thousand users with 400 calls a minute, of which tokens have half: as many as can be served with ten minutes to
// spare. Nobody's token ends, neither after all were created as fast as the quota allows, nor after a restart; and no
// minute has more renewals than half of the calls.
func TestTenThousandUsers(t *testing.T) {
	l := newLoad(t, 10_000)
	l.run(began.Add(6 * time.Hour))
	l.check(began.Add(40*time.Minute), l.now, 150, 5*time.Minute)
	l.restart()
	l.run(began.Add(12 * time.Hour))
	l.check(began.Add(7*time.Hour), l.now, 150, 5*time.Minute)
}

// Five thousand, created in a quarter of an hour, are spread over the whole interval, not renewed in a quarter of each
// hour.
func TestFiveThousandUsersAreSpread(t *testing.T) {
	l := newLoad(t, 5_000)
	l.run(began.Add(12 * time.Hour))
	l.check(began.Add(8*time.Hour), l.now, 20, 10*time.Minute)
	l.restart()
	l.run(began.Add(18 * time.Hour))
	l.check(began.Add(14*time.Hour), l.now, 20, 10*time.Minute)
}

// Sixteen thousand are too many. Those go first whose tokens end first, nothing free is left lying, and the calendar
// says how many are late.
func TestTooManyUsers(t *testing.T) {
	l := newLoad(t, 16_000)
	l.run(began.Add(6 * time.Hour))
	if late := l.calendar.Late(l.now); late < 2_000 {
		t.Errorf("%d are late, want some thousands", late)
	}
	l.least = -time.Hour
	l.check(began.Add(2*time.Hour), l.now, 180, -2*time.Hour)
}
