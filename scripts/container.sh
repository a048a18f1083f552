#!/usr/bin/env bash
# Builds Dockerfile.build, and thereby tests everything in a container, with the engine that is there.
#
#   CONTAINER_ENGINE      docker (if its daemon answers), podman or buildah; the first of them if not set
#   CONTAINER_IMAGE       the name of the result, ossldtls-build
#   CONTAINER_BASE        registry: the base image as published; debootstrap: one made here out of Debian's packages and
#                         the Go of this machine; not set: one that is stored already, else published, else made here
#   CONTAINER_BASE_IMAGE  the name of the base image, as in Dockerfile.build
#
# The host's apt sources, certificates and module settings reach the build as arguments and as read-only copies,
# so that it works behind a mirror or a proxy and the image keeps none of them but what its history says of arguments.
set -euo pipefail

cd "$(dirname "$0")/.."

GO=${GO:-go}
suite=bookworm
base=${CONTAINER_BASE_IMAGE:-$(sed -n 's/^ARG BASE=//p' Dockerfile.build)}
image=${CONTAINER_IMAGE:-ossldtls-build}
label=ossldtls.debootstrap

say() { printf 'container: %s\n' "$*"; }
die() { say "$*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

tmp=$(mktemp -d "${TMPDIR:-/tmp}/ossldtls-container.XXXXXX")

# debootstrap mounts /proc and /sys below its folder, and removing a folder reaches through what is mounted in it.
# So: nothing is removed while anything is mounted there, and never across a file system's edge.
cleanup() {
	local status=$?
	if [ ! -r /proc/self/mountinfo ]; then
		# No Linux, so debootstrap did not run: only the few files of host_settings are in there.
		rm -r "$tmp"
	elif awk -v dir="$tmp" '$5 == dir || index($5, dir "/") == 1 { found = 1 } END { exit !found }' /proc/self/mountinfo; then
		say "left $tmp in place, something is still mounted below it" >&2
	else
		rm -rf --one-file-system "$tmp"
	fi
	exit $status
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

choose_engine() {
	if [ -n "${CONTAINER_ENGINE:-}" ]; then
		engine=$CONTAINER_ENGINE
		has "$engine" || die "CONTAINER_ENGINE=$engine is not here"
		return
	fi
	scripts/deps.sh container
	if has docker && docker info >/dev/null 2>&1; then
		engine=docker
	elif has podman; then
		engine=podman
	else
		engine=buildah
	fi
}

pull() {
	say "fetching $base"
	"$engine" pull "$base"
}

stored() { [ -n "$("$engine" images -q "$base" 2>/dev/null)" ]; }

# What a base made here says about itself; nothing for a published one.
made_here() {
	case $engine in
	buildah) buildah inspect --type image --format "{{index .OCIv1.Config.Labels \"$label\"}}" "$base" ;;
	*) "$engine" image inspect --format "{{index .Config.Labels \"$label\"}}" "$base" ;;
	esac 2>/dev/null | sed 's/<no value>//' || true
}

# The label of a base that would be made now.
recipe() { echo "$suite-$("$GO" env GOVERSION)"; }

# The mirror that apt uses here, if this is Debian; otherwise debootstrap's own choice.
mirror() {
	has apt-get || return 0
	# The words in $( ) are apt's own fields.
	# shellcheck disable=SC2016
	apt-get indextargets --format '$(CODENAME) $(REPO_URI)' 2>/dev/null | awk -v suite="$suite" '$1 == suite { print $2; exit }'
}

