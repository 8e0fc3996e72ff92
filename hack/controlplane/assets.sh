#!/usr/bin/env bash
# Prints the folder that holds etcd, kube-apiserver and kubectl, the control plane of tests and demos.
# Progress goes to standard error. The first of these that works is taken:
#   1. KUBEBUILDER_ASSETS, if set;
#   2. what an earlier run left in the user's cache folder;
#   3. setup-envtest, which downloads prebuilt binaries (ENVTEST_TIMEOUT seconds at most, 60 unless set;
#      0 skips it);
#   4. a build from Go modules, about 7 minutes on two cores with nothing cached, once per version.
# Arguments name further binaries that are needed (kube-controller-manager); no prebuilt release has them, so they
# always come from 4.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
say() { echo "controlplane: $*" >&2; }

kubernetes=$(awk '$1 == "k8s.io/kubernetes" && $2 ~ /^v/ { print $2; exit }' "$here/go.mod")
etcd=$(awk '$1 == "go.etcd.io/etcd/server/v3" && $2 ~ /^v/ { print $2; exit }' "$here/go.mod")
prebuilt=(etcd kube-apiserver kubectl)
needed=("${prebuilt[@]}" "$@")

holds() { # holds FOLDER NAME…: does it hold all of these binaries?
	local folder=$1 name
	shift
	for name in "$@"; do
		[ -x "$folder/$name" ] || return 1
	done
}

if [ -n "${KUBEBUILDER_ASSETS:-}" ]; then
	if ! holds "$KUBEBUILDER_ASSETS" "${needed[@]}"; then
		say "KUBEBUILDER_ASSETS=$KUBEBUILDER_ASSETS lacks one of: ${needed[*]}; unset it to have them built"
		exit 1
	fi
	echo "$KUBEBUILDER_ASSETS"
	exit
fi

cache=${XDG_CACHE_HOME:-$HOME/.cache}/calcom-operator/controlplane/$kubernetes-$(go env GOOS)-$(go env GOARCH)
mkdir -p "$cache"
if holds "$cache" "${needed[@]}"; then
	echo "$cache"
	exit
fi

kubernetes_minor=${kubernetes%.*} # Not every patch release is published as prebuilt binaries.
limit=${ENVTEST_TIMEOUT:-60}
if ! holds "$cache" "${prebuilt[@]}" && [ "$limit" != 0 ] && command -v timeout >/dev/null; then
	say "asking setup-envtest for Kubernetes ${kubernetes_minor#v} (at most $limit s)"
	go build -C "$here/../tools" -o "$cache/setup-envtest" sigs.k8s.io/controller-runtime/tools/setup-envtest
	if found=$(timeout "$limit" "$cache/setup-envtest" use "${kubernetes_minor#v}.x" \
		--bin-dir "$cache/envtest" -p path 2>"$cache/setup-envtest.log") && holds "$found" "${prebuilt[@]}"; then
		for name in "${prebuilt[@]}"; do
			ln -sf "$found/$name" "$cache/$name"
		done
	else
		say "not to be had ($(tail -n 1 "$cache/setup-envtest.log" | cut -c 1-120)); building from Go modules instead"
	fi
fi

build() { # build NAME PACKAGE LDFLAGS: compiles PACKAGE to $cache/NAME, with a line of progress now and then
	local name=$1 package=$2 ldflags=$3 begin=$SECONDS
	[ -x "$cache/$name" ] && return
	say "building $name"
	if ! CGO_ENABLED=0 go build -C "$here" -v -trimpath -ldflags "$ldflags" -o "$cache/.$name.$$" "$package" 2>&1 |
		awk -v name="$name" '
			/^(#|go:|.*: )/ { print; fflush(); next }
			{ if (++n % 100 == 0) { printf "controlplane: %s: %d packages compiled\n", name, n; fflush() } }' >&2; then
		say "building $name failed; the lines above say why"
		exit 1
	fi
	mv "$cache/.$name.$$" "$cache/$name" # Whoever looks meanwhile sees the whole binary or none.
	say "$name is ready after $((SECONDS - begin)) s"
}

minor=${kubernetes#v*.}
minor=${minor%%.*}
v=k8s.io/component-base/version
stamp="-s -w -X $v.gitVersion=$kubernetes -X $v.gitMajor=1 -X $v.gitMinor=$minor -X $v.gitTreeState=clean"
for name in "${needed[@]}"; do
	case $name in
	etcd) build etcd go.etcd.io/etcd/server/v3 "-s -w -X go.etcd.io/etcd/api/v3/version.GitSHA=$etcd" ;;
	*) build "$name" "k8s.io/kubernetes/cmd/$name" "$stamp" ;;
	esac
done
echo "$cache"
