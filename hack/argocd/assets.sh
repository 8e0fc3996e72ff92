#!/usr/bin/env bash
# Prints the folder that holds "argocd", the servers of Argo CD in one program, install.yaml, its manifests, and a script
# that it needs. They come from Go modules, with about 10 minutes of CPU time when nothing is cached, and stay in the user's
# cache folder. A change of this folder has them built anew. Progress goes to standard error.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
say() { echo "argocd: $*" >&2; }

version=$(awk '$1 == "github.com/argoproj/argo-cd/v3" && $2 ~ /^v/ { print $2; exit }' "$here/go.mod")
state=$(cat "$here"/{main.go,go.mod,go.sum,assets.sh} | cksum | cut -d ' ' -f 1)
name=$version-$state-$(go env GOOS)-$(go env GOARCH)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/calcom-operator/argocd/$name
if [ -x "$cache/argocd" ]; then
	echo "$cache"
	exit
fi

say "building Argo CD $version"
begin=$SECONDS
mkdir -p "$cache"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
go -C "$here" mod download github.com/argoproj/argo-cd/v3
module=$(go -C "$here" list -m -f '{{.Dir}}' github.com/argoproj/argo-cd/v3)
install -m 644 "$module/manifests/install.yaml" "$cache/"
install -m 755 "$module/hack/git-verify-wrapper.sh" "$cache/" # The repo server runs it for each commit.

# The application controller serves its metrics on all interfaces, whatever its flags say. Nothing here is for others: so
# a copy of the module is built, with another address.
controller=controller/appcontroller.go
cp -r "$module" "$work/module"
chmod -R u+w "$work/module" # Those of the module cache are read-only.
sed 's|"0\.0\.0\.0:%d"|"127.0.0.1:%d"|' "$module/$controller" >"$work/module/$controller"
if cmp -s "$module/$controller" "$work/module/$controller"; then
	say "$controller does not say any more where it serves its metrics; see what it does now, and change $0"
	exit 1
fi
cp "$here"/go.{mod,sum} "$work"
go mod edit -replace "github.com/argoproj/argo-cd/v3=$work/module" "$work/go.mod"

if ! CGO_ENABLED=0 go build -C "$here" -modfile "$work/go.mod" -v -trimpath \
	-ldflags "-s -w -X github.com/argoproj/argo-cd/v3/common.version=${version#v}" -o "$cache/.argocd.$$" . 2>&1 |
	awk '
		/^(#|go:|.*: )/ { print; fflush(); next }
		{ if (++n % 100 == 0) { printf "argocd: %d packages compiled\n", n; fflush() } }' >&2; then
	say "the build failed; the lines above say why"
	exit 1
fi
mv "$cache/.argocd.$$" "$cache/argocd" # Whoever looks meanwhile sees the whole program or none.
say "Argo CD $version is ready after $((SECONDS - begin)) s"
echo "$cache"
