package dtls

import (
	"encoding/binary"
	"errors"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gate is a socket whose WriteTo waits while it is shut, and fails as it is told.
type gate struct {
	net.PacketConn
	mu    sync.Mutex
	moved *sync.Cond
	shut  bool
	in    int // writes that wait
	err   error
}

func newGate(pc net.PacketConn) *gate {
	g := &gate{PacketConn: pc}
	g.moved = sync.NewCond(&g.mu)
	return g
}

func (g *gate) WriteTo(b []byte, addr net.Addr) (int, error) {
	g.mu.Lock()
	g.in++
	g.moved.Broadcast()
	for g.shut {
		g.moved.Wait()
	}
	g.in--
	err := g.err
	g.mu.Unlock()
	if err != nil {
		return 0, err
	}
	return g.PacketConn.WriteTo(b, addr)
}

func (g *gate) set(shut bool, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.err = shut, err
	g.moved.Broadcast()
}

// awaitWriter waits until a write waits at the gate.
func (g *gate) awaitWriter() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.in == 0 {
		g.moved.Wait()
	}
}

// gated returns a connection whose client's socket is a gate.
func gated(t *testing.T) (client, server *Conn, g *gate) {
	t.Helper()
	clientCfg, serverCfg := pskConfigs()
	client, server, network := connPair(t, clientCfg, serverCfg)
	_ = client.Close()
	_ = network
	g = newGate(network.Listen(clientAddr))
	client, err := Client(g, netUDP(serverAddr), clientCfg)
	require.NoError(t, err)
	t.Cleanup(func() { g.set(false, nil); _ = client.Close() })
	clientErr, serverErr := shaken(t, client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	return client, server, g
}

func number(i int) []byte {
	return binary.BigEndian.AppendUint32(make([]byte, 0, 1000), uint32(i))[:1000]
}

// While one Write is with a socket that waits, others only append, up to a limit, and
// then wait no longer than their deadline. All of it arrives in its order.
func TestWritesWhileTheSocketWaits(t *testing.T) {
	client, server, g := gated(t)
	g.set(true, nil)
	first := make(chan error, 1)
	go func() {
		_, err := client.Write(number(0))
		first <- err
	}()
	g.awaitWriter()
	require.NoError(t, client.SetWriteDeadline(time.Now().Add(time.Hour)))
	written := 1
	within(t, "nothing to wait for", func() {
		for range trainDatagrams {
			_, err := client.Write(number(written))
			require.NoError(t, err)
			written++
		}
	})
	cut := make(chan error, 1)
	go func() {
		for {
			if _, err := client.Write(number(written)); err != nil {
				cut <- err
				return
			}
			written++
		}
	}()
	eventually(t, "full", func() bool {
		client.out.mu.Lock()
		defer client.out.mu.Unlock()
		return client.out.sent != nil // somebody waits
	})
	require.NoError(t, client.SetWriteDeadline(time.Unix(1, 0)))
	requireTimeout(t, <-cut)
	assert.GreaterOrEqual(t, written, trainDatagrams+1)
	assert.LessOrEqual(t, written, 2*trainDatagrams+1, "the memory for what waits is bounded")

	g.set(false, nil)
	require.NoError(t, <-first)
	buf := make([]byte, 1000)
	require.NoError(t, server.SetReadDeadline(time.Now().Add(patience)))
	for i := range written {
		_, err := server.Read(buf)
		require.NoError(t, err)
		require.Equal(t, uint32(i), binary.BigEndian.Uint32(buf))
	}
}

// What the socket says about datagrams that were only appended is the next Write's error,
// once.
func TestErrorOfWhatWasAppended(t *testing.T) {
	client, server, g := gated(t)
	g.set(true, nil)
	first := make(chan error, 1)
	go func() {
		_, err := client.Write(number(0))
		first <- err
	}()
	g.awaitWriter()
	_, err := client.Write(number(1))
	require.NoError(t, err)
	broken := errors.New("the link is down")
	g.set(false, broken)
	err = <-first
	assertError(t, err, ErrUnderlyingSocket)
	assert.ErrorIs(t, err, broken, "its own")
	eventually(t, "the other one has been sent", func() bool {
		client.out.mu.Lock()
		defer client.out.mu.Unlock()
		return client.out.late != nil
	})
	g.set(false, nil)
	_, err = client.Write(number(2))
	assertError(t, err, ErrUnderlyingSocket)
	assert.ErrorIs(t, err, broken)
	say(t, client, "and on")
	expect(t, server, "and on")
}

// Close sends what was appended before it says goodbye.
func TestCloseSendsWhatWasAppended(t *testing.T) {
	client, server, g := gated(t)
	g.set(true, nil)
	go func() { _, _ = client.Write(number(0)) }()
	g.awaitWriter()
	for i := 1; i < 40; i++ {
		_, err := client.Write(number(i))
		require.NoError(t, err)
	}
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		_ = client.Close()
	}()
	eventually(t, "Close waits", func() bool { return client.closed.Load() })
	g.set(false, nil)
	<-closed
	buf := make([]byte, 1000)
	require.NoError(t, server.SetReadDeadline(time.Now().Add(patience)))
	for i := range 40 {
		_, err := server.Read(buf)
		require.NoError(t, err, "datagram %d", i)
		require.Equal(t, uint32(i), binary.BigEndian.Uint32(buf))
	}
	_, err := server.Read(buf)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the goodbye")
}

