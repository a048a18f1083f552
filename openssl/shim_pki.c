// Certificates and private keys.

#include <string.h>

#include <openssl/pem.h>

#include "shim_internal.h"

atomic_long odtls_live_certs, odtls_live_keys;

static odtls_ptr cert(X509 *x) {
	odtls_ptr r = odtls_ptr_of(x);

	if (x != NULL)
		atomic_fetch_add(&odtls_live_certs, 1);
	return r;
}

// Reads the next certificate; NULL at the end of the text, and with *bad set if there is
// one that cannot be read.
static X509 *next_cert(BIO *b, int *bad) {
	X509 *x = PEM_read_bio_X509(b, NULL, NULL, NULL);
	unsigned long e;

	if (x != NULL)
		return x;
	e = ERR_peek_last_error();
	*bad = ERR_GET_LIB(e) != ERR_LIB_PEM || ERR_GET_REASON(e) != PEM_R_NO_START_LINE;
	return NULL;
}

odtls_certs odtls_certs_pem(const uint8_t *pem, size_t len, int max) {
	odtls_certs r = {NULL, 0, NULL};
	int cap = 0, bad = 0, i;
	BIO *b;
	X509 *x;

	odtls_err_begin();
	b = BIO_new_mem_buf(pem, (int)len);
	while (b != NULL && (max == 0 || r.n < max) && (x = next_cert(b, &bad)) != NULL) {
		if (r.n == cap) {
			void **more = OPENSSL_realloc(r.p, (size_t)(cap = cap * 2 + 4) * sizeof *more);

			if (more == NULL) {
				X509_free(x);
				bad = 1;
				break;
			}
			r.p = more;
		}
		r.p[r.n++] = x;
	}
	BIO_free(b);
	if (bad) {
		r.errs = odtls_err_drain();
		for (i = 0; i < r.n; i++)
			X509_free(r.p[i]);
		OPENSSL_free(r.p);
		r.p = NULL;
		return r;
	}
	ERR_clear_error();
	atomic_fetch_add(&odtls_live_certs, r.n);
	return r;
}

odtls_ptr odtls_cert_der(const uint8_t *der, size_t len) {
	const unsigned char *p = der;
	X509 *x;

	odtls_err_begin();
	x = d2i_X509(NULL, &p, (long)len);
	if (x != NULL && p != der + len) {
		X509_free(x); // something follows the certificate
		x = NULL;
	}
	return cert(x);
}

void odtls_cert_free(void *x509) {
	if (x509 == NULL)
		return;
	X509_free(x509);
	atomic_fetch_sub(&odtls_live_certs, 1);
}

odtls_bytes odtls_cert_to_der(void *x509) {
	odtls_bytes r = {NULL, 0, NULL};
	int n;

	odtls_err_begin();
	n = i2d_X509(x509, &r.p);
	if (n > 0)
		r.n = (size_t)n;
	else
		r.errs = odtls_err_drain();
	return r;
}

odtls_bytes odtls_cert_subject(void *x509) {
	odtls_bytes r = {NULL, 0, NULL};
	BIO *b;
	char *p;
	long n;

	odtls_err_begin();
	b = BIO_new(BIO_s_mem());
	if (b != NULL && X509_NAME_print_ex(b, X509_get_subject_name(x509), 0, XN_FLAG_RFC2253) >= 0 &&
	    (n = BIO_get_mem_data(b, &p)) > 0 && (r.p = OPENSSL_malloc((size_t)n)) != NULL) {
		memcpy(r.p, p, (size_t)n);
		r.n = (size_t)n;
	}
	BIO_free(b);
	ERR_clear_error();
	return r;
}

typedef struct {
	const char *pass;
	size_t len;
} password;

// Without a callback OpenSSL would ask on the terminal.
static int give_password(char *buf, int size, int rwflag, void *arg) {
	password *p = arg;

	(void)rwflag;
	if (p->pass == NULL || p->len > (size_t)size)
		return -1;
	memcpy(buf, p->pass, p->len);
	return (int)p->len;
}

static odtls_ptr key_of(EVP_PKEY *key) {
	odtls_ptr r = odtls_ptr_of(key);

	if (key != NULL)
		atomic_fetch_add(&odtls_live_keys, 1);
	return r;
}

odtls_ptr odtls_key_pem(const uint8_t *pem, size_t len, const char *pass, size_t pass_len) {
	password p = {pass, pass_len};
	EVP_PKEY *key = NULL;
	BIO *b;

	odtls_err_begin();
	b = BIO_new_mem_buf(pem, (int)len);
	if (b != NULL)
		key = PEM_read_bio_PrivateKey(b, NULL, give_password, &p);
	BIO_free(b);
	return key_of(key);
}

odtls_ptr odtls_key_der(const uint8_t *der, size_t len) {
	const unsigned char *p = der;

	odtls_err_begin();
	return key_of(d2i_AutoPrivateKey(NULL, &p, (long)len));
}

void odtls_key_free(void *key) {
	if (key == NULL)
		return;
	EVP_PKEY_free(key);
	atomic_fetch_sub(&odtls_live_keys, 1);
}

odtls_bytes odtls_key_public_der(void *key) {
	odtls_bytes r = {NULL, 0, NULL};
	int n;

	odtls_err_begin();
	n = i2d_PUBKEY(key, &r.p);
	if (n > 0)
		r.n = (size_t)n;
	else
		r.errs = odtls_err_drain();
	return r;
}

const char *odtls_key_type(void *key) {
	return odtls_compat_key_type(key);
}

int odtls_key_bits(void *key) {
	return EVP_PKEY_bits(key);
}

int odtls_key_matches(void *x509, void *key) {
	EVP_PKEY *public;
	int ok;

	odtls_err_begin();
	public = X509_get0_pubkey(x509);
	ok = public != NULL && odtls_compat_key_eq(public, key);
	ERR_clear_error();
	return ok;
}

const char *odtls_cert_key_type(void *x509) {
	const EVP_PKEY *public;
	const char *type;

	odtls_err_begin();
	public = X509_get0_pubkey(x509);
	type = public != NULL ? odtls_compat_key_type(public) : "unknown";
	ERR_clear_error();
	return type;
}
