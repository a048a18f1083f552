package dtls

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ossldtls/ossldtls/openssl"
)

// begin makes a client send its ClientHello and a server wait for one, unless that has
// been done. It waits for nothing: the socket, and the program's functions, may take
// their time.
func (c *Conn) begin() {
	if !c.begun.Swap(true) {
		go c.run()
	}
}

// run begins the handshake of a connection whose socket is its own.
func (c *Conn) run() {
	c.mu.Lock()
	if c.phase == phaseNew {
		c.startDeadline()
		c.arm()
		if c.mode == ClientMode {
			c.startClient()
		}
	}
	ended := c.phase == phaseEnded
	c.mu.Unlock()
	if !ended {
		c.pump.start()
	}
}

func (c *Conn) startClient() {
	if err := c.start(); err != nil {
		c.end(&Error{Code: ErrTLSInitialization, Op: "handshake", Err: err})
		return
	}
	c.step(nil)
}

// outside runs a function of the program's without the lock, so that nobody else has to
// wait for it. The SSL is in use meanwhile: see busy.
func (c *Conn) outside(f func()) {
	c.busy = true
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.busy = false
		if c.owes {
			c.listener.settle(c)
		}
	}()
	if c.listener != nil {
		c.inlet.work.lend()
		defer c.inlet.work.giveBack()
	}
	f()
}

// psk asks the program for a pre-shared key, in the middle of an operation of OpenSSL's.
func (c *Conn) psk() openssl.PSKFunc {
	ask := c.config.PSK
	if ask == nil {
		return nil
	}
	return func(psk *openssl.PSK) (err error) {
		c.outside(func() { err = ask(psk) })
		if c.phase == phaseEnded {
			return errEndedMeanwhile
		}
		return err
	}
}

var errEndedMeanwhile = errors.New("dtls: the connection has ended meanwhile")

func (c *Conn) startDeadline() {
	if d := c.base.handshakeTimeout(); d > 0 {
		c.deadline = time.Now().Add(d)
	}
}

// start makes the SSL. It is called with mu held.
func (c *Conn) start() error {
	ctx, err := c.config.context(c.mode, conns)
	if err != nil {
		return err
	}
	name := ""
	if c.mode == ClientMode {
		name = hostName(cmp.Or(c.config.ServerName, c.name, c.peer.Addr().WithZone("").String()))
	}
	c.resumer = newResumer(c.mode, c.config, name, c.peer)
	ssl, err := openssl.NewSSL(ctx, c.psk())
	if err != nil {
		return err
	}
	headers := ipUDPHeaders(c.peer.Addr())
	usable := c.config.mtu() - headers - headroom
	ssl.SetMTU(usable, min(usable, fallbackMTU-headers-headroom), headers)
	if d := c.config.RetransmissionTimeout; d > 0 {
		ssl.SetRetransmissionTimeout(d)
	}
	if name != "" {
		if err := ssl.SetPeerName(name); err != nil {
			ssl.Close()
			return err
		}
	}
	c.resumer.offer(ssl)
	c.ssl, c.phase = ssl, phaseShaking
	if c.deadline.IsZero() {
		c.startDeadline()
	}
	return nil
}

// greet starts a server with a hello whose cookie is right, or, where cookies are not
// verified, with any hello. It is called with mu held.
func (c *Conn) greet(datagram []byte) {
	if err := c.start(); err != nil {
		c.end(&Error{Code: ErrTLSInitialization, Op: "handshake", Err: err})
		return
	}
	c.arm() // the limit of the handshake holds from now on
	if c.config.DisableCookieVerification {
		c.step(datagram)
		return
	}
	if !c.listen(datagram) {
		c.end(&Error{Code: ErrTLSFatal, Op: "handshake", Text: "a ClientHello with a valid cookie was expected"})
		return
	}
	c.remember(datagram)
	c.step(nil)
}

// listen gives the verified hello to OpenSSL, once more with its cookie checked.
func (c *Conn) listen(datagram []byte) bool {
	out := takeDatagrams(&outgoing)
	defer outgoing.Put(out) // what it would answer is the verifier's business
	verified, err := c.ssl.Listen(c.key, c.peer, datagram, out)
	return err == nil && verified
}

// step gives OpenSSL a datagram of the handshake, or nil to begin or to go on, and does
// what comes of it. It is called with mu held.
func (c *Conn) step(datagram []byte) {
	if datagram != nil {
		c.remember(datagram)
	}
	if c.phase == phaseEnded {
		return
	}
	out := takeDatagrams(&outgoing)
	defer outgoing.Put(out)
	ssl := c.ssl
	_, err := ssl.DoHandshake(datagram, out)
	c.stepped(ssl, out, err)
}

