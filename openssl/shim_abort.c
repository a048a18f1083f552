// Giving a handshake up with an alert, for which OpenSSL has no function.

#include "shim_internal.h"

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

	odtls_op_begin(c, out);
	if (!c->failed && (plain || (!c->established && c->out_epoch == 0))) {
		plain_alert(c, alert);
	} else if (!c->failed && !c->established) {
		c->in = bogus;
		c->in_len = sizeof bogus;
		(void)SSL_do_handshake(c->ssl);
		ERR_clear_error();
	}
	c->failed = 1;
	return odtls_op_end(c, 1, 0);
}
