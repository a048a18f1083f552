// What the files of the C contender share.

#ifndef BENCH_H
#define BENCH_H

#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

void die(const char *what);
double now_ns(clockid_t clock);

// The BIO of one end: datagrams in, datagrams out, each whole.
enum { ROOM = 256 * 1024, MOST = 256 };

typedef struct {
	uint8_t bytes[ROOM];
	size_t used;
	size_t end[MOST];
	int n, next;
} wire;

void wire_reset(wire *w);

// An SSL of a context that reads from in and writes to out.
SSL *end_new(SSL_CTX *ctx, wire *in, wire *out);

// Both contexts of a measurement. kind is ecdsa, rsa, psk or resumed.
typedef struct {
	SSL_CTX *client, *server;
	const char *kind;
} contexts;

contexts contexts_new(const char *kind, const char *ciphers, const char *root, const char *identity);

// A whole handshake, cookie and all; adds what each side's calls have taken.
typedef struct {
	SSL *client, *server;
	wire *up, *down;
} ends;

void handshake(contexts *c, ends *e, double *client_ns, double *server_ns);
void ends_free(ends *e);
// Offered by later clients of the kind "resumed".
void keep_session(SSL *client);

void run_handshake(contexts *c, double ms);
void run_crypt(contexts *c, size_t size, double ms);
void run_listen(contexts *c, double ms);
// Runs what is measured over sockets; 0 if nothing is called so.
int run_loopback(const char *what, contexts *c, size_t size, double ms);

#endif
