package openssl

/*
#include "shim.h"
*/
import "C"

import (
	"runtime/cgo"
	"unsafe"
)

// PSK is one question of OpenSSL for a pre-shared key. The callback that gets it
// fills in what it knows; leaving PreSharedKey empty refuses the handshake.
//
// Corresponds to the arguments of SSL_psk_client_cb_func and SSL_psk_server_cb_func,
// and to QSslPreSharedKeyAuthenticator.
type PSK struct {
	// IdentityHint is what the server sent as a hint, nil if none. Clients only.
	IdentityHint []byte
	// Identity is what the client calls itself: set by the callback on a client, given
	// to the callback on a server. It holds no zero byte.
	Identity []byte
	// PreSharedKey is the key, set by the callback. Its bytes are copied.
	PreSharedKey []byte
	// MaximumIdentityLength and MaximumPreSharedKeyLength are OpenSSL's limits, in bytes.
	MaximumIdentityLength, MaximumPreSharedKeyLength int
}

// PSKFunc answers a question for a pre-shared key. It runs on the goroutine of the
// operation that needs the key and must not use that [SSL]. A non-nil error ends the
// handshake and is found in its error with [errors.Is].
type PSKFunc func(*PSK) error

// askPSK runs the callback of the SSL and returns false if there is nothing to use.
func askPSK(handle C.uintptr_t, psk *PSK) bool {
	s := cgo.Handle(handle).Value().(*callbacks)
	defer func() {
		// A panic must not unwind through C: it goes on when the operation has returned.
		if p := recover(); p != nil {
			s.panicked = p
			psk.PreSharedKey = nil
		}
	}()
	if s.psk == nil {
		return false
	}
	if err := s.psk(psk); err != nil {
		s.err = err
		return false
	}
	switch {
	case len(psk.PreSharedKey) > psk.MaximumPreSharedKeyLength:
		s.err = usageError("pre-shared key", "the key is longer than MaximumPreSharedKeyLength")
	case len(psk.Identity) > psk.MaximumIdentityLength:
		s.err = usageError("pre-shared key", "the identity is longer than MaximumIdentityLength")
	case hasZero(psk.Identity):
		s.err = usageError("pre-shared key", "the identity holds a zero byte")
	}
	return s.err == nil && len(psk.PreSharedKey) > 0
}

func hasZero(b []byte) bool {
	for _, c := range b {
		if c == 0 {
			return true
		}
	}
	return false
}

//export odtlsPSKClient
func odtlsPSKClient(handle C.uintptr_t, hint, identity *C.char, maxIdentity C.int, key *C.uchar, maxKey C.int) C.int {
	psk := PSK{MaximumIdentityLength: int(maxIdentity), MaximumPreSharedKeyLength: int(maxKey)}
	if hint != nil {
		psk.IdentityHint = []byte(C.GoString(hint))
	}
	if !askPSK(handle, &psk) {
		return 0
	}
	to := unsafe.Slice((*byte)(unsafe.Pointer(identity)), int(maxIdentity)+1)
	to[copy(to, psk.Identity)] = 0
	return C.int(copy(unsafe.Slice((*byte)(key), int(maxKey)), psk.PreSharedKey))
}

//export odtlsPSKServer
func odtlsPSKServer(handle C.uintptr_t, identity *C.char, key *C.uchar, maxKey C.int) C.int {
	psk := PSK{Identity: []byte(C.GoString(identity)), MaximumPreSharedKeyLength: int(maxKey)}
	psk.MaximumIdentityLength = len(psk.Identity)
	if !askPSK(handle, &psk) {
		return 0
	}
	return C.int(copy(unsafe.Slice((*byte)(key), int(maxKey)), psk.PreSharedKey))
}
