// Package dgramtest has networks in memory for tests. An [End] stands for a socket and
// holds what was sent with it until the test takes it, after a script that may lose,
// repeat and change datagrams: nothing moves by itself, so a test runs the same every
// time. A [Network] has sockets that block, for what runs on goroutines of its own.
package dgramtest

import (
	"bytes"
	"net/netip"
)

// End collects what one side sends. It is a DatagramWriter.
type End struct {
	sent  [][]byte
	Count int // datagrams sent so far
	Bytes int // and their bytes
	Max   int // size of the largest
	// Fail, unless nil, is what the socket answers instead of sending.
	Fail error
	// Script, unless nil, says what the network makes of datagram number n (from 0): nil
	// loses it, a list of several repeats it.
	Script func(n int, datagram []byte) [][]byte
}

// WriteToUDPAddrPort takes a copy of the datagram.
func (e *End) WriteToUDPAddrPort(datagram []byte, _ netip.AddrPort) (int, error) {
	if e.Fail != nil {
		return 0, e.Fail
	}
	n := e.Count
	e.Count++
	e.Bytes += len(datagram)
	e.Max = max(e.Max, len(datagram))
	carried := [][]byte{bytes.Clone(datagram)}
	if e.Script != nil {
		carried = e.Script(n, carried[0])
	}
	e.sent = append(e.sent, carried...)
	return len(datagram), nil
}

// Take returns what was sent since the last Take, in its order.
func (e *End) Take() [][]byte {
	sent := e.sent
	e.sent = nil
	return sent
}
