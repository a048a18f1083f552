package dtls

import (
	"bytes"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/dgramtest"
	"github.com/ossldtls/ossldtls/internal/udpbatch"
)

// Whatever a stranger sends, or somebody in the name of a living peer: the listener
// answers a stranger with less than it got, and the living peer's connection goes on.
func FuzzListenerDatagram(f *testing.F) {
	clientCfg, serverCfg := pskConfigs()
	a, err := NewAssociation(ClientMode, clientCfg)
	require.NoError(f, err)
	var end dgramtest.End
	require.NoError(f, a.SetPeer(serverAddr, ""))
	require.NoError(f, a.DoHandshake(&end, nil))
	f.Add(end.Take()[0], true, uint16(0))
	require.NoError(f, a.Close())
	f.Add([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, false, uint16(0))
	f.Add([]byte{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40}, true, uint16(0))
	f.Add([]byte{23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 1, 1}, true, uint16(0))
	f.Add(bytes.Repeat([]byte{23, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0, 1, 1}, 9), true, uint16(14))

	network := dgramtest.NewNetwork(1)
	var answered atomic.Int64
	stranger := numbered(77)
	network.Tap(func(_, to netip.AddrPort, b []byte) {
		if to == stranger {
			answered.Add(int64(len(b)))
		}
	})
	l, err := NewListener(network.Listen(serverAddr), serverCfg)
	require.NoError(f, err)
	f.Cleanup(func() { _ = l.Close() })
	client, err := Client(network.Listen(clientAddr), l.Addr(), clientCfg)
	require.NoError(f, err)
	f.Cleanup(func() { _ = client.Close() })
	require.NoError(f, client.Handshake())
	server, err := l.Accept()
	require.NoError(f, err)
	buf := make([]byte, 100)
	f.Fuzz(func(t *testing.T, datagram []byte, known bool, size uint16) {
		peer := stranger
		if known {
			peer = clientAddr
		}
		answered.Store(0)
		if len(datagram) == 0 {
			return // sockets pass them over
		}
		p := &udpbatch.Packet{Data: datagram, Size: int(size), Peer: peer} // several, back to back
		if size == 0 {
			p.Size = len(datagram)
		}
		l.inlets[0].receive(p)
		require.LessOrEqual(t, answered.Load(), int64(len(datagram)))
		require.Zero(t, l.Stats().HalfOpen)
		_, err := client.Write([]byte("still there"))
		require.NoError(t, err)
		require.NoError(t, server.SetReadDeadline(time.Now().Add(patience)))
		n, err := server.Read(buf)
		require.NoError(t, err)
		require.Equal(t, "still there", string(buf[:n]))
	})
}
