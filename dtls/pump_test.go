package dtls

import (
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/dgramtest"
	"github.com/ossldtls/ossldtls/internal/udpbatch"
)

// reading has a Read of c's in the socket, and returns what comes of it.
func reading(t testing.TB, from, c *Conn) <-chan error {
	t.Helper()
	for {
		result := make(chan error, 1)
		go func() {
			_, err := c.Read(make([]byte, 100))
			result <- err
		}()
		has := func() bool { return c.pump.reader.Load() == c && c.pump.asleep.Load() }
		eventually(t, "the Read waits", func() bool { return has() || c.waiting.Load() > 0 })
		if has() {
			return result
		}
		say(t, from, "the pump has the socket, and leaves it after a while")
		require.NoError(t, <-result)
	}
}

// Whatever ends a Read that waits ends one that has the socket.
func TestReadThatHasTheSocketEnds(t *testing.T) {
	for name, test := range map[string]struct {
		cause func(t *testing.T, client, server *Conn)
		check func(t *testing.T, err error)
	}{
		"data": {
			func(t *testing.T, client, _ *Conn) { say(t, client, "x") },
			func(t *testing.T, err error) { assert.NoError(t, err) },
		},
		"a deadline that comes": {
			func(t *testing.T, _, server *Conn) {
				require.NoError(t, server.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
			},
			func(t *testing.T, err error) { requireTimeout(t, err) },
		},
		"a deadline that is over": {
			func(t *testing.T, _, server *Conn) { require.NoError(t, server.SetReadDeadline(time.Unix(1, 0))) },
			func(t *testing.T, err error) { requireTimeout(t, err) },
		},
		"Close": {
			func(t *testing.T, _, server *Conn) { require.NoError(t, server.Close()) },
			func(t *testing.T, err error) { assert.ErrorIs(t, err, net.ErrClosed) },
		},
		"the peer's Close": {
			func(t *testing.T, client, _ *Conn) { require.NoError(t, client.Close()) },
			func(t *testing.T, err error) { assert.EqualError(t, err, "EOF") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			clientCfg, serverCfg := pskConfigs()
			network := dgramtest.NewNetwork(1)
			l := listenIn(t, network, serverCfg)
			client, server := connected(t, network, l, clientAddr, clientCfg)
			result := reading(t, client, server)
			test.cause(t, client, server)
			select {
			case err := <-result:
				test.check(t, err)
			case <-time.After(patience):
				require.FailNow(t, "it goes on waiting")
			}
			// Others are served as before.
			another, accepted := connected(t, network, l, numbered(7), clientCfg)
			say(t, another, "another")
			expect(t, accepted, "another")
		})
	}
}

// A Read that has the socket hands on what is for others, and when it has returned and
// nobody reads, somebody does it all the same.
func TestOthersAreServedByWhoReads(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	client, server := connected(t, network, l, clientAddr, clientCfg)
	result := reading(t, client, server)
	for i := range 3 {
		another, accepted := connected(t, network, l, numbered(10+i), clientCfg)
		say(t, another, "to another")
		expect(t, accepted, "to another")
	}
	require.Same(t, server, server.pump.reader.Load(), "it is still the one")
	say(t, client, "to itself")
	require.NoError(t, <-result)
	for i := range 3 { // nobody reads now
		another, accepted := connected(t, network, l, numbered(20+i), clientCfg)
		say(t, another, "afterwards")
		eventually(t, "it waits to be read", func() bool {
			accepted.mu.Lock()
			defer accepted.mu.Unlock()
			return accepted.pending != nil || !accepted.in.empty()
		})
	}
}

// Of several Reads that wait each gets its datagram, also while one has the socket.
func TestReadsThatWaitTogether(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	client, server := connected(t, network, l, clientAddr, clientCfg)
	result := reading(t, client, server)
	say(t, client, "it begins with one that has the socket")
	require.NoError(t, <-result)
	for round := range 20 {
		const readers = 5
		var mu sync.Mutex
		got := map[string]bool{}
		var running sync.WaitGroup
		for range readers {
			goes(&running, func() {
				buf := make([]byte, 100)
				_ = server.SetReadDeadline(time.Now().Add(patience))
				n, err := server.Read(buf)
				if assert.NoError(t, err) {
					mu.Lock()
					defer mu.Unlock()
					got[string(buf[:n])] = true
				}
			})
		}
		for i := range readers {
			say(t, client, fmt.Sprint(round, i))
		}
		within(t, "every Read gets one", running.Wait)
		assert.Len(t, got, readers)
	}
}

// What others have taken from the socket before a Read has it is not overlooked: here it
// is decrypted when a handshake message is repeated.
func TestReadLooksBeforeItWaits(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	client, server := connected(t, network, l, clientAddr, clientCfg)
	result := reading(t, client, server)
	var out, plain = takeDatagrams(&outgoing), "pushed by hand"
	client.mu.Lock()
	require.NoError(t, client.ssl.Write([]byte(plain), out))
	client.mu.Unlock()
	server.mu.Lock()
	server.catchUp(out.At(0)) // as a timer of the listener's may
	server.mu.Unlock()
	select {
	case err := <-result:
		require.NoError(t, err)
	case <-time.After(patience):
		require.FailNow(t, "nobody has called it")
	}
}

func interruptibleSocket(t testing.TB) *udpbatch.Conn {
	t.Helper()
	sock, err := udpbatch.New(dgramtest.NewNetwork(1).Listen(serverAddr))
	require.NoError(t, err)
	t.Cleanup(func() { _ = sock.Close() })
	require.True(t, sock.Interruptible())
	return sock
}

// A pump whose Reads are slow does not leave the socket to them again and again.
func TestPumpStaysWithTheSocket(t *testing.T) {
	p := &pump{penalty: 3}
	p.stay = 2
	p.sock = interruptibleSocket(t)
	for range 2 {
		p.woken.Store(true)
		assert.False(t, p.leaves())
	}
	p.woken.Store(true)
	p.holder = heldByPump
	assert.True(t, p.leaves())
	assert.Equal(t, heldByNobody, p.holder)
	p.stop()
}

// A handler that waits, on the goroutine that has read its datagram or on any other, keeps
// nobody else waiting: neither who is known nor who is new.
func TestHandlerThatWaits(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	waiting, release := make(chan struct{}), make(chan struct{})
	go func() {
		_ = l.Serve(Handler{Datagram: func(c *Conn, datagram []byte) {
			if string(datagram) == "wait" {
				waiting <- struct{}{}
				<-release
			}
			_, _ = c.Write(datagram)
		}})
	}()
	known := at(t, network, numbered(1), clientCfg)
	require.NoError(t, known.HandshakeContext(soon(t)))
	echoes(t, known, "known")
	var slow []*Conn
	for i := range minWorkers - 1 {
		c := at(t, network, numbered(10+i), clientCfg)
		require.NoError(t, c.HandshakeContext(soon(t)))
		slow = append(slow, c)
		say(t, c, "wait")
		<-waiting
		echoes(t, known, "still there")
		another := at(t, network, numbered(20+i), clientCfg)
		require.NoError(t, another.HandshakeContext(soon(t)))
		echoes(t, another, "new")
	}
	close(release)
	for _, c := range slow {
		expect(t, c, "wait")
	}
}

// A program that sets deadlines on the listener's own socket does not take a Read's from it.
func TestDeadlinesOfTheProgram(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	client, server := connected(t, network, l, clientAddr, clientCfg)
	for range 20 {
		require.NoError(t, server.SetReadDeadline(time.Time{}))
		result := reading(t, client, server)
		server.pump.mu.Lock() // the kick comes, and is taken back before anybody has heard of it
		server.pump.kicked = true
		server.pump.mu.Unlock()
		require.NoError(t, server.SetReadDeadline(time.Unix(1, 0)))
		_ = server.sock.SetReadDeadline(time.Now().Add(time.Hour))
		select {
		case err := <-result:
			requireTimeout(t, err)
		case <-time.After(patience):
			require.FailNow(t, "its deadline is over")
		}
	}
}

// A pump that waits holds nothing of what has come before.
func TestWaitingPumpHoldsNoMemory(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	l := loopback(t, serverCfg)
	c := dialed(t, l, clientCfg)
	server := accept(t, l)
	say(t, c, "there")
	expect(t, server, "there")
	say(t, server, "and back")
	expect(t, c, "and back")
	require.NoError(t, c.Close())
	require.NoError(t, l.Close())
	for _, p := range []*pump{c.pump, server.pump} {
		p.running.Wait()
		p.mu.Lock()
		assert.Zero(t, p.packets)
		p.mu.Unlock()
	}
}
