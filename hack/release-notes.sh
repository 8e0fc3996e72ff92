#!/usr/bin/env bash
# Prints what CHANGELOG.md says of a version, for the page of its release: hack/release-notes.sh v0.1.0, or Unreleased.
# Links into the repository become those of the version's tag; a page of a release resolves no relative ones.
set -euo pipefail
cd "$(dirname "$0")/.."

version=${1:?usage: hack/release-notes.sh VERSION}
tree=https://github.com/calcom-operator/calcom-operator/blob/$([ "$version" = Unreleased ] && echo main || echo "$version")
notes=$(awk -v heading="## [${version#v}]" '
	index($0, "## [") == 1 { inside = index($0, heading) == 1; next }
	inside' CHANGELOG.md)
if [[ -z ${notes//[[:space:]]/} ]]; then
	echo "release-notes: CHANGELOG.md says nothing of $version: rename [Unreleased] to [${version#v}] - $(date +%F), and begin a new one" >&2
	exit 1
fi
sed -E "s#\]\(([^):]+)\)#]($tree/\1)#g" <<<"$notes"
