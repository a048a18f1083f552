// Both ends in one thread, each with a UDP socket on loopback. What is sent there is to be
// read when the call returns, so that nothing has to be waited for.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench.h"

typedef struct {
	int fd;
	struct sockaddr_in at;
	struct sockaddr_in from; // of what was received last
} sock;

typedef struct {
	ends e;
	sock client, server;
} loop;

static void sock_open(sock *s, in_addr_t address) {
	socklen_t len = sizeof s->at;

	s->fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	s->at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
	if (s->fd < 0 || bind(s->fd, (struct sockaddr *)&s->at, sizeof s->at) != 0 ||
	    getsockname(s->fd, (struct sockaddr *)&s->at, &len) != 0)
		die("socket");
}

// Sends what is in the wire and returns how many datagrams that were.
static int put(wire *w, const sock *from, const struct sockaddr_in *to) {
	size_t start = 0;
	int n = w->n;

	for (int i = 0; i < n; start = w->end[i++])
		if (sendto(from->fd, w->bytes + start, w->end[i] - start, 0, (const struct sockaddr *)to,
		           sizeof *to) < 0)
			die("sendto");
	wire_reset(w);
	return n;
}

// Receives n datagrams into the wire.
static void take(wire *w, sock *at, int n) {
	for (; n > 0; n--) {
		socklen_t len = sizeof at->from;
		ssize_t got = recvfrom(at->fd, w->bytes + w->used, ROOM - w->used, 0,
		                       (struct sockaddr *)&at->from, &len);

		if (got <= 0 || w->n == MOST)
			die("recvfrom");
		w->used += (size_t)got;
		w->end[w->n++] = w->used;
	}
}

static loop *loop_new(void) {
	loop *l = calloc(1, sizeof *l);

	l->e.up = calloc(1, sizeof(wire));
	l->e.down = calloc(1, sizeof(wire));
	sock_open(&l->client, INADDR_LOOPBACK);
	sock_open(&l->server, INADDR_LOOPBACK);
	return l;
}

static void want_read(SSL *ssl, int r) {
	if (r <= 0 && SSL_get_error(ssl, r) != SSL_ERROR_WANT_READ)
		die("handshake over loopback");
}

// The SSL that has listened goes on as the connection's: a server for many needs a new one
// for its next client, and here each handshake makes one.
static void accept_turn(SSL *server, BIO_ADDR *peer, int *listening) {
	if (*listening && (*listening = DTLSv1_listen(server, peer) <= 0))
		return;
	want_read(server, SSL_accept(server));
}

static void shake(contexts *c, loop *l, double *client_ns, double *server_ns) {
	int listening = 1, n;
	BIO_ADDR *peer = BIO_ADDR_new();
	ends *e = &l->e;
	double start = now_ns(CLOCK_MONOTONIC), middle;

	wire_reset(e->up);
	wire_reset(e->down);
	e->client = end_new(c->client, e->down, e->up);
	if (strcmp(c->kind, "psk") != 0 &&
	    (!SSL_set1_host(e->client, "localhost") || !SSL_set_tlsext_host_name(e->client, "localhost")))
		die("name");
	want_read(e->client, SSL_connect(e->client));
	n = put(e->up, &l->client, &l->server.at);
	middle = now_ns(CLOCK_MONOTONIC);
	*client_ns += middle - start;
	e->server = end_new(c->server, e->up, e->down);
	*server_ns += now_ns(CLOCK_MONOTONIC) - middle;
	while (n > 0) {
		start = now_ns(CLOCK_MONOTONIC);
		take(e->up, &l->server, n);
		accept_turn(e->server, peer, &listening);
		n = put(e->down, &l->server, &l->server.from);
		middle = now_ns(CLOCK_MONOTONIC);
		*server_ns += middle - start;
		take(e->down, &l->client, n);
		want_read(e->client, SSL_connect(e->client));
		n = put(e->up, &l->client, &l->server.at);
		*client_ns += now_ns(CLOCK_MONOTONIC) - middle;
	}
	BIO_ADDR_free(peer);
	if (!SSL_is_init_finished(e->client) || !SSL_is_init_finished(e->server))
		die("the handshake over loopback is not complete");
}

static void send_up(loop *l, const uint8_t *payload, size_t size) {
	if (SSL_write(l->e.client, payload, (int)size) != (int)size)
		die("SSL_write");
	put(l->e.up, &l->client, &l->server.at);
}

static void receive_up(loop *l, uint8_t *buf, size_t size) {
	take(l->e.up, &l->server, 1);
	if (SSL_read(l->e.server, buf, 16384) != (int)size)
		die("SSL_read");
}

static void echo(loop *l, uint8_t *payload, uint8_t *buf, size_t size) {
	send_up(l, payload, size);
	receive_up(l, buf, size);
	if (SSL_write(l->e.server, buf, (int)size) != (int)size)
		die("SSL_write");
	put(l->e.down, &l->server, &l->server.from);
	take(l->e.down, &l->client, 1);
	if (SSL_read(l->e.client, buf, 16384) != (int)size)
		die("SSL_read");
}

