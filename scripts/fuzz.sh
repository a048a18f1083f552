#!/bin/sh
# Runs every fuzz target of the module, one after the other, since go test -fuzz takes one at a time.
# FUZZTIME (10s) is for each; PACKAGES (./...) narrows the choice.
set -eu

cd "$(dirname "$0")/.."
GO=${GO:-go}

# go test -list prints the names of a package and then "ok  <package>  <time>".
# Into a variable first, so that a package that does not compile ends the script.
# shellcheck disable=SC2086
listed=$("$GO" test -list '^Fuzz' ${PACKAGES:-./...}) || {
	echo "$listed"
	exit 1
}
targets=$(echo "$listed" | awk '
	/^Fuzz[[:alnum:]_]*$/ { names[++n] = $1 }
	$1 == "ok" { for (i = 1; i <= n; i++) print $2, names[i]; n = 0 }')

if [ -z "$targets" ]; then
	echo 'fuzz: no fuzz target found' >&2
	exit 1
fi

count=0
while read -r package name; do
	echo "fuzz: $package $name"
	# shellcheck disable=SC2086
	"$GO" test ${TESTFLAGS:-} -run '^$' -fuzz "^$name\$" -fuzztime "${FUZZTIME:-10s}" "$package" </dev/null
	count=$((count + 1))
done <<END
$targets
END
echo "fuzz: $count targets, ${FUZZTIME:-10s} each, no failure"
