package dtls

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ossldtls/ossldtls/internal/udpbatch"
	"github.com/ossldtls/ossldtls/openssl"
)

// inListener is what a listener knows of its connection; its mu guards it.
type inListener struct {
	inlet    *inlet
	taken    atomic.Bool      // Accept has returned it: a handler leaves it alone
	stale    atomic.Bool      // the peer has begun another handshake
	random   [randomSize]byte // of the ClientHello that has begun it
	slot     bool             // counts as half open
	accepted bool             // the program has it
	entered  bool             // its handshake is complete
	owes     bool             // its place among the half open, when a function of the program's returns
	task     task
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

// receive finds out whom a packet is for. Nothing in it is proven yet: it goes to
// somebody who can tell.
func (in *inlet) receive(p *udpbatch.Packet) {
	who := remote{p.Peer, p.Local}
	c, heir := in.find(who)
	if c != nil && heir == nil && allData(p) {
		c.deliver(p)
		return
	}
	for datagram := range slices.Chunk(p.Data, p.Size) {
		in.receiveOne(who, &udpbatch.Packet{Data: datagram, Size: len(datagram), Peer: p.Peer, Local: p.Local})
	}
}

// find returns the connection with a peer, and the one that is to take its place.
func (in *inlet) find(who remote) (c, heir *Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.conns[who], in.heirs[who]
}

// receiveOne does what receive does, with one datagram that is not simply data of one
// connection.
func (in *inlet) receiveOne(who remote, p *udpbatch.Packet) {
	l := in.listener
	if _, _, ok := record(p.Data); !ok {
		l.dropUnknown(p.Peer)
		return
	}
	c, heir := in.find(who)
	if h, ok := parseHello(p.Data); ok && (c == nil || c.random != h.random) && (heir == nil || heir.random != h.random) {
		in.stranger(who, h, p.Data)
		return
	}
	if c == nil {
		l.dropUnknown(p.Peer)
		return
	}
	// Whose it is only the keys can tell: each of the two drops what is not its own.
	c.deliver(p)
	if heir != nil {
		heir.deliver(p)
	}
}

// deliver puts what has arrived into the connection's queue and calls whoever handles it.
// Handshake messages and alerts have a reserve there, so that a queue which nobody
// reads does not keep them out.
func (c *Conn) deliver(p *udpbatch.Packet) {
	data := isData(p.Data)
	if data && c.readAtOnce(p) {
		return
	}
	more := 0
	if !data {
		more = reserve
	}
	if !c.in.push(p, more) {
		c.drop(p.Count())
		return
	}
	switch {
	case !data || !c.open.Load():
		c.inlet.work.add(c)
	case c.handled():
		c.inlet.work.addQuietly(c)
	default:
		c.notify()
	}
}

// handled reports whether a handler gets the connection's datagrams.
func (c *Conn) handled() bool { return c.listener.handler.Load() != nil && !c.taken.Load() }

// replies has buffers for HelloVerifyRequests.
var replies = sync.Pool{New: func() any { return new([512]byte) }}

// stranger handles a ClientHello that is not one of a connection that there is.
func (in *inlet) stranger(who remote, h hello, datagram []byte) {
	l := in.listener
	if allow := l.config.OnConnectionAttempt; allow != nil && allow(net.UDPAddrFromAddrPort(who.peer)) != nil {
		l.counts.refused.Add(1)
		l.note(who.peer, "dtls: attempt refused")
		return
	}
	var key *openssl.CookieKey
	if l.verify != nil {
		reply := replies.Get().(*[512]byte)
		defer replies.Put(reply)
		answer, verified, err := l.verify.Verify(reply[:0], datagram, who.peer)
		if err != nil {
			l.dropUnknown(who.peer)
			return
		}
		if len(answer) > 0 {
			l.counts.cookiesSent.Add(1)
			l.note(who.peer, "dtls: cookie sent")
			_ = in.sock.WriteTo(answer, who.peer, who.local) // lost, as datagrams may be
		}
		if !verified {
			switch {
			case len(answer) == 0: // OpenSSL makes nothing of it
				l.dropUnknown(who.peer)
			case h.hasCookie:
				l.counts.cookiesRejected.Add(1)
				l.note(who.peer, "dtls: cookie rejected")
			}
			return
		}
		key = l.key()
	}
	in.admit(who, h, datagram, key)
}

// admit makes a connection for a peer that has proven its address.
func (in *inlet) admit(who remote, h hello, datagram []byte, key *openssl.CookieKey) {
	l := in.listener
	l.mu.Lock()
	current, old := in.conns[who], in.heirs[who]
	if old == nil && current != nil && !current.entered {
		old, current = current, nil
	}
	// Now old is a handshake that its peer does not go on with, and current a connection
	// that is complete, beside which the newcomer waits.
	if !in.hasRoom(who, old) {
		l.mu.Unlock()
		l.counts.droppedLimit.Add(1)
		l.note(who.peer, "dtls: no place for it within the limits")
		return
	}
	c := newConn(ServerMode, l.config, in.sock, who.peer, who.local)
	c.pump, c.inlet = &in.pump, in
	c.listener, c.random, c.key = l, h.random, key
	c.begun.Store(true)
	in.mu.Lock()
	if current != nil {
		in.heirs[who] = c
	} else {
		in.conns[who] = c
	}
	in.mu.Unlock()
	if old != nil {
		old.stale.Store(true)
		l.parting[old] = struct{}{}
	}
	c.slot = true
	l.half++
	l.perAddr[subnet(who.peer)]++
	l.mu.Unlock()
	c.in.push(&udpbatch.Packet{Data: datagram, Size: len(datagram)}, 0)
	in.work.add(c)
	if old != nil {
		in.work.add(old) // who ends it
	}
}

// hasRoom says whether the limits let one more in, in place of old if that is not nil. It
// is called with the listener's mu held.
func (in *inlet) hasRoom(who remote, old *Conn) bool {
	l := in.listener
	gone := 0
	if old != nil && old.slot {
		gone = 1
	}
	limits := l.config.Limits
	// One that comes back takes the place of its old connection.
	known := in.conns[who] != nil
	return !l.closing && l.half-gone < limits.halfOpen() && l.perAddr[subnet(who.peer)]-gone < limits.halfOpenPerAddress() &&
		(limits.Connections == 0 || known || l.count() < limits.Connections)
}

// count returns how many connections there are, complete or not. It is called with mu held.
func (l *Listener) count() (n int) {
	for _, in := range l.inlets {
		n += len(in.conns)
	}
	return n
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

// settle gives the place back of a connection that has ended while a function of the
// program's was called for it. It is called with the connection's mu held.
func (l *Listener) settle(c *Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c.owes = false
	l.release(c)
}

// enter is called by a connection whose handshake is complete, with its mu held. It
// reports false if the peer has begun another one in its place.
func (l *Listener) enter(c *Conn) bool {
	in := c.inlet
	l.mu.Lock()
	defer l.mu.Unlock()
	in.mu.Lock()
	defer in.mu.Unlock()
	switch {
	case in.heirs[c.remote()] == c:
		if old := in.conns[c.remote()]; old != nil {
			l.counts.replaced.Add(1)
			l.parting[old] = struct{}{}
			go old.replaced()
		}
		delete(in.heirs, c.remote())
		in.conns[c.remote()] = c
	case in.conns[c.remote()] != c:
		return false
	}
	l.open++
	c.entered = true
	c.open.Store(true) // before anybody can ask for its place
	l.counts.completed.Add(1)
	return true
}

// announce gives a connection that is complete to whoever waits for it.
func (l *Listener) announce(c *Conn) {
	l.log(c, "dtls: connected")
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.closing:
	case l.handler.Load() != nil:
		l.release(c)
	case c.phase == phaseOpen || c.pending != nil:
		l.ready = append(l.ready, c)
		l.wake()
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
	c.inlet.forget(c)
	delete(l.parting, c)
	if wasOpen {
		l.open--
	}
	// One that has left something to read is still accepted.
	if !c.accepted && c.pending == nil {
		l.ready = slices.DeleteFunc(l.ready, func(other *Conn) bool { return other == c })
		if c.owes = c.busy; !c.owes {
			l.release(c)
		}
	}
	l.leave()
	if l.handler.Load() != nil {
		c.inlet.work.add(c) // who tells the handler
	}
}

// remote returns what a connection is found by.
func (c *Conn) remote() remote { return remote{c.peer, c.local} }

// forget takes a connection out. It is called with the listener's mu held.
func (in *inlet) forget(c *Conn) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.conns[c.remote()] == c {
		delete(in.conns, c.remote())
		if heir := in.heirs[c.remote()]; heir != nil {
			delete(in.heirs, c.remote())
			in.conns[c.remote()] = heir
		}
	}
	if in.heirs[c.remote()] == c {
		delete(in.heirs, c.remote())
	}
}
