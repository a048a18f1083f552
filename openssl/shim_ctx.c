// Contexts: built by setters, then shared by every connection of a configuration.

#include <stdlib.h>
#include <string.h>

#include <openssl/objects.h>

#include "shim_internal.h"

atomic_long odtls_live_ctxs;

// Handshake messages of a peer are assembled up to this size. OpenSSL's 100 KB would
// let an unproven peer pin ten times as much.
enum { MAX_CERT_LIST = 32 * 1024 };

enum { KEY_RSA = 1, KEY_EC = 2, KEY_OTHER = 4 }; // in odtls_ctx.keys

odtls_ptr odtls_ctx_new(int server) {
	odtls_ctx *ctx = calloc(1, sizeof *ctx);
	odtls_ptr r;

	odtls_err_begin();
	if (ctx == NULL)
		return odtls_ptr_of(NULL);
	atomic_fetch_add(&odtls_live_ctxs, 1);
	atomic_store(&ctx->refs, 1);
	ctx->server = server;
	ctx->ctx = SSL_CTX_new(server ? DTLS_server_method() : DTLS_client_method());
	if (ctx->ctx == NULL) {
		r = odtls_ptr_of(NULL);
		odtls_ctx_release(ctx);
		return r;
	}
	// NO_ENCRYPT_THEN_MAC: with it a single forged record ends a CBC association.
	SSL_CTX_set_options(ctx->ctx, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
	                                  SSL_OP_NO_ENCRYPT_THEN_MAC | SSL_OP_CIPHER_SERVER_PREFERENCE |
	                                  SSL_OP_NO_TICKET);
	SSL_CTX_set_session_cache_mode(ctx->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_max_cert_list(ctx->ctx, MAX_CERT_LIST);
	SSL_CTX_set_mode(ctx->ctx, SSL_MODE_RELEASE_BUFFERS);
	if (server) {
		SSL_CTX_set_dh_auto(ctx->ctx, 1); // or there would be no DHE
		SSL_CTX_set_client_hello_cb(ctx->ctx, odtls_hello_cb, NULL);
		SSL_CTX_set_cookie_generate_cb(ctx->ctx, odtls_cookie_generate_cb);
		SSL_CTX_set_cookie_verify_cb(ctx->ctx, odtls_cookie_verify_cb);
	}
	return odtls_ptr_of(ctx);
}

void odtls_ctx_release(odtls_ctx *ctx) {
	if (ctx == NULL || atomic_fetch_sub(&ctx->refs, 1) != 1)
		return;
	SSL_CTX_free(ctx->ctx);
	free(ctx->alpn);
	free(ctx);
	atomic_fetch_sub(&odtls_live_ctxs, 1);
}

odtls_status odtls_ctx_versions(odtls_ctx *ctx, int min, int max) {
	odtls_err_begin();
	return odtls_status_of(SSL_CTX_set_min_proto_version(ctx->ctx, min) == 1 &&
	                       SSL_CTX_set_max_proto_version(ctx->ctx, max) == 1);
}

odtls_status odtls_ctx_cipher_list(odtls_ctx *ctx, const char *list) {
	odtls_err_begin();
	return odtls_status_of(SSL_CTX_set_cipher_list(ctx->ctx, list));
}

int odtls_cipher_known(const char *word) {
	SSL_CTX *ctx;
	int ok;

	odtls_err_begin();
	ctx = SSL_CTX_new(DTLS_method());
	ok = ctx != NULL && SSL_CTX_set_cipher_list(ctx, word) == 1;
	SSL_CTX_free(ctx);
	ERR_clear_error();
	return ok;
}

static int accept_any(X509_STORE_CTX *store, void *arg) {
	(void)store;
	(void)arg;
	return 1;
}

void odtls_ctx_verify(odtls_ctx *ctx, int mode, int depth) {
	int (*instead)(X509_STORE_CTX *, void *) = NULL; // of OpenSSL's own verification

	switch (mode) {
	case ODTLS_VERIFY_COLLECT:
		SSL_CTX_set_verify(ctx->ctx, SSL_VERIFY_PEER, odtls_verify_cb);
		break;
	case ODTLS_VERIFY_STRICT:
		SSL_CTX_set_verify(ctx->ctx, SSL_VERIFY_PEER, odtls_verify_strict_cb);
		break;
	case ODTLS_VERIFY_REQUIRE:
		SSL_CTX_set_verify(ctx->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, odtls_verify_strict_cb);
		break;
	case ODTLS_VERIFY_REQUEST:
		SSL_CTX_set_verify(ctx->ctx, SSL_VERIFY_PEER, NULL);
		instead = accept_any;
		break;
	case ODTLS_VERIFY_REQUIRE_ANY:
		SSL_CTX_set_verify(ctx->ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		instead = accept_any;
		break;
	default:
		SSL_CTX_set_verify(ctx->ctx, SSL_VERIFY_NONE, NULL);
		instead = accept_any;
	}
	SSL_CTX_set_cert_verify_callback(ctx->ctx, instead, NULL);
	if (depth > 0)
		SSL_CTX_set_verify_depth(ctx->ctx, depth);
}

odtls_status odtls_ctx_add_root(odtls_ctx *ctx, void *x509) {
	odtls_err_begin();
	X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx->ctx), X509_V_FLAG_PARTIAL_CHAIN);
	return odtls_status_of(X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx->ctx), x509));
}

