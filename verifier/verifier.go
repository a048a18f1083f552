// Package verifier tells whether a ClientHello comes from where it says, without
// keeping anything for those that have not proven it: RFC 6347 §4.2.1.
//
// A [ClientVerifier] is QDtlsClientVerifier for Go. A server hands it every datagram
// of a peer that it does not know. The verifier answers a ClientHello without cookie
// by a HelloVerifyRequest and forgets it; when the ClientHello comes back with the
// cookie, the server makes an association and starts it with that datagram.
package verifier

import (
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/ossldtls/ossldtls/internal/peeraddr"
	"github.com/ossldtls/ossldtls/openssl"
)

// DatagramWriter is what a verifier and an association send with. *net.UDPConn is
// one, as long as it is not connected. The datagram is borrowed for the call.
type DatagramWriter interface {
	WriteToUDPAddrPort(datagram []byte, peer netip.AddrPort) (int, error)
}

// ClientVerifier verifies ClientHellos by stateless cookies. All of its methods may
// be called concurrently. Corresponds to QDtlsClientVerifier.
type ClientVerifier struct {
	ctx    *openssl.Ctx
	params sync.Mutex // one change of parameters at a time
	key    atomic.Pointer[keyed]
	hello  atomic.Pointer[[]byte]
	last   atomic.Pointer[Error]

	hot    atomic.Pointer[listener] // one of the idle ones, to be had without the lock
	mu     sync.Mutex
	idle   []*listener
	closed atomic.Bool
}

// listener is an SSL that only ever listens, and where its answer goes.
type listener struct {
	ssl *openssl.SSL
	out openssl.Datagrams
}

// maxIdle bounds the listeners kept for the next call; more exist only while as many
// calls run at the same moment.
const maxIdle = 64

// New returns a verifier with the default parameters. It is to be closed.
// Corresponds to the constructor QDtlsClientVerifier::QDtlsClientVerifier.
func New() (*ClientVerifier, error) {
	const op = "new verifier"
	key, err := defaultKeyed()
	if err != nil {
		return nil, &Error{Code: ErrTLSInitialization, Op: op, Err: err}
	}
	b, err := openssl.NewCtx(true)
	if err != nil {
		return nil, &Error{Code: ErrTLSInitialization, Op: op, Err: err}
	}
	// Only the shape of a hello counts here, whatever its version.
	ctx, err := b.Build()
	if err != nil {
		return nil, &Error{Code: ErrTLSInitialization, Op: op, Err: err}
	}
	v := &ClientVerifier{ctx: ctx}
	v.key.Store(key)
	return v, nil
}

// Close frees the verifier. Calls that are under way end as usual.
func (v *ClientVerifier) Close() error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed.Swap(true) {
		return nil
	}
	if l := v.hot.Swap(nil); l != nil {
		l.ssl.Close()
	}
	for _, l := range v.idle {
		l.ssl.Close()
	}
	v.idle = nil
	v.ctx.Close()
	return nil
}

