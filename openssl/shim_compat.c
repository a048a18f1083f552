// The one place for what differs between versions of OpenSSL, each with its reason.

#include <stdlib.h>

#include <openssl/hmac.h>
#if OPENSSL_VERSION_NUMBER >= 0x30000000L
#include <openssl/core_names.h>
#include <openssl/params.h>
#endif

#include "shim_internal.h"

// From 3.2 on SSL_MODE_RELEASE_BUFFERS frees the read and the write buffer of DTLS after
// each record, so that only the handshake's buffer stays: 21848 bytes, theirs are less.
size_t odtls_compat_heap_least(void) {
	return OpenSSL_version_num() >= 0x30200000L ? 20000 : 12000;
}

#if OPENSSL_VERSION_NUMBER >= 0x30000000L

// 3.0 renamed SSL_get_peer_certificate to say that the caller owns the result.
X509 *odtls_compat_peer_cert(const SSL *ssl) {
	return SSL_get1_peer_certificate(ssl);
}

// 3.0 replaces EVP_PKEY_cmp, whose four answers were easy to mistake.
int odtls_compat_key_eq(const EVP_PKEY *a, const EVP_PKEY *b) {
	return EVP_PKEY_eq(a, b) == 1;
}

// A provider's key need not have a NID, but always has a name.
const char *odtls_compat_key_type(const EVP_PKEY *key) {
	return EVP_PKEY_get0_type_name(key);
}

// 3.0 deprecates ERR_get_error_line_data, which lacks the function's name.
unsigned long odtls_compat_get_error(const char **file, int *line, const char **func, const char **data, int *flags) {
	return ERR_get_error_all(file, line, func, data, flags);
}

// With providers a digest has to be fetched once; by-name look-ups would fetch at each use.
const EVP_MD *odtls_compat_md_new(const char *name) {
	return EVP_MD_fetch(NULL, name, NULL);
}

void odtls_compat_md_free(const EVP_MD *md) {
	EVP_MD_free((EVP_MD *)md);
}

// 3.0 deprecates HMAC_CTX. A keyed context that is initialised again without a key
// skips the key schedule: 0.2 µs a cookie, where the one-shot HMAC needs more than 1 µs.
struct odtls_mac {
	EVP_MAC_CTX *ctx;
};

odtls_mac *odtls_mac_new(const EVP_MD *md, const uint8_t *secret, size_t len) {
	odtls_mac *m = calloc(1, sizeof *m);
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	OSSL_PARAM params[2];

	params[0] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)EVP_MD_get0_name(md), 0);
	params[1] = OSSL_PARAM_construct_end();
	if (m != NULL && mac != NULL)
		m->ctx = EVP_MAC_CTX_new(mac);
	EVP_MAC_free(mac);
	if (m == NULL || m->ctx == NULL || !EVP_MAC_init(m->ctx, secret, len, params)) {
		odtls_mac_free(m);
		return NULL;
	}
	return m;
}

void odtls_mac_free(odtls_mac *m) {
	if (m != NULL)
		EVP_MAC_CTX_free(m->ctx);
	free(m);
}

size_t odtls_mac_sum(odtls_mac *m, const uint8_t *data, size_t len, uint8_t *out) {
	size_t n = 0;

	if (!EVP_MAC_init(m->ctx, NULL, 0, NULL) || !EVP_MAC_update(m->ctx, data, len) ||
	    !EVP_MAC_final(m->ctx, out, &n, EVP_MAX_MD_SIZE))
		return 0;
	return n;
}

#else

X509 *odtls_compat_peer_cert(const SSL *ssl) {
	return SSL_get_peer_certificate(ssl);
}

int odtls_compat_key_eq(const EVP_PKEY *a, const EVP_PKEY *b) {
	return EVP_PKEY_cmp(a, b) == 1;
}

const char *odtls_compat_key_type(const EVP_PKEY *key) {
	return OBJ_nid2sn(EVP_PKEY_base_id(key));
}

// Before 3.0 the function is part of the code.
unsigned long odtls_compat_get_error(const char **file, int *line, const char **func, const char **data, int *flags) {
	unsigned long code = ERR_get_error_line_data(file, line, data, flags);

	*func = ERR_func_error_string(code);
	return code;
}

const EVP_MD *odtls_compat_md_new(const char *name) {
	return EVP_get_digestbyname(name);
}

void odtls_compat_md_free(const EVP_MD *md) {
	(void)md;
}

struct odtls_mac {
	HMAC_CTX *ctx;
};

odtls_mac *odtls_mac_new(const EVP_MD *md, const uint8_t *secret, size_t len) {
	odtls_mac *m = calloc(1, sizeof *m);

	if (m != NULL)
		m->ctx = HMAC_CTX_new();
	// HMAC has no meaning for an extendable-output function, and 1.1.1 would not say so.
	if (m == NULL || m->ctx == NULL || (EVP_MD_flags(md) & EVP_MD_FLAG_XOF) != 0 ||
	    !HMAC_Init_ex(m->ctx, secret, (int)len, md, NULL)) {
		odtls_mac_free(m);
		return NULL;
	}
	return m;
}

void odtls_mac_free(odtls_mac *m) {
	if (m != NULL)
		HMAC_CTX_free(m->ctx);
	free(m);
}

size_t odtls_mac_sum(odtls_mac *m, const uint8_t *data, size_t len, uint8_t *out) {
	unsigned n = 0;

	if (!HMAC_Init_ex(m->ctx, NULL, 0, NULL, NULL) || !HMAC_Update(m->ctx, data, len) || !HMAC_Final(m->ctx, out, &n))
		return 0;
	return n;
}

#endif
