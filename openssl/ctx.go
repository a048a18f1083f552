package openssl

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"unsafe"
)

// DTLS versions as the wire has them.
const (
	VersionDTLS10 = 0xfeff // RFC 4347; OpenSSL 3 and later want @SECLEVEL=0 for it
	VersionDTLS12 = 0xfefd // RFC 6347
)

// VerifyMode says what becomes of the peer's certificate.
type VerifyMode int

// Verify modes. They correspond to SSL_VERIFY_NONE, SSL_VERIFY_PEER and
// SSL_VERIFY_FAIL_IF_NO_PEER_CERT. Where a pre-shared key is agreed on, no certificate is
// asked for and none is missed. A server's VerifyNone, VerifyRequest, VerifyRequireAny,
// VerifyStrict and VerifyRequire are the five of tls.ClientAuthType.
const (
	// VerifyNone checks nothing and, on a server, asks for nothing.
	VerifyNone VerifyMode = iota
	// VerifyCollect checks the chain and goes on whatever it finds: see
	// [SSL.VerifyErrors]. A server asks for a certificate and goes on without one.
	VerifyCollect
	// VerifyStrict ends the handshake with an alert at the first error. A server goes
	// on without a certificate.
	VerifyStrict
	// VerifyRequire is VerifyStrict, and a server ends the handshake if there is no
	// certificate.
	VerifyRequire
	// VerifyRequest checks nothing. A server asks for a certificate and takes whatever
	// comes, or none: that the client has the certificate's key is all that is proven.
	VerifyRequest
	// VerifyRequireAny is VerifyRequest, and a server ends the handshake if there is no
	// certificate.
	VerifyRequireAny
)

// CtxBuilder collects what a [Ctx] will hold. It must not be used concurrently.
// Each of its methods takes effect at once and says what is wrong at once; after Build
// or Discard each fails with [ErrClosed].
type CtxBuilder struct {
	c        *C.odtls_ctx
	server   bool
	alpn     bool
	min, max uint16
}

// NewCtx starts a context for clients or for servers: DTLS 1.2 only, no
// renegotiation, no compression, no encrypt-then-MAC, no session tickets, no
// verification. Corresponds to SSL_CTX_new.
func NewCtx(server bool) (*CtxBuilder, error) {
	if err := setUp(); err != nil {
		return nil, err
	}
	r := C.odtls_ctx_new(boolInt(server))
	if r.p == nil {
		return nil, &Error{Op: "new context", Code: ErrorSSL, Stack: takeErrs(r.errs)}
	}
	b := &CtxBuilder{c: (*C.odtls_ctx)(r.p), server: server}
	if err := b.SetVersions(VersionDTLS12, VersionDTLS12); err != nil {
		b.Discard()
		return nil, err
	}
	return b, nil
}

func boolInt(b bool) C.int {
	if b {
		return 1
	}
	return 0
}

// SetVersions sets the lowest and highest version. Corresponds to
// SSL_CTX_set_min_proto_version and SSL_CTX_set_max_proto_version.
func (b *CtxBuilder) SetVersions(min, max uint16) error {
	const op = "versions"
	if b.c == nil {
		return closedError(op)
	}
	for _, v := range []uint16{min, max} {
		if v != VersionDTLS10 && v != VersionDTLS12 {
			return usageError(op, fmt.Sprintf("%#04x is no DTLS version of %s", v, runtimeName()))
		}
	}
	if min < max { // DTLS counts downwards
		return usageError(op, "the lowest version is above the highest")
	}
	b.min, b.max = min, max
	return statusError(op, C.odtls_ctx_versions(b.c, C.int(min), C.int(max)))
}

// SetCipherList sets the cipher suites in their order of preference, in OpenSSL's
// syntax. A word that is to add cipher suites and adds none is refused by name, where
// OpenSSL passes over it. Corresponds to SSL_CTX_set_cipher_list.
func (b *CtxBuilder) SetCipherList(list string) error {
	const op = "cipher list"
	if b.c == nil {
		return closedError(op)
	}
	if strings.Contains(list, "\x00") {
		return usageError(op, "it holds a zero byte")
	}
	separators := func(r rune) bool { return r == ':' || r == ',' || r == ' ' || r == ';' }
	for _, word := range strings.FieldsFunc(list, separators) {
		if strings.ContainsRune("@!-+", rune(word[0])) {
			continue // a command, of which OpenSSL refuses the unknown ones; or less of something
		}
		w := C.CString(word)
		known := C.odtls_cipher_known(w)
		C.free(unsafe.Pointer(w))
		if known == 0 {
			return usageError(op, fmt.Sprintf("%q selects no cipher suite of %s", word, runtimeName()))
		}
	}
	l := C.CString(list)
	defer C.free(unsafe.Pointer(l))
	return statusError(op, C.odtls_ctx_cipher_list(b.c, l))
}

