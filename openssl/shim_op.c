// What all operations have in common: lend the caller's buffers to the connection, ask
// for the outcome and the timer, empty the error queue, take the buffers back.

#include <stdlib.h>
#include <string.h>

#include <sys/time.h>

#include "shim_internal.h"

void odtls_op_lend(odtls_conn *c, odtls_sink out) {
	c->out = out;
	c->n_out = 0;
	c->flags = 0;
	c->in = NULL;
	c->in_len = 0;
	c->n_records = 0;
}

void odtls_op_begin(odtls_conn *c, odtls_sink out) {
	odtls_err_begin();
	odtls_op_lend(c, out);
}

void odtls_op_next(odtls_conn *c, int clean) {
	if (!clean && ERR_peek_error() != 0)
		ERR_clear_error();
	free(c->in_copy);
	c->in_copy = NULL;
	c->n_records = 0;
}

int64_t odtls_op_timer(odtls_conn *c) {
	struct timeval tv;

	// Up to DTLS 1.2 the timer stops with the handshake.
	if (c->established)
		return -1;
	if (!DTLSv1_get_timeout(c->ssl, &tv))
		return -1;
	return (int64_t)tv.tv_sec * 1000000 + tv.tv_usec;
}

// A read that ran out of room goes on with what OpenSSL has not taken yet.
static void keep_rest(odtls_conn *c) {
	uint8_t *old = c->in_rest;

	c->in_rest = NULL;
	if (c->in != NULL && (c->flags & ODTLS_MORE_IN) && (c->in_rest = malloc(c->in_len)) != NULL) {
		memcpy(c->in_rest, c->in, c->in_len);
		c->in_rest_len = c->in_len;
	}
	free(old);
}

// A look into the error queue costs as much as a copy of the datagram (200 instructions
// in OpenSSL 3.0), so it is left out where success leaves nothing there.
odtls_result odtls_op_end(odtls_conn *c, int ret, int clean) {
	odtls_result r;

	memset(&r, 0, sizeof r);
	r.ret = ret;
	r.err = ret > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, ret);
	if (r.err == SSL_ERROR_WANT_CLIENT_HELLO_CB)
		r.err = c->paused ? SSL_ERROR_WANT_READ : SSL_ERROR_SYSCALL; // to Go both kinds of waiting are one
	if (r.err == SSL_ERROR_SSL || r.err == SSL_ERROR_SYSCALL) {
		r.errs = odtls_err_drain();
		c->failed = 1;
	} else if (!clean && ERR_peek_error() != 0) {
		ERR_clear_error();
	}
	// The borrow ends here, whether or not OpenSSL has taken the datagram.
	keep_rest(c);
	c->in = NULL;
	c->in_len = 0;
	if (c->in_copy != NULL) {
		free(c->in_copy);
		c->in_copy = NULL;
	}
	if (!c->established && !c->failed && SSL_is_init_finished(c->ssl))
		c->established = 1;
	if (c->established)
		c->flags |= ODTLS_DONE;
	if (c->spill_n > 0) {
		c->flags |= ODTLS_MORE_OUT;
		r.more_bytes = c->spill_len;
		r.more_count = c->spill_n;
	}
	if (c->keylog_len > 0)
		c->flags |= ODTLS_KEYLOG;
	if (c->paused)
		c->flags |= ODTLS_HELLO;
	if (c->established || c->out_epoch > 0)
		c->flags |= ODTLS_PROTECTED;
	r.flags = c->flags;
	r.n_out = c->n_out;
	r.out_used = c->out.used;
	r.n_verify = c->n_verify;
	r.alert_in = c->alert_in;
	r.alert_out = c->alert_out;
	r.timeout_us = c->failed ? -1 : odtls_op_timer(c);
	c->out.buf = NULL;
	c->out.ends = NULL;
	return r;
}

odtls_result odtls_take(odtls_conn *c, odtls_sink out) {
	odtls_result r;
	int32_t i;

	memset(&r, 0, sizeof r);
	r.out_used = out.used;
	r.flags = ODTLS_MORE_OUT;
	if (out.cap - out.used >= c->spill_len && out.ends_cap >= c->spill_n) {
		if (c->spill_len > 0)
			memcpy(out.buf + out.used, c->spill, c->spill_len);
		for (i = 0; i < c->spill_n; i++)
			out.ends[i] = (int32_t)out.used + c->spill_ends[i];
		r.n_out = c->spill_n;
		r.out_used += c->spill_len;
		r.flags = 0;
		free(c->spill);
		free(c->spill_ends);
		c->spill = NULL;
		c->spill_ends = NULL;
		c->spill_len = c->spill_cap = 0;
		c->spill_n = c->spill_ends_cap = 0;
	}
	return r;
}