// Close comes to its end although others go on writing: what they write after it has begun
// is refused.
func TestCloseWhileOthersWrite(t *testing.T) {
	client, _, g := gated(t)
	g.set(true, nil)
	var writing sync.WaitGroup
	for range 4 {
		goes(&writing, func() {
			for {
				if _, err := client.Write(number(0)); err != nil {
					assert.ErrorIs(t, err, net.ErrClosed)
					return
				}
			}
		})
	}
	g.awaitWriter()
	closed := make(chan error, 1)
	go func() { closed <- client.Close() }()
	eventually(t, "Close has begun", client.closed.Load)
	g.set(false, nil)
	within(t, "all of them end", writing.Wait)
	require.NoError(t, <-closed)
}

// What the socket says about the last datagrams is Close's error, when nobody writes any more.
func TestCloseTellsOfWhatWasNotSent(t *testing.T) {
	client, _, g := gated(t)
	g.set(true, nil)
	go func() { _, _ = client.Write(number(0)) }()
	g.awaitWriter()
	_, err := client.Write(number(1))
	require.NoError(t, err)
	broken := errors.New("the link is down")
	g.set(false, broken)
	err = client.Close()
	assertError(t, err, ErrUnderlyingSocket)
	require.ErrorIs(t, err, broken)
	assert.ErrorIs(t, client.Close(), net.ErrClosed)
}

// WriteBatch waits no longer than the deadline either, and counts what the socket has got.
func TestWriteBatchWithADeadline(t *testing.T) {
	client, _, g := gated(t)
	batch := make([][]byte, 10*trainDatagrams)
	for i := range batch {
		batch[i] = number(i)
	}
	broken := errors.New("not this one")
	g.set(false, broken)
	n, err := client.WriteBatch(batch)
	assert.ErrorIs(t, err, broken)
	assert.InDelta(t, trainBytes/1030, n, 3, "the first train")

	g.set(true, nil)
	cut := make(chan error, 1)
	go func() {
		_, err := client.WriteBatch(batch)
		cut <- err
	}()
	g.awaitWriter()
	require.NoError(t, client.SetWriteDeadline(time.Unix(1, 0)))
	g.set(false, nil)
	requireTimeout(t, <-cut)
}

// A lone datagram is in the socket when Write returns.
func TestLoneWriteIsSentAtOnce(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	client, _, network := mustBeShaken(t, clientCfg, serverCfg)
	for range 20 {
		client.out.mu.Lock()
		client.out.last = 0 // long ago
		client.out.mu.Unlock()
		before := network.Counters().Sent
		say(t, client, "now")
		assert.Equal(t, before+1, network.Counters().Sent)
	}
}
