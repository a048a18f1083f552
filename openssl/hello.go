package openssl

/*
#include "shim.h"
*/
import "C"

import (
	"runtime"
	"unsafe"
)

// ClientHello is what a client's first message asks the server for. It is not
// authenticated before the handshake is complete.
type ClientHello struct {
	// ServerName is the server name indication, RFC 6066 §3; "" if there is none.
	ServerName string
	// ALPNProtos are the application protocols that the client offers, its preferred one
	// first, RFC 7301; nil if there are none.
	ALPNProtos []string
}

// PauseAtClientHello makes the handshakes of servers pause when the ClientHello is
// whole, before anything is chosen or sent in answer to it: see [SSL.ClientHello].
// Corresponds to SSL_CTX_set_client_hello_cb and SSL_CLIENT_HELLO_RETRY.
func (b *CtxBuilder) PauseAtClientHello() error {
	const op = "pause at the ClientHello"
	switch {
	case b.c == nil:
		return closedError(op)
	case !b.server:
		return usageError(op, "a client gets none")
	}
	C.odtls_ctx_pause(b.c)
	return nil
}

// ClientHello returns what the client asks for, and true while the handshake of a
// context with [CtxBuilder.PauseAtClientHello] pauses: from the DoHandshake that returns
// false and no error with the last part of the hello, until the next DoHandshake, which
// goes on, with a datagram or without one. There is no retransmission timer meanwhile:
// the client's own sends the hello again, and the caller may drop that. Instead of going
// on, the caller can close the connection and give the same datagrams to one of another
// context. Corresponds to SSL_ERROR_WANT_CLIENT_HELLO_CB and SSL_client_hello_get0_ext.
func (s *SSL) ClientHello() (hello ClientHello, paused bool) {
	if s.c == nil || !s.hello {
		return ClientHello{}, false
	}
	h := C.odtls_conn_hello(s.c)
	hello.ServerName = C.GoString(h.name)
	for list := unsafe.Slice((*byte)(h.alpn), int(h.alpn_len)); len(list) > 0; {
		n := 1 + int(list[0])
		hello.ALPNProtos = append(hello.ALPNProtos, string(list[1:n]))
		list = list[n:]
	}
	runtime.KeepAlive(s)
	return hello, true
}
