package dtls

import (
	"errors"
	"os"
	"time"

	"github.com/ossldtls/ossldtls/openssl"
)

// DoHandshake starts the handshake or goes on with it. A client starts without a
// datagram, a server with the verified hello; both go on with every datagram that
// arrives from the peer until [Association.HandshakeState] is HandshakeComplete.
// Application data that comes in the last datagram is returned by the next
// DecryptDatagram, which may be called without a datagram for it.
//
// Errors:
//   - [ErrInvalidInputParameters]: sock is nil; a client's start with a datagram, or
//     anything else without one.
//   - [ErrInvalidOperation]: no peer is set, or the handshake is complete or waits for
//     ResumeHandshake.
//   - [ErrPeerVerification]: the state is now PeerVerificationFailed.
//   - [ErrTLSInitialization]: OpenSSL has no connection to give.
//   - [ErrTLSFatal]: the handshake has failed, or HandshakeTimeout has passed (then
//     os.ErrDeadlineExceeded matches too), and the association is back in
//     HandshakeNotStarted; or a server's start without a valid cookie, which sends
//     nothing.
//   - [ErrUnderlyingSocket]: a datagram could not be sent; the handshake goes on.
//
// Corresponds to QDtls::doHandshake.
func (a *Association) DoHandshake(sock DatagramWriter, datagram []byte) error {
	const op = "handshake"
	if err := a.begin(op, HandshakeNotStarted, HandshakeInProgress); err != nil {
		return err
	}
	if sock == nil {
		return a.fail(ErrInvalidInputParameters, op, "the socket is nil", nil)
	}
	if a.state == HandshakeNotStarted {
		return a.start(op, sock, datagram)
	}
	if len(datagram) == 0 {
		return a.fail(ErrInvalidInputParameters, op, "a datagram is needed to go on", nil)
	}
	if a.expired() {
		return a.expire(op, sock)
	}
	return a.shake(op, sock, datagram)
}

func (a *Association) shake(op string, sock DatagramWriter, datagram []byte) error {
	returned := false
	defer func() {
		if !returned { // a callback has panicked, and OpenSSL has given up
			_ = a.flush(sock)
			a.reset()
		}
	}()
	_, err := a.ssl.DoHandshake(datagram, a.out)
	returned = true
	return a.step(op, sock, err)
}

func (a *Association) start(op string, sock DatagramWriter, datagram []byte) error {
	switch {
	case !a.peer.IsValid():
		return a.fail(ErrInvalidOperation, op, "SetPeer comes first", nil)
	case a.mode == ServerMode && len(datagram) == 0:
		return a.fail(ErrInvalidInputParameters, op, "a server starts with the client's hello", nil)
	case a.mode == ClientMode && len(datagram) > 0:
		return a.fail(ErrInvalidInputParameters, op, "a client starts without a datagram", nil)
	}
	if err := a.open(); err != nil {
		a.reset()
		return a.fail(ErrTLSInitialization, op, "", err)
	}
	if a.mode == ServerMode && !a.config.DisableCookieVerification {
		if err := a.listen(op, datagram); err != nil {
			a.reset()
			return err
		}
		datagram = nil // OpenSSL has kept it
	}
	a.state = HandshakeInProgress
	return a.shake(op, sock, datagram)
}

// open makes the SSL and forgets what the session before it has left.
func (a *Association) open() error {
	a.verifyErrors, a.checked = nil, false
	a.borrowBuffer()
	a.plain.Reset()
	name := a.nameToVerify()
	a.resumer = newResumer(a.mode, a.config, name, a.peer) // the cache is the program's: before there is an SSL
	ssl, err := openssl.NewSSL(a.ctx, a.config.PSK)
	if err != nil {
		return err
	}
	a.ssl = ssl
	headers := ipUDPHeaders(a.peer.Addr())
	usable := a.mtuHint - headers - headroom
	ssl.SetMTU(usable, min(usable, fallbackMTU-headers-headroom), headers)
	if d := a.config.RetransmissionTimeout; d > 0 {
		ssl.SetRetransmissionTimeout(d)
	}
	if d := a.config.handshakeTimeout(); d > 0 {
		a.deadline = time.Now().Add(d)
	}
	if name != "" {
		if err := ssl.SetPeerName(name); err != nil {
			return err
		}
	}
	a.resumer.offer(ssl)
	return nil
}

