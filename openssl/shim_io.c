// The operations: each borrows its input, lets OpenSSL work, collects what it wants
// to send, asks for the outcome and the timer, and empties the error queue.

#include <stdlib.h>
#include <string.h>

#include <sys/time.h>

#include "shim_internal.h"

static void lend(odtls_conn *c, odtls_sink out) {
	c->out = out;
	c->n_out = 0;
	c->flags = 0;
	c->in = NULL;
	c->in_len = 0;
	c->n_records = 0;
}

static void begin(odtls_conn *c, odtls_sink out) {
	odtls_err_begin();
	lend(c, out);
}

static int64_t timer(odtls_conn *c) {
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
static odtls_result end(odtls_conn *c, int ret, int clean) {
	odtls_result r;

	memset(&r, 0, sizeof r);
	r.ret = ret;
	r.err = ret > 0 ? SSL_ERROR_NONE : SSL_get_error(c->ssl, ret);
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
	r.flags = c->flags;
	r.n_out = c->n_out;
	r.out_used = c->out.used;
	r.n_verify = c->n_verify;
	r.alert_in = c->alert_in;
	r.alert_out = c->alert_out;
	r.timeout_us = c->failed ? -1 : timer(c);
	c->out.buf = NULL;
	c->out.ends = NULL;
	return r;
}

// OpenSSL's own fall back to a smaller MTU is off with SSL_OP_NO_QUERY_MTU, so it is
// done here, once: some peers cannot reassemble fragments whose boundaries keep moving.
static void count_timeout(odtls_conn *c) {
	if (timer(c) != 0)
		return;
	if (++c->timeouts == 3 && c->fallback > 0 && c->fallback < c->mtu) {
		c->mtu = c->fallback;
		SSL_set_mtu(c->ssl, c->mtu);
	}
}

odtls_result odtls_handshake(odtls_conn *c, const uint8_t *in, size_t in_len, odtls_sink out) {
	begin(c, out);
	odtls_cookie_forget(c);
	if (in_len > 0)
		odtls_filter(c, in, in_len);
	count_timeout(c);
	return end(c, SSL_do_handshake(c->ssl), 0);
}

odtls_result odtls_read(odtls_conn *c, const uint8_t *in, size_t in_len, odtls_sink plain, odtls_sink out) {
	odtls_result r;
	int32_t n = 0;
	size_t more = 0;
	int ret = 1;

	begin(c, out);
	if (in_len > 0) {
		odtls_filter(c, in, in_len);
	} else if (c->in_rest != NULL) {
		c->in = c->in_rest;
		c->in_len = c->in_rest_len;
	}
	for (;;) {
		size_t room = plain.cap - plain.used;

		if (n == plain.ends_cap || room == 0) {
			c->flags |= ODTLS_MORE_IN;
			more = (size_t)SSL_pending(c->ssl);
			break;
		}
		ret = SSL_read(c->ssl, plain.buf + plain.used, room > 0x7fffffff ? 0x7fffffff : (int)room);
		if (ret <= 0)
			break;
		plain.used += (size_t)ret;
		plain.ends[n++] = (int32_t)plain.used;
		more = (size_t)SSL_pending(c->ssl);
		if (more > 0 && (size_t)ret == room) {
			c->flags |= ODTLS_MORE_IN | ODTLS_PARTIAL;
			break;
		}
		// Another SSL_read only to hear "nothing left" would cost a quarter of the decryption.
		if (c->in == NULL && !SSL_has_pending(c->ssl))
			break;
	}
	// A record that was passed over may have left a reason; one record that was read has not.
	r = end(c, ret, ret > 0 && c->n_records == 1);
	r.n_in = n;
	r.in_used = plain.used;
	if (r.flags & ODTLS_MORE_IN)
		r.more_bytes = more;
	return r;
}

odtls_result odtls_write(odtls_conn *c, const uint8_t *payload, size_t len, odtls_sink out) {
	int ret;

	// Errors of somebody else in the queue do not matter here: the BIO never answers
	// retry, so that SSL_write either succeeds or fails for good.
	lend(c, out);
	ret = SSL_write(c->ssl, payload, (int)len);
	return end(c, ret, ret > 0);
}

odtls_result odtls_timeout(odtls_conn *c, odtls_sink out) {
	int ret;

	begin(c, out);
	count_timeout(c);
	ret = (int)DTLSv1_handle_timeout(c->ssl);
	// 0 says that no timer was due, which SSL_get_error would take for an end of file.
	return end(c, ret == 0 ? 1 : ret, 0);
}

odtls_result odtls_shutdown(odtls_conn *c, odtls_sink out) {
	int ret = 1;

	begin(c, out);
	// Once, never after a fatal error and never in mid-handshake.
	if (!c->closed && !c->failed && c->established) {
		c->closed = 1;
		ret = SSL_shutdown(c->ssl);
		if (ret == 0)
			ret = 1; // sent, and the peer's own has not come yet
	}
	return end(c, ret, 0);
}

odtls_result odtls_listen(odtls_conn *c, odtls_cookie *key, const uint8_t *peer, size_t peer_len,
                          const uint8_t *in, size_t in_len, odtls_sink out) {
	odtls_result r;
	size_t first = 0, before = out.used;
	int ret;

	begin(c, out);
	c->alert_in = c->alert_out = -1;
	c->established = c->failed = 0;
	if (peer_len > sizeof c->peer || !odtls_first_hello(in, in_len, &first)) {
		memset(&r, 0, sizeof r);
		r.flags = ODTLS_FILTERED;
		r.alert_in = r.alert_out = -1;
		r.timeout_us = -1;
		r.out_used = out.used;
		return r;
	}
	if (c->client == NULL && (c->client = BIO_ADDR_new()) == NULL) {
		r = end(c, -1, 0);
		r.err = SSL_ERROR_SYSCALL;
		return r;
	}
	memcpy(c->peer, peer, peer_len);
	c->peer_len = peer_len;
	c->key = key;
	// Only the first record: later versions would go on to the records behind it.
	c->in = in;
	c->in_len = first;
	ret = DTLSv1_listen(c->ssl, c->client);
	c->key = NULL;
	c->cookie_verified = ret > 0;
	// 0 says "no verified hello yet", which SSL_get_error would take for an end of file.
	r = end(c, ret == 0 ? 1 : ret, 0);
	r.ret = ret;
	r.timeout_us = -1;
	// The peer is unproven: an answer larger than the question would make this an amplifier.
	if (ret <= 0 && r.out_used - before > in_len) {
		r.n_out = 0;
		r.out_used = before;
		r.flags |= ODTLS_TOO_LARGE;
	}
	return r;
}

static void plain_alert(odtls_conn *c, int alert) {
	uint64_t seq = ++c->out_seq0;
	uint8_t record[15] = {SSL3_RT_ALERT, DTLS1_VERSION_MAJOR, 0xfd, 0, 0};
	int i;

	if (SSL_version(c->ssl) == DTLS1_VERSION)
		record[2] = 0xff;
	for (i = 0; i < 6; i++)
		record[10 - i] = (uint8_t)(seq >> (8 * i));
	record[12] = 2;
	record[13] = SSL3_AL_FATAL;
	record[14] = (uint8_t)alert;
	BIO_write(SSL_get_wbio(c->ssl), record, sizeof record);
	c->alert_out = (int16_t)(SSL3_AL_FATAL << 8 | alert);
}

odtls_result odtls_abort(odtls_conn *c, int alert, int plain, odtls_sink out) {
	// An epoch-0 record of a type that does not exist. The filter lets none in from the
	// network; here it makes OpenSSL end the handshake with an alert in the epoch that it
	// has reached, which SSL_shutdown refuses to do in mid-handshake.
	static const uint8_t bogus[] = {0xff, DTLS1_VERSION_MAJOR, 0xfd, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 1, 0};

	begin(c, out);
	if (!c->failed && (plain || (!c->established && c->out_epoch == 0))) {
		plain_alert(c, alert);
	} else if (!c->failed && !c->established) {
		c->in = bogus;
		c->in_len = sizeof bogus;
		(void)SSL_do_handshake(c->ssl);
		ERR_clear_error();
	}
	c->failed = 1;
	return end(c, 1, 0);
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
