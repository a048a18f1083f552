// What leaves a session's secrets: exporters, SRTP's profile, the key log.

#include <string.h>

#include "shim_internal.h"

odtls_status odtls_conn_export(odtls_conn *c, const char *label, size_t label_len, const uint8_t *context,
                               size_t context_len, uint8_t *out, size_t out_len) {
	odtls_err_begin();
	return odtls_status_of(SSL_export_keying_material(c->ssl, out, out_len, label, label_len, context, context_len,
	                                                  context != NULL));
}

const char *odtls_conn_srtp_profile(odtls_conn *c) {
	SRTP_PROTECTION_PROFILE *profile = SSL_get_selected_srtp_profile(c->ssl);

	return profile != NULL ? profile->name : NULL;
}

odtls_status odtls_ctx_srtp(odtls_ctx *ctx, const char *profiles) {
	odtls_err_begin();
	return odtls_status_of(SSL_CTX_set_tlsext_use_srtp(ctx->ctx, profiles) == 0); // 0 is success here
}

static void on_keylog(const SSL *ssl, const char *line) {
	odtls_conn *c = odtls_conn_of(ssl);
	size_t n = strlen(line);
	unsigned char *more;

	if (c == NULL || (more = OPENSSL_clear_realloc(c->keylog, c->keylog_len, c->keylog_len + n + 1)) == NULL)
		return;
	memcpy(more + c->keylog_len, line, n);
	more[c->keylog_len + n] = '\n';
	c->keylog = more;
	c->keylog_len += n + 1;
}

void odtls_ctx_keylog(odtls_ctx *ctx) {
	SSL_CTX_set_keylog_callback(ctx->ctx, on_keylog);
}

odtls_bytes odtls_conn_keylog(odtls_conn *c) {
	odtls_bytes r = {c->keylog, c->keylog_len, NULL};

	c->keylog = NULL;
	c->keylog_len = 0;
	return r;
}
