// Encryption and decryption: both in turn, then each alone in lots.

#include <stdio.h>
#include <stdlib.h>

#include "bench.h"

enum { LOT = 128 };

static void encrypt(ends *e, const uint8_t *payload, size_t size) {
	if (SSL_write(e->client, payload, (int)size) != (int)size)
		die("SSL_write");
}

static void decrypt(ends *e, uint8_t *buf, size_t size) {
	if (SSL_read(e->server, buf, 16384) != (int)size)
		die("SSL_read");
}

void run_crypt(contexts *c, size_t size, double ms) {
	ends e = {.up = calloc(1, sizeof(wire)), .down = calloc(1, sizeof(wire))};
	double ignored = 0, start, middle, both = 0, enc = 0, dec = 0;
	uint8_t *payload = calloc(1, size), *buf = malloc(16384);
	long n = 0, apart = 0;

	handshake(c, &e, &ignored, &ignored);
	for (int i = 0; i < 1000; i++) { // warm-up
		encrypt(&e, payload, size);
		decrypt(&e, buf, size);
	}
	start = now_ns(CLOCK_MONOTONIC);
	while (both < ms * 5e5) {
		for (int i = 0; i < LOT; i++) {
			encrypt(&e, payload, size);
			decrypt(&e, buf, size);
		}
		n += LOT;
		both = now_ns(CLOCK_MONOTONIC) - start;
	}
	while (enc + dec < ms * 5e5) {
		start = now_ns(CLOCK_MONOTONIC);
		for (int i = 0; i < LOT; i++)
			encrypt(&e, payload, size);
		middle = now_ns(CLOCK_MONOTONIC);
		for (int i = 0; i < LOT; i++)
			decrypt(&e, buf, size);
		enc += middle - start;
		dec += now_ns(CLOCK_MONOTONIC) - middle;
		apart += LOT;
	}
	printf("%f %f %f\n", both / n, enc / apart, dec / apart);
	ends_free(&e);
}
