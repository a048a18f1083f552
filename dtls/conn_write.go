package dtls

import (
	"context"
	"os"

	"github.com/ossldtls/ossldtls/openssl"
)

// Write sends b as one datagram and returns len(b), or 0 and an error. b must have 1 to
// [MaxPayload] bytes; whether it fits the path is the caller's business, see
// [Conn.MaxDatagramSize]. Where one Write follows another at once, datagrams go out
// together. An [ErrUnderlyingSocket] is the socket's word, also a late one
// about an earlier datagram: the connection goes on. b is borrowed for the call.
func (c *Conn) Write(b []byte) (int, error) {
	if err := c.readyToWrite(); err != nil {
		return 0, err
	}
	if err := c.sendable(b); err != nil {
		return 0, err
	}
	c.out.mu.Lock()
	train, err := c.post(b)
	c.out.mu.Unlock()
	if train {
		c.out.yield()
	}
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

// WriteBatch sends each of the datagrams, in their order, as [Conn.Write] does, and returns
// how many it has handed to the socket: all, or fewer and the reason. An [ErrUnderlyingSocket]
// is about one of these. It makes as few system calls as the system allows, fewest if the
// datagrams are of one length. They are borrowed for the call.
func (c *Conn) WriteBatch(datagrams [][]byte) (int, error) {
	if err := c.readyToWrite(); err != nil {
		return 0, err
	}
	c.out.mu.Lock()
	n, err := c.postAll(datagrams)
	c.out.mu.Unlock()
	if n >= trainDatagrams/2 {
		c.out.yield()
	}
	return n, err
}

// readyToWrite makes the handshake if need be.
func (c *Conn) readyToWrite() error {
	const op = "write"
	if err := c.handshake(context.Background(), op, &c.writeDeadline, &c.writeDeadline); err != nil {
		return err
	}
	if c.writeDeadline.expired() {
		return c.opError(op, os.ErrDeadlineExceeded)
	}
	return nil
}

// sendable says whether a datagram can be sent at all.
func (c *Conn) sendable(b []byte) error {
	switch {
	case len(b) == 0:
		return c.opError("write", &Error{Code: ErrInvalidInputParameters, Op: "write", Text: "OpenSSL cannot send an empty datagram"})
	case len(b) > MaxPayload:
		return c.opError("write", &Error{Code: ErrInvalidInputParameters, Op: "write", Text: "the datagram is longer than 16384 bytes"})
	}
	return nil
}

// unsent returns the error of a Write for the socket's. One that is closed says only that
// the connection has ended meanwhile.
func (c *Conn) unsent(err error) error {
	const op = "write"
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase == phaseEnded {
		return c.ending(op)
	}
	return c.opError(op, &Error{Code: ErrUnderlyingSocket, Op: op, Err: err})
}

func (c *Conn) encrypt(b []byte, out *openssl.Datagrams) error {
	const op = "write"
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.phase != phaseOpen {
		return c.ending(op)
	}
	if late := c.late; late != nil {
		c.late = nil
		return c.opError(op, &Error{Code: ErrUnderlyingSocket, Op: op, Err: late})
	}
	if err := c.ssl.Write(b, out); err != nil {
		c.end(c.failure(op, err))
		return c.ending(op)
	}
	return nil
}

// send sends what an operation had to say, all of it, and returns the first error.
func (c *Conn) send(out *openssl.Datagrams) error {
	if out.Len() == 0 {
		return nil
	}
	return c.sock.WriteBatch(out.Bytes(), out.Ends(), c.peer, c.local)
}
