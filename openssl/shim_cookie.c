// Stateless cookies: HMAC(hash, secret, peer), computed where OpenSSL asks for it.

#include <stdlib.h>
#include <string.h>

#include <openssl/crypto.h>

#include "shim_internal.h"

atomic_long odtls_live_cookies;

static uint8_t *copy(const uint8_t *p, size_t n) {
	uint8_t *c = malloc(n > 0 ? n : 1);

	if (c != NULL && n > 0)
		memcpy(c, p, n);
	return c;
}

odtls_ptr odtls_cookie_new(const char *hash, const uint8_t *secret, size_t len,
                           const uint8_t *previous, size_t previous_len) {
	odtls_cookie *k = calloc(1, sizeof *k);
	odtls_mac *mac = NULL;
	odtls_ptr r;
	uint8_t probe[EVP_MAX_MD_SIZE];

	odtls_err_begin();
	if (k == NULL)
		return odtls_ptr_of(NULL);
	atomic_fetch_add(&odtls_live_cookies, 1);
	atomic_store(&k->refs, 1);
	k->secret = copy(secret, len);
	k->secret_len = len;
	k->previous = copy(previous, previous_len);
	k->previous_len = previous_len;
	k->md = odtls_compat_md_new(hash);
	if (k->secret != NULL && k->previous != NULL && k->md != NULL)
		mac = odtls_mac_new(k->md, secret, len);
	// A digest of no bytes, "NULL", makes a MAC too, but no cookie.
	if (mac == NULL || odtls_mac_sum(mac, secret, len, probe) == 0) {
		r = odtls_ptr_of(NULL);
		odtls_mac_free(mac);
		odtls_cookie_release(k);
		return r;
	}
	odtls_mac_free(mac);
	return odtls_ptr_of(k);
}

void odtls_cookie_release(odtls_cookie *k) {
	if (k == NULL || atomic_fetch_sub(&k->refs, 1) != 1)
		return;
	if (k->secret != NULL)
		OPENSSL_cleanse(k->secret, k->secret_len);
	if (k->previous != NULL)
		OPENSSL_cleanse(k->previous, k->previous_len);
	free(k->secret);
	free(k->previous);
	odtls_compat_md_free(k->md);
	free(k);
	atomic_fetch_sub(&odtls_live_cookies, 1);
}

size_t odtls_cookie_make(odtls_cookie *k, const uint8_t *peer, size_t peer_len, uint8_t *out) {
	odtls_mac *mac;
	size_t n = 0;

	odtls_err_begin();
	mac = odtls_mac_new(k->md, k->secret, k->secret_len);
	if (mac != NULL)
		n = odtls_mac_sum(mac, peer, peer_len, out);
	odtls_mac_free(mac);
	ERR_clear_error();
	return n;
}

void odtls_cookie_forget(odtls_conn *c) {
	odtls_mac_free(c->mac);
	odtls_mac_free(c->mac_before);
	c->mac = c->mac_before = NULL;
	odtls_cookie_release(c->mac_key);
	c->mac_key = NULL;
	BIO_ADDR_free(c->client);
	c->client = NULL;
}

// The connection's own MAC with the current secret; made again when the key has changed.
static odtls_mac *current(odtls_conn *c) {
	if (c->key == NULL)
		return NULL;
	if (c->mac_key != c->key) {
		odtls_mac_free(c->mac);
		odtls_mac_free(c->mac_before);
		c->mac = c->mac_before = NULL;
		odtls_cookie_release(c->mac_key);
		atomic_fetch_add(&c->key->refs, 1);
		c->mac_key = c->key;
	}
	if (c->mac == NULL)
		c->mac = odtls_mac_new(c->key->md, c->key->secret, c->key->secret_len);
	return c->mac;
}

int odtls_cookie_generate_cb(SSL *ssl, unsigned char *cookie, unsigned int *len) {
	odtls_conn *c = odtls_conn_of(ssl);
	odtls_mac *mac = current(c);

	if (mac == NULL)
		return 0;
	*len = (unsigned)odtls_mac_sum(mac, c->peer, c->peer_len, cookie);
	return *len > 0;
}

static int matches(odtls_conn *c, odtls_mac *mac, const unsigned char *cookie, unsigned len) {
	uint8_t want[EVP_MAX_MD_SIZE];
	size_t n = mac != NULL ? odtls_mac_sum(mac, c->peer, c->peer_len, want) : 0;

	return n > 0 && n == len && CRYPTO_memcmp(want, cookie, n) == 0;
}

int odtls_cookie_verify_cb(SSL *ssl, const unsigned char *cookie, unsigned int len) {
	odtls_conn *c = odtls_conn_of(ssl);

	// The handshake asks once more for the hello that DTLSv1_listen has let in.
	if (c->key == NULL)
		return c->cookie_verified;
	if (matches(c, current(c), cookie, len))
		return 1;
	if (c->key->previous_len == 0)
		return 0;
	if (c->mac_before == NULL)
		c->mac_before = odtls_mac_new(c->key->md, c->key->previous, c->key->previous_len);
	return matches(c, c->mac_before, cookie, len);
}