// SetVerify sets what becomes of the peer's certificate, and how many certificates
// there may be between it and a root, 0 for OpenSSL's default of 100. Corresponds to
// SSL_CTX_set_verify and SSL_CTX_set_verify_depth.
func (b *CtxBuilder) SetVerify(mode VerifyMode, depth int) {
	if b.c == nil {
		return
	}
	C.odtls_ctx_verify(b.c, C.int(mode), C.int(depth))
}

// AddRoot adds a certificate that chains may end with, an intermediate one or the
// peer's own as well as a root. Corresponds to X509_STORE_add_cert and
// X509_V_FLAG_PARTIAL_CHAIN.
func (b *CtxBuilder) AddRoot(cert *Certificate) error {
	if b.c == nil || cert == nil || cert.x == nil {
		return closedError("add root")
	}
	defer runtime.KeepAlive(cert)
	return statusError("add root", C.odtls_ctx_add_root(b.c, cert.x))
}

// AddClientCA adds a name to those that a server tells clients it accepts.
// Corresponds to SSL_CTX_add_client_CA.
func (b *CtxBuilder) AddClientCA(cert *Certificate) error {
	if b.c == nil || cert == nil || cert.x == nil {
		return closedError("add client CA")
	}
	defer runtime.KeepAlive(cert)
	return statusError("add client CA", C.odtls_ctx_add_client_ca(b.c, cert.x))
}

// AddSystemRoots adds the roots of the machine's OpenSSL. Corresponds to
// SSL_CTX_set_default_verify_paths.
func (b *CtxBuilder) AddSystemRoots() error {
	if b.c == nil {
		return closedError("system roots")
	}
	return statusError("system roots", C.odtls_ctx_system_roots(b.c))
}

// AddCRL adds a certificate revocation list, in DER, for the chains that VerifyCollect,
// VerifyStrict and VerifyRequire check. With the first one, the issuer of every
// certificate of a chain must have one that is current: a list that is missing is an
// objection, as is one that has expired or has not been signed by the issuer. That is
// looked at in each handshake, not here. Only the certificate that is trusted, at the
// chain's end, needs no list: the root, or what [CtxBuilder.AddRoot] has added in its
// place. Corresponds to X509_STORE_add_crl, X509_V_FLAG_CRL_CHECK and
// X509_V_FLAG_CRL_CHECK_ALL.
func (b *CtxBuilder) AddCRL(der []byte) error {
	const op = "add CRL"
	if b.c == nil {
		return closedError(op)
	}
	if err := statusError(op, C.odtls_ctx_add_crl(b.c, bytePtr(der), C.size_t(len(der)))); err != nil {
		err.(*Error).Text = "not one certificate revocation list in DER"
		return err
	}
	return nil
}

// UseCertificate adds a certificate with its private key and the intermediate
// certificates that are sent with it, the issuer first. A key that does not match is
// refused by name. There may be one of each kind of key. Corresponds to
// SSL_CTX_use_cert_and_key.
func (b *CtxBuilder) UseCertificate(cert *Certificate, key *PrivateKey, chain ...*Certificate) error {
	const op = "use certificate"
	if b.c == nil || cert == nil || cert.x == nil || key == nil || key.k == nil {
		return closedError(op)
	}
	if !key.Matches(cert) {
		return usageError(op, fmt.Sprintf("the private key (%s, %d bits) is not the key of certificate %q (%s)",
			key.Type(), key.Bits(), cert.Subject(), C.GoString(C.odtls_cert_key_type(cert.x))))
	}
	if b.server && b.max == VersionDTLS12 && slices.Contains([]string{"ED25519", "ED448"}, strings.ToUpper(key.Type())) {
		return usageError(op, fmt.Sprintf("certificate %q: OpenSSL cannot use %s keys on a DTLS 1.2 server", cert.Subject(), key.Type()))
	}
	pointers := make([]unsafe.Pointer, len(chain)+1)
	for i, c := range chain {
		if c == nil || c.x == nil {
			return closedError(op)
		}
		pointers[i] = c.x
	}
	err := statusError(op, C.odtls_ctx_identity(b.c, cert.x, key.k, &pointers[0], C.int(len(chain))))
	runtime.KeepAlive(cert)
	runtime.KeepAlive(key)
	runtime.KeepAlive(chain)
	return err
}

// SetALPNProtos sets the application protocols in their order of preference. A
// client offers them; a server picks its first that the client offers and ends the
// handshake if there is none. Corresponds to SSL_CTX_set_alpn_protos and
// SSL_CTX_set_alpn_select_cb.
func (b *CtxBuilder) SetALPNProtos(protos []string) error {
	const op = "application protocols"
	if b.c == nil {
		return closedError(op)
	}
	if len(protos) == 0 || b.alpn {
		return usageError(op, "set more than once, or to nothing")
	}
	var wire []byte
	for _, p := range protos {
		if p == "" || len(p) > 255 {
			return usageError(op, fmt.Sprintf("%q has %d bytes, not 1 to 255", p, len(p)))
		}
		wire = append(append(wire, byte(len(p))), p...)
	}
	b.alpn = true
	return statusError(op, C.odtls_ctx_alpn(b.c, bytePtr(wire), C.size_t(len(wire))))
}

