package dtls

import (
	"bytes"
	"crypto/x509"
	"slices"
	"sync"

	"github.com/ossldtls/ossldtls/openssl"
)

// ConnectionState is what is known of a connection. Corresponds to
// tls.ConnectionState.
type ConnectionState struct {
	Version            uint16 // as the wire has it: VersionDTLS12
	HandshakeComplete  bool   // false in VerifyConnection
	DidResume          bool   // the session before it was resumed
	CipherSuite        uint16 // IANA's number
	Cipher             Cipher // the same, described
	NegotiatedProtocol string // ALPN; "" if there is none
	ServerName         string // what the client has asked for by SNI; "" if nothing
	PSKIdentity        []byte // nil if no pre-shared key is in use
	SRTPProfile        string // OpenSSL's name; "" if there is none

	// PeerCertificates are the certificates that the peer has sent, its own first. After a
	// resumption a server knows only that one. A certificate that crypto/x509 cannot read
	// ends the list; RawPeerCertificates has it.
	PeerCertificates []*x509.Certificate
	// RawPeerCertificates are the same in DER.
	RawPeerCertificates [][]byte
	// VerificationErrors is what OpenSSL had against them, where that did not end the
	// handshake: with [QueryPeer].
	VerificationErrors []VerificationError
}

// ConnectionState returns what is known of the connection, also after its end. Before
// the handshake is complete it is the zero value.
func (c *Conn) ConnectionState() ConnectionState {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.state.complete {
		return ConnectionState{}
	}
	return c.state.public()
}

// ExportKeyingMaterial returns length bytes of keying material for the label and the
// context, the same on both sides: RFC 5705. A nil context is none, which differs from
// an empty one. It fails unless the handshake is complete and the connection has not
// ended. Corresponds to SSL_export_keying_material.
func (c *Conn) ExportKeyingMaterial(label string, context []byte, length int) ([]byte, error) {
	const op = "export keying material"
	c.mu.Lock()
	defer c.mu.Unlock()
	switch c.phase {
	case phaseOpen:
	case phaseEnded:
		return nil, c.ending(op)
	default:
		return nil, c.opError(op, &Error{Code: ErrInvalidOperation, Op: op, Text: "the handshake is not complete"})
	}
	material, err := c.ssl.ExportKeyingMaterial(label, context, length)
	if err != nil {
		return nil, c.opError(op, &Error{Code: ErrInvalidInputParameters, Op: op, Err: err})
	}
	return material, nil
}

// sessionState is what is kept of a session when its SSL is gone.
type sessionState struct {
	complete   bool
	version    uint16
	resumed    bool
	cipher     *openssl.Cipher // one for all connections that have it
	protocol   string
	serverName string
	identity   []byte
	srtp       string
	chain      [][]byte
	objections []VerificationError
}

// take reads the state from an SSL.
func (s *sessionState) take(ssl *openssl.SSL) {
	*s = sessionState{
		version: ssl.Version(), resumed: ssl.SessionReused(), protocol: ssl.ALPNSelected(), serverName: ssl.ServerName(),
		identity: ssl.PSKIdentity(), srtp: ssl.SRTPProfile(), chain: ssl.PeerCertificatesDER(),
	}
	cipher, _ := ssl.CurrentCipher()
	shared, _ := ciphers.LoadOrStore(cipher.ID, &cipher)
	s.cipher = shared.(*openssl.Cipher)
	for _, e := range ssl.VerifyErrors() {
		s.objections = append(s.objections, VerificationError(e))
	}
}

// ciphers has those of sessions, by their ID.
var ciphers sync.Map

func (s *sessionState) public() ConnectionState {
	state := ConnectionState{
		Version: s.version, HandshakeComplete: s.complete, DidResume: s.resumed, CipherSuite: s.cipher.ID, Cipher: *s.cipher,
		NegotiatedProtocol: s.protocol, ServerName: s.serverName, PSKIdentity: bytes.Clone(s.identity), SRTPProfile: s.srtp,
		VerificationErrors: slices.Clone(s.objections),
	}
	for _, der := range s.chain {
		state.RawPeerCertificates = append(state.RawPeerCertificates, bytes.Clone(der))
	}
	for _, der := range s.chain {
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			break
		}
		state.PeerCertificates = append(state.PeerCertificates, cert)
	}
	return state
}