// remember keeps the datagrams of a ClientHello until GetConfigForClient has answered.
func (c *Conn) remember(datagram []byte) {
	if c.config.GetConfigForClient == nil || c.chosen {
		return
	}
	if c.helloSize += len(datagram); c.helloSize > maxHello {
		c.end(&Error{Code: ErrTLSFatal, Op: "handshake", Text: "the ClientHello is too long"})
		return
	}
	c.hellos = append(c.hellos, bytes.Clone(datagram))
}

// maxHello bounds a ClientHello with the headers of its fragments, in bytes.
const maxHello = 48 << 10

// stepped does what comes of an operation with the SSL. It is called with mu held.
func (c *Conn) stepped(ssl *openssl.SSL, out *openssl.Datagrams, err error) {
	if c.phase == phaseEnded { // while a function of the program's was asked
		c.lastWord(ssl, out)
		return
	}
	if lines := ssl.TakeKeyLog(); lines != nil {
		_, _ = c.config.KeyLogWriter.Write(lines)
	}
	if info, paused := ssl.ClientHello(); err == nil && paused {
		_ = c.send(out)
		c.choose(info)
		return
	}
	if err == nil && !c.asked && ssl.Protected() {
		c.asked = true
		alert, refused := c.ask()
		if c.phase == phaseEnded {
			out.Reset()
			c.lastWord(ssl, out)
			return
		}
		if refused != nil {
			// What was held back is dropped: the peer still reads in epoch 0.
			out.Reset()
			_ = ssl.Abort(alert, true, out)
			_ = c.send(out)
			c.end(refusal(ErrPeerVerification, alert, refused))
			return
		}
	}
	if err == nil && ssl.HandshakeDone() {
		c.in.setLimit(c.base.Limits.receiveQueue()) // the peer may send data as soon as it has this
	}
	if sent := c.send(out); sent != nil {
		c.late = sent
	}
	switch {
	case err != nil:
		c.end(c.failure("handshake", err))
	case ssl.HandshakeDone():
		c.complete()
	default:
		c.arm()
	}
}

// lastWord tells the peer that the connection has ended while a function of the program's
// was called, which kept everybody else from doing it, and frees the SSL.
func (c *Conn) lastWord(ssl *openssl.SSL, out *openssl.Datagrams) {
	_ = ssl.Abort(openssl.AlertUserCanceled, true, out)
	_ = c.send(out) // the socket may have gone
	ssl.Close()
}

// ask asks the program whether this peer is welcome, before this side's Finished goes
// out, and returns the alert for one that is not. It is called with mu held.
func (c *Conn) ask() (Alert, error) {
	if c.config.policy(c.mode, conns).require && !c.ssl.PeerAuthenticated() {
		return openssl.AlertHandshakeFailure, VerificationError{Code: NoPeerCertificate, Text: "the peer has shown no certificate"}
	}
	if c.config.VerifyConnection == nil {
		return 0, nil
	}
	c.state.take(c.ssl)
	state := c.state.public()
	var err error
	c.outside(func() { err = c.config.VerifyConnection(state) })
	return openssl.AlertBadCertificate, err
}

// choose asks the program for the Config of this client and goes on with it.
func (c *Conn) choose(info openssl.ClientHello) {
	if c.chosen { // the chosen Config would like to choose too
		c.step(nil)
		return
	}
	c.chosen = true
	var cfg *Config
	var err error
	ssl, ask := c.ssl, c.config.GetConfigForClient
	c.outside(func() {
		cfg, err = ask(&ClientHelloInfo{
			ServerName: info.ServerName, SupportedProtos: info.ALPNProtos, RemoteAddr: c.RemoteAddr(), LocalAddr: c.LocalAddr(),
		})
	})
	if c.phase == phaseEnded {
		out := takeDatagrams(&outgoing)
		defer outgoing.Put(out)
		c.lastWord(ssl, out)
		return
	}
	hellos := c.hellos
	c.hellos = nil
	if err == nil && cfg != nil && cfg != c.config {
		err = c.startOver(cfg, hellos)
	} else if err == nil {
		c.step(nil)
	}
	if err != nil && c.phase != phaseEnded {
		out := takeDatagrams(&outgoing)
		defer outgoing.Put(out)
		_ = c.ssl.Abort(alertInternalError, true, out)
		_ = c.send(out)
		c.end(refusal(ErrTLSFatal, alertInternalError, fmt.Errorf("GetConfigForClient: %w", err)))
	}
}

const alertInternalError Alert = 80

