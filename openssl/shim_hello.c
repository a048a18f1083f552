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

// Where the list of a protocol name extension begins, RFC 7301 §3.1, NULL if it is malformed.
// Sets the list's length.
//
//	list_length(2) { length(1) name } …
static const unsigned char *protocols(const unsigned char *ext, size_t len, size_t *list_len) {
	const unsigned char *p = ext + 2, *end = ext + len;

	if (len <= 2 || get16(ext) != len - 2)
		return NULL;
	while (p < end) {
		if (*p == 0 || *p >= end - p)
			return NULL;
		p += 1 + *p;
	}
	*list_len = len - 2;
	return ext + 2;
}

void odtls_hello_resume(odtls_conn *c) {
	c->paused = 0;
	free(c->hello_alpn);
	c->hello_alpn = NULL;
	c->hello_alpn_len = 0;
}

void odtls_hello_forget(odtls_conn *c) {
	odtls_hello_resume(c);
	free(c->hello_name);
	c->hello_name = NULL;
	c->hello_seen = 0;
}

// Copies what is asked for; 0 means that there was no memory for it. What is malformed is
// OpenSSL's to refuse: it parses every extension after this.
static int note_name(odtls_conn *c) {
	const unsigned char *ext;
	const char *name;
	size_t len;

	if (!SSL_client_hello_get0_ext(c->ssl, TLSEXT_TYPE_server_name, &ext, &len) ||
	    (name = host_name(ext, len, &len)) == NULL)
		return 1;
	return (c->hello_name = strndup(name, len)) != NULL;
}

static int note_protocols(odtls_conn *c) {
	const unsigned char *ext, *list;
	size_t len;

	if (!SSL_client_hello_get0_ext(c->ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &ext, &len) ||
	    (list = protocols(ext, len, &len)) == NULL)
		return 1;
	if ((c->hello_alpn = malloc(len)) == NULL)
		return 0;
	memcpy(c->hello_alpn, list, len);
	c->hello_alpn_len = len;
	return 1;
}

int odtls_hello_cb(SSL *ssl, int *alert, void *arg) {
	odtls_conn *c = odtls_conn_of(ssl);

	(void)arg;
	if (c->hello_seen)
		return SSL_CLIENT_HELLO_SUCCESS; // asked once more after the pause
	c->hello_seen = 1;
	if (!note_name(c) || (c->ctx->pause && !note_protocols(c))) {
		*alert = SSL_AD_INTERNAL_ERROR;
		return SSL_CLIENT_HELLO_ERROR;
	}
	c->paused = c->ctx->pause;
	return c->paused ? SSL_CLIENT_HELLO_RETRY : SSL_CLIENT_HELLO_SUCCESS;
}

void odtls_ctx_pause(odtls_ctx *ctx) {
	ctx->pause = 1;
}

odtls_hello odtls_conn_hello(odtls_conn *c) {
	odtls_hello h = {c->hello_name, c->hello_alpn, c->hello_alpn_len};

	return h;
}

const char *odtls_conn_server_name(odtls_conn *c) {
	// SSL_get_servername of a server that resumes a session answers with the session's name,
	// and has that only if the server had acknowledged it.
	return c->ctx->server ? c->hello_name : SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
}
