package udpbatch

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// end is one end of an exchange, so that the same benchmark measures a *net.UDPConn.
type end interface {
	read() error
	answer(text []byte) error
}

type batchEnd struct {
	c *Conn
	p []Packet
}

func (e *batchEnd) read() error {
	_, err := e.c.ReadBatch(e.p)
	return err
}

func (e *batchEnd) answer(text []byte) error { return e.c.WriteTo(text, e.p[0].Peer, e.p[0].Local) }

// plainEnd neither knows nor says which address it answers from.
type plainEnd struct {
	c    *net.UDPConn
	buf  []byte
	peer netip.AddrPort
}

func (e *plainEnd) read() (err error) {
	_, e.peer, err = e.c.ReadFromUDPAddrPort(e.buf)
	return err
}

func (e *plainEnd) answer(text []byte) error {
	var err error
	if e.c.RemoteAddr() != nil {
		_, err = e.c.Write(text)
	} else {
		_, err = e.c.WriteToUDPAddrPort(text, e.peer)
	}
	return err
}

const benchSize = 200

// forEachEnd runs a benchmark with each kind of socket, ours and plain.
func forEachEnd(b *testing.B, run func(b *testing.B, e end, peer *net.UDPConn, to netip.AddrPort)) {
	for _, test := range exchanges {
		b.Run(test.name+"/ours", func(b *testing.B) {
			udp, peer, to := test.open(b)
			run(b, &batchEnd{c: newConn(b, udp), p: make([]Packet, 1)}, peer, to)
		})
		b.Run(test.name+"/plain", func(b *testing.B) {
			udp, peer, to := test.open(b)
			run(b, &plainEnd{c: udp, buf: make([]byte, maxDatagram)}, peer, to)
		})
	}
}

// BenchmarkRead is of datagrams that wait in the socket's buffer. Its ns/op leave out
// how they got there; stopping the timer for that would take longer than all the rest.
func BenchmarkRead(b *testing.B) {
	forEachEnd(b, func(b *testing.B, e end, peer *net.UDPConn, to netip.AddrPort) {
		const waiting = 64
		text := make([]byte, benchSize)
		var reading time.Duration
		b.ReportAllocs()
		for left := b.N; left > 0; left -= waiting {
			for range waiting {
				_, err := peer.WriteToUDPAddrPort(text, to)
				require.NoError(b, err)
			}
			start := time.Now()
			for range waiting {
				if err := e.read(); err != nil {
					b.Fatal(err)
				}
			}
			reading += time.Since(start)
		}
		reads := (b.N + waiting - 1) / waiting * waiting
		b.ReportMetric(float64(reading.Nanoseconds())/float64(reads), "ns/op")
	})
}

// BenchmarkWrite is of datagrams that nobody reads: the buffer of the peer is full.
func BenchmarkWrite(b *testing.B) {
	forEachEnd(b, func(b *testing.B, e end, peer *net.UDPConn, to netip.AddrPort) {
		text := make([]byte, benchSize)
		_, err := peer.WriteToUDPAddrPort(text, to)
		require.NoError(b, err)
		require.NoError(b, e.read())
		b.ReportAllocs()
		for b.Loop() {
			if err := e.answer(text); err != nil {
				b.Fatal(err)
			}
		}
	})
}
