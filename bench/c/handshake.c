// Handshakes of both ends in one thread, with the stateless cookie.

#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

static SSL_SESSION *session;

void keep_session(SSL *client) {
	SSL_SESSION_free(session);
	session = SSL_get1_session(client);
}

static void pending_only(SSL *ssl, int r) {
	if (r <= 0 && SSL_get_error(ssl, r) != SSL_ERROR_WANT_READ)
		die("handshake");
}

// The server's turn: until the cookie is right it listens.
static void server_turn(SSL *server, BIO_ADDR *peer, int *listening) {
	if (*listening) {
		int r = DTLSv1_listen(server, peer);

		if (r < 0)
			die("DTLSv1_listen");
		if (r == 0)
			return;
		*listening = 0;
	}
	pending_only(server, SSL_accept(server));
}

void handshake(contexts *c, ends *e, double *client_ns, double *server_ns) {
	int listening = 1;
	BIO_ADDR *peer = BIO_ADDR_new();
	double start = now_ns(CLOCK_MONOTONIC), middle;

	wire_reset(e->up);
	wire_reset(e->down);
	e->client = end_new(c->client, e->down, e->up);
	// Every contender's client names its server, with pre-shared keys too.
	if (!SSL_set_tlsext_host_name(e->client, "localhost") ||
	    (strcmp(c->kind, "psk") != 0 && !SSL_set1_host(e->client, "localhost")))
		die("name");
	if (session != NULL && strcmp(c->kind, "resumed") == 0)
		SSL_set_session(e->client, session);
	pending_only(e->client, SSL_connect(e->client));
	middle = now_ns(CLOCK_MONOTONIC);
	*client_ns += middle - start;
	e->server = end_new(c->server, e->up, e->down);
	*server_ns += now_ns(CLOCK_MONOTONIC) - middle;
	while (e->up->n > 0 || e->down->n > 0) {
		start = now_ns(CLOCK_MONOTONIC);
		server_turn(e->server, peer, &listening);
		middle = now_ns(CLOCK_MONOTONIC);
		*server_ns += middle - start;
		pending_only(e->client, SSL_connect(e->client));
		*client_ns += now_ns(CLOCK_MONOTONIC) - middle;
	}
	BIO_ADDR_free(peer);
	if (!SSL_is_init_finished(e->client) || !SSL_is_init_finished(e->server))
		die("the handshake is not complete");
}

void ends_free(ends *e) {
	// Freed as if it were broken, a connection makes its session one that cannot be resumed.
	SSL_set_shutdown(e->client, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_set_shutdown(e->server, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(e->client);
	SSL_free(e->server);
}

void run_handshake(contexts *c, double ms) {
	ends e = {.up = calloc(1, sizeof(wire)), .down = calloc(1, sizeof(wire))};
	double client = 0, server = 0, cpu, start, took;
	long n = 0;
	int resumed = 0;

	for (int i = 0; i < 20; i++) { // warm-up, and the session for those that are resumed
		handshake(c, &e, &client, &server);
		if (i == 0 && strcmp(c->kind, "resumed") == 0)
			keep_session(e.client);
		ends_free(&e);
	}
	client = server = 0;
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	start = now_ns(CLOCK_MONOTONIC);
	do {
		handshake(c, &e, &client, &server);
		resumed = SSL_session_reused(e.client);
		ends_free(&e);
		n++;
	} while ((took = now_ns(CLOCK_MONOTONIC) - start) < ms * 1e6);
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	if (resumed != (strcmp(c->kind, "resumed") == 0))
		die("resumption was not as it should be");
	printf("%f %f %f %f\n", cpu / 1e3 / n, n * 1e9 / took, client / 1e3 / n, server / 1e3 / n);
}
