package dtls

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ossldtls/ossldtls/openssl"
)

// begin makes a client send its ClientHello and a server wait for one, unless that has
// been done.
func (c *Conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != phaseNew || c.begun {
		return
	}
	c.begun = true
	c.startDeadline()
	if c.mode == ClientMode {
		if err := c.start(); err != nil {
			c.end(&Error{Code: ErrTLSInitialization, Op: "handshake", Err: err})
			return
		}
		c.step(nil)
	} else {
		c.arm()
	}
	if c.listener == nil && c.phase != phaseEnded {
		go c.receiveOwn()
	}
}

func (c *Conn) startDeadline() {
	if d := c.config.handshakeTimeout(); d > 0 {
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
		name = cmp.Or(c.config.ServerName, c.name, c.peer.Addr().WithZone("").String())
	}
	c.resumer = newResumer(c.mode, c.config, name, c.peer)
	ssl, err := openssl.NewSSL(ctx, c.config.PSK)
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
	if c.config.GetConfigForClient != nil {
		c.hellos = append(c.hellos, append([]byte(nil), datagram...))
	}
	if c.config.DisableCookieVerification {
		c.step(datagram)
		return
	}
	if !c.listen(datagram) {
		c.end(&Error{Code: ErrTLSFatal, Op: "handshake", Text: "a ClientHello with a valid cookie was expected"})
		return
	}
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
	if c.hellos != nil && datagram != nil && len(c.hellos) < maxHellos {
		c.hellos = append(c.hellos, append([]byte(nil), datagram...))
	}
	out := takeDatagrams(&outgoing)
	defer outgoing.Put(out)
	_, err := c.ssl.DoHandshake(datagram, out)
	c.stepped(out, err)
}

// maxHellos bounds what is kept of a ClientHello in fragments.
const maxHellos = 16

func (c *Conn) stepped(out *openssl.Datagrams, err error) {
	if lines := c.ssl.TakeKeyLog(); lines != nil {
		_, _ = c.config.KeyLogWriter.Write(lines)
	}
	if info, paused := c.ssl.ClientHello(); err == nil && paused {
		_ = c.send(out)
		c.choose(info)
		return
	}
	if err == nil && !c.asked && c.ssl.Protected() {
		c.asked = true
		if alert, refused := c.ask(); refused != nil {
			// What was held back is dropped: the peer still reads in epoch 0.
			out.Reset()
			_ = c.ssl.Abort(alert, true, out)
			_ = c.send(out)
			c.end(refusal(ErrPeerVerification, alert, refused))
			return
		}
	}
	if sent := c.send(out); sent != nil {
		c.late = sent
	}
	switch {
	case err != nil:
		c.end(c.failure("handshake", err))
	case c.ssl.HandshakeDone():
		c.complete()
	default:
		c.arm()
	}
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
	return openssl.AlertBadCertificate, c.config.VerifyConnection(c.state.public())
}

// choose asks the program for the Config of this client and goes on with it.
func (c *Conn) choose(info openssl.ClientHello) {
	if c.chosen { // the chosen Config would like to choose too
		c.step(nil)
		return
	}
	c.chosen = true
	cfg, err := c.config.GetConfigForClient(&ClientHelloInfo{
		ServerName: info.ServerName, SupportedProtos: info.ALPNProtos, RemoteAddr: c.RemoteAddr(), LocalAddr: c.LocalAddr(),
	})
	hellos := c.hellos
	c.hellos = nil
	if err == nil && cfg != nil && cfg != c.config {
		err = c.startOver(cfg, hellos)
	} else if err == nil {
		c.step(nil)
	}
	if err != nil {
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
	if !before.DisableCookieVerification {
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
	c.phase, c.late = phaseOpen, nil
	c.state.take(c.ssl)
	c.state.complete = true
	c.resumer.keep(c.ssl)
	c.in.setLimit(c.config.Limits.receiveQueue())
	c.open.Store(true)
	close(c.shaken)
	if c.listener != nil {
		c.listener.completed(c)
	}
	c.startIdle()
	c.decrypt(nil) // what came with the end of the handshake
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
	if c.ssl != nil {
		c.ssl.Close()
		c.ssl = nil
	}
	c.hellos = nil
	c.in.close()
	c.readDeadline.stop() // nobody waits any more
	c.writeDeadline.stop()
	if !wasOpen {
		c.resumer.forget()
		close(c.shaken)
	}
	close(c.ended)
	if c.listener != nil {
		c.listener.gone(c, wasOpen)
		return
	}
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
		text := "the handshake took longer than " + c.config.handshakeTimeout().String()
		if c.late != nil {
			text += "; the socket's last error was: " + c.late.Error()
		}
		c.end(&Error{Code: ErrTLSFatal, Op: "handshake", Text: text, Err: os.ErrDeadlineExceeded})
	case c.ssl != nil:
		out := takeDatagrams(&outgoing)
		defer outgoing.Put(out)
		_, err := c.ssl.HandleTimeout(out)
		c.stepped(out, err)
	default:
		c.arm()
	}
}

// giveUp ends a handshake for a reason of the caller's.
func (c *Conn) giveUp(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == phaseNew || c.phase == phaseShaking {
		c.farewell()
		c.end(err)
	}
}
