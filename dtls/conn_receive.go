package dtls

import (
	"errors"
	"io"
	"slices"
	"time"

	"github.com/ossldtls/ossldtls/internal/udpbatch"
	"github.com/ossldtls/ossldtls/openssl"
)

// socketFailed ends a connection whose own socket has ended.
func (c *Conn) socketFailed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.catchUp(nil)
	c.end(&Error{Code: ErrUnderlyingSocket, Op: "read", Err: err})
}

// passed notes an error of the socket's that is not the end. The next Write tells it, and
// a handshake that takes too long.
func (c *Conn) passed(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.late = err
}

// receive takes what has come from the peer, on the goroutine that reads the socket.
func (c *Conn) receive(p *udpbatch.Packet) {
	if p.Peer != c.peer {
		return
	}
	if c.open.Load() && allData(p) {
		c.keep(p)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for datagram := range slices.Chunk(p.Data, p.Size) {
		c.take(datagram)
	}
}

// take takes a datagram in any phase. It is called with mu held.
func (c *Conn) take(datagram []byte) {
	switch c.phase {
	case phaseNew:
		c.meet(datagram)
	case phaseShaking:
		c.step(datagram)
	case phaseOpen:
		c.catchUp(datagram)
	}
}

// keep puts what has arrived into the queue.
func (c *Conn) keep(p *udpbatch.Packet) {
	if c.readAtOnce(p) {
		return
	}
	if !c.in.push(p, 0) {
		c.drop(p.Count())
		return
	}
	c.notify()
}

// readAtOnce decrypts what has arrived for the Read that has the socket and waits for it.
// It reports false if something else comes first.
func (c *Conn) readAtOnce(p *udpbatch.Packet) bool {
	if c.pump.reader.Load() != c {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pending != nil || !c.in.empty() {
		return false
	}
	c.decrypt(p.Data, p.Size)
	return true
}

// drop counts datagrams for which there was no room.
func (c *Conn) drop(count int) {
	c.dropped.Add(uint64(count))
	if c.listener != nil {
		c.listener.counts.droppedQueue.Add(uint64(count))
		c.listener.note(c.peer, "dtls: datagram dropped: the queue is full")
	}
}

// meet verifies the address of the one peer of a server with a socket of its own. It is
// called with mu held.
func (c *Conn) meet(datagram []byte) {
	if _, ok := parseHello(datagram); !ok || c.mode != ServerMode {
		return
	}
	if c.config.DisableCookieVerification {
		c.greet(datagram)
		return
	}
	reply, verified, err := c.verify.Verify(nil, datagram, c.peer)
	if err == nil && len(reply) > 0 {
		c.late = c.sock.WriteTo(reply, c.peer, c.local)
	}
	if verified {
		c.key = c.verify.CookieKey()
		c.greet(datagram)
	}
}

// catchUp decrypts what has arrived in its order, and a datagram after it: handshake
// messages that are repeated and alerts do not wait until somebody reads. It is called
// with mu held.
func (c *Conn) catchUp(datagram []byte) {
	for c.phase == phaseOpen {
		p := c.in.pop()
		if p == nil {
			break
		}
		if isData(p.data) && c.full() {
			c.drop(p.count())
		} else {
			c.decrypt(p.data, p.size)
		}
		p.free()
	}
	if datagram != nil {
		c.decrypt(datagram, len(datagram))
	}
	c.notify()
}

// full reports whether more is pending already than the queue may hold: a peer must not
// fill the memory by what it has decrypted for it.
func (c *Conn) full() bool {
	return c.pending != nil && len(c.pending.Bytes())+pendingCost*c.pending.Len() >= c.in.capacity()
}

// pendingCost is what a decrypted datagram counts with beside its bytes, so that empty
// ones count too.
const pendingCost = 512

// decrypt decrypts a train of datagrams of size bytes, or what OpenSSL has kept if there
// is none, and does what comes of it. It is called with mu held.
func (c *Conn) decrypt(train []byte, size int) {
	if c.phase != phaseOpen {
		return
	}
	if c.pending == nil {
		c.pending = takeDatagrams(&decrypted)
		c.stock.Store(true)
	}
	var out openssl.Datagrams // hardly ever anything
	before := c.pending.Len()
	err := c.ssl.ReadTrain(train, size, c.pending, &out)
	c.heard = c.heard || c.pending.Len() > before
	c.letGo()
	closed := errors.Is(err, openssl.ErrZeroReturn)
	if closed {
		_ = c.ssl.Shutdown(&out) // RFC 5246 §7.2.1: answered by a close_notify
	}
	_ = c.send(&out)
	switch {
	case closed:
		c.end(io.EOF)
	case err != nil:
		c.end(c.failure("read", err))
	}
}

// idleRounds is how often the idle timer looks before it gives up: nothing has to be
// noted for every datagram but that there was one.
const idleRounds = 4

func (c *Conn) startIdle() {
	if c.listener != nil && c.phase == phaseOpen && c.listener.config.idleTimeout() > 0 {
		c.idle = time.AfterFunc(c.listener.config.idleTimeout()/idleRounds, c.onIdle)
	}
}

func (c *Conn) onIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != phaseOpen {
		return
	}
	c.catchUp(nil) // what waits in the queue may be the peer's, or anybody's
	if c.phase != phaseOpen {
		return
	}
	if c.heard {
		c.heard, c.quiet = false, 0
	} else if c.quiet++; c.quiet == idleRounds {
		c.farewell()
		c.end(ErrIdle)
		return
	}
	c.idle.Reset(c.listener.config.idleTimeout() / idleRounds)
}