// UsePSK makes connections ask the [PSKFunc] that they were made with. A server
// sends the hint to clients unless it is empty. Corresponds to
// SSL_CTX_set_psk_client_callback, SSL_CTX_set_psk_server_callback and
// SSL_CTX_use_psk_identity_hint.
func (b *CtxBuilder) UsePSK(hint string) error {
	const op = "pre-shared keys"
	if b.c == nil {
		return closedError(op)
	}
	if strings.Contains(hint, "\x00") {
		return usageError(op, "the identity hint holds a zero byte")
	}
	if hint == "" {
		return statusError(op, C.odtls_ctx_psk(b.c, nil))
	}
	h := C.CString(hint)
	defer C.free(unsafe.Pointer(h))
	return statusError(op, C.odtls_ctx_psk(b.c, h))
}

// SetSRTPProfiles sets the SRTP protection profiles in their order of preference,
// with OpenSSL's names: "SRTP_AEAD_AES_128_GCM", "SRTP_AES128_CM_SHA1_80" … Corresponds to
// SSL_CTX_set_tlsext_use_srtp.
func (b *CtxBuilder) SetSRTPProfiles(profiles []string) error {
	const op = "SRTP profiles"
	if b.c == nil {
		return closedError(op)
	}
	list := strings.Join(profiles, ":")
	if list == "" || strings.Contains(list, "\x00") {
		return usageError(op, "no profile, or one with a zero byte")
	}
	l := C.CString(list)
	defer C.free(unsafe.Pointer(l))
	if err := statusError(op, C.odtls_ctx_srtp(b.c, l)); err != nil {
		err.(*Error).Text = fmt.Sprintf("%q", list)
		return err
	}
	return nil
}

// EnableSessionTickets lets a server give its clients tickets, by which they can
// resume their sessions for two hours, and a client ask for them: RFC 5077. The keys of
// the tickets live as long as the context; whoever gets at them can read what was sent
// in the sessions. A session whose certificate was objected to ([VerifyCollect]), or whose
// chain has expired since, is not resumed, and none but by the context that it was made
// with and for the same names ([SSL.SetPeerName], [SSL.ServerName]). A server asks no
// [PSKFunc] for one. Corresponds to SSL_OP_NO_TICKET, cleared.
func (b *CtxBuilder) EnableSessionTickets() error {
	const op = "session tickets"
	if b.c == nil {
		return closedError(op)
	}
	return statusError(op, C.odtls_ctx_tickets(b.c))
}

// EnableKeyLog makes connections collect the secrets of their sessions for
// [SSL.TakeKeyLog]: whoever has them can read the traffic. Corresponds to
// SSL_CTX_set_keylog_callback.
func (b *CtxBuilder) EnableKeyLog() error {
	if b.c == nil {
		return closedError("key log")
	}
	C.odtls_ctx_keylog(b.c)
	return nil
}

// Build returns the context and ends the builder. It fails if no cipher suite is
// left for the versions and the security level that were asked for.
func (b *CtxBuilder) Build() (*Ctx, error) {
	if b.c == nil {
		return nil, closedError("build context")
	}
	if v, _ := RuntimeVersion(); b.max == VersionDTLS10 && v.Major() >= 3 && C.odtls_ctx_security_level(b.c) > 0 {
		b.Discard()
		return nil, usageError("build context", "DTLS 1.0 needs security level 0 from OpenSSL 3 on: add @SECLEVEL=0 to the cipher list")
	}
	if C.odtls_ctx_usable_ciphers(b.c) == 0 {
		b.Discard()
		return nil, usageError("build context", "no cipher suite of the list can be used with these versions, at this security level, and with these certificates and pre-shared keys or without them")
	}
	ctx := &Ctx{c: b.c, server: b.server, number: ctxs.Add(1)}
	b.c = nil
	ctx.cleanup = runtime.AddCleanup(ctx, func(p *C.odtls_ctx) { C.odtls_ctx_release(p) }, ctx.c)
	return ctx, nil
}

// Discard frees what was collected, if Build is not going to be called.
func (b *CtxBuilder) Discard() {
	if b.c != nil {
		C.odtls_ctx_release(b.c)
		b.c = nil
	}
}

// Ctx is a context: built once, never changed, and shared by any number of
// connections. It may be used concurrently. Corresponds to SSL_CTX.
type Ctx struct {
	c       *C.odtls_ctx
	server  bool
	number  uint64 // among all
	cleanup runtime.Cleanup
}

var ctxs atomic.Uint64

// Server reports whether connections of this context are servers.
func (c *Ctx) Server() bool { return c.server }

// Close gives the context up. Connections made before keep it alive for themselves; none
// must be made at this moment. Corresponds to SSL_CTX_free.
func (c *Ctx) Close() {
	if c.c == nil {
		return
	}
	c.cleanup.Stop()
	C.odtls_ctx_release(c.c)
	c.c = nil
}
