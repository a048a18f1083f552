package openssl

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"runtime"
	"unsafe"
)

// Certificate is an X.509 certificate as OpenSSL holds it. It never changes and may
// be used concurrently, but for its Close. Corresponds to X509.
type Certificate struct {
	x       unsafe.Pointer
	cleanup runtime.Cleanup
}

func newCertificate(x unsafe.Pointer) *Certificate {
	c := &Certificate{x: x}
	c.cleanup = runtime.AddCleanup(c, func(p unsafe.Pointer) { C.odtls_cert_free(p) }, x)
	return c
}

// LoadCertificateFromPEM returns the first certificate of a PEM text. Corresponds to
// PEM_read_bio_X509.
func LoadCertificateFromPEM(pem []byte) (*Certificate, error) {
	all, err := certificates(pem, 1)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// LoadCertificatesFromPEM returns every certificate of a PEM text in its order, at
// least one: a chain, or a file of CA certificates.
func LoadCertificatesFromPEM(pem []byte) ([]*Certificate, error) {
	return certificates(pem, 0)
}

// certificates returns the first count certificates, or all if count is 0.
func certificates(pem []byte, count int) ([]*Certificate, error) {
	const op = "load certificate"
	if err := setUp(); err != nil {
		return nil, err
	}
	r := C.odtls_certs_pem(bytePtr(pem), C.size_t(len(pem)), C.int(count))
	switch {
	case r.errs != nil:
		return nil, &Error{Op: op, Code: ErrorSSL, Text: fmt.Sprintf("certificate %d of the PEM text", r.n+1), Stack: takeErrs(r.errs)}
	case r.n == 0:
		return nil, usageError(op, "no PEM block with a certificate")
	}
	defer C.odtls_free(unsafe.Pointer(r.p))
	all := make([]*Certificate, int(r.n))
	for i, x := range unsafe.Slice(r.p, int(r.n)) {
		all[i] = newCertificate(x)
	}
	return all, nil
}

// LoadCertificateFromDER returns the certificate in der, which must hold nothing
// else. Corresponds to d2i_X509.
func LoadCertificateFromDER(der []byte) (*Certificate, error) {
	if err := setUp(); err != nil {
		return nil, err
	}
	r := C.odtls_cert_der(bytePtr(der), C.size_t(len(der)))
	if r.p == nil {
		return nil, &Error{Op: "load certificate", Code: ErrorSSL, Text: "not one certificate in DER", Stack: takeErrs(r.errs)}
	}
	return newCertificate(r.p), nil
}

// MarshalDER returns the certificate's DER encoding, or nil after Close.
// Corresponds to i2d_X509.
func (c *Certificate) MarshalDER() []byte {
	if c.x == nil {
		return nil
	}
	r := C.odtls_cert_to_der(c.x)
	runtime.KeepAlive(c)
	return takeBytes(r)
}

// MarshalPEM returns the certificate as a PEM block, or nil after Close.
func (c *Certificate) MarshalPEM() []byte {
	der := c.MarshalDER()
	if der == nil {
		return nil
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// X509 parses the certificate with Go's crypto/x509, which refuses some certificates
// that OpenSSL accepts.
func (c *Certificate) X509() (*x509.Certificate, error) {
	if c.x == nil {
		return nil, closedError("certificate")
	}
	return x509.ParseCertificate(c.MarshalDER())
}

// Subject returns the subject's distinguished name in the form of RFC 2253, or "" after Close.
func (c *Certificate) Subject() string {
	if c.x == nil {
		return ""
	}
	r := C.odtls_cert_subject(c.x)
	runtime.KeepAlive(c)
	return string(takeBytes(r))
}

// Equal reports whether both are the same certificate, byte for byte. One that has
// been closed is equal to none.
func (c *Certificate) Equal(other *Certificate) bool {
	if c == nil || other == nil {
		return c == other
	}
	der := c.MarshalDER()
	return der != nil && bytes.Equal(der, other.MarshalDER())
}

// Close frees the certificate. Contexts that were built with it keep their own reference.
func (c *Certificate) Close() {
	if c.x == nil {
		return
	}
	c.cleanup.Stop()
	C.odtls_cert_free(c.x)
	c.x = nil
}

// PrivateKey is a private key as OpenSSL holds it. It never changes and may be used
// concurrently, but for its Close. Corresponds to EVP_PKEY.
type PrivateKey struct {
	k       unsafe.Pointer
	cleanup runtime.Cleanup
}

func newPrivateKey(r C.odtls_ptr, text string) (*PrivateKey, error) {
	if r.p == nil {
		return nil, &Error{Op: "load private key", Code: ErrorSSL, Text: text, Stack: takeErrs(r.errs)}
	}
	k := &PrivateKey{k: r.p}
	k.cleanup = runtime.AddCleanup(k, func(p unsafe.Pointer) { C.odtls_key_free(p) }, r.p)
	return k, nil
}

// LoadPrivateKeyFromPEM returns the first private key of a PEM text, which must not
// be encrypted. Corresponds to PEM_read_bio_PrivateKey.
func LoadPrivateKeyFromPEM(pem []byte) (*PrivateKey, error) {
	if err := setUp(); err != nil {
		return nil, err
	}
	return newPrivateKey(C.odtls_key_pem(bytePtr(pem), C.size_t(len(pem)), nil, 0), "no unencrypted PEM private key")
}

// LoadPrivateKeyFromPEMWithPassword returns the first private key of a PEM text,
// decrypted with the password. Corresponds to PEM_read_bio_PrivateKey.
func LoadPrivateKeyFromPEMWithPassword(pem []byte, password string) (*PrivateKey, error) {
	if err := setUp(); err != nil {
		return nil, err
	}
	pass := C.CString(password)
	defer C.free(unsafe.Pointer(pass))
	return newPrivateKey(C.odtls_key_pem(bytePtr(pem), C.size_t(len(pem)), pass, C.size_t(len(password))), "no PEM private key that the password opens")
}

// LoadPrivateKeyFromDER returns the private key in der: PKCS #8, or the traditional
// form of RSA and EC keys. Corresponds to d2i_AutoPrivateKey.
func LoadPrivateKeyFromDER(der []byte) (*PrivateKey, error) {
	if err := setUp(); err != nil {
		return nil, err
	}
	return newPrivateKey(C.odtls_key_der(bytePtr(der), C.size_t(len(der))), "not a private key in DER")
}

// Public returns the public key as crypto/x509 has it, or nil if that does not know
// its kind or the key has been closed. Corresponds to i2d_PUBKEY.
func (k *PrivateKey) Public() crypto.PublicKey {
	if k.k == nil {
		return nil
	}
	r := C.odtls_key_public_der(k.k)
	runtime.KeepAlive(k)
	public, err := x509.ParsePKIXPublicKey(takeBytes(r))
	if err != nil {
		return nil
	}
	return public
}

// Type returns OpenSSL's name of the kind of key ("RSA", "EC", "ED25519"; before
// OpenSSL 3 the names of its NIDs, "rsaEncryption"), or "" after Close.
func (k *PrivateKey) Type() string {
	if k.k == nil {
		return ""
	}
	defer runtime.KeepAlive(k)
	return C.GoString(C.odtls_key_type(k.k))
}

// Bits returns the key's size in bits, 0 after Close. Corresponds to EVP_PKEY_bits.
func (k *PrivateKey) Bits() int {
	if k.k == nil {
		return 0
	}
	defer runtime.KeepAlive(k)
	return int(C.odtls_key_bits(k.k))
}

// Matches reports whether k is the key of the certificate. Corresponds to
// X509_check_private_key.
func (k *PrivateKey) Matches(c *Certificate) bool {
	if k.k == nil || c.x == nil {
		return false
	}
	defer runtime.KeepAlive(k)
	defer runtime.KeepAlive(c)
	return C.odtls_key_matches(c.x, k.k) == 1
}

// Close frees the key. Contexts that were built with it keep their own reference.
func (k *PrivateKey) Close() {
	if k.k == nil {
		return
	}
	k.cleanup.Stop()
	C.odtls_key_free(k.k)
	k.k = nil
}

// takeBytes copies bytes of OpenSSL's allocator to Go and frees them.
func takeBytes(r C.odtls_bytes) []byte {
	if r.errs != nil {
		C.odtls_errs_free(r.errs)
	}
	if r.p == nil {
		return nil
	}
	defer C.odtls_free(unsafe.Pointer(r.p))
	return C.GoBytes(unsafe.Pointer(r.p), C.int(r.n))
}