func (a *Association) nameToVerify() string {
	switch {
	case a.name != "" || a.mode == ServerMode:
		return hostName(a.name)
	case a.config.ServerName != "":
		return hostName(a.config.ServerName)
	}
	return a.peer.Addr().Unmap().WithZone("").String()
}

// listen gives the verified hello to OpenSSL, once more with its cookie checked.
func (a *Association) listen(op string, hello []byte) error {
	key, err := a.cookieKey()
	if err != nil {
		return a.fail(ErrTLSInitialization, op, "", err)
	}
	verified, err := a.ssl.Listen(key, a.peer, hello, a.out)
	// What Listen would answer is the verifier's business: nothing is sent from here.
	a.out.Reset()
	if err != nil {
		return a.fail(ErrTLSFatal, op, "", err)
	}
	if !verified {
		return a.fail(ErrTLSFatal, op, "a verified hello was expected: the datagram is no ClientHello with a cookie of these parameters for this peer", nil)
	}
	return nil
}

// step ends an operation of the handshake: it looks at the peer's certificate, sends,
// and moves the state on.
func (a *Association) step(op string, sock DatagramWriter, err error) error {
	if lines := a.ssl.TakeKeyLog(); lines != nil {
		_, _ = a.config.KeyLogWriter.Write(lines)
	}
	if a.objects() {
		if err == nil {
			a.state = PeerVerificationFailed
			a.stopTimer()
			return a.fail(ErrPeerVerification, op, a.firstObjection().Text, nil)
		}
		a.out.Reset() // a flight may be in it that is not for this peer
	}
	sent := a.flush(sock)
	if err != nil {
		a.reset()
		return a.fail(ErrTLSFatal, op, "", err)
	}
	if a.ssl.HandshakeDone() {
		completed := a.state != HandshakeComplete
		a.state = HandshakeComplete
		a.deadline = time.Time{}
		a.stopTimer()
		if completed {
			a.returnBuffer()
			a.resumer.keep(a.ssl)
		}
	} else {
		a.startTimer()
	}
	if sent != nil {
		return a.fail(ErrUnderlyingSocket, op, "", sent)
	}
	return nil
}

// flush sends what is in out, all of it whatever happens, and returns the first error.
func (a *Association) flush(sock DatagramWriter) (first error) {
	for datagram := range a.out.All() {
		if _, err := sock.WriteToUDPAddrPort(datagram, a.peer); err != nil && first == nil {
			first = err
		}
	}
	a.out.Reset()
	return first
}

// HandleTimeout sends the last flight again if the retransmission timer is due, and
// reports whether it was. It is to be called when [Association.NextTimeout] says so;
// calling it more often does no harm. A complete handshake has no timer up to
// DTLS 1.2, and the answer is false. Errors: [ErrInvalidInputParameters] if sock is
// nil; [ErrInvalidOperation] in HandshakeNotStarted and PeerVerificationFailed;
// [ErrTLSFatal] when the handshake has taken too long, as for DoHandshake;
// [ErrUnderlyingSocket]. Corresponds to QDtls::handleTimeout.
func (a *Association) HandleTimeout(sock DatagramWriter) (bool, error) {
	const op = "handle timeout"
	if err := a.begin(op, HandshakeInProgress, HandshakeComplete); err != nil {
		return false, err
	}
	if sock == nil {
		return false, a.fail(ErrInvalidInputParameters, op, "the socket is nil", nil)
	}
	if a.expired() {
		return true, a.expire(op, sock)
	}
	due, err := a.ssl.HandleTimeout(a.out)
	return due, a.step(op, sock, err)
}

// NextTimeout returns when HandleTimeout is to be called, and false if no timer is
// running.
func (a *Association) NextTimeout() (time.Time, bool) {
	if a.ssl == nil || a.state == PeerVerificationFailed {
		return time.Time{}, false
	}
	due, running := a.ssl.Timeout()
	if !a.deadline.IsZero() && (!running || a.deadline.Before(due)) {
		return a.deadline, true
	}
	return due, running
}

// SetHandshakeTimeoutFunc sets a function that is called when HandleTimeout is due,
// on a goroutine of its own: it must not use the association but tell the goroutine
// that does. nil, the default, is for programs that ask NextTimeout. Corresponds to
// the signal QDtls::handshakeTimeout.
func (a *Association) SetHandshakeTimeoutFunc(f func()) {
	a.stopTimer()
	a.signal = f
	a.startTimer()
}

