// The contexts of both sides, made once and shared, with what a careful program sets.

#include <openssl/evp.h>
#include <openssl/hmac.h>
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
#include <openssl/params.h>
#endif
#include <string.h>

#include "bench.h"

static const unsigned char psk[16] = "0123456789abcdef";
static const unsigned char secret[32] = "the cookies' secret, of 32 bytes";

static unsigned int client_psk(SSL *ssl, const char *hint, char *identity, unsigned int identity_len,
                               unsigned char *key, unsigned int key_len) {
	(void)ssl;
	(void)hint;
	if (identity_len < sizeof "bench" || key_len < sizeof psk)
		return 0;
	memcpy(identity, "bench", sizeof "bench");
	memcpy(key, psk, sizeof psk);
	return sizeof psk;
}

static unsigned int server_psk(SSL *ssl, const char *identity, unsigned char *key, unsigned int key_len) {
	(void)ssl;
	(void)identity;
	if (key_len < sizeof psk)
		return 0;
	memcpy(key, psk, sizeof psk);
	return sizeof psk;
}

// HMAC-SHA256 over the peer's port and address, here always the same.
static const unsigned char peer[6] = {0x40, 0x9c, 127, 0, 0, 1};

#if OPENSSL_VERSION_NUMBER >= 0x30000000L
// Fetched and keyed once: HMAC() would do that for each cookie.
static int make_cookie(SSL *ssl, unsigned char *cookie, unsigned int *len) {
	static EVP_MAC_CTX *mac;
	size_t n = 0;

	(void)ssl;
	if (mac == NULL) {
		OSSL_PARAM hash[] = {OSSL_PARAM_construct_utf8_string("digest", (char[]){"SHA256"}, 0), OSSL_PARAM_END};
		EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);

		mac = EVP_MAC_CTX_new(hmac);
		EVP_MAC_free(hmac);
		if (mac == NULL || !EVP_MAC_init(mac, secret, sizeof secret, hash))
			die("EVP_MAC_init");
	}
	if (!EVP_MAC_init(mac, NULL, 0, NULL) || !EVP_MAC_update(mac, peer, sizeof peer) ||
	    !EVP_MAC_final(mac, cookie, &n, EVP_MAX_MD_SIZE))
		return 0;
	*len = (unsigned int)n;
	return 1;
}
#else
static int make_cookie(SSL *ssl, unsigned char *cookie, unsigned int *len) {
	(void)ssl;
	return HMAC(EVP_sha256(), secret, sizeof secret, peer, sizeof peer, cookie, len) != NULL;
}
#endif

static int check_cookie(SSL *ssl, const unsigned char *cookie, unsigned int len) {
	unsigned char want[EVP_MAX_MD_SIZE];
	unsigned int n = 0;

	return make_cookie(ssl, want, &n) && n == len && CRYPTO_memcmp(want, cookie, n) == 0;
}

static SSL_CTX *context(const SSL_METHOD *method, const char *ciphers, const char *kind) {
	SSL_CTX *ctx = SSL_CTX_new(method);

	if (ctx == NULL || !SSL_CTX_set_min_proto_version(ctx, DTLS1_2_VERSION) || !SSL_CTX_set_cipher_list(ctx, ciphers))
		die("SSL_CTX_new");
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION);
	// Resumption is by ticket; otherwise there are none, which not all contenders have.
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (strcmp(kind, "resumed") != 0)
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
	return ctx;
}

contexts contexts_new(const char *kind, const char *ciphers, const char *root, const char *identity) {
	contexts c = {.kind = kind};

	c.client = context(DTLS_client_method(), ciphers, kind);
	c.server = context(DTLS_server_method(), ciphers, kind);
	SSL_CTX_set_cookie_generate_cb(c.server, make_cookie);
	SSL_CTX_set_cookie_verify_cb(c.server, check_cookie);
	if (strcmp(kind, "psk") == 0) {
		SSL_CTX_set_psk_client_callback(c.client, client_psk);
		SSL_CTX_set_psk_server_callback(c.server, server_psk);
		return c;
	}
	if (!SSL_CTX_load_verify_locations(c.client, root, NULL) ||
	    SSL_CTX_use_certificate_chain_file(c.server, identity) != 1 ||
	    SSL_CTX_use_PrivateKey_file(c.server, identity, SSL_FILETYPE_PEM) != 1)
		die("certificates");
	SSL_CTX_set_verify(c.client, SSL_VERIFY_PEER, NULL);
	return c;
}
