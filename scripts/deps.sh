#!/bin/sh
# Sees that what a make target needs is on this machine, and on Debian and Ubuntu installs what is not.
#
#   scripts/deps.sh GROUP...
#
#   build      Go, a C compiler, pkg-config, the headers of OpenSSL >= 1.1.1
#   demo       build, and the openssl command
#   interop    demo, and Qt 6 (QDtls), a C++ compiler, make
#   container  docker with a daemon that answers, podman or buildah
#   base       debootstrap, for a base image made on the spot
#
# It asks for the thing itself, not for a package, so an OpenSSL of one's own behind PKG_CONFIG_PATH counts.
# Silent when nothing is missing. Plain sh: the small images of Alpine have no bash.
set -eu

cd "$(dirname "$0")/.."
GO=${GO:-go}
PKG_CONFIG=${PKG_CONFIG:-pkg-config}

# What the package that holds a thing is called, "-" where none is needed.
# thing        debian                fedora                  alpine            arch         macos
packages='
roots          ca-certificates       ca-certificates         ca-certificates   ca-certificates -
cc             gcc,libc6-dev         gcc,glibc-devel         gcc,musl-dev      gcc          -
pkg-config     pkg-config            pkgconf-pkg-config      pkgconf           pkgconf      pkgconf
libssl         libssl-dev            openssl-devel           openssl-dev       openssl      openssl@3
openssl        openssl               openssl                 openssl           openssl      openssl@3
qt             qt6-base-dev          qt6-qtbase-devel        qt6-qtbase-dev    qt6-base     qt
c++            g++                   gcc-c++                 g++               gcc          -
make           make                  make                    make              make         -
container      buildah               buildah                 buildah           buildah      podman
debootstrap    debootstrap           debootstrap             debootstrap       debootstrap  -
'

say() { printf 'deps: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

tmp=$(mktemp -d "${TMPDIR:-/tmp}/ossldtls-deps.XXXXXX")
trap 'rm -f "$tmp"/cc.out "$tmp"/apt.log && rmdir "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# The compiler that go will call: CC from the environment or from go env, which may hold flags too.
compiler() { "$GO" env CC 2>/dev/null || echo "${CC:-gcc}"; }

compiler_works() {
	# Unquoted: the flags in CC are words of their own.
	# shellcheck disable=SC2046
	printf '#include <stdlib.h>\nint main(void) { return EXIT_SUCCESS; }\n' |
		$(compiler) -x c - -o "$tmp/cc.out" >/dev/null 2>&1
}

found() {
	case $1 in
	roots) # only Debian's smallest images come without them, and Go needs them to fetch modules
		! has apt-get || [ -e "${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}" ] ;;
	cc) compiler_works ;;
	pkg-config) has "$PKG_CONFIG" ;;
	libssl) has "$PKG_CONFIG" && "$PKG_CONFIG" --exists 'libssl >= 1.1.1' 'libcrypto >= 1.1.1' ;;
	openssl) has openssl ;;
	qt) has "$PKG_CONFIG" && "$PKG_CONFIG" --exists 'Qt6Network >= 6' ;;
	c++) has "${CXX:-g++}" || has c++ ;;
	make) has make || has gmake ;;
	container) { has docker && docker info >/dev/null 2>&1; } || has podman || has buildah ;;
	debootstrap) has debootstrap || [ -x /usr/sbin/debootstrap ] ;;
	esac
}

things_of() {
	case $1 in
	build) echo roots cc pkg-config libssl ;;
	demo) echo "$(things_of build) openssl" ;;
	interop) echo "$(things_of demo) qt c++ make" ;;
	container) echo container ;;
	base) echo debootstrap ;;
	*) return 1 ;;
	esac
}

system() {
	if has apt-get; then echo debian; return; fi
	if [ "$(uname -s)" = Darwin ]; then echo macos; return; fi
	# shellcheck source=/dev/null
	like=$(. /etc/os-release 2>/dev/null && echo "${ID:-} ${ID_LIKE:-}") || like=
	case $like in
	*fedora* | *rhel* | *centos*) echo fedora ;;
	*alpine*) echo alpine ;;
	*arch*) echo arch ;;
	*) echo unknown ;;
	esac
}

# packages_for SYSTEM THING...: the names of the packages there, each once.
packages_for() {
	case $1 in debian) column=2 ;; fedora) column=3 ;; alpine) column=4 ;; arch) column=5 ;; macos) column=6 ;; esac
	shift
	echo "$packages" | awk -v want=" $* " -v column="$column" '
		NF && index(want, " " $1 " ") && $column != "-" {
			n = split($column, names, ",")
			for (i = 1; i <= n; i++) if (!seen[names[i]]++) { printf "%s%s", between, names[i]; between = " " }
		}'
}

