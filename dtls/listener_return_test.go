package dtls

import (
	"fmt"
	"io"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/internal/dgramtest"
)

// A client restarts in mid-handshake: what it has left behind does not wait for the
// handshake's limit.
func TestClientRestartsInMidHandshake(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	one := byHandAt(t, network, clientAddr, clientCfg)
	one.send(one.hello())
	one.flight() // not sent
	for range 3 {
		two := byHandOn(t, one.sock, clientCfg)
		two.send(two.hello())
		two.awaitFlight()
		eventually(t, "only the last one counts", func() bool { return l.Stats().HalfOpen == 1 })
	}
	two := byHandOn(t, one.sock, clientCfg).shake()
	accepted := accept(t, l)
	two.send(two.data("restarted"))
	expect(t, accepted, "restarted")
	assert.Zero(t, l.Stats().HalfOpen)
	assert.Zero(t, l.Stats().HandshakesFailed, "nobody has failed")
}

// The same while a callback of the old handshake takes its time: neither this peer nor
// any other waits for it, and what was accepted is the listener's until the end.
func TestClientRestartsWhileACallbackWaits(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	waits, release := make(chan struct{}), make(chan struct{})
	first := make(chan struct{}, 1)
	first <- struct{}{}
	serverCfg.VerifyConnection = func(ConnectionState) error {
		select {
		case <-first:
			close(waits)
			<-release
		default:
		}
		return nil
	}
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	one := byHandAt(t, network, clientAddr, clientCfg)
	one.send(one.hello())
	one.send(one.flight()...)
	<-waits
	two := byHandOn(t, one.sock, clientCfg).shake()
	accepted := accept(t, l)
	connected(t, network, l, numbered(5), clientCfg)
	close(release)
	eventually(t, "the old handshake is gone", func() bool { return l.Stats().HalfOpen == 0 })
	two.send(two.data("restarted"))
	expect(t, accepted, "restarted")
	assert.Equal(t, 2, l.Stats().Open)
	require.NoError(t, l.Close())
	<-accepted.ended
	assert.Zero(t, l.Stats().Open)
}

// replayed starts a handshake in the name of a living peer, with its own cookie.
func replayed(t *testing.T, network *dgramtest.Network, l *Listener, hello []byte) {
	t.Helper()
	before := l.Stats().HalfOpen
	network.Send(clientAddr, serverAddr, another(hello))
	eventually(t, "half open", func() bool { return l.Stats().HalfOpen == before+1 })
}

// A cookie that is replayed with another random changes nothing for the living peer.
func TestReplayedCookie(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	t.Run("data and close_notify", func(t *testing.T) {
		network := dgramtest.NewNetwork(1)
		l := listenIn(t, network, serverCfg)
		c := byHandAt(t, network, clientAddr, clientCfg)
		hello := c.hello()
		c.send(hello)
		c.complete()
		accepted := accept(t, l)
		replayed(t, network, l, hello)
		for i := range 3 {
			c.send(c.data(fmt.Sprint("still there ", i)))
			expect(t, accepted, fmt.Sprint("still there ", i))
		}
		say(t, accepted, "and back")
		c.expect("and back")
		c.send(c.bye())
		expectEnd(t, accepted, io.EOF)
	})
	t.Run("repeated last flight", func(t *testing.T) {
		clientCfg := clientCfg.Clone()
		clientCfg.RetransmissionTimeout = MinRetransmissionTimeout
		network := dgramtest.NewNetwork(1)
		l := listenIn(t, network, serverCfg)
		c := byHandAt(t, network, clientAddr, clientCfg)
		hello := c.hello()
		c.send(hello)
		c.send(c.flight()...)
		accepted := accept(t, l)
		c.lose()
		replayed(t, network, l, hello)
		for c.a.HandshakeState() != HandshakeComplete {
			c.send(c.repeated()...)
			c.lostOrNot()
		}
		c.send(c.data("at last"))
		expect(t, accepted, "at last")
	})
	t.Run("the end of the old connection", func(t *testing.T) {
		network := dgramtest.NewNetwork(1)
		l := listenIn(t, network, serverCfg)
		c := byHandAt(t, network, clientAddr, clientCfg)
		hello := c.hello()
		c.send(hello)
		c.complete()
		accepted := accept(t, l)
		replayed(t, network, l, hello)
		c.awaitFlight()
		require.NoError(t, accepted.Close())
		two := byHandOn(t, c.sock, clientCfg).shake()
		accepted = accept(t, l)
		two.send(two.data("anew"))
		expect(t, accepted, "anew")
		assert.Zero(t, l.Stats().HalfOpen)
	})
}

// lostOrNot hears what the server repeats, up to its Finished. What is not for this
// client, the answer to a replayed hello, it drops.
func (b *byHand) lostOrNot() {
	b.t.Helper()
	for b.a.HandshakeState() != HandshakeComplete {
		datagram := b.next()
		require.NoError(b.t, b.a.DoHandshake(&b.out, datagram))
		b.send(b.out.Take()...)
		if holds(datagram, typeHandshake, 1) {
			return
		}
	}
}

// A hello of the connection before, that comes late, changes nothing.
func TestLateDuplicateOfAHello(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	one := byHandAt(t, network, clientAddr, clientCfg)
	hello := one.hello()
	one.send(hello)
	one.complete()
	accept(t, l)
	require.NoError(t, one.sock.Close())
	c, accepted := connected(t, network, l, clientAddr, clientCfg)
	network.Send(clientAddr, serverAddr, hello)
	eventually(t, "half open", func() bool { return l.Stats().HalfOpen == 1 })
	say(t, c, "still there")
	expect(t, accepted, "still there")
	require.NoError(t, c.Close())
	expectEnd(t, accepted, io.EOF)
}

