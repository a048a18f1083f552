//go:build interop

package interop

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// front stands before two servers, as something that balances load would. What its
// client sends goes to the first server until that has answered with a
// HelloVerifyRequest, and to the second from then on. Both servers see the client at
// the same address.
type front struct {
	outer, inner  *net.UDPConn
	first, second netip.AddrPort
	client        atomic.Pointer[netip.AddrPort]
	asked         atomic.Bool          // the HelloVerifyRequest has passed
	tape          atomic.Pointer[tape] // nil: nobody wants to know
	serving       bool                 // ours is the server's side of the tape
}

func newFront(r *row, first, second netip.AddrPort) *front {
	r.Helper()
	return (&front{first: first, second: second}).start(r)
}

// newTap returns a front that only records what passes between a peer and a connection
// of ours, whose socket is its own. us says which side of it is ours.
func newTap(r *row, server netip.AddrPort, us dtls.Mode) *front {
	r.Helper()
	f := &front{first: server, second: server, serving: us == dtls.ServerMode}
	f.rewind(r)
	return f.start(r)
}

// rewind begins a new record, for the next connection.
func (f *front) rewind(r *row) { f.tape.Store(newTape(r, "between us and the peer")) }

func (f *front) start(r *row) *front {
	r.Helper()
	open := func() *net.UDPConn {
		conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(f.first.Addr(), 0)))
		require.NoError(r, err)
		return conn
	}
	f.outer, f.inner = open(), open()
	var running sync.WaitGroup
	running.Add(2)
	go func() { defer running.Done(); f.forward() }()
	go func() { defer running.Done(); f.back() }()
	r.Cleanup(func() {
		f.outer.Close()
		f.inner.Close()
		running.Wait()
	})
	return f
}

// addr is where the client finds the servers.
func (f *front) addr() netip.AddrPort { return f.outer.LocalAddr().(*net.UDPAddr).AddrPort() }

// peer is where the servers find the client.
func (f *front) peer() netip.AddrPort { return f.inner.LocalAddr().(*net.UDPAddr).AddrPort() }

func (f *front) forward() {
	buf := make([]byte, 1<<16)
	for {
		n, client, err := f.outer.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		f.client.Store(&client)
		server := f.first
		if f.asked.Load() {
			server = f.second
		}
		f.see(!f.serving, client, buf[:n])
		if _, err := f.inner.WriteToUDPAddrPort(buf[:n], server); err != nil {
			return
		}
	}
}

func (f *front) back() {
	buf := make([]byte, 1<<16)
	for {
		n, _, err := f.inner.ReadFromUDPAddrPort(buf)
		if err != nil {
			return
		}
		if kind, _ := helloCookie(buf[:n]); kind == helloVerifyRequest {
			f.asked.Store(true)
		}
		client := *f.client.Load()
		f.see(f.serving, client, buf[:n])
		if _, err := f.outer.WriteToUDPAddrPort(buf[:n], client); err != nil {
			return
		}
	}
}

func (f *front) see(out bool, client netip.AddrPort, datagram []byte) {
	peer := f.first
	if f.serving {
		peer = client
	}
	if t := f.tape.Load(); t != nil {
		t.add(out, peer, datagram)
	}
}
