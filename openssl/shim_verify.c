// Certificate verification: OpenSSL decides, and what it objects to is collected
// with the certificate in question, to be asked for after the operation.

#include <stdlib.h>

#include <openssl/x509_vfy.h>

#include "shim_internal.h"

// Answers whether the objection is kept: one that nobody will see must end the handshake.
static int collect(odtls_conn *c, X509_STORE_CTX *store) {
	odtls_verify_entry *e;
	X509 *cert = X509_STORE_CTX_get_current_cert(store);

	if (c->verify == NULL && (c->verify = calloc(ODTLS_MAX_VERIFY, sizeof *c->verify)) == NULL)
		return 0;
	if (c->n_verify == ODTLS_MAX_VERIFY)
		return 0;
	e = &c->verify[c->n_verify++];
	e->code = X509_STORE_CTX_get_error(store);
	e->depth = X509_STORE_CTX_get_error_depth(store);
	e->der_len = cert != NULL ? i2d_X509(cert, &e->der) : 0;
	if (e->der_len < 0)
		e->der_len = 0;
	return 1;
}

static odtls_conn *conn_of(X509_STORE_CTX *store) {
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());

	return ssl != NULL ? odtls_conn_of(ssl) : NULL;
}

odtls_status odtls_ctx_add_crl(odtls_ctx *ctx, const uint8_t *der, size_t len) {
	const unsigned char *at = der;
	X509_CRL *crl;
	int ok;

	odtls_err_begin();
	crl = d2i_X509_CRL(NULL, &at, (long)len);
	ok = crl != NULL && at == der + len && X509_STORE_add_crl(SSL_CTX_get_cert_store(ctx->ctx), crl);
	X509_CRL_free(crl); // the store has counted its own reference
	if (ok)
		X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(ctx->ctx), X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
	return odtls_status_of(ok);
}

// Whether the objection is only that nobody says of the trusted certificate, at the end of
// the chain, that it is not revoked. Who has made it trusted answers for that; above a
// root there is nobody else.
static int trusted_without_crl(X509_STORE_CTX *store) {
	int depth = X509_STORE_CTX_get_error_depth(store);

	return X509_STORE_CTX_get_error(store) == X509_V_ERR_UNABLE_TO_GET_CRL &&
	       depth == sk_X509_num(X509_STORE_CTX_get0_chain(store)) - 1 &&
	       depth >= X509_STORE_CTX_get_num_untrusted(store);
}

int odtls_verify_cb(int ok, X509_STORE_CTX *store) {
	odtls_conn *c = conn_of(store);

	// Whoever drives the connection decides about what is kept, before anything more is sent.
	return ok || trusted_without_crl(store) || (c != NULL && collect(c, store));
}

int odtls_verify_strict_cb(int ok, X509_STORE_CTX *store) {
	odtls_conn *c = conn_of(store);

	if (ok || trusted_without_crl(store))
		return 1;
	if (c != NULL)
		(void)collect(c, store);
	return 0;
}

void odtls_verify_clear(odtls_conn *c) {
	int i;

	for (i = 0; i < c->n_verify; i++)
		OPENSSL_free(c->verify[i].der);
	free(c->verify);
	c->verify = NULL;
	c->n_verify = 0;
}

odtls_verify_error odtls_conn_verify_error(odtls_conn *c, int i) {
	odtls_verify_error e = {0, 0, NULL, 0};

	if (i < 0 || i >= c->n_verify)
		return e;
	e.code = c->verify[i].code;
	e.depth = c->verify[i].depth;
	e.der = c->verify[i].der;
	e.der_len = (size_t)c->verify[i].der_len;
	return e;
}

const char *odtls_verify_text(int code) {
	return X509_verify_cert_error_string(code);
}

// libssl's own choice, for which it has no public function.
int odtls_verify_alert(int code) {
	switch (code) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CRL_HAS_EXPIRED:
		return SSL_AD_CERTIFICATE_EXPIRED;
	case X509_V_ERR_CERT_REVOKED:
		return SSL_AD_CERTIFICATE_REVOKED;
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_GET_CRL:
	case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
	case X509_V_ERR_CERT_CHAIN_TOO_LONG:
	case X509_V_ERR_PATH_LENGTH_EXCEEDED:
	case X509_V_ERR_INVALID_CA:
		return SSL_AD_UNKNOWN_CA;
	case X509_V_ERR_CERT_SIGNATURE_FAILURE:
	case X509_V_ERR_CRL_SIGNATURE_FAILURE:
		return SSL_AD_DECRYPT_ERROR;
	case X509_V_ERR_INVALID_PURPOSE:
		return SSL_AD_UNSUPPORTED_CERTIFICATE;
	case X509_V_ERR_APPLICATION_VERIFICATION:
		return SSL_AD_HANDSHAKE_FAILURE;
	case X509_V_ERR_OUT_OF_MEM:
	case X509_V_ERR_INVALID_CALL:
	case X509_V_ERR_STORE_LOOKUP:
	case X509_V_ERR_UNSPECIFIED:
		return SSL_AD_INTERNAL_ERROR;
	case X509_V_ERR_CERT_NOT_YET_VALID:
	case X509_V_ERR_CERT_REJECTED:
	case X509_V_ERR_CERT_UNTRUSTED:
	case X509_V_ERR_CRL_NOT_YET_VALID:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
	case X509_V_ERR_CA_MD_TOO_WEAK:
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_EMAIL_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
	case X509_V_ERR_DANE_NO_MATCH:
	case X509_V_ERR_ERROR_IN_CERT_NOT_BEFORE_FIELD:
	case X509_V_ERR_ERROR_IN_CERT_NOT_AFTER_FIELD:
	case X509_V_ERR_ERROR_IN_CRL_LAST_UPDATE_FIELD:
	case X509_V_ERR_ERROR_IN_CRL_NEXT_UPDATE_FIELD:
	case X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE:
	case X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE:
		return SSL_AD_BAD_CERTIFICATE;
	default:
		return SSL_AD_CERTIFICATE_UNKNOWN;
	}
}
