// The record filter: what a stranger could use to end an association, fill its
// memory or trip a known fault of libssl never reaches OpenSSL. Dropping is what
// RFC 6347 §4.1.2.7 asks for with invalid records.
//
// A record, RFC 6347 §4.1:
//
//	type(1) version(2) epoch(2) sequence_number(6) length(2) fragment(length)
//
// A handshake message's fragment in it, §4.2.2:
//
//	msg_type(1) length(3) message_seq(2) fragment_offset(3) fragment_length(3) body

#include <stdlib.h>
#include <string.h>

#include <openssl/objects.h>

#include "shim_internal.h"

enum {
	RECORD_HEADER = 13,
	MESSAGE_HEADER = 12,
	// OpenSSL keeps up to 100 records of the next epoch, 16.7 KB each, while it waits for
	// ChangeCipherSpec. A peer whose flight was merely reordered needs a few of them.
	MAX_EARLY = 16
};

static size_t get16(const uint8_t *p) {
	return (size_t)p[0] << 8 | p[1];
}

static size_t get24(const uint8_t *p) {
	return (size_t)p[0] << 16 | (size_t)p[1] << 8 | p[2];
}

size_t odtls_record_size(const uint8_t *p, size_t len) {
	size_t size;

	if (len < RECORD_HEADER)
		return 0;
	size = RECORD_HEADER + get16(p + 11);
	return size <= len ? size : 0;
}

// The shortest protected fragment that the cipher can make. libssl with CVE-2026-75806
// ends the association on an AEAD record that is shorter; 1.1.1 does on a short CBC record.
static size_t shortest(const SSL_CIPHER *cipher) {
	const EVP_CIPHER *enc;
	const EVP_MD *md;
	size_t block = 1, iv = 0, mac = 0;

	if (cipher == NULL)
		return 24;
	if (SSL_CIPHER_is_aead(cipher)) {
		int nid = SSL_CIPHER_get_cipher_nid(cipher);

		if (nid == NID_chacha20_poly1305 || strstr(SSL_CIPHER_get_name(cipher), "CCM8") != NULL)
			return 16; // a tag of 16; or an explicit nonce of 8 and a tag of 8
		return 24;     // an explicit nonce of 8 and a tag of 16
	}
	enc = EVP_get_cipherbynid(SSL_CIPHER_get_cipher_nid(cipher));
	md = EVP_get_digestbynid(SSL_CIPHER_get_digest_nid(cipher));
	if (enc != NULL && (EVP_CIPHER_flags(enc) & EVP_CIPH_MODE) == EVP_CIPH_CBC_MODE) {
		block = (size_t)EVP_CIPHER_block_size(enc);
		iv = (size_t)EVP_CIPHER_iv_length(enc);
		mac = 1; // the padding's length byte
	}
	if (md != NULL)
		mac += (size_t)EVP_MD_size(md);
	return iv + (mac + block - 1) / block * block;
}

static size_t min_record(odtls_conn *c) {
	const SSL_CIPHER *cipher;

	if (c->established && c->min_record != 0)
		return c->min_record;
	cipher = SSL_get_pending_cipher(c->ssl);
	if (cipher == NULL)
		cipher = SSL_get_current_cipher(c->ssl);
	if (c->min_record == 0 || cipher != c->min_for) {
		c->min_record = shortest(cipher);
		c->min_for = cipher;
	}
	return c->min_record;
}

// Whole and consistent handshake messages, or fragments of them, to the record's end.
static int messages_ok(const uint8_t *p, size_t len) {
	while (len > 0) {
		size_t frag;

		if (len < MESSAGE_HEADER)
			return 0;
		frag = get24(p + 9);
		if (get24(p + 6) + frag > get24(p + 1) || MESSAGE_HEADER + frag > len)
			return 0;
		p += MESSAGE_HEADER + frag;
		len -= MESSAGE_HEADER + frag;
	}
	return 1;
}

