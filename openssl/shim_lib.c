// The library as a whole: set-up, versions, what is alive.

#include "shim_internal.h"

int odtls_init(void) {
	odtls_ex_conn = SSL_get_ex_new_index(0, NULL, NULL, NULL, NULL);
	return odtls_ex_conn >= 0 && odtls_bio_init();
}

unsigned long odtls_header_version(void) {
	return OPENSSL_VERSION_NUMBER;
}

const char *odtls_header_version_text(void) {
	return OPENSSL_VERSION_TEXT;
}

unsigned long odtls_library_version(void) {
	return OpenSSL_version_num();
}

const char *odtls_library_version_text(void) {
	return OpenSSL_version(OPENSSL_VERSION);
}

odtls_diag odtls_diagnostics(void) {
	odtls_diag d;

	d.conns = atomic_load(&odtls_live_conns);
	d.ctxs = atomic_load(&odtls_live_ctxs);
	d.cookies = atomic_load(&odtls_live_cookies);
	d.certs = atomic_load(&odtls_live_certs);
	d.keys = atomic_load(&odtls_live_keys);
	d.sessions = atomic_load(&odtls_live_sessions);
	d.stale = atomic_load(&odtls_stale);
	d.queued = ERR_peek_error();
	return d;
}