# apt-get gives up at once on some of its locks, and a fresh machine often updates itself: wait up to five minutes.
apt() {
	tries=0
	until $as_root env DEBIAN_FRONTEND=noninteractive LC_ALL=C \
		apt-get -qq -o DPkg::Lock::Timeout=300 "$@" >"$tmp/apt.log" 2>&1 </dev/null; do
		grep -q -e 'Could not get lock' -e 'Unable to lock' "$tmp/apt.log" || return 1
		tries=$((tries + 1))
		[ $tries -ne 1 ] || say "another program holds apt's lock, waiting"
		[ $tries -lt 60 ] || return 1
		sleep 5
	done
}

install_with_apt() {
	as_root=
	if [ "$(id -u)" -ne 0 ]; then
		has sudo || die "neither root nor sudo here; as root: apt-get install $*"
		as_root=sudo
		# Without a terminal nobody can type a password.
		[ -t 0 ] || as_root='sudo -n'
		$as_root true || die "sudo refused; as root: apt-get install $*"
	fi
	say "installing $*"
	# A source that cannot be reached matters only if a package is then not found.
	apt update || { say "apt-get update failed:"; tail -n 5 "$tmp/apt.log" >&2; }
	apt install -y --no-install-recommends "$@" || {
		tail -n 20 "$tmp/apt.log" >&2
		die "apt-get could not install $*"
	}
}

tell_what_to_install() {
	kind=$1
	shift
	# An empty list means that only the compiler of the system itself is missing.
	names=
	[ "$kind" = unknown ] || names=$(packages_for "$kind" "$@")
	say "missing: $*"
	case $kind in
	fedora) say "install: dnf install $names" ;;
	alpine) say "install: apk add $names" ;;
	arch) say "install: pacman -S $names" ;;
	macos)
		case " $* " in *" cc "* | *" c++ "* | *" make "*) say "install: xcode-select --install" ;; esac
		[ -z "$names" ] || say "install: brew install $names"
		case " $* " in *" libssl "*)
			say "then:    export PKG_CONFIG_PATH=\"\$(brew --prefix openssl@3)/lib/pkgconfig\"" ;;
		esac
		case " $* " in *" debootstrap "*) say "debootstrap runs on Linux only" ;; esac
		;;
	*) say "install these, with their headers, the way this system does it" ;;
	esac
	exit 1
}

# What no package of a distribution mends: Go itself, and Go's own settings.
check_go() {
	has "$GO" || die "no go command; see go.dev/doc/install"
	want=$(awk '$1 == "go" { print $2; exit }' go.mod)
	# Asked in the module's folder: from 1.21 on go fetches the toolchain that go.mod wants, or says here that it may not.
	have=$("$GO" env GOVERSION) || die "go cannot work in this module, see above"
	# A Go of one's own calls itself "devel go1.27-…": take it as 1.27.
	have=$(echo "$have" | sed -E 's/^.*go([0-9]+(\.[0-9]+)*).*$/\1/')
	awk -v have="$have" -v want="$want" 'BEGIN {
		split(have, h, "."); split(want, w, ".")
		for (i = 1; i <= 3; i++) if (h[i] + 0 != w[i] + 0) exit h[i] + 0 < w[i] + 0
	}' || die "go is $have, go.mod wants $want or later; see go.dev/doc/install"
}

check_cgo() {
	[ "$("$GO" env CGO_ENABLED)" = 1 ] ||
		die "CGO_ENABLED is $("$GO" env CGO_ENABLED), and without cgo there is no OpenSSL: set CGO_ENABLED=1"
}

[ $# -gt 0 ] || die "usage: scripts/deps.sh build|demo|interop|container|base ..."

things=''
uses_go=''
for group; do
	more=$(things_of "$group") || die "no group is called $group"
	things="$things $more"
	case $group in build | demo | interop) uses_go=yes ;; esac
done
[ -z "$uses_go" ] || check_go

missing=
for thing in $things; do
	case " $missing " in *" $thing "*) continue ;; esac
	found "$thing" || missing="$missing $thing"
done

if [ -n "$missing" ]; then
	# shellcheck disable=SC2086
	set -- $missing
	kind=$(system)
	[ "$kind" = debian ] || tell_what_to_install "$kind" "$@"
	# shellcheck disable=SC2046
	install_with_apt $(packages_for debian "$@")
	for thing; do
		found "$thing" && continue
		case $thing in
		cc) die "the C compiler of go env CC, '$(compiler)', still cannot build a program: mend or unset CC" ;;
		libssl) die "$PKG_CONFIG still finds no OpenSSL >= 1.1.1 (it finds: $("$PKG_CONFIG" --modversion libssl 2>&1))" ;;
		*) die "$thing is still not found" ;;
		esac
	done
fi
[ -z "$uses_go" ] || check_cgo
