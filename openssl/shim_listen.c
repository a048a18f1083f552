// Listening: DTLSv1_listen for a stranger's datagram.

#include <string.h>

#include "shim_internal.h"

odtls_result odtls_listen(odtls_conn *c, odtls_cookie *key, const uint8_t *peer, size_t peer_len,
                          const uint8_t *in, size_t in_len, odtls_sink out) {
	odtls_conn *others;
	odtls_result r;
	size_t first = 0, before = out.used;
	int ret;

	c->alert_in = c->alert_out = -1;
	c->established = c->failed = 0;
	odtls_hello_forget(c);
	if (peer_len > sizeof c->peer || !odtls_first_hello(in, in_len, &first)) {
		memset(&r, 0, sizeof r);
		r.alert_in = r.alert_out = -1;
		r.timeout_us = -1;
		r.out_used = out.used;
		return r;
	}
	// DTLSv1_listen starts with an empty error queue by itself.
	odtls_op_lend(c, out);
	if (c->client == NULL && (c->client = BIO_ADDR_new()) == NULL) {
		r = odtls_op_end(c, -1, 0);
		r.err = SSL_ERROR_SYSCALL;
		return r;
	}
	memcpy(c->peer, peer, peer_len);
	c->peer_len = peer_len;
	c->key = key;
	// Only the first record: later versions would go on to the records behind it.
	c->in = in;
	c->in_len = first;
	others = odtls_heap_enter(c);
	ret = DTLSv1_listen(c->ssl, c->client);
	(void)odtls_heap_enter(others);
	c->key = NULL;
	c->cookie_verified = ret > 0;
	// The server's records are numbered from the hello's on, as DTLSv1_listen has it; those
	// before it may have been HelloVerifyRequests, RFC 6347 §4.2.1.
	if (ret > 0)
		odtls_note_written(c, in, first);
	// 0 says "no verified hello yet", which SSL_get_error would take for an end of file. What
	// it has dropped without an answer has left a reason in the queue.
	r = odtls_op_end(c, ret == 0 ? 1 : ret, ret > 0 || c->n_out > 0);
	r.ret = ret;
	r.timeout_us = -1;
	// The peer is unproven: an answer larger than the question would make this an amplifier.
	if (ret <= 0 && r.out_used - before > in_len) {
		r.n_out = 0;
		r.out_used = before;
	}
	return r;
}
