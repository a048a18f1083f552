package dtls

import "github.com/ossldtls/ossldtls/openssl"

// Cipher describes a cipher suite.
type Cipher = openssl.Cipher

// IsConnectionEncrypted reports whether the handshake is complete and the
// association has not ended. Corresponds to QDtls::isConnectionEncrypted.
func (a *Association) IsConnectionEncrypted() bool { return a.state == HandshakeComplete }

// SessionCipher returns the cipher suite in use, the zero Cipher before there is one
// and after the association has ended. Corresponds to QDtls::sessionCipher.
func (a *Association) SessionCipher() Cipher {
	if a.ssl == nil {
		return Cipher{}
	}
	cipher, _ := a.ssl.CurrentCipher()
	return cipher
}

// SessionProtocol returns the version in use, 0 unless the handshake is complete or
// waits in PeerVerificationFailed. Corresponds to QDtls::sessionProtocol.
func (a *Association) SessionProtocol() uint16 {
	if a.state != HandshakeComplete && a.state != PeerVerificationFailed {
		return 0
	}
	return a.ssl.Version()
}

// PeerCertificate returns the peer's certificate, nil if there is none. Corresponds
// to QSslConfiguration::peerCertificate.
func (a *Association) PeerCertificate() *openssl.Certificate {
	if chain := a.PeerCertificateChain(); len(chain) > 0 {
		return chain[0]
	}
	return nil
}

// PeerCertificateChain returns the certificates that the peer has sent, its own
// first; nil if there are none, and after the association has ended. Corresponds to
// QSslConfiguration::peerCertificateChain.
func (a *Association) PeerCertificateChain() []*openssl.Certificate {
	if a.ssl == nil {
		return nil
	}
	return a.ssl.PeerCertificateChain()
}

// NegotiatedProtocol returns the application protocol that was agreed on (ALPN), ""
// if none. Corresponds to QSslConfiguration::nextNegotiatedProtocol.
func (a *Association) NegotiatedProtocol() string {
	if a.ssl == nil {
		return ""
	}
	return a.ssl.ALPNSelected()
}

// PSKIdentity returns the identity of the pre-shared key in use, nil if there is none.
// Corresponds to SSL_get_psk_identity.
func (a *Association) PSKIdentity() []byte {
	if a.ssl == nil {
		return nil
	}
	return a.ssl.PSKIdentity()
}

// SRTPProfile returns OpenSSL's name of the SRTP protection profile that was agreed
// on, "" if none; its keys are exported with the label "EXTRACTOR-dtls_srtp", RFC 5764
// §4.2. Corresponds to SSL_get_selected_srtp_profile.
func (a *Association) SRTPProfile() string {
	if a.ssl == nil {
		return ""
	}
	return a.ssl.SRTPProfile()
}

// ExportKeyingMaterial returns length bytes of keying material for the label and the
// context, the same on both sides: RFC 5705. A nil context is none, which differs from
// an empty one. Errors: [ErrInvalidOperation] unless the association is encrypted,
// [ErrInvalidInputParameters] for a length or label that OpenSSL refuses. Corresponds to
// SSL_export_keying_material.
func (a *Association) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	const op = "export keying material"
	if err := a.begin(op, HandshakeComplete); err != nil {
		return nil, err
	}
	material, err := a.ssl.ExportKeyingMaterial(label, context, length)
	if err != nil {
		return nil, a.fail(ErrInvalidInputParameters, op, "", err)
	}
	return material, nil
}
