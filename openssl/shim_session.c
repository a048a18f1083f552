// Resumption by session tickets, RFC 5077: what a server puts into a ticket and takes
// out of it, and the sessions that a client keeps.

#include <openssl/rand.h>

#include "shim_internal.h"

atomic_long odtls_live_sessions;

// A certificate that has expired since is to be looked at again.
static int peer_current(SSL_SESSION *session) {
	X509 *peer = SSL_SESSION_get0_peer(session);

	return peer == NULL || X509_cmp_current_time(X509_get0_notAfter(peer)) > 0;
}

// What was objected to may have been overlooked once, for one handshake. It must not
// come back as a session without objections, so that the ticket says it.
static int on_ticket_made(SSL *ssl, void *arg) {
	odtls_conn *c = odtls_conn_of(ssl);
	uint8_t objections = c == NULL || c->n_verify > 0;

	(void)arg;
	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &objections, 1);
}

static SSL_TICKET_RETURN on_ticket_seen(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len,
                                        SSL_TICKET_STATUS status, void *arg) {
	uint8_t *objections = NULL;
	size_t len = 0;

	(void)ssl;
	(void)name;
	(void)name_len;
	(void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (!SSL_SESSION_get0_ticket_appdata(session, (void **)&objections, &len) || len != 1 || *objections ||
	    !peer_current(session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

odtls_status odtls_ctx_tickets(odtls_ctx *ctx) {
	uint8_t id[16];
	int ok = 1;

	odtls_err_begin();
	SSL_CTX_clear_options(ctx->ctx, SSL_OP_NO_TICKET);
	if (ctx->server) {
		// No context but this one takes its sessions: RFC 5246 §F.1.4 leaves that to us.
		ok = RAND_bytes(id, sizeof id) == 1 && SSL_CTX_set_session_id_context(ctx->ctx, id, sizeof id) &&
		     SSL_CTX_set_session_ticket_cb(ctx->ctx, on_ticket_made, on_ticket_seen, NULL);
	}
	return odtls_status_of(ok);
}

// A copy each way: libssl marks a connection's session as not to be resumed when the
// connection is freed without close_notify, and other connections share it.
static SSL_SESSION *copy_of(SSL_SESSION *session) {
	SSL_SESSION *copy = SSL_SESSION_dup(session);

	if (copy != NULL)
		atomic_fetch_add(&odtls_live_sessions, 1);
	return copy;
}

odtls_ptr odtls_session_take(odtls_conn *c) {
	SSL_SESSION *session = SSL_get_session(c->ssl);

	odtls_err_begin();
	if (c->ctx->server || !c->established || c->n_verify > 0 || session == NULL || session == c->offered ||
	    !SSL_SESSION_has_ticket(session) || !SSL_SESSION_is_resumable(session)) {
		odtls_ptr none = {NULL, NULL};

		return none;
	}
	return odtls_ptr_of(copy_of(session));
}

unsigned long odtls_session_lifetime(void *session) {
	return SSL_SESSION_get_ticket_lifetime_hint(session);
}

odtls_status odtls_session_offer(odtls_conn *c, void *session) {
	SSL_SESSION *copy;
	int ok;

	odtls_err_begin();
	if (!peer_current(session))
		return odtls_status_of(1);
	copy = SSL_SESSION_dup(session);
	ok = copy != NULL && SSL_set_session(c->ssl, copy);
	if (ok)
		c->offered = copy;
	SSL_SESSION_free(copy); // the connection has counted its own reference
	return odtls_status_of(ok);
}

void odtls_session_free(void *session) {
	SSL_SESSION_free(session);
	atomic_fetch_sub(&odtls_live_sessions, 1);
}

int odtls_conn_resumed(odtls_conn *c) {
	return SSL_session_reused(c->ssl);
}