// startOver starts with another Config and the datagrams that came so far. If that is
// not possible, all stays as it is.
func (c *Conn) startOver(cfg *Config, hellos [][]byte) error {
	before, old := c.config, c.ssl
	c.config = cfg
	if err := c.start(); err != nil {
		c.config = before
		return err
	}
	old.Close()
	if !c.base.DisableCookieVerification {
		if !c.listen(hellos[0]) {
			return errors.New("the ClientHello is not accepted any more")
		}
		hellos[0] = nil // OpenSSL has kept it
	}
	for _, datagram := range hellos {
		if c.phase == phaseShaking {
			c.step(datagram)
		}
	}
	return nil
}

// complete ends the handshake. It is called with mu held.
func (c *Conn) complete() {
	c.stopTimer()
	if c.listener != nil && !c.listener.enter(c) {
		c.end(errAbandoned)
		return
	}
	c.phase, c.late = phaseOpen, nil
	c.state.take(c.ssl)
	c.state.complete = true
	c.resumer.keep(c.ssl)
	c.open.Store(true) // also for one without a listener
	close(c.shaken)
	c.startIdle()
	c.decrypt(nil, 0) // what came with the end of the handshake
	if c.listener != nil {
		c.listener.announce(c)
	}
	c.notify()
}

// end ends the connection; only the first error counts. It is called with mu held.
func (c *Conn) end(err error) {
	if c.phase == phaseEnded {
		return
	}
	wasOpen := c.phase == phaseOpen
	c.phase, c.err = phaseEnded, err
	c.open.Store(false)
	c.stopTimer()
	if c.idle != nil {
		c.idle.Stop()
	}
	if c.ssl != nil && !c.busy { // or whoever uses it closes it
		c.ssl.Close()
	}
	c.ssl = nil
	c.hellos = nil
	c.in.close()
	c.readDeadline.stop() // nobody waits any more
	c.writeDeadline.stop()
	if !wasOpen {
		c.resumer.forget()
		close(c.shaken)
	}
	close(c.ended)
	c.kick()
	if c.listener != nil {
		c.listener.gone(c, wasOpen)
		return
	}
	c.pump.stop()
	if c.verify != nil {
		_ = c.verify.Close() // its key stays good
	}
	_ = c.sock.Close()
}

// arm sets the timer of the handshake. It is called with mu held.
func (c *Conn) arm() {
	due := c.deadline
	if c.ssl != nil {
		if t, running := c.ssl.Timeout(); running && (due.IsZero() || t.Before(due)) {
			due = t
		}
	}
	switch {
	case due.IsZero():
		c.stopTimer()
	case c.timer == nil:
		c.timer = time.AfterFunc(time.Until(due), c.onTimer)
	default:
		c.timer.Reset(time.Until(due))
	}
}

func (c *Conn) stopTimer() {
	if c.timer != nil {
		c.timer.Stop()
		c.timer = nil
	}
}

// onTimer sends the last flight again, or gives the handshake up.
func (c *Conn) onTimer() {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.phase != phaseNew && c.phase != phaseShaking:
	case !c.deadline.IsZero() && !time.Now().Before(c.deadline):
		c.farewell()
		text := "the handshake took longer than " + c.base.handshakeTimeout().String()
		if c.late != nil {
			text += "; the socket's last error was: " + c.late.Error()
		}
		c.end(&Error{Code: ErrTLSFatal, Op: "handshake", Text: text, Err: os.ErrDeadlineExceeded})
	case c.busy:
		if !c.deadline.IsZero() { // flights have to wait, the end does not
			c.timer.Reset(time.Until(c.deadline))
		}
	case c.ssl != nil:
		out := takeDatagrams(&outgoing)
		defer outgoing.Put(out)
		ssl := c.ssl
		_, err := ssl.HandleTimeout(out)
		c.stepped(ssl, out, err)
	default:
		c.arm()
	}
}

// giveUp ends a handshake for a reason of the caller's.
func (c *Conn) giveUp(err error) {
	defer c.hurry()()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == phaseNew || c.phase == phaseShaking {
		c.farewell()
		c.end(err)
	}
}

// hurry keeps a socket that waits from delaying the end of its connection: after a while
// it is closed. The function that it returns says that nothing waits any more.
func (c *Conn) hurry() (done func()) {
	if c.listener != nil {
		return func() {}
	}
	_ = c.sock.SetWriteDeadline(time.Now().Add(closeGrace))
	timer := time.AfterFunc(2*closeGrace, func() { _ = c.sock.Close() })
	return func() {
		timer.Stop()
		select {
		case <-c.ended:
		default: // it has not come to that
			_ = c.sock.SetWriteDeadline(time.Time{})
		}
	}
}

const closeGrace = time.Second

// hostName returns a name as certificates have it: without the dot that ends a name that
// is not relative.
func hostName(name string) string { return strings.TrimSuffix(name, ".") }
