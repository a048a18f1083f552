// The datagram BIO over memory, as plain as it can be.

#include <string.h>

#include "bench.h"

typedef struct {
	wire *in, *out;
} sides;

void wire_reset(wire *w) {
	w->used = 0;
	w->n = w->next = 0;
}

static int wire_write(BIO *b, const char *data, int len) {
	wire *w = ((sides *)BIO_get_data(b))->out;

	BIO_clear_retry_flags(b);
	if (len <= 0 || w->n == MOST || w->used + (size_t)len > ROOM)
		return -1;
	memcpy(w->bytes + w->used, data, (size_t)len);
	w->used += (size_t)len;
	w->end[w->n++] = w->used;
	return len;
}

static int wire_read(BIO *b, char *data, int cap) {
	wire *w = ((sides *)BIO_get_data(b))->in;
	size_t start, len;

	BIO_clear_retry_flags(b);
	if (w->next == w->n) {
		BIO_set_retry_read(b);
		return -1;
	}
	start = w->next > 0 ? w->end[w->next - 1] : 0;
	len = w->end[w->next] - start;
	if (len > (size_t)cap)
		len = (size_t)cap;
	memcpy(data, w->bytes + start, len);
	if (++w->next == w->n)
		wire_reset(w);
	return (int)len;
}

static long wire_ctrl(BIO *b, int cmd, long num, void *ptr) {
	(void)b;
	(void)num;
	(void)ptr;
	switch (cmd) {
	case BIO_CTRL_FLUSH:
	case BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT:
	case BIO_CTRL_DGRAM_SET_PEER:
	case BIO_CTRL_DGRAM_SET_CONNECTED:
	case BIO_CTRL_DGRAM_SET_PEEK_MODE:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return 1232;
	case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
		return 28;
	default:
		return 0;
	}
}

static int wire_create(BIO *b) {
	sides *s = OPENSSL_zalloc(sizeof *s);

	BIO_set_data(b, s);
	BIO_set_init(b, 1);
	return s != NULL;
}

static int wire_destroy(BIO *b) {
	OPENSSL_free(BIO_get_data(b));
	return 1;
}

static BIO_METHOD *wire_method(void) {
	static BIO_METHOD *m;

	if (m == NULL) {
		m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "wire");
		if (m == NULL || !BIO_meth_set_write(m, wire_write) || !BIO_meth_set_read(m, wire_read) ||
		    !BIO_meth_set_ctrl(m, wire_ctrl) || !BIO_meth_set_create(m, wire_create) ||
		    !BIO_meth_set_destroy(m, wire_destroy))
			die("BIO_meth_new");
	}
	return m;
}

SSL *end_new(SSL_CTX *ctx, wire *in, wire *out) {
	SSL *ssl = SSL_new(ctx);
	BIO *b = BIO_new(wire_method());
	sides *s;

	if (ssl == NULL || b == NULL)
		die("SSL_new");
	s = BIO_get_data(b);
	s->in = in;
	s->out = out;
	SSL_set_bio(ssl, b, b);
	SSL_set_options(ssl, SSL_OP_NO_QUERY_MTU);
	SSL_set_mtu(ssl, 1232);
	return ssl;
}
