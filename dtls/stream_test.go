package dtls

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// loopback returns a listener on the loopback interface.
func loopback(t testing.TB, cfg *Config) *Listener {
	t.Helper()
	l, err := Listen("udp4", "127.0.0.1:0", cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func dialed(t testing.TB, l *Listener, cfg *Config) *Conn {
	t.Helper()
	c, err := DialContext(soon(t), "udp4", l.Addr().String(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// datagramOf returns datagram number n of a stream: who has sent it, its number, and a
// filling that says the same, of a length that changes now and then.
func datagramOf(who, n uint32) []byte {
	lengths := []int{1200, 1200, 64, 900, 20, 1200}
	b := make([]byte, lengths[n/70%uint32(len(lengths))]+int(n%3/2))
	binary.BigEndian.PutUint32(b, who)
	binary.BigEndian.PutUint32(b[4:], n)
	for i := 8; i < len(b); i++ {
		b[i] = byte(who + n)
	}
	return b
}

// window keeps a sender from being so far ahead that a queue overflows: what is lost then
// is not lost on account of batches.
type window struct {
	mu   sync.Mutex
	some *sync.Cond
	open int
}

func newWindow(size int) *window {
	w := &window{open: size}
	w.some = sync.NewCond(&w.mu)
	return w
}

func (w *window) take(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.open < n {
		w.some.Wait()
	}
	w.open -= n
}

func (w *window) give(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open += n
	w.some.Broadcast()
}

// checker sees to it that a stream is whole.
type checker struct {
	who    uint32
	next   uint32
	window *window
	done   chan struct{}
}

const streamLength = 20000

func (s *checker) got(t *testing.T, b []byte) {
	want := datagramOf(s.who, s.next)
	if !assert.Equal(t, want, b, "datagram %d of connection %d", s.next, s.who) {
		s.next = binary.BigEndian.Uint32(b[4:])
	}
	s.next++
	s.window.give(1)
	if s.next == streamLength {
		close(s.done)
	}
}

// Nothing is lost, repeated, reordered or given to somebody else, whatever goes out and
// comes in together: by Write and by WriteBatch, through Read, ReadBatch and a handler. A
// train that is not full goes out too, or this would not come to an end.
func TestStreamsAreWhole(t *testing.T) {
	const conns, inFlight = 4, 300
	for _, writing := range []string{"Write", "WriteBatch"} {
		for _, reading := range []string{"Read", "ReadBatch", "Serve"} {
			t.Run(writing+" "+reading, func(t *testing.T) {
				clientCfg, serverCfg := pskConfigs()
				l := loopback(t, serverCfg)
				streams := make([]*checker, conns)
				for i := range streams {
					streams[i] = &checker{who: uint32(i), window: newWindow(inFlight), done: make(chan struct{})}
				}
				of := receivers(t, l, reading, streams)
				for i := range streams {
					c := dialed(t, l, clientCfg)
					say(t, c, string([]byte{byte(i)})) // which stream this is
					go sendStream(c, writing, streams[i])
				}
				for i, s := range streams {
					select {
					case <-s.done:
					case <-soon(t).Done():
						require.FailNow(t, "datagrams are missing", "connection %d: the next is %d", i, s.next)
					}
				}
				assert.Zero(t, l.Stats().DroppedQueue)
				require.NoError(t, l.Close())
				of.Wait()
			})
		}
	}
}

func sendStream(c *Conn, writing string, s *checker) {
	for n := uint32(0); n < streamLength; {
		if writing == "Write" {
			s.window.take(1)
			_, _ = c.Write(datagramOf(s.who, n))
			n++
			continue
		}
		var batch [][]byte
		for range 1 + n%90 {
			if n < streamLength {
				batch = append(batch, datagramOf(s.who, n))
				n++
			}
		}
		s.window.take(len(batch))
		_, _ = c.WriteBatch(batch)
	}
}

func goes(running *sync.WaitGroup, f func()) {
	running.Add(1)
	go func() {
		defer running.Done()
		f()
	}()
}

// receivers take the streams: each connection says first which one it is.
func receivers(t *testing.T, l *Listener, reading string, streams []*checker) *sync.WaitGroup {
	var running sync.WaitGroup
	if reading == "Serve" {
		var mu sync.Mutex
		of := map[*Conn]*checker{}
		goes(&running, func() {
			_ = l.Serve(Handler{Datagram: func(c *Conn, datagram []byte) {
				mu.Lock()
				s := of[c]
				if s == nil {
					of[c] = streams[datagram[0]]
				}
				mu.Unlock()
				if s != nil {
					s.got(t, datagram)
				}
			}})
		})
		return &running
	}
	goes(&running, func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			goes(&running, func() { readStream(t, c.(*Conn), reading, streams) })
		}
	})
	return &running
}

func readStream(t *testing.T, c *Conn, reading string, streams []*checker) {
	defer c.Close()
	buf := make([]byte, 2048)
	if _, err := c.Read(buf); err != nil {
		return
	}
	s := streams[buf[0]]
	bufs, sizes := make([][]byte, 20), make([]int, 20)
	for i := range bufs {
		bufs[i] = make([]byte, 2048)
	}
	for {
		if reading == "Read" {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			s.got(t, buf[:n])
			continue
		}
		n, err := c.ReadBatch(bufs, sizes)
		if err != nil {
			return
		}
		for i := range n {
			s.got(t, bufs[i][:sizes[i]])
		}
	}
}

func TestReadBatch(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	client, server, _ := mustBeShaken(t, clientCfg, serverCfg)
	n, err := client.WriteBatch([][]byte{[]byte("one"), []byte("four"), []byte("twelve")})
	require.NoError(t, err)
	require.Equal(t, 3, n)
	eventually(t, "arrived", func() bool { return !server.in.empty() })
	bufs, sizes := [][]byte{make([]byte, 10), make([]byte, 2)}, make([]int, 2)
	got := 0
	for got < 2 { // they have come one by one
		n, err := server.ReadBatch(bufs[got:], sizes[got:])
		require.NoError(t, err)
		got += n
	}
	assert.Equal(t, []int{3, 4}, sizes)
	assert.Equal(t, "one", string(bufs[0][:3]))
	assert.Equal(t, "fo", string(bufs[1]), "and the rest is lost")
	expect(t, server, "twelve")

	require.NoError(t, server.SetReadDeadline(time.Unix(1, 0)))
	n, err = server.ReadBatch(bufs, sizes)
	assert.Zero(t, n)
	requireTimeout(t, err)
	for _, bad := range []func() (int, error){
		func() (int, error) { return server.ReadBatch(nil, nil) },
		func() (int, error) { return server.ReadBatch(bufs, sizes[:1]) },
	} {
		_, err := bad()
		assertError(t, err, ErrInvalidInputParameters)
	}
	require.NoError(t, server.Close())
	_, err = server.ReadBatch(bufs, sizes)
	assert.ErrorIs(t, err, net.ErrClosed)
}

// What comes before a datagram that cannot be sent is sent.
func TestWriteBatchThatCannotBeSent(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	client, server, _ := mustBeShaken(t, clientCfg, serverCfg)
	for _, bad := range [][]byte{{}, make([]byte, MaxPayload+1)} {
		n, err := client.WriteBatch([][]byte{[]byte("one"), []byte("two"), bad, []byte("three")})
		assert.Equal(t, 2, n)
		assertError(t, err, ErrInvalidInputParameters)
		expect(t, server, "one")
		expect(t, server, "two")
	}
	n, err := client.WriteBatch(nil)
	assert.Zero(t, n)
	require.NoError(t, err)
	require.NoError(t, client.SetWriteDeadline(time.Unix(1, 0)))
	_, err = client.WriteBatch([][]byte{[]byte("late")})
	requireTimeout(t, err)
	require.NoError(t, client.SetWriteDeadline(time.Time{}))
	require.NoError(t, client.Close())
	_, err = client.WriteBatch([][]byte{[]byte("closed")})
	assert.ErrorIs(t, err, net.ErrClosed)
}

// A train of a client that resumes its session comes right behind its last flight: the
// server keeps it until the handshake is complete.
func TestFirstTrainAfterAResumption(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	clientCfg.ClientSessionCache = NewLRUClientSessionCache(0)
	l := loopback(t, serverCfg)
	for i := range 20 {
		client := dialed(t, l, clientCfg)
		require.Equal(t, i > 0, client.ConnectionState().DidResume)
		batch := make([][]byte, 30)
		for i := range batch {
			batch[i] = make([]byte, 1000)
		}
		n, err := client.WriteBatch(batch)
		require.NoError(t, err)
		require.Equal(t, len(batch), n)
		server := accept(t, l)
		require.NoError(t, server.SetReadDeadline(time.Now().Add(patience)))
		for range batch {
			_, err := server.Read(make([]byte, 1000))
			require.NoError(t, err)
		}
		require.NoError(t, client.Close())
		require.NoError(t, server.Close())
	}
}

func BenchmarkStream(b *testing.B) {
	for _, size := range []int{64, 1200} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			clientCfg, serverCfg := pskConfigs()
			l := loopback(b, serverCfg)
			w := newWindow(1000)
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				buf := make([]byte, 2048)
				for {
					if _, err := c.Read(buf); err != nil {
						return
					}
					w.give(1)
				}
			}()
			c := dialed(b, l, clientCfg)
			payload := make([]byte, size)
			b.ReportAllocs()
			for b.Loop() {
				w.take(1)
				if _, err := c.Write(payload); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
