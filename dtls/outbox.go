package dtls

import (
	"net"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/ossldtls/ossldtls/openssl"
)

// outbox holds the records of a connection that are on their way to its socket. A system
// call costs several times what encrypting a datagram does, and one call can send many of
// them (see internal/udpbatch). So a writer that is alone sends its datagram itself, at
// once. One that streams only appends: a train that is full it sends itself, and what is
// left over is sent by a goroutine that lives as long as there is something.
type outbox struct {
	mu      sync.Mutex         // before the connection's mu; the order of records is that of this lock
	filling *openssl.Datagrams // nil: nothing waits
	sending bool               // somebody is with the socket; nobody else goes there
	flusher bool               // the goroutine is alive
	late    error              // of what was only appended, that nobody has been told yet
	sent    chan struct{}      // closed when nobody is with the socket any more; nil if nobody waits for that
	last    time.Duration      // when the last Write was done, since the start of the program
	streak  int                // Writes in quick succession
}

// A train goes out when it has so many datagrams or bytes: what systems send in one call.
// Twice of it may wait while another one is sent.
const (
	trainDatagrams = 64
	trainBytes     = 60000
)

// A writer streams after streamAfter Writes in succession, each within streamGap of the
// last; those that follow within pauseGap count against it slowly.
const (
	streamAfter = 8
	streamGap   = 5 * time.Microsecond
	pauseGap    = 50 * time.Microsecond
)

var programStart = time.Now()

// streams notes a Write and reports whether it is one of a stream.
func (o *outbox) streams() bool {
	now := time.Since(programStart)
	switch gap := now - o.last; {
	case gap < streamGap:
		o.streak = min(o.streak+1, 2*streamAfter)
	case gap < pauseGap:
		o.streak = max(o.streak-streamAfter/2, 0)
	default:
		o.streak = 0
	}
	o.last = now
	return o.streak >= streamAfter
}

// yield lets others run: nothing else slows a writer down that streams, and those for whom
// its datagrams are need their time too.
func (o *outbox) yield() {
	runtime.Gosched()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = time.Since(programStart) // the wait was not the writer's
}

// trains returns how many full trains wait.
func (o *outbox) trains() int {
	if o.filling == nil {
		return 0
	}
	return max(o.filling.Len()/trainDatagrams, len(o.filling.Bytes())/trainBytes)
}

// post appends the record of a Write and sees to it that it is sent. It reports whether
// that has made a train full, after which others should have their turn. It is called with
// the outbox's mu held.
func (c *Conn) post(b []byte) (train bool, err error) {
	o := &c.out
	if err := c.append(b); err != nil {
		return false, err
	}
	streams := o.streams()
	switch {
	case o.sending: // and looks for more afterwards
		return o.trains() > 0, nil
	case streams && o.trains() == 0:
		c.flushSoon()
		return false, nil
	}
	err = c.shipAndSay()
	o.last = time.Since(programStart) // the time in the socket is none between Writes
	return streams, err
}

// postAll is post for datagrams that the caller has together: none of them waits for
// others to come. It returns how many have been handed to the socket.
func (c *Conn) postAll(datagrams [][]byte) (sent int, err error) {
	o := &c.out
	for i, b := range datagrams {
		switch {
		case c.writeDeadline.expired():
			err = c.opError("write", os.ErrDeadlineExceeded)
		default:
			err = c.sendable(b)
		}
		if err == nil {
			err = c.append(b)
		}
		switch {
		case err != nil:
			if o.filling != nil && !o.sending {
				c.shipLate()
			}
			return i, err
		case o.sending, o.trains() == 0 && i+1 < len(datagrams):
			continue
		}
		if err := c.shipAndSay(); err != nil {
			return i + 1, err
		}
	}
	return len(datagrams), nil
}

// append adds a record to what waits.
func (c *Conn) append(b []byte) error {
	o := &c.out
	if err := c.awaitRoom(); err != nil {
		return err
	}
	if c.closed.Load() { // Close sends what was there before it
		return c.opError("write", net.ErrClosed)
	}
	if late := o.late; late != nil {
		o.late = nil
		return c.unsent(late)
	}
	if o.filling == nil {
		o.filling = takeDatagrams(&outgoing)
	}
	return c.encrypt(b, o.filling)
}

// shipAndSay sends what waits and returns what the caller of Write is told about it.
func (c *Conn) shipAndSay() error {
	err := c.ship()
	if c.out.filling != nil {
		c.flushSoon() // others' go out in another goroutine's time
	}
	if err != nil {
		return c.unsent(err)
	}
	return nil
}

// awaitRoom waits while all is full, at most until the connection's end or its deadline.
func (c *Conn) awaitRoom() error {
	o := &c.out
	for o.sending && o.trains() >= 2 && c.open.Load() {
		if !c.awaitSent(c.writeDeadline.wait()) {
			return c.opError("write", os.ErrDeadlineExceeded)
		}
	}
	return nil
}

// awaitSent waits until nobody is with the socket, and reports false if something else
// ends the wait before. It is called with the outbox's mu held, which it gives up meanwhile.
func (c *Conn) awaitSent(before <-chan struct{}) bool {
	o := &c.out
	if o.sent == nil {
		o.sent = make(chan struct{})
	}
	sent := o.sent
	o.mu.Unlock()
	defer o.mu.Lock()
	select {
	case <-sent:
		return true
	case <-c.ended:
		return true
	case <-before:
		return false
	}
}

// ship sends what waits. It is called with the outbox's mu held, which it gives up
// meanwhile, and with nobody else at it.
func (c *Conn) ship() error {
	o := &c.out
	out := o.filling
	o.filling, o.sending = nil, true
	o.mu.Unlock()
	err := c.send(out)
	outgoing.Put(out)
	o.mu.Lock()
	o.sending = false
	if o.sent != nil {
		close(o.sent)
		o.sent = nil
	}
	return err
}

// flushSoon has what waits sent by another goroutine.
func (c *Conn) flushSoon() {
	if !c.out.flusher {
		c.out.flusher = true
		go c.flush()
	}
}

// flush sends what others have appended, until there is nothing.
func (c *Conn) flush() {
	o := &c.out
	for {
		runtime.Gosched() // more may come together, and who has sent so much is not the next
		o.mu.Lock()
		if o.filling == nil || o.sending { // whoever is sending comes back to it
			o.flusher = false
			o.mu.Unlock()
			return
		}
		c.shipLate()
		o.mu.Unlock()
	}
}

// shipLate sends what waits. What the socket has to say about it is for the next Write.
func (c *Conn) shipLate() {
	if err := c.ship(); err != nil {
		c.out.late = err
	}
}

// flushNow sends what waits before a Read waits: the answer may be to that, and who waits
// for answers does not stream.
func (c *Conn) flushNow() {
	o := &c.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.streak = 0
	if o.filling != nil && !o.sending {
		c.shipLate()
		if o.filling != nil {
			c.flushSoon()
		}
	}
}

// empty sends all that waits, and returns what nobody has been told yet. It is called with
// the outbox's mu held, by Close, after which nobody appends any more.
func (c *Conn) empty() (late error) {
	o := &c.out
	for (o.sending || o.filling != nil) && c.open.Load() {
		if o.sending {
			c.awaitSent(nil)
		} else {
			c.shipLate()
		}
	}
	late, o.late = o.late, nil
	return late
}
