// What the C files share and Go does not see.

#ifndef ODTLS_SHIM_INTERNAL_H
#define ODTLS_SHIM_INTERNAL_H

#include <stdatomic.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "shim.h"

struct odtls_ctx {
	SSL_CTX *ctx;
	atomic_int refs;
	int server, psk, pause;
	uint8_t session_id[16]; // random, where there are tickets
	int keys; // kinds of the private keys that it has
	uint8_t *alpn; // wire format
	size_t alpn_len;
};

typedef struct odtls_mac odtls_mac; // a keyed HMAC that can be used again and again

struct odtls_cookie {
	atomic_int refs;
	const EVP_MD *md; // fetched on OpenSSL 3 and later, then owned
	uint8_t *secret, *previous;
	size_t secret_len, previous_len;
};

typedef struct {
	int code, depth;
	uint8_t *der;
	int der_len;
} odtls_verify_entry;

enum { ODTLS_MAX_PEER = 18, ODTLS_MAX_VERIFY = 32 };

struct odtls_conn {
	SSL *ssl;
	odtls_ctx *ctx;
	uintptr_t handle; // Go's, handed back in callbacks; 0: none

	// Borrowed during one operation.
	const uint8_t *in; // the datagram that OpenSSL has not read yet
	size_t in_len;
	int n_records;    // in it, before the filter
	uint8_t *in_copy; // what the filter left of it, when it dropped a record
	uint8_t *in_rest; // owned: what a read that ran out of room has left of it
	size_t in_rest_len;
	odtls_sink out;
	int32_t n_out;
	int flags;

	// Outgoing datagrams that found no room in the sink.
	uint8_t *spill;
	size_t spill_len, spill_cap;
	int32_t *spill_ends;
	int32_t spill_n, spill_ends_cap;

	uint32_t slot;     // of the handshake's buffer, in the heap of odtls_heap_use; 0: none
	uint32_t ssl_slot; // of the SSL, until its read buffer is there too

	int mtu, fallback, overhead;
	unsigned timer_us, timeouts;

	int established, failed, closed;
	int16_t alert_in, alert_out;

	// What the record filter knows.
	const SSL_CIPHER *min_for;
	size_t min_record;
	int early; // records of the next epoch let through so far

	// The last record written in mid-handshake, for an alert of our own.
	int out_epoch;
	uint64_t out_seq0; // sequence number of the last record of epoch 0

	odtls_verify_entry *verify;
	int n_verify;

	unsigned char *keylog; // lines that nobody has taken yet
	size_t keylog_len;

	SSL_SESSION *offered; // owned
	int64_t offered_expires;

	// On a server.
	char *hello_name;    // that the client's hello asks for; NULL: none
	uint8_t *hello_alpn; // in wire format, while paused; NULL: none
	size_t hello_alpn_len;
	int hello_seen, paused; // at it, until the next operation that goes on

	int cookie_verified; // the hello that OpenSSL holds came through odtls_listen

	// While listening.
	odtls_cookie *key;           // borrowed during the operation
	odtls_cookie *mac_key;       // a count of the key that the MACs below belong to
	odtls_mac *mac, *mac_before; // current and previous secret
	BIO_ADDR *client;
	uint8_t peer[ODTLS_MAX_PEER];
	size_t peer_len;
};

extern int odtls_ex_conn;
extern atomic_long odtls_live_conns, odtls_live_ctxs, odtls_live_cookies, odtls_live_certs, odtls_live_keys, odtls_live_sessions;
extern atomic_long odtls_stale;

// shim_err.c
void odtls_err_begin(void);        // the queue is empty afterwards
odtls_errs *odtls_err_drain(void); // owned by the caller; the queue is empty afterwards
odtls_status odtls_status_of(int ok);
odtls_ptr odtls_ptr_of(void *p);

// shim_op.c: every operation on a connection is lend or begin … end
void odtls_op_lend(odtls_conn *c, odtls_sink out);  // borrows the sink's buffers until the end
void odtls_op_begin(odtls_conn *c, odtls_sink out); // the same, with an empty error queue
// Between two datagrams of one operation; clean as below.
void odtls_op_next(odtls_conn *c, int clean);
int64_t odtls_op_timer(odtls_conn *c);              // µs until it is due, -1: stopped
// ret is what OpenSSL's function returned; clean says that it has left nothing in the queue.
odtls_result odtls_op_end(odtls_conn *c, int ret, int clean);

// shim_bio.c
int odtls_bio_init(void);
BIO *odtls_bio_new(odtls_conn *c); // keeps c, which must outlive it

// shim_record.c
void odtls_filter(odtls_conn *c, const uint8_t *in, size_t len); // sets c->in
size_t odtls_record_size(const uint8_t *p, size_t len);          // with its header; 0: no whole record
int odtls_first_hello(const uint8_t *in, size_t len, size_t *record_len);
void odtls_note_written(odtls_conn *c, const uint8_t *datagram, size_t len);

// shim_verify.c
int odtls_verify_cb(int ok, X509_STORE_CTX *store);
int odtls_verify_strict_cb(int ok, X509_STORE_CTX *store);
void odtls_verify_clear(odtls_conn *c);

// shim_session.c
int odtls_session_bind(odtls_conn *c, const void *name, size_t len); // 0 on failure

// shim_cookie.c
int odtls_cookie_generate_cb(SSL *ssl, unsigned char *cookie, unsigned int *len);
int odtls_cookie_verify_cb(SSL *ssl, const unsigned char *cookie, unsigned int len);
void odtls_cookie_forget(odtls_conn *c); // frees what listening needed

// shim_hello.c
int odtls_hello_cb(SSL *ssl, int *alert, void *arg);
void odtls_hello_resume(odtls_conn *c); // ends the pause
void odtls_hello_forget(odtls_conn *c); // frees what is known of the hello

// shim_heap.c
odtls_conn *odtls_heap_enter(odtls_conn *c); // what this thread allocates now is c's; returns whose it was before
void odtls_heap_settle(odtls_conn *c);       // c's handshake is complete

// shim_psk.c
unsigned odtls_psk_client_cb(SSL *ssl, const char *hint, char *identity, unsigned max_identity,
                             unsigned char *key, unsigned max_key);
unsigned odtls_psk_server_cb(SSL *ssl, const char *identity, unsigned char *key, unsigned max_key);

// shim_compat.c: what differs between versions of OpenSSL
X509 *odtls_compat_peer_cert(const SSL *ssl); // owned by the caller
size_t odtls_compat_heap_least(void);          // the smallest buffer that an idle connection keeps
int odtls_compat_key_eq(const EVP_PKEY *a, const EVP_PKEY *b);
const char *odtls_compat_key_type(const EVP_PKEY *key);
unsigned long odtls_compat_get_error(const char **file, int *line, const char **func, const char **data, int *flags);
const EVP_MD *odtls_compat_md_new(const char *name); // owned, see odtls_compat_md_free; NULL: unknown
void odtls_compat_md_free(const EVP_MD *md);
odtls_mac *odtls_mac_new(const EVP_MD *md, const uint8_t *secret, size_t len);
void odtls_mac_free(odtls_mac *m);
size_t odtls_mac_sum(odtls_mac *m, const uint8_t *data, size_t len, uint8_t *out); // 0 on failure

static inline odtls_conn *odtls_conn_of(const SSL *ssl) {
	return (odtls_conn *)SSL_get_ex_data(ssl, odtls_ex_conn);
}

#endif
