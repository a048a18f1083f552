// DTLSv1_listen on one SSL, with a ClientHello that has no cookie.

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

void run_listen(contexts *c, double ms) {
	wire *up = calloc(1, sizeof *up), *down = calloc(1, sizeof *down), *hello = calloc(1, sizeof *hello);
	SSL *client = end_new(c->client, down, hello), *server = end_new(c->server, up, down);
	BIO_ADDR *peer = BIO_ADDR_new();
	double start = 0, took = 0;
	long n = 0;

	SSL_set_tlsext_host_name(client, "localhost");
	SSL_connect(client);
	if (hello->n != 1)
		die("ClientHello");
	for (int warm = 1; warm >= 0; warm--) {
		n = 0;
		start = now_ns(CLOCK_MONOTONIC);
		do {
			for (int i = 0; i < 64; i++) {
				memcpy(up->bytes, hello->bytes, hello->used);
				up->used = up->end[0] = hello->used;
				up->n = 1;
				up->next = 0;
				wire_reset(down);
				if (DTLSv1_listen(server, peer) != 0 || down->n != 1)
					die("DTLSv1_listen");
			}
			n += 64;
			took = now_ns(CLOCK_MONOTONIC) - start;
		} while (took < (warm ? ms * 1e5 : ms * 1e6));
	}
	printf("%f\n", n * 1e9 / took);
	BIO_ADDR_free(peer);
	SSL_free(client);
	SSL_free(server);
}
