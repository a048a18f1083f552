package openssl

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"runtime"
	"unsafe"
)

// CookieKey holds what a HelloVerifyRequest's cookie is made with: a hash, a secret
// and, for rotation, the secret before it. It never changes and may be used
// concurrently, but for its Close.
//
// The cookie of a peer is HMAC(hash, secret, port ‖ address), byte for byte the one
// that Qt's QDtls makes: the port in 2 bytes and an IPv4 address in 4 bytes, both in
// the host's byte order, or an IPv6 address in its 16 bytes. An IPv4-mapped IPv6
// address, as a dual-stack socket reports it, is an IPv6 address here.
type CookieKey struct {
	k       *C.odtls_cookie
	cleanup runtime.Cleanup
}

// NewCookieKey returns a key. hash is the name of any digest of OpenSSL's with which
// HMAC is possible ("SHA256", "SHA3-256", "SM3" …). secret must not be empty;
// previous may be. Both are copied. Corresponds to EVP_MAC_init (HMAC_Init_ex).
func NewCookieKey(hash string, secret, previous []byte) (*CookieKey, error) {
	const op = "cookie key"
	if err := setUp(); err != nil {
		return nil, err
	}
	if len(secret) == 0 {
		return nil, usageError(op, "empty secret")
	}
	if hasZero([]byte(hash)) {
		return nil, usageError(op, fmt.Sprintf("hash %q holds a zero byte", hash))
	}
	name := C.CString(hash)
	defer C.free(unsafe.Pointer(name))
	r := C.odtls_cookie_new(name, bytePtr(secret), C.size_t(len(secret)), bytePtr(previous), C.size_t(len(previous)))
	if r.p == nil {
		return nil, &Error{Op: op, Code: ErrorSSL, Text: fmt.Sprintf("hash %q is unknown to %s or unusable for HMAC", hash, runtimeName()), Stack: takeErrs(r.errs)}
	}
	k := &CookieKey{k: (*C.odtls_cookie)(r.p)}
	k.cleanup = runtime.AddCleanup(k, func(p *C.odtls_cookie) { C.odtls_cookie_release(p) }, k.k)
	return k, nil
}

func runtimeName() string {
	_, text := RuntimeVersion()
	return text
}

// Cookie appends the cookie of a peer to dst. The peer's zone does not count.
// Corresponds to an SSL_CTX_cookie_generate_cb.
func (k *CookieKey) Cookie(dst []byte, peer netip.AddrPort) ([]byte, error) {
	if k.k == nil {
		return dst, closedError("cookie")
	}
	var in [18]byte
	var out [64]byte
	n := putCookiePeer(&in, peer)
	size := C.odtls_cookie_make(k.k, bytePtr(in[:]), C.size_t(n), bytePtr(out[:]))
	runtime.KeepAlive(k)
	if size == 0 {
		return dst, &Error{Op: "cookie", Code: ErrorSSL, Text: "HMAC failed"}
	}
	return append(dst, out[:size]...), nil
}

// Close frees the key, which must not be in use at this moment.
func (k *CookieKey) Close() {
	if k.k == nil {
		return
	}
	k.cleanup.Stop()
	C.odtls_cookie_release(k.k)
	k.k = nil
}

// putCookiePeer writes what the cookie's HMAC is computed over and returns its length.
func putCookiePeer(to *[18]byte, peer netip.AddrPort) int {
	binary.NativeEndian.PutUint16(to[:2], peer.Port())
	if addr := peer.Addr(); addr.Is4() {
		a := addr.As4()
		// Qt hashes QHostAddress::toIPv4Address, a number in the host's byte order.
		binary.NativeEndian.PutUint32(to[2:6], binary.BigEndian.Uint32(a[:]))
		return 6
	}
	a := peer.Addr().As16()
	copy(to[2:], a[:])
	return 18
}

func bytePtr(b []byte) *C.uint8_t { return (*C.uint8_t)(unsafe.SliceData(b)) }
