// Package dtls speaks DTLS with the machine's OpenSSL.
//
// An [Association] is QDtls for Go: one peer, no socket, no goroutine. The program
// owns the UDP socket, hands in what arrives, and gives the socket to every
// operation that may have something to send:
//
//	client                                  server
//	NewAssociation(ClientMode, cfg)         verifier.VerifyClient(sock, datagram, peer)
//	SetPeer(server, "name")                 NewAssociation(ServerMode, cfg), SetPeer(peer, "")
//	DoHandshake(sock, nil)                  DoHandshake(sock, verifiedHello)
//	DoHandshake(sock, datagram) …           DoHandshake(sock, datagram) …
//	HandleTimeout(sock) when due            HandleTimeout(sock) when due
//	WriteDatagramEncrypted, DecryptDatagram on both sides, then Shutdown
//
// The methods have the names of QDtls in Go's spelling and say what they correspond
// to. An association must not be used concurrently.
package dtls

import (
	"net/netip"
	"sync"
	"time"

	"github.com/ossldtls/ossldtls/internal/peeraddr"
	"github.com/ossldtls/ossldtls/openssl"
	"github.com/ossldtls/ossldtls/verifier"
)

// Mode is the side of an association. Corresponds to QSslSocket::SslMode.
type Mode int

// The two sides.
const (
	ClientMode Mode = iota // QSslSocket::SslClientMode
	ServerMode             // QSslSocket::SslServerMode
)

// String returns "client" or "server".
func (m Mode) String() string {
	if m == ServerMode {
		return "server"
	}
	return "client"
}

// HandshakeState is where an association is. Corresponds to QDtls::HandshakeState.
type HandshakeState int

// The four states of QDtls.
const (
	// HandshakeNotStarted: also after the association has ended, when it can be started anew.
	HandshakeNotStarted HandshakeState = iota
	// HandshakeInProgress: waits for datagrams and for its timer.
	HandshakeInProgress
	// PeerVerificationFailed: waits for ResumeHandshake or AbortHandshake. Nothing has
	// been sent since the peer's certificate came.
	PeerVerificationFailed
	// HandshakeComplete: encrypted.
	HandshakeComplete
)

// String returns Qt's name of the state.
func (s HandshakeState) String() string {
	switch s {
	case HandshakeNotStarted:
		return "HandshakeNotStarted"
	case HandshakeInProgress:
		return "HandshakeInProgress"
	case PeerVerificationFailed:
		return "PeerVerificationFailed"
	}
	return "HandshakeComplete"
}

// DatagramWriter is what an association sends with: a *net.UDPConn that is not
// connected, or anything of the program's own. The datagram is borrowed for the call.
type DatagramWriter = verifier.DatagramWriter

// GeneratorParameters is what cookies are made with.
type GeneratorParameters = verifier.GeneratorParameters

// Association is one end of a DTLS association. Slices handed in are borrowed for
// the call. A failed operation returns an [*Error], which DTLSError and
// DTLSErrorString remember until the next operation; whether the association goes on
// is what HandshakeState says. Close it when it is no longer needed. Corresponds to
// QDtls.
type Association struct {
	mode   Mode
	config *Config
	ctx    *openssl.Ctx

	peer    netip.AddrPort
	name    string
	mtuHint int
	cookies *cookies // nil: the process's default

	state    HandshakeState
	ssl      *openssl.SSL // nil in HandshakeNotStarted
	deadline time.Time    // of the whole handshake; zero: none
	closed   bool
	last     *Error

	out     *openssl.Datagrams // of the operation, or held back in PeerVerificationFailed
	small   openssl.Datagrams  // what out is when there is no handshake
	plain   openssl.Datagrams
	payload [][]byte // what DecryptDatagram returned

	verifyErrors []VerificationError
	ignore       []VerificationError
	checked      bool // nothing more to object to
	resumer      resumer

	timer  *time.Timer
	signal func()
}

type cookies struct {
	params GeneratorParameters
	key    *openssl.CookieKey
}

