package dtls

import "time"

// Limits bound what peers can make a [Listener] or a [Conn] hold. The zero value of
// each field means its default.
type Limits struct {
	// HalfOpen is how many connections of a listener may be in their handshake, or wait
	// to be accepted, at a time; 0 means [DefaultHalfOpen].
	HalfOpen int
	// HalfOpenPerAddress is the same for each IP address (an IPv6 address counts with its
	// /64); 0 means [DefaultHalfOpenPerAddress].
	HalfOpenPerAddress int
	// Connections is how many connections a listener may have; 0 means no limit.
	Connections int
	// ReceiveQueue is how many bytes of memory the datagrams have that wait for Read, for
	// each connection; 0 means [DefaultReceiveQueue]. A datagram counts with 2 KB, a larger
	// one, or several that came together, with the next power of two, up to 64 KB.
	ReceiveQueue int
}

// Defaults of the zero [Limits] and [Config].
const (
	DefaultHalfOpen           = 1024
	DefaultHalfOpenPerAddress = 128
	DefaultReceiveQueue       = 1 << 20
	DefaultIdleTimeout        = time.Hour
)

func orDefault(n, otherwise int) int {
	if n == 0 {
		return otherwise
	}
	return n
}

func (l Limits) halfOpen() int { return orDefault(l.HalfOpen, DefaultHalfOpen) }
func (l Limits) halfOpenPerAddress() int {
	return orDefault(l.HalfOpenPerAddress, DefaultHalfOpenPerAddress)
}
func (l Limits) receiveQueue() int { return orDefault(l.ReceiveQueue, DefaultReceiveQueue) }

func (l Limits) valid() bool {
	return l.HalfOpen >= 0 && l.HalfOpenPerAddress >= 0 && l.Connections >= 0 && l.ReceiveQueue >= 0
}

// idleTimeout returns 0 for none.
func (c *Config) idleTimeout() time.Duration {
	switch {
	case c.IdleTimeout == 0:
		return DefaultIdleTimeout
	case c.IdleTimeout < 0:
		return 0
	}
	return c.IdleTimeout
}

func (c *Config) mtu() int {
	if c.MTU == 0 {
		return DefaultMTUHint
	}
	return c.MTU
}
