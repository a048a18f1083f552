package udpbatch

import (
	"errors"
	"net"
	"os"
)

// Passing tells whether an error of ReadBatch or WriteTo is about one datagram or one
// moment, so that the socket is still good: a time-out, a full buffer, no route, a
// firewall's refusal, and everything that an ICMP message can cause, since anybody who
// guesses the ports can forge one. It is false for nil, net.ErrClosed, io.EOF and
// what is unknown, after which a reader should end. One that passes may be back at once:
// that of a deadline is, until the deadline is moved.
func Passing(err error) bool {
	if err == nil || errors.Is(err, net.ErrClosed) {
		return false
	}
	var ne net.Error
	if errors.As(err, &ne) && ne.Timeout() || errors.Is(err, os.ErrDeadlineExceeded) {
		return true
	}
	for _, is := range passing {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}
