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
func (a *Association) PSKIdentity() []byte {
	if a.ssl == nil {
		return nil
	}
	return a.ssl.PSKIdentity()
}
