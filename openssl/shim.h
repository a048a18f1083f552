// The one header that Go sees. Every function says what it borrows and what it
// owns; nothing keeps a pointer into Go memory after it has returned.

#ifndef ODTLS_SHIM_H
#define ODTLS_SHIM_H

#include <stddef.h>
#include <stdint.h>

typedef struct odtls_ctx odtls_ctx;       // an SSL_CTX and what its callbacks need; counted
typedef struct odtls_conn odtls_conn;     // an SSL with its datagram BIO; one owner
typedef struct odtls_cookie odtls_cookie; // hash and secrets of the cookies; counted, never changed

// One entry of OpenSSL's error queue, rendered while the queue was at hand.
typedef struct {
	unsigned long code;
	int line;
	char lib[48];
	char reason[120];
	char fun[64];
	char file[96];
	char data[200];
} odtls_err;

// What an operation found in the error queue, oldest entry first. The caller owns
// it and frees it with odtls_errs_free. NULL means that the queue was empty.
typedef struct {
	int n;
	odtls_err e[8];
} odtls_errs;

void odtls_errs_free(odtls_errs *errs);

typedef struct {
	int ok;
	odtls_errs *errs; // owned by the caller; only when ok is 0
} odtls_status;

typedef struct {
	void *p; // owned by the caller; NULL means failure
	odtls_errs *errs;
} odtls_ptr;

// Bytes in memory of OpenSSL's allocator; the caller frees p with odtls_free.
typedef struct {
	unsigned char *p;
	size_t n;
	odtls_errs *errs;
} odtls_bytes;

void odtls_free(void *p);

// ---- library ----

// Makes the BIO method and the ex_data index. Called once, before all else; 0 means failure.
int odtls_init(void);
unsigned long odtls_header_version(void);
const char *odtls_header_version_text(void);
unsigned long odtls_library_version(void);
const char *odtls_library_version_text(void);

typedef struct {
	long conns, ctxs, cookies, certs, keys, sessions; // live objects
	long stale;                                       // operations that found errors of somebody else in the queue
	unsigned long queued;                             // first error in the calling thread's queue, 0 if there is none
} odtls_diag;
odtls_diag odtls_diagnostics(void);

// Has OpenSSL's large buffers in a heap of their own, see shim_heap.c. Before anything else
// of OpenSSL's; 0 means that it is too late, or not possible here.
int odtls_heap_use(void);

typedef struct {
	long slots; // in use
	long pages; // of them that are resident
} odtls_heap;
odtls_heap odtls_heap_read(void);

// ---- operations on a connection ----

// Where an operation puts bytes: it appends to buf, of which used bytes are taken,
// and writes into ends the offset in buf at which each datagram ends.
typedef struct {
	uint8_t *buf;
	size_t used, cap;
	int32_t *ends;
	int32_t ends_cap;
} odtls_sink;

enum {
	ODTLS_DONE = 1,      // the handshake is complete
	ODTLS_MORE_OUT = 2,  // outgoing datagrams wait in the connection: odtls_take
	ODTLS_MORE_IN = 4,   // plaintext waits: grow the sink and read again without a datagram
	ODTLS_PARTIAL = 8,   // the last payload is incomplete, the next read goes on with it
	ODTLS_KEYLOG = 16,   // lines of the key log wait: odtls_conn_keylog
	ODTLS_HELLO = 32,    // the handshake pauses at the ClientHello: odtls_conn_hello
	ODTLS_PROTECTED = 64 // records of epoch 1 have been made
};

typedef struct {
	int32_t ret;        // what OpenSSL's function returned
	int32_t err;        // SSL_get_error of it
	int32_t flags;      // ODTLS_…
	int32_t n_out;      // datagrams appended to the sink for outgoing datagrams
	int32_t n_in;       // payloads appended to the sink for plaintext
	int32_t n_verify;   // verification errors collected so far
	int16_t alert_in;   // level << 8 | description of the last alert received, -1 if none
	int16_t alert_out;  // the same for the last alert sent
	int64_t timeout_us; // when the retransmission timer is due, -1 if it is stopped
	size_t out_used;    // bytes used in the sink for outgoing datagrams
	size_t in_used;     // bytes used in the sink for plaintext
	size_t in_taken;    // bytes of the train that have been taken
	size_t more_bytes;  // size of what waits (ODTLS_MORE_OUT: bytes; ODTLS_MORE_IN: bytes known to wait)
	int32_t more_count; // datagrams that wait (ODTLS_MORE_OUT)
	odtls_errs *errs;   // owned by the caller; only when err is SSL_ERROR_SSL or SSL_ERROR_SYSCALL
} odtls_result;

