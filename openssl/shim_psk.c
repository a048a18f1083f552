// Pre-shared keys: the only place where OpenSSL has to ask Go in mid-handshake.

#include "_cgo_export.h"
#include "shim_internal.h"

unsigned odtls_psk_client_cb(SSL *ssl, const char *hint, char *identity, unsigned max_identity,
                             unsigned char *key, unsigned max_key) {
	odtls_conn *c = odtls_conn_of(ssl), *others;
	unsigned n;

	// Whether OpenSSL's buffer has a byte more for the NUL differs between versions: room
	// for it is taken off here on each.
	if (c == NULL || c->handle == 0 || max_identity == 0)
		return 0;
	others = odtls_heap_enter(NULL); // what Go allocates in OpenSSL is not the handshake's
	n = (unsigned)odtlsPSKClient(c->handle, (char *)hint, identity, (int)max_identity - 1, key, (int)max_key);
	(void)odtls_heap_enter(others);
	return n;
}

unsigned odtls_psk_server_cb(SSL *ssl, const char *identity, unsigned char *key, unsigned max_key) {
	odtls_conn *c = odtls_conn_of(ssl), *others;
	unsigned n;

	if (c == NULL || c->handle == 0 || identity == NULL)
		return 0;
	others = odtls_heap_enter(NULL);
	n = (unsigned)odtlsPSKServer(c->handle, (char *)identity, key, (int)max_key);
	(void)odtls_heap_enter(others);
	return n;
}
