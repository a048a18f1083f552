// The same work as package main's, in C on the same libssl: what can be had without Go.
//
//   bench-c handshake KIND CIPHERS ROOT IDENTITY MS     both µs of CPU, handshakes/s, client's µs, server's µs
//   bench-c crypt     KIND CIPHERS ROOT IDENTITY MS SIZE   ns for both, encryption, decryption
//   bench-c listen    KIND CIPHERS ROOT IDENTITY MS     hellos/s
//   bench-c udp-handshake, udp-datagrams, udp-echo, udp-hellos: by sockets, as bench-qt's in ../qt/main.cpp
//   bench-c version

#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

void die(const char *what) {
	fprintf(stderr, "bench-c: %s\n", what);
	ERR_print_errors_fp(stderr);
	exit(1);
}

double now_ns(clockid_t clock) {
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

int main(int argc, char **argv) {
	contexts c;

	if (argc == 2 && strcmp(argv[1], "version") == 0) {
		puts(OpenSSL_version(OPENSSL_VERSION));
		return 0;
	}
	if (argc < 7)
		die("usage: see main.c");
	c = contexts_new(argv[2], argv[3], argv[4], argv[5]);
	if (strcmp(argv[1], "handshake") == 0)
		run_handshake(&c, atof(argv[6]));
	else if (strcmp(argv[1], "listen") == 0)
		run_listen(&c, atof(argv[6]));
	else if (strcmp(argv[1], "crypt") == 0 && argc == 8)
		run_crypt(&c, (size_t)atol(argv[7]), atof(argv[6]));
	else if (!run_loopback(argv[1], &c, argc == 8 ? (size_t)atol(argv[7]) : 0, atof(argv[6])))
		die("usage: see main.c");
	return 0;
}