# cp, not a mount: the toolchain of the host is never within reach of what happens in the folder.
debootstrap_base() {
	local root=$tmp/root goroot ctr
	[ "$(id -u)" -eq 0 ] || die "debootstrap needs root to make the base image"
	scripts/deps.sh base
	goroot=$("$GO" env GOROOT)
	say "making $base from $suite's packages and $goroot"
	mkdir "$root"
	# Mirror may be empty, and must then be no argument at all.
	# shellcheck disable=SC2046
	PATH=$PATH:/usr/sbin debootstrap --variant=minbase \
		--include=ca-certificates,gcc,libc6-dev,make,git "$suite" "$root" $(mirror) >"$tmp/debootstrap.log" 2>&1 || {
		tail -n 20 "$tmp/debootstrap.log" >&2
		die "debootstrap failed"
	}
	# -L: some distributions build GOROOT out of links.
	mkdir -p "$root/usr/local/go"
	cp -RL "$goroot/." "$root/usr/local/go"

	local path=/go/bin:/usr/local/go/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	if [ "$engine" = buildah ]; then
		ctr=$(buildah from scratch)
		buildah add --quiet "$ctr" "$root" / >/dev/null
		buildah config --env "PATH=$path" --env GOPATH=/go --env GOTOOLCHAIN=local \
			--label "$label=$(recipe)" "$ctr"
		buildah commit --quiet --rm "$ctr" "$base"
	else
		tar -C "$root" --one-file-system -cf - . | "$engine" import --change "ENV PATH=$path" --change 'ENV GOPATH=/go' \
			--change 'ENV GOTOOLCHAIN=local' --change "LABEL $label=$(recipe)" - "$base"
	fi
}

find_base() {
	case ${CONTAINER_BASE:-} in
	registry)
		# A base made here hides the published one of that name.
		if ! stored || [ -n "$(made_here)" ]; then pull; fi
		;;
	debootstrap)
		if stored && [ "$(made_here)" = "$(recipe)" ]; then return; fi
		debootstrap_base
		;;
	'')
		if stored; then
			case $(made_here) in '' | "$(recipe)") return ;; esac
		fi
		pull || debootstrap_base
		;;
	*) die "CONTAINER_BASE is registry, debootstrap or nothing" ;;
	esac
}

# Collects the host's settings as options for the build.
host_settings() {
	local name value file dir=$tmp/host
	mkdir "$dir"

	for name in GOPROXY GOSUMDB GONOSUMDB GONOPROXY GOPRIVATE GOINSECURE; do
		value=${!name:-}
		! has "$GO" || value=$("$GO" env "$name")
		# Empty means to go what not set means, and saves buildah's warning.
		options+=(--build-arg "$name=$value")
	done
	# Every engine knows these without an ARG, and keeps them out of the image.
	for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
		[ -z "${!name:-}" ] || options+=(--build-arg "$name=${!name}")
	done

	# docker build mounts nothing; there the base has to know its network by itself.
	[ "$engine" != docker ] || return 0

	# A copy of each file is mounted, never the host's own.
	file=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
	if [ -f "$file" ]; then
		cp -L "$file" "$dir/ca-certificates.crt"
		options+=(--volume "$dir/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt:ro")
	fi
	# apt's sources mean the same thing only on the same release of Debian.
	if has apt-get && grep -q "^VERSION_CODENAME=$suite\$" /etc/os-release; then
		apt-config dump | grep -E '^Acquire::(http|https|Check-Valid-Until|Check-Date|Retries|ForceIPv[46])\b' >"$dir/90host" || true
		options+=(--volume "$dir/90host:/etc/apt/apt.conf.d/90host:ro")
		for file in /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources; do
			[ -s "$file" ] || continue
			cp -L "$file" "$dir/"
			options+=(--volume "$dir/${file##*/}:$file:ro")
		done
	fi
}

choose_engine
find_base
options=(--build-arg "BASE=$base" -f Dockerfile.build -t "$image")
host_settings

say "building $image with $engine from $base"
# The base is there by now; whether it is the published one or made here, nothing is to be fetched in its place.
case $engine in
docker) docker build "${options[@]}" . ;;
podman) podman build --pull=never "${options[@]}" . ;;
buildah) buildah bud --isolation chroot --pull-never --layers --force-rm "${options[@]}" . ;;
*) die "no way to build with $engine is known" ;;
esac
say "$image built, all tests passed in it"