static int plaintext_ok(uint8_t type, const uint8_t *p, size_t len) {
	switch (type) {
	case SSL3_RT_HANDSHAKE:
		return len > 0 && messages_ok(p, len);
	case SSL3_RT_CHANGE_CIPHER_SPEC:
		return len == 1 && p[0] == SSL3_MT_CCS;
	case SSL3_RT_ALERT:
		// A handshake is ended by a fatal alert alone. Of a warning OpenSSL 3.0 makes "too
		// many" by reading the same record again and again.
		return len == 2 && p[0] == SSL3_AL_FATAL;
	default:
		// OpenSSL ends a handshake on application data or an unknown type in epoch 0.
		return 0;
	}
}

// Whether OpenSSL already reads in the new epoch though the handshake is not complete.
static int reads_new_epoch(const SSL *ssl) {
	OSSL_HANDSHAKE_STATE state = SSL_get_state(ssl);

	return state == TLS_ST_SR_CHANGE || state == TLS_ST_CR_CHANGE || state == TLS_ST_SR_FINISHED ||
	       state == TLS_ST_CR_FINISHED;
}

static int record_ok(odtls_conn *c, const uint8_t *r, size_t len, int *seen_ccs) {
	const uint8_t *body = r + RECORD_HEADER;

	if (r[1] != DTLS1_VERSION_MAJOR)
		return 0;
	if (get16(r + 3) == 0) {
		if (!plaintext_ok(r[0], body, len))
			return 0;
		if (r[0] == SSL3_RT_CHANGE_CIPHER_SPEC)
			*seen_ccs = 1;
		return 1;
	}
	if (len < min_record(c))
		return 0;
	if (!c->established && !*seen_ccs && !reads_new_epoch(c->ssl) && c->early++ >= MAX_EARLY)
		return 0;
	return 1;
}

void odtls_filter(odtls_conn *c, const uint8_t *in, size_t len) {
	size_t at = 0, kept = 0;
	int seen_ccs = 0;

	c->in = NULL;
	c->in_len = 0;
	c->in_copy = NULL;
	while (at < len) {
		size_t size = odtls_record_size(in + at, len - at);

		c->n_records++;
		if (size == 0)
			break; // cut off on the way: never valid
		if (record_ok(c, in + at, size - RECORD_HEADER, &seen_ccs)) {
			if (c->in_copy != NULL)
				memcpy(c->in_copy + kept, in + at, size);
			kept += size;
		} else if (c->in_copy == NULL) {
			c->in_copy = malloc(len);
			if (c->in_copy == NULL)
				return; // lost, as datagrams may be
			memcpy(c->in_copy, in, kept);
		}
		at += size;
	}
	if (kept == 0)
		return; // OpenSSL takes an empty datagram for the end of the stream
	c->in = c->in_copy != NULL ? c->in_copy : in;
	c->in_len = kept;
}

// Whether the datagram starts with a record that DTLSv1_listen can use: a ClientHello in
// epoch 0 whose first fragment is there. OpenSSL would say so too, but only after it has
// cleared the SSL. Sets the length of that record.
int odtls_first_hello(const uint8_t *in, size_t len, size_t *record_len) {
	const uint8_t *m = in + RECORD_HEADER;

	*record_len = odtls_record_size(in, len);
	if (*record_len < RECORD_HEADER + MESSAGE_HEADER)
		return 0;
	return in[0] == SSL3_RT_HANDSHAKE && in[1] == DTLS1_VERSION_MAJOR && get16(in + 3) == 0 && m[0] == SSL3_MT_CLIENT_HELLO &&
	       get24(m + 6) == 0 && messages_ok(m, *record_len - RECORD_HEADER);
}

// Remembers the epoch and number of the last record written, for an alert of our own.
void odtls_note_written(odtls_conn *c, const uint8_t *datagram, size_t len) {
	size_t size;

	while ((size = odtls_record_size(datagram, len)) > 0) {
		uint64_t seq = 0;
		int i;

		c->out_epoch = (int)get16(datagram + 3);
		for (i = 5; i < 11; i++)
			seq = seq << 8 | datagram[i];
		if (c->out_epoch == 0)
			c->out_seq0 = seq;
		datagram += size;
		len -= size;
	}
}
