package dtls

import "errors"

// Handler is what [Listener.Serve] calls. Its functions are called by a few goroutines
// of the listener, for each connection one at a time and in order: Opened, Datagram …,
// Closed. A function that takes long keeps a goroutine busy which others need.
type Handler struct {
	// Datagram gets what a peer has sent. The slice is borrowed: it is good until the
	// function returns. To answer is to call c.Write.
	Datagram func(c *Conn, datagram []byte)
	// Opened is called when a handshake is complete. nil is for nobody who wants to know.
	Opened func(c *Conn)
	// Closed is called when a connection has ended, with the reason: io.EOF after the
	// peer's close_notify, net.ErrClosed after Close. nil is for nobody who wants to know.
	Closed func(c *Conn, err error)
}

// Serve hands every datagram of every peer to the handler, without a goroutine for
// each connection, until Close or Shutdown. Then it returns an error that net.ErrClosed
// matches, or that of the socket. Connections are the handler's, but for those that
// Accept has returned before: Accept returns none from now on, and their Read must not be
// called. It fails with
// [ErrInvalidOperation] if it is called twice, and with [ErrInvalidInputParameters]
// without a function for datagrams.
func (l *Listener) Serve(handler Handler) error {
	const op = "serve"
	if handler.Datagram == nil {
		return l.opError(op, &Error{Code: ErrInvalidInputParameters, Op: op, Text: "Handler.Datagram is nil"})
	}
	if l.served.Swap(true) {
		return l.opError(op, &Error{Code: ErrInvalidOperation, Op: op, Text: "Serve was called before"})
	}
	l.handler.Store(&handler)
	for c := l.next(false); c != nil; c = l.next(false) { // complete already
		c.inlet.work.add(c)
	}
	<-l.leaving
	return l.opError(op, l.reason())
}

// turn is how many datagrams a connection may have handled before it is another's turn.
const turn = 32

// serve is a worker's turn with a connection. It reports whether more is to be done.
func (c *Conn) serve() (more bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.phase == phaseNew || c.phase == phaseShaking {
		if c.stale.Load() {
			c.end(errAbandoned)
			return false
		}
		p := c.in.pop()
		if p == nil {
			return false
		}
		for datagram := range p.datagrams() {
			c.advance(datagram)
		}
		p.free()
	}
	switch {
	case !c.handled():
		c.catchUp(nil)
		return false
	case !c.state.complete:
		return false // it has failed
	}
	return c.attend(c.listener.handler.Load())
}

// advance takes a datagram of a handshake, or what comes together with its end. It is
// called with mu held.
func (c *Conn) advance(datagram []byte) {
	switch c.phase {
	case phaseNew:
		c.greet(datagram)
	case phaseShaking:
		c.step(datagram)
	case phaseOpen:
		c.decrypt(datagram, len(datagram))
	}
}

// attend lets a handler have its turn. It is called with mu held.
func (c *Conn) attend(handler *Handler) (more bool) {
	if !c.opened {
		c.opened = true
		c.call(func() {
			if handler.Opened != nil {
				handler.Opened(c)
			}
		})
	}
	for range turn {
		if !c.fill() {
			break
		}
		c.hand(handler)
	}
	if !c.in.empty() || c.pending != nil {
		return true
	}
	if c.phase == phaseEnded && !c.told {
		c.told = true
		err := c.err
		c.call(func() {
			if handler.Closed != nil {
				handler.Closed(c, err)
			}
		})
	}
	return false
}

// hand gives what is decrypted to the handler. Both are called with mu held, which the
// handler does without: it may write and close.
func (c *Conn) hand(handler *Handler) {
	pending, first := c.pending, c.next
	c.pending, c.next = nil, 0
	c.stock.Store(false)
	c.call(func() {
		for i := first; i < pending.Len() && !c.closed.Load(); i++ {
			handler.Datagram(c, pending.At(i))
		}
	})
	decrypted.Put(pending)
}

func (c *Conn) call(f func()) {
	c.mu.Unlock()
	defer c.mu.Lock()
	f()
}

var errAbandoned = errors.New("dtls: the peer has begun another handshake")

// replaced ends a connection whose peer has made another one.
func (c *Conn) replaced() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.catchUp(nil) // what has arrived is not lost
	c.end(ErrReplaced)
}
