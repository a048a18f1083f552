// The datagram BIO: one read takes one datagram or, of a datagram larger than
// OpenSSL's buffer, as many of its records as fit; one write makes one whole datagram.
// A write never answers "retry": OpenSSL versions with CVE-2026-84782 crash or leak
// memory when a flight is interrupted that way.

#include <stdlib.h>
#include <string.h>

#include "shim_internal.h"

// More than any flight: a certificate chain of 100 KB and its fragments' headers.
enum { SPILL_LIMIT = 256 * 1024 };

static BIO_METHOD *method;

static int spill(odtls_conn *c, const char *data, size_t len) {
	if (c->spill_len + len > SPILL_LIMIT)
		return 0;
	if (c->spill_len + len > c->spill_cap) {
		size_t cap = (c->spill_len + len) * 2;
		uint8_t *p = realloc(c->spill, cap);
		if (p == NULL)
			return 0;
		c->spill = p;
		c->spill_cap = cap;
	}
	if (c->spill_n == c->spill_ends_cap) {
		int32_t cap = c->spill_ends_cap * 2 + 8;
		int32_t *p = realloc(c->spill_ends, (size_t)cap * sizeof *p);
		if (p == NULL)
			return 0;
		c->spill_ends = p;
		c->spill_ends_cap = cap;
	}
	memcpy(c->spill + c->spill_len, data, len);
	c->spill_len += len;
	c->spill_ends[c->spill_n++] = (int32_t)c->spill_len;
	return 1;
}

static int bio_write(BIO *b, const char *data, int len) {
	odtls_conn *c = BIO_get_data(b);

	BIO_clear_retry_flags(b);
	if (len <= 0 || c == NULL)
		return 0;
	if (!c->established)
		odtls_note_written(c, (const uint8_t *)data, (size_t)len);
	// Once something has spilled, the rest has to follow it to keep the order.
	if (c->spill_n == 0 && c->n_out < c->out.ends_cap && c->out.cap - c->out.used >= (size_t)len) {
		memcpy(c->out.buf + c->out.used, data, (size_t)len);
		c->out.used += (size_t)len;
		c->out.ends[c->n_out++] = (int32_t)c->out.used;
	} else {
		// Without memory the datagram is lost, as datagrams may be.
		(void)spill(c, data, (size_t)len);
	}
	return len;
}

// How much of the datagram fits cap bytes without cutting a record. OpenSSL's buffer
// holds any one record, but a datagram of several may be larger.
static size_t whole_records(const uint8_t *p, size_t len, size_t cap) {
	size_t n = 0;

	while (n < len) {
		size_t size = odtls_record_size(p + n, len - n);

		if (size == 0 || n + size > cap)
			break;
		n += size;
	}
	return n > 0 ? n : cap;
}

static int bio_read(BIO *b, char *data, int cap) {
	odtls_conn *c = BIO_get_data(b);
	size_t n;

	BIO_clear_retry_flags(b);
	if (c == NULL || c->in == NULL || cap <= 0) {
		BIO_set_retry_read(b);
		return -1;
	}
	n = c->in_len <= (size_t)cap ? c->in_len : whole_records(c->in, c->in_len, (size_t)cap);
	memcpy(data, c->in, n);
	c->in_len -= n;
	c->in = c->in_len > 0 ? c->in + n : NULL;
	return (int)n;
}

static int bio_puts(BIO *b, const char *text) {
	return bio_write(b, text, (int)strlen(text));
}

static long bio_ctrl(BIO *b, int cmd, long num, void *ptr) {
	odtls_conn *c = BIO_get_data(b);

	(void)num;
	(void)ptr;
	switch (cmd) {
	case BIO_CTRL_FLUSH:
	case BIO_CTRL_RESET:
	case BIO_CTRL_DUP:
	case BIO_CTRL_SET_CLOSE:
	case BIO_CTRL_DGRAM_SET_NEXT_TIMEOUT:
	case BIO_CTRL_DGRAM_SET_PEER:
	case BIO_CTRL_DGRAM_SET_CONNECTED:
	case BIO_CTRL_DGRAM_SET_PEEK_MODE:
		return 1;
	case BIO_CTRL_DGRAM_QUERY_MTU:
		return c != NULL ? c->mtu : 0;
	case BIO_CTRL_DGRAM_GET_FALLBACK_MTU:
		return c != NULL ? c->fallback : 0;
	case BIO_CTRL_DGRAM_GET_MTU_OVERHEAD:
		return c != NULL ? c->overhead : 28;
	default:
		// WPENDING, PENDING and EOF among them: a pending count would be taken off the MTU.
		return 0;
	}
}

static int bio_create(BIO *b) {
	BIO_set_init(b, 1);
	return 1;
}

static int bio_destroy(BIO *b) {
	return b != NULL;
}

int odtls_bio_init(void) {
	int type = BIO_get_new_index();

	if (type == -1)
		return 0;
	method = BIO_meth_new(type | BIO_TYPE_SOURCE_SINK, "ossldtls datagrams");
	return method != NULL && BIO_meth_set_write(method, bio_write) && BIO_meth_set_read(method, bio_read) &&
	       BIO_meth_set_puts(method, bio_puts) && BIO_meth_set_ctrl(method, bio_ctrl) &&
	       BIO_meth_set_create(method, bio_create) && BIO_meth_set_destroy(method, bio_destroy);
}

BIO *odtls_bio_new(odtls_conn *c) {
	BIO *b = BIO_new(method);

	if (b != NULL)
		BIO_set_data(b, c);
	return b;
}