odtls_status odtls_ctx_add_client_ca(odtls_ctx *ctx, void *x509) {
	odtls_err_begin();
	return odtls_status_of(SSL_CTX_add_client_CA(ctx->ctx, x509));
}

odtls_status odtls_ctx_system_roots(odtls_ctx *ctx) {
	odtls_err_begin();
	return odtls_status_of(SSL_CTX_set_default_verify_paths(ctx->ctx));
}

odtls_status odtls_ctx_identity(odtls_ctx *ctx, void *x509, void *key, void **chain, int n) {
	STACK_OF(X509) *stack = sk_X509_new_null();
	int i, ok = stack != NULL;

	odtls_err_begin();
	for (i = 0; ok && i < n; i++)
		ok = sk_X509_push(stack, chain[i]);
	ok = ok && SSL_CTX_use_cert_and_key(ctx->ctx, x509, key, stack, 0);
	switch (EVP_PKEY_base_id(key)) {
	case EVP_PKEY_RSA:
		ctx->keys |= KEY_RSA;
		break;
	case EVP_PKEY_EC:
		ctx->keys |= KEY_EC;
		break;
	default:
		ctx->keys |= KEY_OTHER;
	}
	sk_X509_free(stack); // the context has counted its own references
	return odtls_status_of(ok);
}

static int select_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *arg) {
	odtls_ctx *ctx = arg;

	(void)ssl;
	if (SSL_select_next_proto((unsigned char **)out, out_len, ctx->alpn, (unsigned)ctx->alpn_len, in, in_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL; // RFC 7301 §3.2: no_application_protocol
	return SSL_TLSEXT_ERR_OK;
}

odtls_status odtls_ctx_alpn(odtls_ctx *ctx, const uint8_t *wire, size_t len) {
	odtls_err_begin();
	ctx->alpn = malloc(len);
	if (ctx->alpn == NULL)
		return odtls_status_of(0);
	memcpy(ctx->alpn, wire, len);
	ctx->alpn_len = len;
	if (ctx->server) {
		SSL_CTX_set_alpn_select_cb(ctx->ctx, select_alpn, ctx);
		return odtls_status_of(1);
	}
	return odtls_status_of(SSL_CTX_set_alpn_protos(ctx->ctx, ctx->alpn, (unsigned)len) == 0);
}

odtls_status odtls_ctx_psk(odtls_ctx *ctx, const char *hint) {
	odtls_err_begin();
	ctx->psk = 1;
	if (!ctx->server) {
		SSL_CTX_set_psk_client_callback(ctx->ctx, odtls_psk_client_cb);
		return odtls_status_of(1);
	}
	SSL_CTX_set_psk_server_callback(ctx->ctx, odtls_psk_server_cb);
	return odtls_status_of(hint == NULL || SSL_CTX_use_psk_identity_hint(ctx->ctx, hint));
}

// Whether the server has what the cipher suite authenticates it with.
static int can_authenticate(const odtls_ctx *ctx, const SSL_CIPHER *cipher) {
	switch (SSL_CIPHER_get_auth_nid(cipher)) {
	case NID_auth_rsa:
		return (ctx->keys & (KEY_RSA | KEY_OTHER)) != 0;
	case NID_auth_ecdsa:
		return (ctx->keys & (KEY_EC | KEY_OTHER)) != 0;
	case NID_auth_psk:
		return ctx->psk;
	default:
		return 1;
	}
}

int odtls_ctx_usable_ciphers(odtls_ctx *ctx) {
	SSL *ssl;
	STACK_OF(SSL_CIPHER) *list = NULL;
	int i, n = 0;

	odtls_err_begin();
	ssl = SSL_new(ctx->ctx);
	// OpenSSL answers for a client, also on a server.
	if (ssl != NULL && ctx->psk)
		SSL_set_psk_client_callback(ssl, odtls_psk_client_cb);
	if (ssl != NULL)
		list = SSL_get1_supported_ciphers(ssl);
	for (i = 0; list != NULL && i < sk_SSL_CIPHER_num(list); i++)
		n += !ctx->server || (ctx->keys == 0 && !ctx->psk) || can_authenticate(ctx, sk_SSL_CIPHER_value(list, i));
	sk_SSL_CIPHER_free(list);
	SSL_free(ssl);
	ERR_clear_error();
	return n;
}

int odtls_ctx_security_level(odtls_ctx *ctx) {
	return SSL_CTX_get_security_level(ctx->ctx);
}
