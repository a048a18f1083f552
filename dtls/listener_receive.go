package dtls

import (
	"net"
	"net/netip"
	"slices"

	"github.com/ossldtls/ossldtls/internal/udpbatch"
	"github.com/ossldtls/ossldtls/openssl"
)

// inListener is what a listener knows of its connection; its mu guards it.
type inListener struct {
	remote   remote
	random   [randomSize]byte // of the ClientHello that has begun it
	slot     bool             // counts as half open
	accepted bool             // the program has it
	task     task
}

// receiveLoop reads the socket until its end.
func (l *Listener) receiveLoop() {
	defer l.running.Done()
	packets := make([]udpbatch.Packet, 1)
	reply := make([]byte, 0, 512)
	for {
		n, err := l.sock.ReadBatch(packets)
		if err != nil && !udpbatch.Passing(err) {
			l.fail(err)
			return
		}
		for i := range packets[:n] {
			l.receive(&packets[i], &reply)
		}
	}
}

// fail ends the listener because its socket has ended.
func (l *Listener) fail(err error) {
	select {
	case <-l.done:
		return
	default:
	}
	err = &Error{Code: ErrUnderlyingSocket, Op: "accept", Err: err}
	l.failure.CompareAndSwap(nil, &err)
	_ = l.Close()
}

// receive finds out whom a datagram is for. Nothing in it is proven yet: it goes to
// somebody who can tell.
func (l *Listener) receive(p *udpbatch.Packet, reply *[]byte) {
	if _, _, ok := record(p.Data); !ok {
		l.counts.droppedUnknown.Add(1)
		return
	}
	who := remote{p.Peer, p.Local}
	l.mu.Lock()
	c, heir := l.conns[who], l.heirs[who]
	l.mu.Unlock()
	if c != nil && heir == nil && isData(p.Data) {
		c.deliver(p.Data)
		return
	}
	if h, ok := parseHello(p.Data); ok && (c == nil || c.random != h.random) && (heir == nil || heir.random != h.random) {
		l.stranger(who, h, p.Data, reply)
		return
	}
	switch {
	case c == nil:
		l.counts.droppedUnknown.Add(1)
	case heir != nil && !isData(p.Data):
		heir.deliver(p.Data)
	default:
		c.deliver(p.Data)
	}
}

// deliver puts a datagram into the connection's queue and calls whoever handles it.
func (c *Conn) deliver(datagram []byte) {
	if !c.in.push(datagram) {
		c.drop()
		return
	}
	if c.open.Load() && isData(datagram) && c.listener.handler.Load() == nil {
		c.notify()
		return
	}
	c.listener.work.add(c)
}

// stranger handles a ClientHello that is not one of a connection that there is.
func (l *Listener) stranger(who remote, h hello, datagram []byte, reply *[]byte) {
	if allow := l.config.OnConnectionAttempt; allow != nil && allow(net.UDPAddrFromAddrPort(who.peer)) != nil {
		l.counts.refused.Add(1)
		return
	}
	var key *openssl.CookieKey
	if l.verify != nil {
		answer, verified, err := l.verify.Verify((*reply)[:0], datagram, who.peer)
		if err != nil {
			l.counts.droppedUnknown.Add(1)
			return
		}
		*reply = answer
		if len(answer) > 0 {
			l.counts.cookiesSent.Add(1)
			_ = l.sock.WriteTo(answer, who.peer, who.local) // lost, as datagrams may be
		}
		if !verified {
			switch {
			case len(answer) == 0: // OpenSSL makes nothing of it
				l.counts.droppedUnknown.Add(1)
			case h.hasCookie:
				l.counts.cookiesRejected.Add(1)
			}
			return
		}
		key = l.key()
	}
	l.admit(who, h, datagram, key)
}

// admit makes a connection for a peer that has proven its address.
func (l *Listener) admit(who remote, h hello, datagram []byte, key *openssl.CookieKey) {
	l.mu.Lock()
	old := l.conns[who]
	if old != nil && old.open.Load() {
		old = l.heirs[who] // the newcomer waits beside the one that is complete
	}
	if !l.hasRoom(who, old) {
		l.mu.Unlock()
		l.counts.droppedLimit.Add(1)
		return
	}
	c := newConn(ServerMode, l.config, l.sock, who.peer, who.local)
	c.listener, c.remote, c.random, c.key, c.begun = l, who, h.random, key, true
	if current := l.conns[who]; current != nil && current != old {
		l.heirs[who] = c
	} else {
		l.conns[who] = c
	}
	c.slot = true
	l.half++
	l.perAddr[subnet(who.peer)]++
	l.mu.Unlock()
	c.in.push(datagram)
	l.work.add(c)
	if old != nil {
		old.abandon() // in a handshake that its peer does not go on with
	}
}

// hasRoom says whether the limits let one more in, in place of old if that is not nil.
func (l *Listener) hasRoom(who remote, old *Conn) bool {
	gone := 0
	if old != nil {
		gone = 1
	}
	limits := l.config.Limits
	return !l.closing && l.half-gone < limits.halfOpen() && l.perAddr[subnet(who.peer)]-gone < limits.halfOpenPerAddress() &&
		(limits.Connections == 0 || len(l.conns)+len(l.heirs)-gone < limits.Connections)
}

// subnet is what one peer is taken to be able to choose freely.
func subnet(peer netip.AddrPort) netip.Addr {
	addr := peer.Addr().Unmap().WithZone("")
	if addr.Is6() {
		prefix, _ := addr.Prefix(64)
		return prefix.Addr()
	}
	return addr
}

// release gives a connection's place among the half open back. It is called with mu held.
func (l *Listener) release(c *Conn) {
	c.accepted = true
	if !c.slot {
		return
	}
	c.slot = false
	l.half--
	addr := subnet(c.peer)
	if l.perAddr[addr]--; l.perAddr[addr] == 0 {
		delete(l.perAddr, addr)
	}
}

// completed is called by a connection whose handshake is complete, with its mu held.
func (l *Listener) completed(c *Conn) {
	l.counts.completed.Add(1)
	l.log(c, "dtls: connected")
	l.mu.Lock()
	l.open++
	var old *Conn
	if l.heirs[c.remote] == c {
		old = l.conns[c.remote]
		delete(l.heirs, c.remote)
		l.conns[c.remote] = c
	}
	switch {
	case l.closing:
	case l.handler.Load() != nil:
		l.release(c)
	default:
		l.ready = append(l.ready, c)
		l.wake()
	}
	l.mu.Unlock()
	if old != nil {
		l.counts.replaced.Add(1)
		go old.replaced()
	}
}

// gone is called by a connection that has ended, with its mu held.
func (l *Listener) gone(c *Conn, wasOpen bool) {
	if !wasOpen && !c.closed.Load() && c.err != errAbandoned {
		l.counts.failed.Add(1)
		l.logError(c, "dtls: handshake failed", c.err)
	} else if wasOpen {
		l.logError(c, "dtls: disconnected", c.err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.conns[c.remote] == c {
		delete(l.conns, c.remote)
		if heir := l.heirs[c.remote]; heir != nil {
			delete(l.heirs, c.remote)
			l.conns[c.remote] = heir
		}
	}
	if l.heirs[c.remote] == c {
		delete(l.heirs, c.remote)
	}
	if wasOpen {
		l.open--
	}
	// One that has left something to read is still accepted.
	if !c.accepted && c.pending == nil {
		l.ready = slices.DeleteFunc(l.ready, func(other *Conn) bool { return other == c })
		l.release(c)
	}
	l.leave()
	if l.handler.Load() != nil {
		l.work.add(c) // who tells the handler
	}
}