// A datagram is borrowed for the call. So are the sinks' buffers.
odtls_result odtls_handshake(odtls_conn *c, const uint8_t *in, size_t in_len, odtls_sink out);
// in is a train of datagrams of size bytes, the last of which may be shorter.
odtls_result odtls_read(odtls_conn *c, const uint8_t *in, size_t in_len, size_t size, odtls_sink plain, odtls_sink out);
odtls_result odtls_write(odtls_conn *c, const uint8_t *payload, size_t len, odtls_sink out);
odtls_result odtls_timeout(odtls_conn *c, odtls_sink out);
odtls_result odtls_shutdown(odtls_conn *c, odtls_sink out);
// DTLSv1_listen with the given cookie key (borrowed) for a peer of peer_len bytes:
// the cookie's HMAC input, see odtls_cookie_make.
odtls_result odtls_listen(odtls_conn *c, odtls_cookie *key, const uint8_t *peer, size_t peer_len,
                          const uint8_t *in, size_t in_len, odtls_sink out);
// Gives up in mid-handshake with a fatal alert. With plain set the alert goes out in
// epoch 0 even if OpenSSL has already produced records of epoch 1 (which the caller
// has then held back).
odtls_result odtls_abort(odtls_conn *c, int alert, int plain, odtls_sink out);
// Moves outgoing datagrams that did not fit into the last call's sink.
odtls_result odtls_take(odtls_conn *c, odtls_sink out);

// ---- a connection's life and facts ----

odtls_ptr odtls_conn_new(odtls_ctx *ctx, uintptr_t handle); // holds a count of ctx
void odtls_conn_free(odtls_conn *c);
// Sizes of a UDP payload: what handshake datagrams may have now, and after timeouts.
void odtls_conn_set_mtu(odtls_conn *c, int mtu, int fallback, int overhead);
void odtls_conn_set_timer(odtls_conn *c, unsigned initial_us);
// Copies its arguments. host and ip may be NULL; ip has ip_len bytes, 4 or 16.
odtls_status odtls_conn_set_name(odtls_conn *c, const char *host, int sni, const uint8_t *ip, size_t ip_len);

typedef struct {
	const char *name, *standard_name; // static in OpenSSL
	char description[160];
	int bits, alg_bits;
	int id; // IANA's number
	int ok;
} odtls_cipher_info;
odtls_cipher_info odtls_conn_cipher(odtls_conn *c);
// What the ClientHello asks for at which the handshake pauses. Borrowed from the connection,
// valid until its next operation.
typedef struct {
	const char *name;    // NULL: none
	const uint8_t *alpn; // length(1) name … of valid lengths; NULL: none
	size_t alpn_len;
} odtls_hello;
odtls_hello odtls_conn_hello(odtls_conn *c);
int odtls_conn_version(odtls_conn *c);
// Borrowed from the connection, valid until its next operation. NULL: none.
const char *odtls_conn_server_name(odtls_conn *c);
size_t odtls_conn_data_mtu(odtls_conn *c, int mtu); // for a UDP payload of mtu bytes
// Copies i2d of the peer's certificate number i (0 is its own) to the caller; p NULL: there is none.
odtls_bytes odtls_conn_peer_cert(odtls_conn *c, int i);
// Borrowed from the connection, valid until its next operation. n 0: none.
odtls_bytes odtls_conn_alpn(odtls_conn *c);
const char *odtls_conn_psk_identity(odtls_conn *c);
int odtls_conn_peer_authenticated(odtls_conn *c); // by a certificate, whatever its worth, or a pre-shared key

// RFC 5705, into out. context NULL: none.
odtls_status odtls_conn_export(odtls_conn *c, const char *label, size_t label_len, const uint8_t *context,
                               size_t context_len, uint8_t *out, size_t out_len);
const char *odtls_conn_srtp_profile(odtls_conn *c); // static in OpenSSL; NULL: none
// Gives the lines that have been collected to the caller, who frees them with odtls_free.
odtls_bytes odtls_conn_keylog(odtls_conn *c);

typedef struct {
	int code, depth;
	const uint8_t *der; // borrowed from the connection until it is freed
	size_t der_len;
} odtls_verify_error;
odtls_verify_error odtls_conn_verify_error(odtls_conn *c, int i);
const char *odtls_verify_text(int code); // static in OpenSSL
int odtls_verify_alert(int code);        // the alert that OpenSSL sends for a verification error

// ---- contexts ----

