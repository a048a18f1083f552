#!/bin/sh
# Compiles the C files of openssl/ with every warning an error. `go build` hides the compiler's warnings, and a
# -Werror in the package itself would break a user's build on the first compiler that knows a new warning.
set -eu

cd "$(dirname "$0")/../openssl"
GO=${GO:-go}

tmp=$(mktemp -d "${TMPDIR:-/tmp}/ossldtls-check-c.XXXXXX")
# Only plain files are ever made in there.
trap 'rm -f "$tmp"/* && rmdir "$tmp"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

ask() { "$GO" list -f "{{join .$1 \" \"}}" .; }

cc=$("$GO" env CC)
files=$(ask CFiles)
cgo_files=$(ask CgoFiles)
flags="$(ask CgoCPPFLAGS) $(ask CgoCFLAGS)"
modules=$(ask CgoPkgConfig)
if [ -n "$modules" ]; then
	# shellcheck disable=SC2086
	flags="$flags $("${PKG_CONFIG:-pkg-config}" --cflags $modules)"
fi

# A C file that calls into Go includes _cgo_export.h, which only cgo can write.
# shellcheck disable=SC2086
"$GO" tool cgo -objdir "$tmp/" -importpath "$("$GO" list .)" -- -I . $flags $cgo_files

# Optimised, since some warnings come from the optimiser alone.
for file in $files; do
	# shellcheck disable=SC2086
	$cc -Wall -Wextra -Werror -O2 -I . -I "$tmp" $flags ${CFLAGS:-} -c "$file" -o "$tmp/check.o"
done
# shellcheck disable=SC2086
set -- $files
echo "check-c: $# files, no warning from $($cc --version | head -n 1)"
