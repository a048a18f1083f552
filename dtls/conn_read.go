package dtls

import (
	"context"
	"os"
)

// Read returns one datagram. If b is too short for it, its first bytes are there, the
// rest of that datagram is lost, and the error is a [*ShortBufferError] with its length.
// b is borrowed for the call.
func (c *Conn) Read(b []byte) (int, error) {
	into := batch{bufs: [][]byte{b}, sizes: make([]int, 1)}
	if err := c.readBatch(&into); err != nil {
		return 0, err
	}
	if n := into.sizes[0]; n > len(b) {
		return len(b), c.opError("read", &ShortBufferError{Length: n, Buffer: len(b)})
	}
	return into.sizes[0], nil
}

// ReadBatch waits for datagrams and returns those that are there, at least one and at most
// len(bufs): each in a buffer of its own, and its length in sizes, which must be as long as
// bufs. A length that is larger than the buffer says that the rest of that datagram is lost.
// One call for many datagrams costs less than one for each. bufs and sizes are borrowed for
// the call.
func (c *Conn) ReadBatch(bufs [][]byte, sizes []int) (int, error) {
	if len(bufs) == 0 || len(sizes) < len(bufs) {
		return 0, c.opError("read", &Error{Code: ErrInvalidInputParameters, Op: "read", Text: "there has to be a buffer, and a size for each"})
	}
	into := batch{bufs: bufs, sizes: sizes}
	err := c.readBatch(&into)
	return into.n, err
}

// batch is where datagrams that are read go.
type batch struct {
	bufs  [][]byte
	sizes []int
	n     int // how many there are
}

// readBatch waits for datagrams. There is no error if it has found any.
func (c *Conn) readBatch(into *batch) error {
	const op = "read"
	if err := c.handshake(context.Background(), op, &c.readDeadline, &c.readDeadline); err != nil {
		return err
	}
	for {
		if c.readDeadline.expired() {
			return c.opError(op, os.ErrDeadlineExceeded)
		}
		if c.something() {
			if err := c.read(into); into.n > 0 || err != nil {
				return err
			}
		}
		c.flushNow()
		if err := c.await(into); into.n > 0 || err != nil {
			return err
		}
	}
}

// await waits until there may be something to read. It reads the socket itself if nobody
// does, and then returns with what it has found.
func (c *Conn) await(into *batch) error {
	if c.pump.lend(c) {
		return c.readSocket(into)
	}
	c.waiting.Add(1)
	defer c.waiting.Add(-1)
	if err := c.read(into); into.n > 0 || err != nil { // that nobody was called for
		return err
	}
	select {
	case <-c.readable:
	case <-c.ended:
	case <-c.readDeadline.wait():
	}
	return nil
}

// readSocket reads the socket until it finds something, or has another reason to stop.
func (c *Conn) readSocket(into *batch) error {
	defer c.pump.giveBack()
	for {
		c.pump.asleep.Store(true) // from here on it has to be called
		if c.something() {
			if err := c.read(into); into.n > 0 || err != nil {
				return err
			}
		}
		if c.readDeadline.expired() {
			return nil
		}
		if !c.pump.turn() {
			return c.read(into)
		}
		c.pump.callWorkers()
	}
}

// something reports whether there may be something to read, or the end, without a lock.
func (c *Conn) something() bool { return c.stock.Load() || !c.in.empty() || !c.open.Load() }

// read takes what is there. Neither datagrams nor an error: nothing is.
func (c *Conn) read(into *batch) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return c.ending("read")
	}
	for into.n < len(into.bufs) && c.fill() {
		datagram := c.pending.At(c.next)
		c.next++
		into.sizes[into.n] = len(datagram)
		copy(into.bufs[into.n], datagram)
		into.n++
		c.letGo()
	}
	if into.n == 0 && c.phase == phaseEnded {
		return c.ending("read")
	}
	if into.n > 0 && (c.pending != nil || !c.in.empty()) {
		c.notify() // another reader may wait
	}
	return nil
}

// fill makes sure that a decrypted datagram is pending, if one can be had. It is called
// with mu held.
func (c *Conn) fill() bool {
	for c.pending == nil {
		p := c.in.pop()
		if p == nil {
			return false
		}
		c.decrypt(p.data, p.size)
		p.free()
	}
	return true
}

// letGo gives the buffer of what was pending back, once all of it has been read.
func (c *Conn) letGo() {
	if c.pending != nil && c.next == c.pending.Len() {
		decrypted.Put(c.pending)
		c.pending, c.next = nil, 0
		c.stock.Store(false)
	}
}

// notify calls a Read that waits, if there is one.
func (c *Conn) notify() {
	c.pump.kick(c)
	if c.waiting.Load() == 0 {
		return
	}
	c.pump.woken.Store(true)
	select {
	case c.readable <- struct{}{}:
	default:
	}
}
