package dtls

import (
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// Peers spread over the sockets, and each connection stays with its own: none is lost or
// mixed up, limits and counts are those of the listener as a whole, and all ends together.
func TestSeveralSockets(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	serverCfg.Sockets = 4
	const peers = 40
	serverCfg.Limits.Connections = peers
	l, err := Listen("udp4", "127.0.0.1:0", serverCfg)
	require.NoError(t, err)
	defer l.Close()
	require.Len(t, l.inlets, 4)
	var closed atomic.Int32
	served := make(chan error, 1)
	go func() {
		served <- l.Serve(Handler{
			Datagram: func(c *Conn, datagram []byte) { _, _ = c.Write(datagram) },
			Closed:   func(*Conn, error) { closed.Add(1) },
		})
	}()
	clients := make([]*Conn, peers)
	each(peers, func(i int) {
		clients[i] = dialed(t, l, clientCfg)
		for n := range 50 {
			echoes(t, clients[i], fmt.Sprint(i, n))
		}
	})
	eventually(t, "open", func() bool { return l.Stats().Open == peers })
	busy := 0
	for _, in := range l.inlets {
		in.mu.Lock()
		if len(in.conns) > 0 {
			busy++
		}
		in.mu.Unlock()
	}
	assert.Greater(t, busy, 1, "the system spreads forty peers over four sockets")
	l.mu.Lock()
	assert.Equal(t, peers, l.count())
	l.mu.Unlock()

	another, err := net.Dial("udp4", l.Addr().String())
	require.NoError(t, err)
	c, err := Client(another.(*net.UDPConn), another.RemoteAddr(), clientCfg)
	require.NoError(t, err)
	defer c.Close()
	c.begin()
	eventually(t, "the limit is that of all sockets", func() bool { return l.Stats().DroppedLimit > 0 })

	shut := make(chan error, 1)
	go func() { shut <- l.Shutdown(soon(t)) }()
	var closing sync.WaitGroup
	for _, c := range clients {
		goes(&closing, func() { _ = c.Close() })
	}
	closing.Wait()
	require.NoError(t, <-shut)
	assert.ErrorIs(t, <-served, net.ErrClosed)
	assert.Equal(t, int32(peers), closed.Load())
}

func TestSocketsThatCannotBeHad(t *testing.T) {
	_, serverCfg := pskConfigs()
	taken, err := net.ListenPacket("udp4", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	serverCfg.Sockets = 2
	_, err = Listen("udp4", taken.LocalAddr().String(), serverCfg)
	require.ErrorContains(t, err, "address already in use")
	serverCfg = serverCfg.Clone()
	assert.Equal(t, 2, serverCfg.Sockets)
	serverCfg.Sockets = -1
	_, err = Listen("udp4", "127.0.0.1:0", serverCfg)
	require.ErrorContains(t, err, "Sockets")
}

// A listener with several sockets gets a port that nobody else has, also none of its own kind.
func TestSocketsDoNotShareAPort(t *testing.T) {
	_, serverCfg := pskConfigs()
	serverCfg.Sockets = 2
	first, err := Listen("udp4", "127.0.0.1:0", serverCfg)
	require.NoError(t, err)
	defer first.Close()
	_, err = Listen("udp4", first.Addr().String(), serverCfg)
	require.ErrorContains(t, err, "address already in use")
}

// A socket for which Client has failed is as it was.
func TestClientThatFailsLeavesTheSocketAlone(t *testing.T) {
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	defer pc.Close()
	raw, err := pc.SyscallConn()
	require.NoError(t, err)
	peer := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9}
	for _, bad := range []func() (*Conn, error){
		func() (*Conn, error) { return Client(pc, &net.UDPAddr{}, nil) },
		func() (*Conn, error) { return Client(pc, peer, &Config{MTU: -1}) },
		func() (*Conn, error) { return Server(pc, peer, nil) },
	} {
		_, err := bad()
		require.Error(t, err)
		require.NoError(t, raw.Control(func(fd uintptr) {
			joins, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_GRO)
			assert.NoError(t, err)
			assert.Zero(t, joins, "UDP_GRO")
		}))
	}
}