// NewAssociation returns an association that has not started. cfg may be nil for a
// client. What is wrong with cfg is an [ErrTLSInitialization] here, not in the first
// handshake. Corresponds to QDtls::QDtls and QDtls::setDtlsConfiguration.
func NewAssociation(mode Mode, cfg *Config) (*Association, error) {
	a := &Association{mode: mode, mtuHint: DefaultMTUHint}
	a.returnBuffer()
	if mode != ClientMode && mode != ServerMode {
		return nil, &Error{Code: ErrInvalidInputParameters, Op: "new association", Text: "neither ClientMode nor ServerMode"}
	}
	if err := a.configure("new association", cfg); err != nil {
		return nil, err
	}
	return a, nil
}

// zeroConfig stands for a nil Config, so that this too is turned into a context once.
var zeroConfig Config

func (a *Association) configure(op string, cfg *Config) *Error {
	if cfg == nil {
		cfg = &zeroConfig
	}
	ctx, err := cfg.context(a.mode, packets)
	if err != nil {
		return &Error{Code: ErrTLSInitialization, Op: op, Err: err}
	}
	a.config, a.ctx = cfg, ctx
	return nil
}

// Close frees the association. It sends nothing: Shutdown does. Close may be called
// more than once; it never fails.
func (a *Association) Close() error {
	a.reset()
	a.closed = true
	if a.cookies != nil {
		a.cookies.key.Close()
		a.cookies = nil
	}
	return nil
}

// reset ends the association's session; it can then be started anew.
func (a *Association) reset() {
	a.stopTimer()
	if a.ssl != nil {
		a.ssl.Close()
		a.ssl = nil
	}
	if a.state != HandshakeNotStarted {
		a.ignore = nil // meant for this session, and perhaps for this peer only
	}
	failed := a.state == HandshakeInProgress || a.state == PeerVerificationFailed
	a.state = HandshakeNotStarted
	a.returnBuffer()
	a.deadline = time.Time{}
	if failed {
		a.resumer.forget()
	}
}

// flights are buffers for the flights of a handshake, which need more room than all that
// comes after it.
var flights = sync.Pool{New: func() any { return new(openssl.Datagrams) }}

// maxFlights is the size, in bytes, of the largest buffer that is kept: usual chains fit.
const maxFlights = 16 << 10

func (a *Association) borrowBuffer() {
	a.returnBuffer()
	a.out = flights.Get().(*openssl.Datagrams)
}

// returnBuffer drops what is in out.
func (a *Association) returnBuffer() {
	if a.out != nil && a.out != &a.small && cap(a.out.Bytes()) <= maxFlights {
		a.out.Reset()
		flights.Put(a.out)
	}
	a.small.Reset()
	a.out = &a.small
}

// fail remembers the error of an operation and returns it.
func (a *Association) fail(code ErrorCode, op, text string, cause error) error {
	a.last = &Error{Code: code, Op: op, Text: text, Err: cause}
	return a.last
}

// begin starts an operation: the last error is forgotten, and one of the states given
// is required.
func (a *Association) begin(op string, states ...HandshakeState) error {
	a.last = nil
	if a.closed {
		return a.fail(ErrInvalidOperation, op, "the association is closed", nil)
	}
	for _, s := range states {
		if a.state == s {
			return nil
		}
	}
	return a.fail(ErrInvalidOperation, op, "not possible in state "+a.state.String(), nil)
}

// Mode returns the side that the association is. Corresponds to QDtls::sslMode.
func (a *Association) Mode() Mode { return a.mode }

// HandshakeState returns the state. Corresponds to QDtls::handshakeState.
func (a *Association) HandshakeState() HandshakeState { return a.state }

// SetPeer sets the peer's address and port, and the name that its certificate must
// be for: a host name, an IP address, or "" for [Config.ServerName] and, if that is
// empty too, the peer's address. On a server an empty name means that no name is
// checked. Errors: [ErrInvalidOperation] once the handshake has started,
// [ErrInvalidInputParameters] for no address, a multicast or broadcast address, or
// port 0. Corresponds to QDtls::setPeer.
func (a *Association) SetPeer(peer netip.AddrPort, verificationName string) error {
	if err := a.begin("set peer", HandshakeNotStarted); err != nil {
		return err
	}
	if problem := peeraddr.Problem(peer); problem != "" {
		return a.fail(ErrInvalidInputParameters, "set peer", problem, nil)
	}
	a.peer, a.name = peer, verificationName
	return nil
}