// The old connection ends while its peer's next handshake is under way: that goes on.
func TestOldConnectionEndsMeanwhile(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	one := byHandAt(t, network, clientAddr, clientCfg).shake()
	old := accept(t, l)
	two := byHandOn(t, one.sock, clientCfg)
	two.send(two.hello())
	flight := two.flight()
	require.NoError(t, old.Close())
	assert.Equal(t, 1, l.Stats().HalfOpen)
	two.send(flight...)
	accepted := accept(t, l)
	two.complete()
	two.send(two.data("anew"))
	expect(t, accepted, "anew")
	assert.Zero(t, l.Stats().Replaced, "it had ended")
	assert.Equal(t, 1, l.Stats().Open)
}

// Close and Shutdown end the handshake of a peer that comes back, too.
func TestShutdownWhileAPeerComesBack(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	one := byHandAt(t, network, clientAddr, clientCfg).shake()
	old := accept(t, l)
	two := byHandOn(t, one.sock, clientCfg)
	two.send(two.hello())
	two.flight()
	done := make(chan error, 1)
	go func() { done <- l.Shutdown(soon(t)) }()
	two.awaitRecord(typeAlert, 0)
	one.send(one.data("still there"))
	expect(t, old, "still there")
	require.NoError(t, old.Close())
	within(t, "Shutdown", func() { assert.NoError(t, <-done) })
	assert.Zero(t, l.Stats().HalfOpen)
	assert.Zero(t, l.Stats().Open)
}

// Whoever comes back takes over without losing what it says first, and what it had said
// before can still be read.
func TestTakeover(t *testing.T) {
	const rounds = 10
	for _, how := range []string{"full", "resumed", "client certificates", "at the limit", "bad network"} {
		t.Run(how, func(t *testing.T) {
			clientCfg, serverCfg := connConfigs(t)
			network := dgramtest.NewNetwork(1)
			switch how {
			case "resumed":
				clientCfg.ClientSessionCache = NewLRUClientSessionCache(0)
			case "client certificates":
				clientCfg, serverCfg = mutual(t, certtest.NewCA(t, "root"))
				clientCfg.ServerName = "localhost"
			case "at the limit":
				serverCfg.Limits.Connections = 1
			case "bad network":
				clientCfg.RetransmissionTimeout, serverCfg.RetransmissionTimeout = MinRetransmissionTimeout, MinRetransmissionTimeout
			}
			l := listenIn(t, network, serverCfg)
			var old *Conn
			for i := range rounds {
				if how == "bad network" {
					network.SetFaults(dgramtest.Faults{Loss: 0.2, Duplicate: 0.2, Reorder: 0.2})
				}
				c := at(t, network, clientAddr, clientCfg)
				require.NoError(t, c.HandshakeContext(soon(t)), "round %d", i)
				network.SetFaults(dgramtest.Faults{})
				assert.Equal(t, how == "resumed" && i > 0, c.ConnectionState().DidResume)
				say(t, c, "first")
				accepted := accept(t, l)
				expect(t, accepted, "first")
				if old != nil {
					<-old.ended
					expect(t, old, "unread 0")
					expect(t, old, "unread 1")
					expectEnd(t, old, ErrReplaced)
				}
				say(t, c, "unread 0")
				say(t, c, "unread 1")
				vanish(c)
				old = accepted
			}
			assert.Equal(t, uint64(rounds-1), l.Stats().Replaced)
			assert.Equal(t, 1, l.Stats().Open)
		})
	}
}

// At Limits.Connections a stranger is not let in, and whoever comes back is.
func TestComesBackAtTheLimit(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	serverCfg.Limits.Connections = 1
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	c, old := connected(t, network, l, clientAddr, clientCfg)
	stranger := byHandAt(t, network, numbered(1), clientCfg)
	stranger.send(stranger.hello())
	eventually(t, "refused", func() bool { return l.Stats().DroppedLimit == 1 })
	vanish(c)
	c, accepted := connected(t, network, l, clientAddr, clientCfg)
	say(t, c, "back")
	expect(t, accepted, "back")
	expectEnd(t, old, ErrReplaced)
}

// Data and close_notify come before Accept: the program still gets both.
func TestEndBeforeAccept(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	silent := at(t, network, numbered(1), clientCfg)
	require.NoError(t, silent.HandshakeContext(soon(t)))
	require.NoError(t, silent.Close())
	eventually(t, "gone", func() bool { return l.Stats().HandshakesCompleted == 1 && l.Stats().Open == 0 })
	assert.Zero(t, l.Stats().HalfOpen, "nothing is to be read")

	c := at(t, network, numbered(2), clientCfg)
	require.NoError(t, c.HandshakeContext(soon(t)))
	say(t, c, "one")
	say(t, c, "two")
	require.NoError(t, c.Close())
	eventually(t, "gone", func() bool { return l.Stats().HandshakesCompleted == 2 && l.Stats().Open == 0 })
	assert.Equal(t, 1, l.Stats().HalfOpen, "it waits for Accept")
	accepted := accept(t, l)
	assert.Equal(t, numbered(2).String(), accepted.RemoteAddr().String())
	assert.Zero(t, l.Stats().HalfOpen)
	expect(t, accepted, "one")
	expect(t, accepted, "two")
	expectEnd(t, accepted, io.EOF)
}
