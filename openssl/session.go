package openssl

/*
#include <stdlib.h>
#include "shim.h"
*/
import "C"

import (
	"fmt"
	"runtime"
	"sync"
	"unsafe"
)

// Alert is an alert's description, RFC 5246 §7.2.
type Alert uint8

// The alerts that this module sends or asks for by name.
const (
	AlertCloseNotify      Alert = 0
	AlertHandshakeFailure Alert = 40
	AlertBadCertificate   Alert = 42
	AlertUserCanceled     Alert = 90
)

var alertNames = map[Alert]string{
	0: "close_notify", 10: "unexpected_message", 20: "bad_record_mac", 22: "record_overflow",
	30: "decompression_failure", 40: "handshake_failure", 42: "bad_certificate",
	43: "unsupported_certificate", 44: "certificate_revoked", 45: "certificate_expired",
	46: "certificate_unknown", 47: "illegal_parameter", 48: "unknown_ca", 49: "access_denied",
	50: "decode_error", 51: "decrypt_error", 70: "protocol_version", 71: "insufficient_security",
	80: "internal_error", 86: "inappropriate_fallback", 90: "user_canceled", 100: "no_renegotiation",
	109: "missing_extension", 110: "unsupported_extension", 112: "unrecognized_name",
	113: "bad_certificate_status_response", 115: "unknown_psk_identity",
	116: "certificate_required", 120: "no_application_protocol",
}

// String returns the alert's name as the RFCs spell it.
func (a Alert) String() string {
	if name, ok := alertNames[a]; ok {
		return name
	}
	return fmt.Sprintf("alert(%d)", uint8(a))
}

// AlertReceived returns the last alert that the peer sent and whether it was fatal.
// ok is false if there was none. Corresponds to SSL_CB_READ_ALERT.
func (s *SSL) AlertReceived() (a Alert, fatal, ok bool) { return splitAlert(s.alertIn) }

// AlertSent returns the last alert that was sent to the peer and whether it was
// fatal. ok is false if there was none. Corresponds to SSL_CB_WRITE_ALERT.
func (s *SSL) AlertSent() (a Alert, fatal, ok bool) { return splitAlert(s.alertOut) }

func splitAlert(v int16) (Alert, bool, bool) {
	if v < 0 {
		return 0, false, false
	}
	return Alert(v & 0xff), v>>8 == 2, true
}

// Cipher describes a cipher suite. Corresponds to SSL_CIPHER and QSslCipher.
type Cipher struct {
	Name         string // OpenSSL's name: "ECDHE-ECDSA-AES256-GCM-SHA384"
	ID           uint16 // IANA's number: 0xC02C
	StandardName string // IANA's name: "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"
	Description  string // SSL_CIPHER_description: key exchange, authentication, encryption, MAC
	UsedBits     int    // bits of the key that are secret
	Bits         int    // bits of the key that the algorithm processes
}

// CurrentCipher returns the cipher suite in use, in mid-handshake the one that has been
// agreed on, and false before there is one. Corresponds to SSL_get_current_cipher and
// SSL_get_pending_cipher.
func (s *SSL) CurrentCipher() (Cipher, bool) {
	if s.c == nil {
		return Cipher{}, false
	}
	i := C.odtls_conn_cipher(s.c)
	runtime.KeepAlive(s)
	if i.ok == 0 {
		return Cipher{}, false
	}
	if known, ok := ciphers.Load(uint16(i.id)); ok {
		return known.(Cipher), true
	}
	cipher := Cipher{
		Name:         C.GoString(i.name),
		ID:           uint16(i.id),
		StandardName: C.GoString(i.standard_name),
		Description:  C.GoString(&i.description[0]),
		UsedBits:     int(i.bits),
		Bits:         int(i.alg_bits),
	}
	ciphers.Store(cipher.ID, cipher)
	return cipher, true
}

// ciphers has a Cipher for each ID that was met, so that connections share its strings.
var ciphers sync.Map

// Version returns the DTLS version in use, as the wire has it, or 0 after Close.
// Corresponds to SSL_version.
func (s *SSL) Version() uint16 {
	if s.c == nil {
		return 0
	}
	defer runtime.KeepAlive(s)
	return uint16(C.odtls_conn_version(s.c))
}

// ServerName returns the server name indication: on a client the one that it sends, on a
// server the one that the client has sent in this handshake, also if that resumes a
// session. "" if there is none, as for an IP address. Corresponds to SSL_get_servername.
func (s *SSL) ServerName() string {
	if s.c == nil {
		return ""
	}
	defer runtime.KeepAlive(s)
	return C.GoString(C.odtls_conn_server_name(s.c))
}

// DataMTU returns how many bytes of payload fit a datagram of mtu bytes, exactly: 0
// before the handshake is complete, and if not even the headers fit. Corresponds to
// DTLS_get_data_mtu.
func (s *SSL) DataMTU(mtu int) int {
	if s.c == nil || !s.done {
		return 0
	}
	defer runtime.KeepAlive(s)
	return min(int(C.odtls_conn_data_mtu(s.c, C.int(mtu))), MaxPlaintext)
}

// PeerCertificateChain returns the certificates that the peer sent, its own first.
// Corresponds to SSL_get_peer_certificate and SSL_get_peer_cert_chain.
func (s *SSL) PeerCertificateChain() []*Certificate {
	var chain []*Certificate
	for _, der := range s.PeerCertificatesDER() {
		cert, err := LoadCertificateFromDER(der)
		if err != nil {
			break // not possible: OpenSSL has just written it
		}
		chain = append(chain, cert)
	}
	return chain
}

