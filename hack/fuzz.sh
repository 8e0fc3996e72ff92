#!/usr/bin/env bash
# Runs every fuzz target for a while each, since go test -fuzz takes one at a time, and prints a line for each.
# Usage: hack/fuzz.sh TIME [PACKAGE-FOLDER…], as in hack/fuzz.sh 5s ./internal/calcom
set -euo pipefail
cd "$(dirname "$0")/.."

duration=${1:?"give the time for each target, as 5s"}
shift
[ "$#" -gt 0 ] || set -- ./internal ./cmd ./test

log=$(mktemp)
trap 'rm -f "$log"' EXIT
count=0 failed=0
while IFS=: read -r file target; do
	count=$((count + 1))
	# By default go spends up to a minute on making one input shorter.
	if go test -run '^$' -fuzz "^$target\$" -fuzztime "$duration" -fuzzminimizetime 1s "./$(dirname "$file")" >"$log" 2>&1; then
		result=$(grep -o 'execs: [0-9]*' "$log" | tail -n 1 || true)
		printf 'fuzz: %-40s ok, %s\n' "$(dirname "$file") $target" "${result:-its seeds alone}"
	elif grep -q 'context deadline exceeded' "$log" && ! grep -qE 'Failing input|failure while|panic:' "$log"; then
		# On a busy machine go test can take the end of the time for a failure (golang.org/issue/48591).
		printf 'fuzz: %-40s ok, out of time\n' "$(dirname "$file") $target"
	else
		failed=$((failed + 1))
		printf 'fuzz: %-40s FAILED\n' "$(dirname "$file") $target"
		cat "$log"
	fi
done < <(grep -rnoE --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' "$@" | sed -E 's|^(\./)?([^:]+):[0-9]+:func |\2:|' | sort)

if [ "$count" = 0 ]; then
	echo "fuzz: there is no target in $*" >&2
	exit 1
fi
[ "$failed" = 0 ] || {
	echo "fuzz: $failed of $count targets failed; what they found is in testdata/fuzz, to be kept with the repair" >&2
	exit 1
}
