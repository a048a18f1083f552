#!/usr/bin/env bash
# Shows a DTLS server and client of ours talking, and openssl's s_client with the same server: first with a
# pre-shared key, then with a certificate; and at the end the echo example, the same by Listen and Dial. What it
# shows it looks up in what the programs have printed; if anything is missing it says what, prints everything,
# and ends with 1.
#
#   scripts/demo.sh
#
# DEMO_WAIT (20) is how many seconds it waits for anything.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
GO=${GO:-go}
OPENSSL=${OPENSSL:-openssl}
wait_seconds=${DEMO_WAIT:-20}

tmp=$(mktemp -d "${TMPDIR:-/tmp}/ossldtls-demo.XXXXXX")
pids=()  # of everything started here and not yet waited for
logs=()  # of this part of the demo
server=0 # pid
address=

# shellcheck disable=SC2317,SC2329 # called by trap
cleanup() {
	for pid in "${pids[@]:-}"; do
		# Waited for in here, so that the shell does not tell of the kill.
		[ -z "$pid" ] || { kill -KILL "$pid" && wait "$pid"; } 2>/dev/null || true
	done
	case $tmp in
	*/ossldtls-demo.??????) [ ! -d "$tmp" ] || rm -rf -- "$tmp" ;;
	esac
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

say() { printf '\n== %s\n' "$*"; }

# die shows everything that has been printed.
die() {
	for log in "${logs[@]:-}"; do
		[ -s "$log" ] || continue
		printf '\n-- all of %s:\n' "$(basename "$log" .log)" >&2
		cat "$log" >&2
	done
	printf '\ndemo: failed: %s\n' "$*" >&2
	exit 1
}

running() { kill -0 "$1" 2>/dev/null; }

# lines FILE PATTERN: how many lines hold the pattern.
lines() { grep -c -e "$2" "$1" || true; }

# await FILE PATTERN PID WHAT [COUNT]: waits until the program PID has printed the pattern in COUNT lines.
await() {
	local deadline=$((SECONDS + wait_seconds)) alive=yes
	until [ "$(lines "$1" "$2")" -ge "${5:-1}" ]; do
		[ "$alive" = yes ] || die "$4: the program ended without it"
		[ "$SECONDS" -lt "$deadline" ] || die "$4: not within $wait_seconds s"
		sleep 0.05
		# One more look after its end: what it printed last.
		running "$3" || alive=no
	done
}

# finish PID WHAT: waits for the end of a program and leaves its exit code in $code.
finish() {
	local deadline=$((SECONDS + wait_seconds)) left=() pid
	while running "$1"; do
		[ "$SECONDS" -lt "$deadline" ] || die "$2 did not end within $wait_seconds s"
		sleep 0.05
	done
	code=0
	wait "$1" || code=$?
	for pid in "${pids[@]}"; do
		[ "$pid" = "$1" ] || left+=("$pid")
	done
	pids=("${left[@]:-}")
}

# check FILE PATTERN WHAT [COUNT]: what was printed has to hold the pattern, in COUNT lines at least.
check() {
	local found
	found=$(lines "$1" "$2")
	[ "$found" -ge "${4:-1}" ] || die "missing in $(basename "$1" .log): $3 ($found of ${4:-1} lines with '$2')"
	printf '   ok  %-42s %s\n' "$3" "$(grep -m 1 -e "$2" "$1" | cut -c 1-150)"
}

# start_server PROGRAM NAME FLAGS...: starts a server of ours and leaves its port's address in $address.
start_server() {
	local program=$tmp/$1
	server_log=$tmp/$2.log
	: >"$server_log" # looked at before the program may have opened it
	logs=("$server_log")
	shift 2
	"$program" -listen 127.0.0.1:0 "$@" >"$server_log" 2>&1 &
	server=$!
	pids+=("$server")
	await "$server_log" 'listening on ' "$server" 'the address of the server'
	address=$(sed -n 's/.*listening on \(127\.0\.0\.1:[0-9]*\).*/\1/p' "$server_log")
	[ -n "$address" ] || die 'the server printed no address'
}

# stop_server: Ctrl-C for the server, which has to end well.
stop_server() {
	kill -INT "$server"
	finish "$server" 'the server'
	[ "$code" -eq 0 ] || die "the server ended with $code after SIGINT"
	check "$server_log" ' stopping: ' 'the server takes SIGINT'
	check "$server_log" ' stopped$' 'and ends with 0'
	! grep -q ' error ' "$server_log" || die "the server printed an error: $(grep -m 1 ' error ' "$server_log")"
}

# our_client NAME FLAGS...: runs our client to its end.
our_client() {
	client_log=$tmp/$1.log
	: >"$client_log"
	logs+=("$client_log")
	shift
	"$tmp/client" -connect "$address" -interval 100ms -handshake-timeout "$((wait_seconds / 2))s" "$@" >"$client_log" 2>&1 &
	local client=$!
	pids+=("$client")
	finish "$client" 'our client'
	[ "$code" -eq 0 ] || die "our client ended with $code: $(grep -m 1 ' error ' "$client_log" || echo 'it printed no error')"
}

