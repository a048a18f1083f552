// A connection: its life, its settings and the facts about its session.

#include <stdlib.h>
#include <string.h>

#include <openssl/x509v3.h>

#include "shim_internal.h"

int odtls_ex_conn = -1;
atomic_long odtls_live_conns;

// SSL_set_mtu refuses what is less than a link of 256 bytes leaves; flights pass a
// 4096-byte buffer of libssl.
enum { MIN_LINK = 256, MAX_MTU = 4096 };

static void on_info(const SSL *ssl, int where, int value) {
	odtls_conn *c = odtls_conn_of(ssl);

	if (c == NULL || !(where & SSL_CB_ALERT))
		return;
	if (where & SSL_CB_READ)
		c->alert_in = (int16_t)value;
	else
		c->alert_out = (int16_t)value;
}

static unsigned int on_timer(SSL *ssl, unsigned int us) {
	odtls_conn *c = odtls_conn_of(ssl);

	if (us == 0)
		return c->timer_us;
	return us >= 30000000 ? 60000000 : us * 2; // RFC 6347 §4.2.4.1: up to 60 s
}

odtls_ptr odtls_conn_new(odtls_ctx *ctx, uintptr_t handle) {
	odtls_conn *c = OPENSSL_zalloc(sizeof *c);
	odtls_conn *others;
	odtls_ptr r;
	BIO *bio = NULL;

	odtls_err_begin();
	if (c == NULL)
		return odtls_ptr_of(NULL);
	atomic_fetch_add(&odtls_live_conns, 1);
	atomic_fetch_add(&ctx->refs, 1);
	c->ctx = ctx;
	c->handle = handle;
	c->alert_in = c->alert_out = -1;
	c->overhead = 48;
	c->mtu = 1280 - c->overhead; // what every IPv6 link carries
	others = odtls_heap_enter(c);
	c->ssl = SSL_new(ctx->ctx);
	(void)odtls_heap_enter(others);
	if (c->ssl != NULL && SSL_set_ex_data(c->ssl, odtls_ex_conn, c))
		bio = odtls_bio_new(c);
	if (bio == NULL) {
		r = odtls_ptr_of(NULL);
		odtls_conn_free(c);
		return r;
	}
	SSL_set_bio(c->ssl, bio, bio);
	SSL_set_mtu(c->ssl, c->mtu);
	SSL_set_info_callback(c->ssl, on_info);
	if (ctx->server)
		SSL_set_accept_state(c->ssl);
	else
		SSL_set_connect_state(c->ssl);
	return odtls_ptr_of(c);
}

void odtls_conn_free(odtls_conn *c) {
	if (c == NULL)
		return;
	odtls_err_begin();
	odtls_cookie_forget(c);
	SSL_free(c->ssl);
	SSL_SESSION_free(c->offered);
	odtls_verify_clear(c);
	odtls_hello_forget(c);
	free(c->spill);
	free(c->spill_ends);
	free(c->in_rest);
	OPENSSL_clear_free(c->keylog, c->keylog_len);
	odtls_ctx_release(c->ctx);
	OPENSSL_free(c);
	ERR_clear_error();
	atomic_fetch_sub(&odtls_live_conns, 1);
}

static int clamp(int mtu, int overhead) {
	int min = MIN_LINK - overhead;

	return mtu < min ? min : mtu > MAX_MTU ? MAX_MTU : mtu;
}

void odtls_conn_set_mtu(odtls_conn *c, int mtu, int fallback, int overhead) {
	c->overhead = overhead;
	c->mtu = clamp(mtu, overhead);
	c->fallback = fallback > 0 ? clamp(fallback, overhead) : 0;
	SSL_set_mtu(c->ssl, c->mtu);
}

void odtls_conn_set_timer(odtls_conn *c, unsigned initial_us) {
	c->timer_us = initial_us;
	DTLS_set_timer_cb(c->ssl, on_timer);
}

odtls_status odtls_conn_set_name(odtls_conn *c, const char *host, int sni, const uint8_t *ip, size_t ip_len) {
	X509_VERIFY_PARAM *param = SSL_get0_param(c->ssl);
	int ok = 1;

	odtls_err_begin();
	if (host != NULL) {
		X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
		ok = X509_VERIFY_PARAM_set1_host(param, host, 0);
		if (ok && sni)
			ok = SSL_set_tlsext_host_name(c->ssl, host) == 1;
	}
	if (ok && ip != NULL)
		ok = X509_VERIFY_PARAM_set1_ip(param, ip, ip_len);
	if (ok)
		ok = host != NULL ? odtls_session_bind(c, host, strlen(host)) : odtls_session_bind(c, ip, ip_len);
	return odtls_status_of(ok);
}

odtls_cipher_info odtls_conn_cipher(odtls_conn *c) {
	// In mid-handshake the session may still be the one that a client has offered.
	const SSL_CIPHER *cipher = c->established ? SSL_get_current_cipher(c->ssl) : SSL_get_pending_cipher(c->ssl);
	odtls_cipher_info info;
	char *end;

	memset(&info, 0, sizeof info);
	if (cipher == NULL)
		return info;
	info.ok = 1;
	info.id = SSL_CIPHER_get_protocol_id(cipher);
	info.name = SSL_CIPHER_get_name(cipher);
	info.standard_name = SSL_CIPHER_standard_name(cipher);
	info.bits = SSL_CIPHER_get_bits(cipher, &info.alg_bits);
	SSL_CIPHER_description(cipher, info.description, (int)sizeof info.description);
	if ((end = strchr(info.description, '\n')) != NULL)
		*end = 0;
	return info;
}

int odtls_conn_version(odtls_conn *c) {
	return SSL_version(c->ssl);
}

// OpenSSL has no function that takes the MTU, so it is set for the question only.
size_t odtls_conn_data_mtu(odtls_conn *c, int mtu) {
	size_t n;

	if (!SSL_set_mtu(c->ssl, mtu))
		return 0;
	n = DTLS_get_data_mtu(c->ssl);
	SSL_set_mtu(c->ssl, c->mtu);
	return n;
}

odtls_bytes odtls_conn_peer_cert(odtls_conn *c, int i) {
	odtls_bytes r = {NULL, 0, NULL};
	X509 *leaf = odtls_compat_peer_cert(c->ssl);
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(c->ssl);
	const X509 *cert = leaf;
	int n;

	odtls_err_begin();
	if (i > 0) {
		// A client's chain starts with the server's certificate, a server's chain lacks the client's.
		if (SSL_is_server(c->ssl))
			i--;
		cert = chain != NULL && i < sk_X509_num(chain) ? sk_X509_value(chain, i) : NULL;
	}
	if (cert != NULL && (n = i2d_X509((X509 *)cert, &r.p)) > 0)
		r.n = (size_t)n;
	X509_free(leaf);
	ERR_clear_error();
	return r;
}

odtls_bytes odtls_conn_alpn(odtls_conn *c) {
	odtls_bytes r = {NULL, 0, NULL};
	const unsigned char *p = NULL;
	unsigned n = 0;

	SSL_get0_alpn_selected(c->ssl, &p, &n);
	r.p = (unsigned char *)p;
	r.n = n;
	return r;
}

const char *odtls_conn_psk_identity(odtls_conn *c) {
	return SSL_get_psk_identity(c->ssl);
}

int odtls_conn_peer_authenticated(odtls_conn *c) {
	X509 *cert;

	if (SSL_get_psk_identity(c->ssl) != NULL)
		return 1;
	cert = odtls_compat_peer_cert(c->ssl);
	X509_free(cert);
	return cert != NULL;
}