static void run_udp_handshake(contexts *c, double ms) {
	loop *l = loop_new();
	double client = 0, server = 0, cpu = 0, start = 0, took = 0;
	long n = 0;

	for (int i = 0; i < 20; i++) { // warm-up
		shake(c, l, &client, &server);
		ends_free(&l->e);
	}
	client = server = 0;
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID);
	start = now_ns(CLOCK_MONOTONIC);
	for (; took < ms * 1e6; n++) {
		shake(c, l, &client, &server);
		ends_free(&l->e);
		took = now_ns(CLOCK_MONOTONIC) - start;
	}
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
	printf("%f %f %f %f\n", cpu / 1e3 / n, n * 1e9 / took, client / 1e3 / n, server / 1e3 / n);
}

static void run_udp_datagrams(contexts *c, size_t size, double ms) {
	enum { LOT = 32 }; // see loopback.go
	loop *l = loop_new();
	double ignored = 0, start, middle, both = 0, sending = 0, receiving = 0;
	uint8_t *payload = calloc(1, size), *buf = malloc(16384);
	long n = 0, apart = 0;

	shake(c, l, &ignored, &ignored);
	for (int i = 0; i < 1000; i++) { // warm-up
		send_up(l, payload, size);
		receive_up(l, buf, size);
	}
	for (start = now_ns(CLOCK_MONOTONIC); both < ms * 5e5; both = now_ns(CLOCK_MONOTONIC) - start) {
		for (int i = 0; i < LOT; i++, n++) {
			send_up(l, payload, size);
			receive_up(l, buf, size);
		}
	}
	for (; sending + receiving < ms * 5e5; apart += LOT) {
		start = now_ns(CLOCK_MONOTONIC);
		for (int i = 0; i < LOT; i++)
			send_up(l, payload, size);
		middle = now_ns(CLOCK_MONOTONIC);
		for (int i = 0; i < LOT; i++)
			receive_up(l, buf, size);
		sending += middle - start;
		receiving += now_ns(CLOCK_MONOTONIC) - middle;
	}
	printf("%f %f %f\n", both / n, sending / apart, receiving / apart);
	ends_free(&l->e);
}

static void run_udp_echo(contexts *c, size_t size, double ms) {
	loop *l = loop_new();
	double ignored = 0, now, end;
	uint8_t *payload = calloc(1, size), *buf = malloc(16384);

	shake(c, l, &ignored, &ignored);
	for (int i = 0; i < 1000; i++) // warm-up
		echo(l, payload, buf, size);
	end = now_ns(CLOCK_MONOTONIC) + ms * 1e6;
	for (double start = now_ns(CLOCK_MONOTONIC); start < end; start = now) {
		echo(l, payload, buf, size);
		now = now_ns(CLOCK_MONOTONIC);
		printf("%.2f\n", (now - start) / 1e3);
		now = now_ns(CLOCK_MONOTONIC); // without the printing
	}
	ends_free(&l->e);
}

// Answers a ClientHello without a cookie, as if from another peer each time. Nobody reads
// what the peers get.
static void run_udp_hellos(contexts *c, double ms) {
	wire *up = calloc(1, sizeof *up), *down = calloc(1, sizeof *down), *hello = calloc(1, sizeof *hello);
	SSL *client = end_new(c->client, down, hello), *server = end_new(c->server, up, down);
	BIO_ADDR *peer = BIO_ADDR_new();
	sock s, sink;
	double start, took;
	uint32_t i = 0;
	long n;

	sock_open(&s, INADDR_LOOPBACK);
	sock_open(&sink, INADDR_ANY);
	SSL_set_tlsext_host_name(client, "localhost");
	SSL_connect(client);
	if (hello->n != 1)
		die("ClientHello");
	for (int warm = 1; warm >= 0; warm--) {
		start = now_ns(CLOCK_MONOTONIC);
		took = 0;
		for (n = 0; took < (warm ? ms * 1e5 : ms * 1e6); took = now_ns(CLOCK_MONOTONIC) - start) {
			for (int k = 0; k < 64; k++, n++) {
				memcpy(up->bytes, hello->bytes, hello->used);
				up->used = up->end[0] = hello->used;
				up->n = 1;
				up->next = 0;
				sink.at.sin_addr.s_addr = htonl(0x7f010000u | (++i & 0xffff));
				if (DTLSv1_listen(server, peer) != 0 || put(down, &s, &sink.at) != 1)
					die("DTLSv1_listen");
			}
		}
	}
	printf("%f\n", n * 1e9 / took);
	BIO_ADDR_free(peer);
	SSL_free(client);
	SSL_free(server);
}

int run_loopback(const char *what, contexts *c, size_t size, double ms) {
	if (strcmp(what, "udp-handshake") == 0)
		run_udp_handshake(c, ms);
	else if (strcmp(what, "udp-hellos") == 0)
		run_udp_hellos(c, ms);
	else if (strcmp(what, "udp-datagrams") == 0 && size > 0)
		run_udp_datagrams(c, size, ms);
	else if (strcmp(what, "udp-echo") == 0 && size > 0)
		run_udp_echo(c, size, ms);
	else
		return 0;
	return 1;
}