func (v *ClientVerifier) take() (*listener, error) {
	if l := v.hot.Swap(nil); l != nil {
		return l, nil
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed.Load() {
		return nil, openssl.ErrClosed
	}
	if n := len(v.idle); n > 0 {
		l := v.idle[n-1]
		v.idle = v.idle[:n-1]
		return l, nil
	}
	ssl, err := openssl.NewSSL(v.ctx, nil)
	if err != nil {
		return nil, err
	}
	return &listener{ssl: ssl}, nil
}

func (v *ClientVerifier) put(l *listener) {
	if v.hot.CompareAndSwap(nil, l) {
		if !v.closed.Load() {
			return
		}
		if l = v.hot.Swap(nil); l == nil { // Close, or a call that began before it, has it
			return
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.closed.Load() || len(v.idle) >= maxIdle {
		l.ssl.Close()
		return
	}
	v.idle = append(v.idle, l)
}

// VerifyClient looks at a datagram from a peer that the server does not know. It
// returns true if the datagram starts with a ClientHello that holds the peer's
// cookie: the datagram, also to be had from [ClientVerifier.VerifiedHello], then
// starts the handshake of a new association. It returns false and no error if the
// ClientHello was answered by a HelloVerifyRequest, or if the datagram was anything
// else and was dropped; [ClientVerifier.Verify] tells the two apart.
//
// An error is [ErrInvalidInputParameters] if sock is nil, the datagram is empty, or
// the peer has no address, no port, or a multicast or broadcast address;
// [ErrUnderlyingSocket] if the answer could not be sent; [ErrTLSFatal] or
// [ErrTLSInitialization] if OpenSSL fails. The datagram is borrowed for the call.
//
// Corresponds to QDtlsClientVerifier::verifyClient.
func (v *ClientVerifier) VerifyClient(sock DatagramWriter, datagram []byte, peer netip.AddrPort) (bool, error) {
	const op = "verify client"
	if sock == nil {
		return v.done(false, nil, invalidInput(op, "the socket is nil"))
	}
	if err := checkInput(op, datagram, peer); err != nil {
		return v.done(false, nil, err)
	}
	l, verified, err := v.listen(op, datagram, peer)
	if err != nil {
		return v.done(false, nil, err)
	}
	defer v.put(l)
	for answer := range l.out.All() {
		if _, err := sock.WriteToUDPAddrPort(answer, peer); err != nil {
			return v.done(false, nil, &Error{Code: ErrUnderlyingSocket, Op: op, Err: err})
		}
	}
	return v.done(verified, datagram, nil)
}

// Verify is VerifyClient for callers that send by themselves: it appends the
// HelloVerifyRequest, if there is to be one, to reply and returns it. The answer is
// never larger than the datagram. Nothing of the call is remembered, neither for
// VerifiedHello nor for DTLSError, and nothing is allocated if reply has room.
func (v *ClientVerifier) Verify(reply, datagram []byte, peer netip.AddrPort) (_ []byte, verified bool, err error) {
	const op = "verify client"
	if err := checkInput(op, datagram, peer); err != nil {
		return reply, false, err
	}
	l, verified, e := v.listen(op, datagram, peer)
	if e != nil {
		return reply, false, e
	}
	reply = append(reply, l.out.Bytes()...)
	v.put(l)
	return reply, verified, nil
}

// listen returns the listener with its answer; it is to be put back unless there was an error.
func (v *ClientVerifier) listen(op string, datagram []byte, peer netip.AddrPort) (*listener, bool, *Error) {
	l, err := v.take()
	if err != nil {
		return nil, false, &Error{Code: ErrTLSInitialization, Op: op, Err: err}
	}
	l.out.Reset()
	verified, err := l.ssl.Listen(v.key.Load().key, peer, datagram, &l.out)
	if err != nil {
		l.ssl.Close() // whatever state it is in, the next call starts with a new one
		return nil, false, &Error{Code: ErrTLSFatal, Op: op, Err: err}
	}
	return l, verified, nil
}

// done remembers the outcome of a call as Qt's verifier does.
func (v *ClientVerifier) done(verified bool, datagram []byte, err *Error) (bool, error) {
	v.last.Store(err)
	if verified {
		hello := append([]byte(nil), datagram...)
		v.hello.Store(&hello)
		return true, nil
	}
	v.hello.Store(nil)
	if err != nil {
		return false, err
	}
	return false, nil
}

// VerifiedHello returns a copy of the datagram that the last VerifyClient found to
// be verified, or nil if it was not. With concurrent calls, use their own result
// instead. Corresponds to QDtlsClientVerifier::verifiedHello.
func (v *ClientVerifier) VerifiedHello() []byte {
	if hello := v.hello.Load(); hello != nil {
		return append([]byte(nil), *hello...)
	}
	return nil
}

// DTLSError returns the code of the last VerifyClient or
// SetCookieGeneratorParameters, [NoError] if it did not fail. Corresponds to
// QDtlsClientVerifier::dtlsError.
func (v *ClientVerifier) DTLSError() ErrorCode {
	if err := v.last.Load(); err != nil {
		return err.Code
	}
	return NoError
}

// DTLSErrorString returns the last error in words, "" if there was none. Corresponds
// to QDtlsClientVerifier::dtlsErrorString.
func (v *ClientVerifier) DTLSErrorString() string {
	if err := v.last.Load(); err != nil {
		return err.Error()
	}
	return ""
}

func invalidInput(op, text string) *Error {
	return &Error{Code: ErrInvalidInputParameters, Op: op, Text: text}
}

func checkInput(op string, datagram []byte, peer netip.AddrPort) *Error {
	if len(datagram) == 0 {
		return invalidInput(op, "the datagram is empty")
	}
	if problem := peeraddr.Problem(peer); problem != "" {
		return invalidInput(op, problem)
	}
	return nil
}