# s_client NAME LINE FLAGS...: openssl's client says a line and waits for the answer. Its input stays open
# until then, for it closes the connection when its input ends.
s_client() {
	client_log=$tmp/$1.log
	: >"$client_log"
	local line=$2 fifo=$tmp/$1.fifo client
	logs+=("$client_log")
	shift 2
	mkfifo "$fifo"
	"$OPENSSL" s_client -dtls1_2 -connect "$address" "$@" <"$fifo" >"$client_log" 2>&1 &
	client=$!
	pids+=("$client")
	exec 9<>"$fifo"
	await "$client_log" 'Cipher is [A-Z]' "$client" 'the handshake of openssl s_client'
	printf '%s\n' "$line" >&9
	await "$client_log" 'to 127\.0\.0\.1:[0-9]*: ACK' "$client" 'the ACK for openssl s_client'
	printf 'Q\n' >&9 # a line of its own that ends s_client, with close_notify
	finish "$client" 'openssl s_client'
	exec 9>&-
	[ "$code" -eq 0 ] || die "openssl s_client ended with $code"
}

# check_server CONNECTIONS: what the server has printed about every one of its connections.
check_server() {
	await "$server_log" 'closed by the client' "$server" 'the end of the connections' "$1"
	check "$server_log" 'ClientHello without cookie: answered and forgotten' 'hello without cookie: forgotten' "$1"
	check "$server_log" 'cookie accepted' 'cookie accepted' "$1"
	check "$server_log" 'handshake complete: DTLS 1\.2, [A-Z0-9-]*' 'version and cipher' "$1"
	check "$server_log" ' message .*received [0-9]* bytes: 17fefd' 'the datagram as it came'
	check "$server_log" 'plain text: "message 1"' 'plain text of our client'
	check "$server_log" 'plain text: "hello from s_client\\n"' 'plain text of openssl s_client'
}

# check_client CONNECTIONS MESSAGES: what our client has printed, MESSAGES for all connections together.
check_client() {
	check "$client_log" 'handshake complete: DTLS 1\.2, [A-Z0-9-]*' 'our client: version and cipher' "$1"
	check "$client_log" 'plain text: "to 127\.0\.0\.1:[0-9]*: ACK"' 'our client: the ACKs' "$2"
	check "$client_log" "summary: $1 connections, 0 failed; $2 messages sent, $2 answered" 'our client: nothing is missing'
}

say "building, with $("$GO" version | cut -d ' ' -f 3) and $("$OPENSSL" version)"
"$GO" build -o "$tmp/" ./examples/server ./examples/client ./examples/echo
"$OPENSSL" req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj '/CN=ossldtls demo' \
	-addext 'subjectAltName=IP:127.0.0.1,DNS:localhost' \
	-keyout "$tmp/key.pem" -out "$tmp/cert.pem" 2>"$tmp/req.log" || { logs=("$tmp/req.log"); die 'no certificate'; }
psk=$("$OPENSSL" rand -hex 16)

say 'a pre-shared key: two connections of our client'
start_server server 'server with a pre-shared key' -psk "$psk" -identity demo -hint 'the demo key'
our_client 'our client with a pre-shared key' -n 2 -count 3 -psk "$psk" -identity demo
check_client 2 6

say 'a pre-shared key: openssl s_client'
s_client 's_client with a pre-shared key' 'hello from s_client' -psk "$psk" -psk_identity demo
check "$client_log" 'to 127\.0\.0\.1:[0-9]*: ACK' 's_client: the ACK'

say 'what the server saw'
check_server 3
check "$server_log" 'identity "demo"' 'the identity of the key' 3
stop_server

say 'a certificate: our client verifies it'
start_server server 'server with a certificate' -cert "$tmp/cert.pem" -key "$tmp/key.pem"
our_client 'our client with a certificate' -count 2 -ca "$tmp/cert.pem" -name localhost
check "$client_log" 'certificate "CN=ossldtls demo"' 'our client: the verified certificate'
check_client 1 2

say 'a certificate: openssl s_client verifies it'
s_client 's_client with a certificate' 'hello from s_client' -CAfile "$tmp/cert.pem" -verify_return_error
check "$client_log" 'Verify return code: 0 (ok)' 's_client: the certificate is good'
check "$client_log" 'to 127\.0\.0\.1:[0-9]*: ACK' 's_client: the ACK'

say 'what the server saw'
check_server 2
stop_server

say 'Listen and Dial: the echo example'
start_server echo 'echo server' -write-ca "$tmp/ca.pem"
client_log="$tmp/echo client.log"
: >"$client_log"
logs+=("$client_log")
"$tmp/echo" -dial "$address" -ca "$tmp/ca.pem" 'hello over DTLS' >"$client_log" 2>&1 &
client=$!
pids+=("$client")
finish "$client" 'the echo client'
[ "$code" -eq 0 ] || die "the echo client ended with $code"
check "$client_log" '^DTLS 1\.2, [A-Z0-9-]*, certificate SHA-256 ' 'version, cipher and certificate'
check "$client_log" '^answer: "hello over DTLS"$' 'the echo'
await "$server_log" '1 echoed, then closed by the client' "$server" 'the end of the connection'
check "$server_log" '1 echoed, then closed by the client' 'the server: one echoed'
kill -INT "$server"
finish "$server" 'the echo server'
[ "$code" -eq 0 ] || die "the echo server ended with $code after SIGINT"

printf '\ndemo: OK\n'
