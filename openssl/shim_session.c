// Resumption by session tickets, RFC 5077: what a server puts into a ticket and takes
// out of it, and the sessions that a client keeps.

#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#include "shim_internal.h"

atomic_long odtls_live_sessions;

// What a ticket says beside OpenSSL's own: whether there were objections, until when the
// chain is good that was verified for it, in seconds since 1970, and the server name that
// the client has asked for.
typedef struct {
	uint8_t objections;
	uint8_t expires[8];
	char name[TLSEXT_MAXLEN_host_name]; // as far as the note goes
} ticket_note;

enum { NOTE_HEADER = offsetof(ticket_note, name) };

static const char *name_of(const odtls_conn *c) {
	return c->hello_name != NULL ? c->hello_name : "";
}

// A chain is good until the first of its certificates expires. Without one: for ever.
static int64_t chain_expires(SSL *ssl) {
	STACK_OF(X509) *chain = SSL_get0_verified_chain(ssl);
	int64_t now = (int64_t)time(NULL), first = INT64_MAX;
	int i, days, seconds;

	for (i = 0; chain != NULL && i < sk_X509_num(chain); i++) {
		int64_t end = 0;

		if (ASN1_TIME_diff(&days, &seconds, NULL, X509_get0_notAfter(sk_X509_value(chain, i))))
			end = now + (int64_t)days * 86400 + seconds;
		if (end < first)
			first = end;
	}
	return first;
}

// What was objected to may have been overlooked once, for one handshake. It must not
// come back as a session without objections, so that the ticket says it. A ticket that
// replaces another one goes on with what that has said.
static int on_ticket_made(SSL *ssl, void *arg) {
	odtls_conn *c = odtls_conn_of(ssl);
	int64_t expires = chain_expires(ssl);
	size_t name_len = strlen(name_of(c));
	ticket_note note;
	int i;

	(void)arg;
	if (SSL_session_reused(ssl))
		return 1;
	note.objections = c->n_verify > 0;
	for (i = 0; i < 8; i++)
		note.expires[i] = (uint8_t)((uint64_t)expires >> (8 * i));
	memcpy(note.name, name_of(c), name_len);
	return SSL_SESSION_set1_ticket_appdata(SSL_get_session(ssl), &note, NOTE_HEADER + name_len);
}

// RFC 6066 §3 forbids to resume a session under another name than it was made for, and
// OpenSSL leaves that to the server.
static int note_ok(const odtls_conn *c, SSL_SESSION *session) {
	size_t name_len = strlen(name_of(c)), len = 0;
	ticket_note *note = NULL;
	uint64_t expires = 0;
	int i;

	if (!SSL_SESSION_get0_ticket_appdata(session, (void **)&note, &len) || len != NOTE_HEADER + name_len ||
	    memcmp(note->name, name_of(c), name_len) != 0 || note->objections)
		return 0;
	for (i = 0; i < 8; i++)
		expires |= (uint64_t)note->expires[i] << (8 * i);
	return (int64_t)expires > (int64_t)time(NULL);
}

static SSL_TICKET_RETURN on_ticket_seen(SSL *ssl, SSL_SESSION *session, const unsigned char *name, size_t name_len,
                                        SSL_TICKET_STATUS status, void *arg) {
	(void)name;
	(void)name_len;
	(void)arg;
	if (status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW)
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	if (!note_ok(odtls_conn_of(ssl), session))
		return SSL_TICKET_RETURN_IGNORE_RENEW;
	return status == SSL_TICKET_SUCCESS ? SSL_TICKET_RETURN_USE : SSL_TICKET_RETURN_USE_RENEW;
}

odtls_status odtls_ctx_tickets(odtls_ctx *ctx) {
	int ok = 1;

	odtls_err_begin();
	SSL_CTX_clear_options(ctx->ctx, SSL_OP_NO_TICKET);
	if (ctx->server) {
		// No context but this one takes its sessions: RFC 5246 §F.1.4 leaves that to us.
		ok = RAND_bytes(ctx->session_id, sizeof ctx->session_id) == 1 &&
		     SSL_CTX_set_session_id_context(ctx->ctx, ctx->session_id, sizeof ctx->session_id) &&
		     SSL_CTX_set_session_ticket_cb(ctx->ctx, on_ticket_made, on_ticket_seen, NULL);
	}
	return odtls_status_of(ok);
}

// A session that was made with one name to verify, or with none, is not for another name.
int odtls_session_bind(odtls_conn *c, const void *name, size_t len) {
	uint8_t id[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	EVP_MD_CTX *md;
	int ok;

	if (!c->ctx->server)
		return 1;
	md = EVP_MD_CTX_new();
	ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
	     EVP_DigestUpdate(md, c->ctx->session_id, sizeof c->ctx->session_id) && EVP_DigestUpdate(md, name, len) &&
	     EVP_DigestFinal_ex(md, id, &n) && SSL_set_session_id_context(c->ssl, id, n);
	EVP_MD_CTX_free(md);
	return ok;
}

// A copy each way: libssl marks a connection's session as not to be resumed when the
// connection is freed without close_notify, and other connections share it.
odtls_session odtls_session_take(odtls_conn *c) {
	SSL_SESSION *session = SSL_get_session(c->ssl);
	odtls_session r = {NULL, 0, 0, NULL};

	odtls_err_begin();
	if (c->ctx->server || !c->established || c->n_verify > 0 || session == NULL || session == c->offered ||
	    !SSL_SESSION_has_ticket(session) || !SSL_SESSION_is_resumable(session))
		return r;
	r.p = SSL_SESSION_dup(session);
	if (r.p == NULL) {
		r.errs = odtls_err_drain();
		return r;
	}
	atomic_fetch_add(&odtls_live_sessions, 1);
	r.lifetime = SSL_SESSION_get_ticket_lifetime_hint(session);
	r.expires = SSL_session_reused(c->ssl) ? c->offered_expires : chain_expires(c->ssl);
	return r;
}

odtls_status odtls_session_offer(odtls_conn *c, void *session, int64_t expires) {
	SSL_SESSION *copy;

	odtls_err_begin();
	if (expires <= (int64_t)time(NULL))
		return odtls_status_of(1);
	copy = SSL_SESSION_dup(session);
	if (copy == NULL || !SSL_set_session(c->ssl, copy)) {
		SSL_SESSION_free(copy);
		return odtls_status_of(0);
	}
	SSL_SESSION_free(c->offered);
	c->offered = copy;
	c->offered_expires = expires;
	return odtls_status_of(1);
}

void odtls_session_free(void *session) {
	SSL_SESSION_free(session);
	atomic_fetch_sub(&odtls_live_sessions, 1);
}

int odtls_conn_resumed(odtls_conn *c) {
	return SSL_session_reused(c->ssl);
}