// PeerCertificatesDER returns the same in DER. Corresponds to i2d_X509.
func (s *SSL) PeerCertificatesDER() [][]byte {
	if s.c == nil {
		return nil
	}
	defer runtime.KeepAlive(s)
	var chain [][]byte
	for i := 0; ; i++ {
		der := takeBytes(C.odtls_conn_peer_cert(s.c, C.int(i)))
		if der == nil {
			return chain
		}
		chain = append(chain, der)
	}
}

// ALPNSelected returns the application protocol that was agreed on, "" if none.
// Corresponds to SSL_get0_alpn_selected.
func (s *SSL) ALPNSelected() string {
	if s.c == nil {
		return ""
	}
	r := C.odtls_conn_alpn(s.c)
	defer runtime.KeepAlive(s)
	return C.GoStringN((*C.char)(unsafe.Pointer(r.p)), C.int(r.n))
}

// PSKIdentity returns the identity of the pre-shared key in use, nil if there is
// none. Corresponds to SSL_get_psk_identity.
func (s *SSL) PSKIdentity() []byte {
	if s.c == nil {
		return nil
	}
	defer runtime.KeepAlive(s)
	identity := C.odtls_conn_psk_identity(s.c)
	if identity == nil {
		return nil
	}
	return []byte(C.GoString(identity))
}

// SRTPProfile returns OpenSSL's name of the SRTP protection profile that was agreed on,
// "" if none. Corresponds to SSL_get_selected_srtp_profile.
func (s *SSL) SRTPProfile() string {
	if s.c == nil {
		return ""
	}
	defer runtime.KeepAlive(s)
	return C.GoString(C.odtls_conn_srtp_profile(s.c))
}

// ExportKeyingMaterial returns length bytes of keying material for the label and the
// context, RFC 5705; a nil context is none, which differs from an empty one. It fails
// before the handshake is complete. Corresponds to SSL_export_keying_material.
func (s *SSL) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	const op = "export keying material"
	switch {
	case s.c == nil:
		return nil, closedError(op)
	case !s.done:
		return nil, usageError(op, "the handshake is not complete")
	case length < 1 || length > 1<<16:
		return nil, usageError(op, fmt.Sprintf("%d bytes, not 1 to 65536", length))
	}
	if context != nil && len(context) == 0 {
		context = make([]byte, 0, 1) // a pointer that is not NULL
	}
	l := C.CString(label)
	defer C.free(unsafe.Pointer(l))
	out := make([]byte, length)
	err := statusError(op, C.odtls_conn_export(s.c, l, C.size_t(len(label)), bytePtr(context), C.size_t(len(context)), bytePtr(out), C.size_t(length)))
	runtime.KeepAlive(s)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// TakeKeyLog returns the lines that have been collected since the last call, each with
// its newline, in the format of NSS that Wireshark reads; nil if there are none.
// Corresponds to SSL_CTX_set_keylog_callback.
func (s *SSL) TakeKeyLog() []byte {
	if s.c == nil || !s.keyLog {
		return nil
	}
	s.keyLog = false
	defer runtime.KeepAlive(s)
	return takeBytes(C.odtls_conn_keylog(s.c))
}

// PeerAuthenticated reports whether the peer has shown a certificate, whatever its
// worth, or a pre-shared key was agreed on. Corresponds to SSL_get_peer_certificate and
// SSL_get_psk_identity.
func (s *SSL) PeerAuthenticated() bool {
	if s.c == nil {
		return false
	}
	defer runtime.KeepAlive(s)
	return C.odtls_conn_peer_authenticated(s.c) != 0
}

// VerifyError is one objection of OpenSSL to the peer's certificate.
type VerifyError struct {
	Code        int          // X509_V_ERR_…
	Text        string       // OpenSSL's words for it
	Depth       int          // 0 is the peer's own certificate, 1 its issuer …
	Certificate *Certificate // the one in question; nil if there is none
}

// VerifyErrors returns what OpenSSL objected to, in its order. Corresponds to the
// calls of an SSL_verify_cb.
func (s *SSL) VerifyErrors() []VerifyError {
	if s.c == nil || s.nVerify == 0 {
		return nil
	}
	defer runtime.KeepAlive(s)
	all := make([]VerifyError, s.nVerify)
	for i := range all {
		e := C.odtls_conn_verify_error(s.c, C.int(i))
		all[i] = VerifyError{Code: int(e.code), Depth: int(e.depth), Text: VerifyErrorText(int(e.code))}
		if e.der_len > 0 {
			all[i].Certificate, _ = LoadCertificateFromDER(C.GoBytes(unsafe.Pointer(e.der), C.int(e.der_len)))
		}
	}
	return all
}

// VerifyErrorCount returns the number of objections so far, without fetching them: of
// calls of an SSL_verify_cb.
func (s *SSL) VerifyErrorCount() int { return s.nVerify }

// VerifyErrorText returns OpenSSL's words for an X509_V_ERR_… code. Corresponds to
// X509_verify_cert_error_string.
func VerifyErrorText(code int) string { return C.GoString(C.odtls_verify_text(C.int(code))) }

// VerifyErrorAlert returns the alert that tells the peer of an X509_V_ERR_… code: the
// one that OpenSSL itself sends for it.
func VerifyErrorAlert(code int) Alert { return Alert(C.odtls_verify_alert(C.int(code))) }
