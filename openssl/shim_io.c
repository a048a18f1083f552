// The operations of a connection: each borrows its input, lets OpenSSL work and
// returns what that has come to.

#include "shim_internal.h"

// OpenSSL's own fall back to a smaller MTU is off with SSL_OP_NO_QUERY_MTU, so it is
// done here, once: some peers cannot reassemble fragments whose boundaries keep moving.
static void count_timeout(odtls_conn *c) {
	if (odtls_op_timer(c) != 0)
		return;
	if (++c->timeouts == 3 && c->fallback > 0 && c->fallback < c->mtu) {
		c->mtu = c->fallback;
		SSL_set_mtu(c->ssl, c->mtu);
	}
}

odtls_result odtls_handshake(odtls_conn *c, const uint8_t *in, size_t in_len, odtls_sink out) {
	odtls_conn *others;
	odtls_result r;
	int ret;

	odtls_op_begin(c, out);
	odtls_cookie_forget(c);
	odtls_hello_resume(c);
	if (in_len > 0)
		odtls_filter(c, in, in_len);
	count_timeout(c);
	others = odtls_heap_enter(c);
	ret = SSL_do_handshake(c->ssl);
	(void)odtls_heap_enter(others);
	r = odtls_op_end(c, ret, 0);
	if (c->established)
		odtls_heap_settle(c);
	return r;
}

// Reads what OpenSSL has of one datagram. Returns 0 when the sink is full, and in ret what
// SSL_read has said last.
static int read_datagram(odtls_conn *c, odtls_sink *plain, int32_t *n, size_t *more, int *ret) {
	for (;;) {
		size_t room = plain->cap - plain->used;

		if (*n == plain->ends_cap || room == 0) {
			c->flags |= ODTLS_MORE_IN;
			*more = (size_t)SSL_pending(c->ssl);
			return 0;
		}
		*ret = SSL_read(c->ssl, plain->buf + plain->used, room > 0x7fffffff ? 0x7fffffff : (int)room);
		if (*ret <= 0)
			return 1;
		plain->used += (size_t)*ret;
		plain->ends[(*n)++] = (int32_t)plain->used;
		// SSL_pending is asked only where it can matter: a payload may end with the room.
		if ((size_t)*ret == room && (*more = (size_t)SSL_pending(c->ssl)) > 0) {
			c->flags |= ODTLS_MORE_IN | ODTLS_PARTIAL;
			return 0;
		}
		// Another SSL_read only to hear "nothing left" would cost a quarter of the decryption.
		if (c->in == NULL && !SSL_has_pending(c->ssl))
			return 1;
	}
}

odtls_result odtls_read(odtls_conn *c, const uint8_t *in, size_t in_len, size_t size, odtls_sink plain, odtls_sink out) {
	odtls_result r;
	int32_t n = 0;
	size_t more = 0, taken = 0;
	int ret = 1, clean = 1;

	odtls_op_begin(c, out);
	odtls_hello_resume(c);
	if (in_len == 0 && c->in_rest != NULL) {
		c->in = c->in_rest;
		c->in_len = c->in_rest_len;
	}
	do {
		size_t len = in_len - taken < size ? in_len - taken : size;

		if (taken > 0)
			odtls_op_next(c, clean);
		if (len > 0)
			odtls_filter(c, in + taken, len);
		taken += len;
		clean = 0;
		if (!read_datagram(c, &plain, &n, &more, &ret))
			break;
		if (ret <= 0 && SSL_get_error(c->ssl, ret) != SSL_ERROR_WANT_READ)
			break;
		// A record that was passed over may have left a reason; one record that was read has not.
		clean = ret > 0 && c->n_records == 1;
	} while (taken < in_len);
	r = odtls_op_end(c, ret, clean);
	r.n_in = n;
	r.in_used = plain.used;
	r.in_taken = taken;
	if (r.flags & ODTLS_MORE_IN)
		r.more_bytes = more;
	return r;
}

odtls_result odtls_write(odtls_conn *c, const uint8_t *payload, size_t len, odtls_sink out) {
	int ret;

	// Errors of somebody else in the queue do not matter here: the BIO never answers
	// retry, so that SSL_write either succeeds or fails for good.
	odtls_op_lend(c, out);
	ret = SSL_write(c->ssl, payload, (int)len);
	return odtls_op_end(c, ret, ret > 0);
}

odtls_result odtls_timeout(odtls_conn *c, odtls_sink out) {
	int ret;

	odtls_op_begin(c, out);
	count_timeout(c);
	ret = (int)DTLSv1_handle_timeout(c->ssl);
	// 0 says that no timer was due, which SSL_get_error would take for an end of file.
	return odtls_op_end(c, ret == 0 ? 1 : ret, 0);
}

odtls_result odtls_shutdown(odtls_conn *c, odtls_sink out) {
	int ret = 1;

	odtls_op_begin(c, out);
	// Once, never after a fatal error and never in mid-handshake.
	if (!c->closed && !c->failed && c->established) {
		c->closed = 1;
		ret = SSL_shutdown(c->ssl);
		if (ret == 0)
			ret = 1; // sent, and the peer's own has not come yet
	}
	return odtls_op_end(c, ret, 0);
}
