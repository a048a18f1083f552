package dtls

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/dgramtest"
)

// A queue that nobody reads is full: the peer's close_notify gets through, after what
// was there before it.
func TestCloseNotifyComesThroughAFullQueue(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	const room = 4
	serverCfg.Limits.ReceiveQueue = room * smallPacket
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	c, accepted := connected(t, network, l, clientAddr, clientCfg)
	for i := range 10 {
		say(t, c, fmt.Sprint(i))
	}
	require.NoError(t, c.Close())
	<-accepted.ended
	for i := range room {
		expect(t, accepted, fmt.Sprint(i))
	}
	expectEnd(t, accepted, io.EOF)
	assert.Equal(t, uint64(10-room), accepted.DatagramsDropped())
	assert.Equal(t, uint64(10-room), l.Stats().DroppedQueue)
}

// The queue is full of what pretends to be data: a client that has lost the end of its
// handshake still gets it again.
func TestLastFlightIsRepeatedWhileTheQueueIsFull(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	clientCfg.RetransmissionTimeout = MinRetransmissionTimeout
	serverCfg.Limits.ReceiveQueue = 2 * smallPacket
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	c := byHandAt(t, network, clientAddr, clientCfg)
	c.send(c.hello())
	c.send(c.flight()...)
	accepted := accept(t, l)
	c.lose()
	for c.a.HandshakeState() != HandshakeComplete {
		before := accepted.DatagramsDropped()
		for i := range 10 {
			network.Send(clientAddr, serverAddr, forged(typeData, i))
		}
		eventually(t, "full", func() bool { return accepted.DatagramsDropped() > before })
		c.send(c.repeated()...)
		c.lostOrNot()
	}
	c.send(c.data("at last"))
	expect(t, accepted, "at last")
}

// What comes in one datagram with the end of the handshake is not lost, with a listener
// and with a socket of its own.
func TestDataWithTheEndOfTheHandshake(t *testing.T) {
	for _, how := range []string{"Listener", "Server"} {
		t.Run(how, func(t *testing.T) {
			clientCfg, serverCfg := connConfigs(t)
			clientCfg.ClientSessionCache = NewLRUClientSessionCache(0)
			network := dgramtest.NewNetwork(1)
			var open func() *Conn
			if how == "Listener" {
				l := listenIn(t, network, serverCfg)
				open = func() *Conn { return accept(t, l) }
			}
			for _, resumed := range []bool{false, true} {
				if how == "Server" {
					sock := network.Listen(serverAddr)
					server, err := Server(sock, netUDP(clientAddr), serverCfg)
					require.NoError(t, err)
					server.begin()
					defer func() { _ = server.Close() }()
					open = func() *Conn {
						require.NoError(t, server.HandshakeContext(soon(t)))
						return server
					}
				}
				c := byHandAt(t, network, clientAddr, clientCfg)
				c.send(c.hello())
				if !resumed {
					c.complete()
					first := open()
					c.send(c.bye())
					_ = first.Close()
					_ = c.sock.Close()
					continue
				}
				last := c.flight() // with the client's Finished, which is the end
				require.Equal(t, HandshakeComplete, c.a.HandshakeState())
				require.True(t, c.a.SessionResumed())
				c.send(together(append(last, c.data("one"), c.data("two"))...))
				server := open()
				expect(t, server, "one")
				expect(t, server, "two")
				c.send(together(c.data("three"), c.bye()))
				expect(t, server, "three")
				expectEnd(t, server, io.EOF)
			}
		})
	}
}

// A close_notify is answered by one, RFC 5246 §7.2.1.
func TestCloseNotifyIsAnswered(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	c := byHandAt(t, network, clientAddr, clientCfg).shake()
	accepted := accept(t, l)
	c.send(c.bye())
	c.awaitRecord(typeAlert, 1)
	expectEnd(t, accepted, io.EOF)
}
