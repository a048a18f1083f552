// What a server reads out of the ClientHello by itself.

#include <stdlib.h>
#include <string.h>

#include "shim_internal.h"

static size_t get16(const unsigned char *p) {
	return (size_t)p[0] << 8 | p[1];
}

// Where the host name of a server_name extension begins, RFC 6066 §3, NULL if there is none
// that OpenSSL would accept. Sets its length.
//
//	list_length(2) name_type(1) length(2) name
static const char *host_name(const unsigned char *ext, size_t len, size_t *name_len) {
	enum { HEADER = 5 };
	const unsigned char *name = ext + HEADER;

	if (len <= HEADER || get16(ext) != len - 2 || ext[2] != TLSEXT_NAMETYPE_host_name || get16(ext + 3) != len - HEADER)
		return NULL;
	*name_len = len - HEADER;
	if (*name_len > TLSEXT_MAXLEN_host_name || memchr(name, 0, *name_len) != NULL)
		return NULL;
	return (const char *)name;
}

void odtls_hello_forget(odtls_conn *c) {
	free(c->hello_name);
	c->hello_name = NULL;
}

int odtls_hello_cb(SSL *ssl, int *alert, void *arg) {
	odtls_conn *c = odtls_conn_of(ssl);
	const unsigned char *ext;
	const char *name = NULL;
	size_t len, name_len;

	(void)arg;
	odtls_hello_forget(c);
	// What is malformed is OpenSSL's to refuse: it parses every extension after this.
	if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_server_name, &ext, &len))
		name = host_name(ext, len, &name_len);
	if (name != NULL && (c->hello_name = strndup(name, name_len)) == NULL) {
		*alert = SSL_AD_INTERNAL_ERROR;
		return SSL_CLIENT_HELLO_ERROR;
	}
	return SSL_CLIENT_HELLO_SUCCESS;
}

const char *odtls_conn_server_name(odtls_conn *c) {
	// SSL_get_servername of a server that resumes a session answers with the session's name,
	// and has that only if the server had acknowledged it.
	return c->ctx->server ? c->hello_name : SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
}