// SetPeerVerificationName sets the name of SetPeer alone. It fails with
// [ErrInvalidOperation] once the handshake has started. Corresponds to
// QDtls::setPeerVerificationName.
func (a *Association) SetPeerVerificationName(name string) error {
	if err := a.begin("set peer verification name", HandshakeNotStarted); err != nil {
		return err
	}
	a.name = name
	return nil
}

// PeerAddress returns the peer's address, the zero Addr before SetPeer. Corresponds
// to QDtls::peerAddress.
func (a *Association) PeerAddress() netip.Addr { return a.peer.Addr() }

// PeerPort returns the peer's port, 0 before SetPeer. Corresponds to QDtls::peerPort.
func (a *Association) PeerPort() uint16 { return a.peer.Port() }

// PeerVerificationName returns the name given to SetPeer or SetPeerVerificationName.
// Corresponds to QDtls::peerVerificationName.
func (a *Association) PeerVerificationName() string { return a.name }

// SetDTLSConfiguration sets another Config. Errors: [ErrInvalidOperation] once the
// handshake has started, [ErrTLSInitialization] if something is wrong with cfg; the
// old one then stays. Corresponds to QDtls::setDtlsConfiguration.
func (a *Association) SetDTLSConfiguration(cfg *Config) error {
	const op = "set configuration"
	if err := a.begin(op, HandshakeNotStarted); err != nil {
		return err
	}
	if err := a.configure(op, cfg); err != nil {
		a.last = err
		return err
	}
	return nil
}

// DTLSConfiguration returns the Config in use, which must not be changed.
// Corresponds to QDtls::dtlsConfiguration.
func (a *Association) DTLSConfiguration() *Config { return a.config }

// SetCookieGeneratorParameters sets what a server checks the cookie of the verified
// hello with: the parameters of the verifier that verified it. The default is the
// verifiers' default. Errors: [ErrInvalidOperation] once the handshake has started,
// [ErrInvalidInputParameters] for an empty secret or an unknown hash; the old
// parameters then stay. Corresponds to QDtls::setCookieGeneratorParameters.
func (a *Association) SetCookieGeneratorParameters(params GeneratorParameters) error {
	if err := a.begin("set cookie generator parameters", HandshakeNotStarted); err != nil {
		return err
	}
	key, err := params.CookieKey()
	if err != nil {
		a.last = err.(*Error)
		return err
	}
	if a.cookies != nil {
		a.cookies.key.Close()
	}
	a.cookies = &cookies{params.Clone(), key}
	if params.Hash == "" {
		a.cookies.params.Hash = verifier.DefaultHash
	}
	return nil
}

// CookieGeneratorParameters returns the parameters in use. Corresponds to
// QDtls::cookieGeneratorParameters.
func (a *Association) CookieGeneratorParameters() GeneratorParameters {
	if a.cookies == nil {
		params, _ := verifier.DefaultParameters()
		return params
	}
	return a.cookies.params.Clone()
}

func (a *Association) cookieKey() (*openssl.CookieKey, error) {
	if a.cookies == nil {
		return verifier.DefaultCookieKey()
	}
	return a.cookies.key, nil
}

// DTLSError returns the code of the last operation's error, [NoError] if it did not
// fail. Corresponds to QDtls::dtlsError.
func (a *Association) DTLSError() ErrorCode {
	if a.last == nil {
		return NoError
	}
	return a.last.Code
}

// DTLSErrorString returns the last operation's error in words, "" if it did not
// fail. Corresponds to QDtls::dtlsErrorString.
func (a *Association) DTLSErrorString() string {
	if a.last == nil {
		return ""
	}
	return a.last.Error()
}