odtls_ptr odtls_ctx_new(int server);
void odtls_ctx_release(odtls_ctx *ctx);
odtls_status odtls_ctx_versions(odtls_ctx *ctx, int min, int max);
odtls_status odtls_ctx_cipher_list(odtls_ctx *ctx, const char *list);
int odtls_cipher_known(const char *word);
enum {
	ODTLS_VERIFY_NONE,
	ODTLS_VERIFY_COLLECT,
	ODTLS_VERIFY_STRICT,
	ODTLS_VERIFY_REQUIRE,
	ODTLS_VERIFY_REQUEST,
	ODTLS_VERIFY_REQUIRE_ANY
};
void odtls_ctx_verify(odtls_ctx *ctx, int mode, int depth);
odtls_status odtls_ctx_add_root(odtls_ctx *ctx, void *x509);      // takes a reference
odtls_status odtls_ctx_add_client_ca(odtls_ctx *ctx, void *x509); // takes a copy of the name
odtls_status odtls_ctx_system_roots(odtls_ctx *ctx);
// Copies one CRL in DER and has every certificate but the trusted one looked up from now on.
odtls_status odtls_ctx_add_crl(odtls_ctx *ctx, const uint8_t *der, size_t len);
// Takes references to the certificate, the key and the n certificates of the chain.
odtls_status odtls_ctx_identity(odtls_ctx *ctx, void *x509, void *key, void **chain, int n);
odtls_status odtls_ctx_alpn(odtls_ctx *ctx, const uint8_t *wire, size_t len); // copies
odtls_status odtls_ctx_psk(odtls_ctx *ctx, const char *hint);                 // copies; hint may be NULL
void odtls_ctx_keylog(odtls_ctx *ctx); // collect what SSL_CTX_set_keylog_callback tells
odtls_status odtls_ctx_srtp(odtls_ctx *ctx, const char *profiles);
void odtls_ctx_pause(odtls_ctx *ctx);           // a server's handshakes pause at the ClientHello
odtls_status odtls_ctx_tickets(odtls_ctx *ctx); // a server gives them, a client asks for them
// How many cipher suites a connection of this context could use.
int odtls_ctx_usable_ciphers(odtls_ctx *ctx);
int odtls_ctx_security_level(odtls_ctx *ctx);

// ---- sessions, of clients; each is an SSL_SESSION ----

typedef struct {
	void *p;                // owned by the caller; NULL without errors: none that could be resumed, or the one that was offered
	unsigned long lifetime; // the server's hint in seconds, 0: none
	int64_t expires;        // when the server's chain does, in seconds since 1970
	odtls_errs *errs;
} odtls_session;
// A copy of the connection's session.
odtls_session odtls_session_take(odtls_conn *c);
// Offers a copy of the session to the server, unless it has expired. Before the handshake.
odtls_status odtls_session_offer(odtls_conn *c, void *session, int64_t expires);
void odtls_session_free(void *session);
int odtls_conn_resumed(odtls_conn *c);

// ---- cookies ----

// Copies both secrets; previous_len 0 means none. p NULL: the hash is unknown or cannot be used.
odtls_ptr odtls_cookie_new(const char *hash, const uint8_t *secret, size_t len,
                           const uint8_t *previous, size_t previous_len);
void odtls_cookie_release(odtls_cookie *k);
// HMAC(hash, secret, peer) into out (at least 64 bytes); returns its length, 0 on failure.
size_t odtls_cookie_make(odtls_cookie *k, const uint8_t *peer, size_t peer_len, uint8_t *out);

// ---- certificates and keys; each p is an X509 or EVP_PKEY owned by the caller ----

// The certificates of a PEM text, each owned by the caller, in an array that the caller
// frees with odtls_free. max 0: all of them. errs: number n+1 cannot be read, and p is NULL.
typedef struct {
	void **p;
	int n;
	odtls_errs *errs;
} odtls_certs;
odtls_certs odtls_certs_pem(const uint8_t *pem, size_t len, int max);
odtls_ptr odtls_cert_der(const uint8_t *der, size_t len);
void odtls_cert_free(void *x509);
odtls_bytes odtls_cert_to_der(void *x509);
odtls_bytes odtls_cert_subject(void *x509); // RFC 2253 form
// pass may be NULL: an encrypted key then fails instead of asking on the terminal.
odtls_ptr odtls_key_pem(const uint8_t *pem, size_t len, const char *pass, size_t pass_len);
odtls_ptr odtls_key_der(const uint8_t *der, size_t len);
void odtls_key_free(void *key);
odtls_bytes odtls_key_public_der(void *key);
const char *odtls_key_type(void *key); // static in OpenSSL
int odtls_key_bits(void *key);
int odtls_key_matches(void *x509, void *key);
const char *odtls_cert_key_type(void *x509);

#endif