func (a *Association) startTimer() {
	if a.signal == nil {
		return
	}
	a.stopTimer()
	if due, running := a.NextTimeout(); running {
		a.timer = time.AfterFunc(time.Until(due), a.signal)
	}
}

func (a *Association) stopTimer() {
	if a.timer != nil {
		a.timer.Stop()
		a.timer = nil
	}
}

func (a *Association) expired() bool {
	return !a.deadline.IsZero() && !time.Now().Before(a.deadline)
}

// expire gives the handshake up because it took too long.
func (a *Association) expire(op string, sock DatagramWriter) error {
	_ = a.ssl.Abort(openssl.AlertUserCanceled, false, a.out)
	_ = a.flush(sock)
	a.reset()
	return a.fail(ErrTLSFatal, op, "the handshake took longer than "+a.config.handshakeTimeout().String(), os.ErrDeadlineExceeded)
}

// ResumeHandshake goes on after PeerVerificationFailed if every objection is one that
// IgnoreVerificationErrors has named; otherwise it fails with [ErrPeerVerification]
// and the state stays. Other errors: [ErrInvalidOperation] in any other state,
// [ErrInvalidInputParameters] if sock is nil, [ErrUnderlyingSocket]. Corresponds to
// QDtls::resumeHandshake.
func (a *Association) ResumeHandshake(sock DatagramWriter) error {
	const op = "resume handshake"
	if err := a.begin(op, PeerVerificationFailed); err != nil {
		return err
	}
	if sock == nil {
		return a.fail(ErrInvalidInputParameters, op, "the socket is nil", nil)
	}
	if a.objects() {
		return a.fail(ErrPeerVerification, op, "not ignored: "+a.firstObjection().Text, nil)
	}
	a.state = HandshakeInProgress
	return a.step(op, sock, nil)
}

// AbortHandshake gives the handshake up and tells the peer by a fatal alert: in
// PeerVerificationFailed the one for the first objection (close_notify on a client
// whose server has shown no certificate at all), in HandshakeInProgress
// user_canceled (or unexpected_message, where this side has sent its Finished). The
// association is then in HandshakeNotStarted and can be started anew. Errors:
// [ErrInvalidOperation] in any other state, [ErrInvalidInputParameters] if sock is
// nil, [ErrUnderlyingSocket]. Corresponds to QDtls::abortHandshake.
func (a *Association) AbortHandshake(sock DatagramWriter) error {
	const op = "abort handshake"
	if err := a.begin(op, HandshakeInProgress, PeerVerificationFailed); err != nil {
		return err
	}
	if sock == nil {
		return a.fail(ErrInvalidInputParameters, op, "the socket is nil", nil)
	}
	var err error
	switch {
	case a.state == HandshakeInProgress:
		err = a.ssl.Abort(openssl.AlertUserCanceled, false, a.out)
	case a.ssl.HandshakeDone() && (a.mode == ClientMode) != a.ssl.SessionReused():
		// Only the end has shown that there is no certificate: the peer, whose Finished came
		// last, is complete already and reads no alert of epoch 0.
		err = a.ssl.Shutdown(a.out)
	default:
		// What was held back is dropped: the peer still reads in epoch 0.
		a.out.Reset()
		err = a.ssl.Abort(a.firstObjection().alert(), true, a.out)
	}
	err = errors.Join(err, a.flush(sock))
	a.reset()
	a.verifyErrors, a.ignore = nil, nil
	if err != nil {
		return a.fail(ErrUnderlyingSocket, op, "", err)
	}
	return nil
}

// Shutdown sends close_notify and ends the association, which is then in
// HandshakeNotStarted and can be started anew. close_notify is not repeated if the
// network loses it. Errors: [ErrInvalidOperation] unless the association is
// encrypted, [ErrInvalidInputParameters] if sock is nil, [ErrUnderlyingSocket].
// Corresponds to QDtls::shutdown.
func (a *Association) Shutdown(sock DatagramWriter) error {
	const op = "shutdown"
	if err := a.begin(op, HandshakeComplete); err != nil {
		return err
	}
	if sock == nil {
		return a.fail(ErrInvalidInputParameters, op, "the socket is nil", nil)
	}
	err := errors.Join(a.ssl.Shutdown(a.out), a.flush(sock))
	a.reset()
	if err != nil {
		return a.fail(ErrUnderlyingSocket, op, "", err)
	}
	return nil
}
