package dtls

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/internal/dgramtest"
)

// listenIn returns a listener on the network's server address.
func listenIn(t testing.TB, network *dgramtest.Network, cfg *Config) *Listener {
	t.Helper()
	l, err := NewListener(network.Listen(serverAddr), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// at returns a client on an address of the network, without the handshake.
func at(t testing.TB, network *dgramtest.Network, addr netip.AddrPort, cfg *Config) *Conn {
	t.Helper()
	c, err := Client(network.Listen(addr), net.UDPAddrFromAddrPort(serverAddr), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// numbered returns one of many client addresses.
func numbered(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 40000)
}

// echoing accepts connections and answers what they say, until the listener is closed.
func echoing(t testing.TB, l *Listener) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			c, err := l.Accept()
			if err != nil {
				assert.ErrorIs(t, err, net.ErrClosed)
				return
			}
			wg.Add(1)
			go func() {
				defer wg.Done()
				defer c.Close()
				buf := make([]byte, 2048)
				for {
					n, err := c.Read(buf)
					if err != nil {
						return
					}
					_, _ = c.Write(buf[:n])
				}
			}()
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		within(t, "echoing", wg.Wait)
	})
}

// echoes requires that the server answers.
func echoes(t testing.TB, c net.Conn, text string) {
	t.Helper()
	say(t, c, text)
	expect(t, c, text)
}

// eventually waits for something that is sure to come and cannot be waited for otherwise.
func eventually(t testing.TB, why string, what func() bool) {
	t.Helper()
	require.Eventually(t, what, patience, time.Millisecond, why)
}

func TestListener(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	for network, address := range map[string]string{"udp": "127.0.0.1:0", "udp4": "127.0.0.1:0", "udp6": "[::1]:0"} {
		l, err := Listen(network, address, serverCfg)
		require.NoError(t, err)
		echoing(t, l)
		for i := range 3 {
			c, err := Dial(network, l.Addr().String(), clientCfg)
			require.NoError(t, err, network)
			echoes(t, c, fmt.Sprint("hello ", i))
			require.NoError(t, c.Close())
		}
		eventually(t, "all are gone", func() bool { return l.Stats().Open == 0 })
		stats := l.Stats()
		assert.Equal(t, uint64(3), stats.CookiesSent)
		assert.Equal(t, uint64(3), stats.HandshakesCompleted)
		assert.Zero(t, stats.HandshakesFailed)
		assert.Zero(t, stats.HalfOpen)
		require.NoError(t, l.Close())
		assert.ErrorIs(t, l.Close(), net.ErrClosed)
		_, err = l.Accept()
		assert.ErrorIs(t, err, net.ErrClosed)
	}
}

// A socket that is bound to all of the machine's addresses answers from the one that was
// asked: the client's socket hears nobody else.
func TestListenerAnswersFromTheAddressThatWasAsked(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	clientCfg.ServerName = "localhost"
	for network, hosts := range map[string][]string{
		"udp4": {"127.0.0.1", "127.0.0.2", "127.0.0.77"},
		"udp":  {"127.0.0.1", "127.0.0.3", "::1"},
	} {
		l, err := Listen(network, ":0", serverCfg)
		require.NoError(t, err)
		echoing(t, l)
		port := fmt.Sprint(l.Addr().(*net.UDPAddr).Port)
		for _, host := range hosts {
			c, err := Dial("udp", net.JoinHostPort(host, port), clientCfg)
			require.NoError(t, err, host)
			echoes(t, c, "hello "+host)
			require.NoError(t, c.Close())
		}
	}
}

// Three who do harm at once: one stops in mid-handshake, one never reads, one floods.
func TestListenerServesOthersMeanwhile(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	echoing(t, l)

	// The first sends its hellos and nothing more.
	var answers atomic.Int32
	stuck := network.Listen(numbered(1))
	defer stuck.Close()
	half, err := NewAssociation(ClientMode, clientCfg)
	require.NoError(t, err)
	defer half.Close()
	require.NoError(t, half.SetPeer(serverAddr, ""))
	var end dgramtest.End
	require.NoError(t, half.DoHandshake(&end, nil))
	send := func() {
		for _, d := range end.Take() {
			_, err := stuck.WriteTo(d, net.UDPAddrFromAddrPort(serverAddr))
			require.NoError(t, err)
		}
	}
	send()
	buf := make([]byte, 2048)
	n, _, err := stuck.ReadFrom(buf)
	require.NoError(t, err)
	require.NoError(t, half.DoHandshake(&end, buf[:n]))
	send()
	eventually(t, "half open", func() bool { return l.Stats().HalfOpen > 0 })

	// The second asks and never reads the answers.
	deaf := at(t, network, numbered(2), clientCfg)
	require.NoError(t, deaf.HandshakeContext(soon(t)))
	// The third sends whatever it can, also to the second's and its own connection.
	stop, flooding := make(chan struct{}), sync.WaitGroup{}
	flooding.Add(2)
	go func() {
		defer flooding.Done()
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			network.Send(numbered(1000+i%5000), serverAddr, []byte("\x16\xfe\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01x"))
			network.Send(numbered(2), serverAddr, []byte("\x17\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x00\x00\x30"+strings.Repeat("x", 0x30)))
		}
	}()
	go func() {
		defer flooding.Done()
		for {
			select {
			case <-stop:
				return
			default:
				_, _ = deaf.Write([]byte("answer me"))
			}
		}
	}()
	defer flooding.Wait()
	defer close(stop)
	for i := range 8 {
		c := at(t, network, numbered(100+i), clientCfg)
		require.NoError(t, c.HandshakeContext(soon(t)))
		echoes(t, c, "served meanwhile")
		answers.Add(1)
		require.NoError(t, c.Close())
	}
	assert.Equal(t, int32(8), answers.Load())
}

// Only those whose handshake is complete are accepted, whatever becomes of others.
func TestAcceptHearsOfNoFailure(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	var log strings.Builder
	serverCfg.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	distrustful := &Config{RootCAs: poolOf(certtest.NewCA(t, "other"))}
	for i := range 5 {
		c := at(t, network, numbered(i), distrustful)
		assertError(t, c.HandshakeContext(soon(t)), ErrPeerVerification)
	}
	eventually(t, "failed", func() bool { return l.Stats().HandshakesFailed == 5 })
	c := at(t, network, numbered(9), clientCfg)
	require.NoError(t, c.HandshakeContext(soon(t)))
	accepted, err := l.Accept()
	require.NoError(t, err)
	assert.Equal(t, numbered(9).String(), accepted.RemoteAddr().String())
	stats := l.Stats()
	assert.Equal(t, 1, stats.Open)
	assert.Zero(t, stats.HalfOpen)
	require.NoError(t, accepted.Close())
	require.NoError(t, l.Shutdown(soon(t))) // and nobody writes to the log any more
	assert.Equal(t, 5, strings.Count(log.String(), "handshake failed"), log.String())
	assert.Contains(t, log.String(), "unknown ca")
	assert.Contains(t, log.String(), numbered(9).String())
}

func TestHalfOpenLimits(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	for name, test := range map[string]struct {
		limits Limits
		addr   func(i int) netip.AddrPort
		let    int
	}{
		"all":        {Limits{HalfOpen: 3}, numbered, 3},
		"an address": {Limits{HalfOpenPerAddress: 2}, func(i int) netip.AddrPort { return netip.AddrPortFrom(clientAddr.Addr(), uint16(1000+i)) }, 2},
		"a subnet": {Limits{HalfOpenPerAddress: 2}, func(i int) netip.AddrPort {
			return netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("2001:db8::%x", i+1)), 1)
		}, 2},
		"connections": {Limits{Connections: 4}, numbered, 4},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := serverCfg.Clone()
			cfg.Limits = test.limits
			network := dgramtest.NewNetwork(1)
			l := listenIn(t, network, cfg)
			// Nobody accepts: they stay half open though their handshake is complete.
			for i := range test.let {
				require.NoError(t, at(t, network, test.addr(i), clientCfg).HandshakeContext(soon(t)))
			}
			one := at(t, network, test.addr(test.let), clientCfg)
			short, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
			defer cancel()
			assert.ErrorIs(t, one.HandshakeContext(short), context.DeadlineExceeded)
			assert.NotZero(t, l.Stats().DroppedLimit)
			accepted, err := l.Accept()
			require.NoError(t, err)
			if name == "connections" {
				require.NoError(t, accepted.Close())
			}
			require.NoError(t, at(t, network, test.addr(test.let+1), clientCfg).HandshakeContext(soon(t)), "there is room again")
		})
	}
}

func TestOnConnectionAttempt(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	serverCfg.OnConnectionAttempt = func(peer net.Addr) error {
		if peer.(*net.UDPAddr).AddrPort() == numbered(1) {
			return errors.New("not welcome")
		}
		return nil
	}
	network := dgramtest.NewNetwork(1)
	var toOne atomic.Int32
	network.Tap(func(_, to netip.AddrPort, _ []byte) {
		if to == numbered(1) {
			toOne.Add(1)
		}
	})
	l := listenIn(t, network, serverCfg)
	short, cancel := context.WithTimeout(context.Background(), 30*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, at(t, network, numbered(1), clientCfg).HandshakeContext(short), context.DeadlineExceeded)
	assert.Zero(t, toOne.Load(), "not even a cookie")
	require.NoError(t, at(t, network, numbered(2), clientCfg).HandshakeContext(soon(t)))
	assert.NotZero(t, l.Stats().AttemptsRefused)
	assert.Equal(t, uint64(1), l.Stats().CookiesSent)
}

func TestGetConfigForClient(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	with := func(name string, protos ...string) *Config {
		cfg := &Config{NextProtos: protos}
		cfg.Certificates = append(cfg.Certificates, ca.Issue(t, certtest.Leaf{Names: []string{name}}))
		return cfg
	}
	configs := map[string]*Config{"a.example": with("a.example", "coap"), "b.example": with("b.example")}
	refused := errors.New("no such name")
	serverCfg := with("default.example")
	var infos []ClientHelloInfo
	var mu sync.Mutex
	serverCfg.GetConfigForClient = func(info *ClientHelloInfo) (*Config, error) {
		mu.Lock()
		defer mu.Unlock()
		infos = append(infos, *info)
		if info.ServerName == "default.example" {
			return nil, nil
		}
		if cfg := configs[info.ServerName]; cfg != nil {
			return cfg, nil
		}
		return nil, refused
	}
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	cache := NewLRUClientSessionCache(0)
	clientCfgs := map[string]*Config{}
	for i, name := range []string{"a.example", "b.example", "default.example", "a.example", "b.example"} {
		cfg := clientCfgs[name]
		if cfg == nil {
			cfg = &Config{RootCAs: poolOf(ca), ServerName: name, NextProtos: []string{"http", "coap"}, ClientSessionCache: cache}
			clientCfgs[name] = cfg
		}
		c := at(t, network, numbered(i), cfg)
		require.NoError(t, c.HandshakeContext(soon(t)), name)
		state := c.ConnectionState()
		assert.Equal(t, []string{name}, state.PeerCertificates[0].DNSNames)
		assert.Equal(t, i > 2, state.DidResume)
		accepted, err := l.Accept()
		require.NoError(t, err)
		assert.Equal(t, name, accepted.(*Conn).ConnectionState().ServerName)
		if name == "a.example" {
			assert.Equal(t, "coap", state.NegotiatedProtocol)
		}
		echo := make(chan error, 1)
		go func() {
			buf := make([]byte, 100)
			n, err := accepted.Read(buf)
			if err == nil {
				_, err = accepted.Write(buf[:n])
			}
			echo <- err
		}()
		echoes(t, c, "hello")
		require.NoError(t, <-echo)
	}
	c := at(t, network, numbered(77), &Config{RootCAs: poolOf(ca), ServerName: "c.example"})
	err := c.HandshakeContext(soon(t))
	var alert *AlertError
	require.ErrorAs(t, err, &alert)
	assert.Equal(t, Alert(80), alert.Number)
	mu.Lock()
	defer mu.Unlock()
	assert.Equal(t, []string{"http", "coap"}, infos[0].SupportedProtos)
	assert.Equal(t, numbered(0).String(), infos[0].RemoteAddr.String())
	assert.Equal(t, serverAddr.String(), infos[0].LocalAddr.String())
}

// A client that starts anew on the same port, RFC 6347 §4.2.8: the old connection works
// until the new one is proven.
func TestClientComesBack(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	first := at(t, network, clientAddr, clientCfg)
	require.NoError(t, first.HandshakeContext(soon(t)))
	old, err := l.Accept()
	require.NoError(t, err)
	say(t, first, "before")
	expect(t, old, "before")

	// Hellos that pretend to be from there change nothing.
	hello := func() []byte {
		a, err := NewAssociation(ClientMode, clientCfg)
		require.NoError(t, err)
		defer a.Close()
		var end dgramtest.End
		require.NoError(t, a.SetPeer(serverAddr, ""))
		require.NoError(t, a.DoHandshake(&end, nil))
		return end.Take()[0]
	}
	for range 10 {
		network.Send(clientAddr, serverAddr, hello())
	}
	say(t, first, "still there")
	expect(t, old, "still there")
	say(t, old, "and back")
	expect(t, first, "and back")
	assert.Zero(t, l.Stats().HalfOpen)

	// The client is gone without a word, and another one starts on its port.
	first.sock.Close()
	<-first.ended
	second := at(t, network, clientAddr, clientCfg)
	require.NoError(t, second.HandshakeContext(soon(t)))
	accepted, err := l.Accept()
	require.NoError(t, err)
	say(t, second, "anew")
	expect(t, accepted, "anew")
	_, err = old.Read(make([]byte, 10))
	assert.ErrorIs(t, err, ErrReplaced)
	assert.Equal(t, uint64(1), l.Stats().Replaced)
	assert.Equal(t, 1, l.Stats().Open)
}

func TestIdleTimeout(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	serverCfg.IdleTimeout = 40 * time.Millisecond
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	c := at(t, network, clientAddr, clientCfg)
	require.NoError(t, c.HandshakeContext(soon(t)))
	accepted, err := l.Accept()
	require.NoError(t, err)
	_, err = accepted.Read(make([]byte, 10))
	assert.ErrorIs(t, err, ErrIdle)
	assert.Equal(t, io.EOF, second(c.Read(make([]byte, 10))))
	assert.Zero(t, l.Stats().Open)
}

// Junk in a connection's name does not keep it, though nobody reads it.
func TestJunkIsNoSignOfLife(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	serverCfg.IdleTimeout = 40 * time.Millisecond
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	c := at(t, network, clientAddr, clientCfg)
	require.NoError(t, c.HandshakeContext(soon(t)))
	accepted, err := l.Accept()
	require.NoError(t, err)
	say(t, c, "the last that is heard")
	eventually(t, "idle", func() bool {
		network.Send(clientAddr, serverAddr, []byte("\x17\xfe\xfd\x00\x01\x00\x00\x00\x00\x00\x09\x00\x30"+strings.Repeat("x", 0x30)))
		return l.Stats().Open == 0
	})
	expect(t, accepted, "the last that is heard")
	assert.ErrorIs(t, second(accepted.Read(make([]byte, 10))), ErrIdle)
}

// What OpenSSL makes nothing of is counted.
func TestHelloThatIsNone(t *testing.T) {
	_, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	body := make([]byte, 35)
	hello := append([]byte{22, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 47, 1, 0, 0, 35, 0, 0, 0, 0, 0, 0, 0, 35}, body...)
	for range 10 {
		network.Send(numbered(1), serverAddr, hello)
	}
	network.Send(numbered(1), serverAddr, []byte("junk"))
	eventually(t, "counted", func() bool { return l.Stats().DroppedUnknown == 11 })
	assert.Zero(t, l.Stats().CookiesSent)
}

func TestListenerShutdown(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	c, other := at(t, network, numbered(1), clientCfg), at(t, network, numbered(2), clientCfg)
	require.NoError(t, c.HandshakeContext(soon(t)))
	accepted, err := l.Accept()
	require.NoError(t, err)
	require.NoError(t, other.HandshakeContext(soon(t)))
	eventually(t, "complete", func() bool { return l.Stats().Open == 2 })
	done := make(chan error, 1)
	go func() { done <- l.Shutdown(soon(t)) }()
	assert.Equal(t, io.EOF, second(other.Read(make([]byte, 10))), "nobody has accepted it")
	say(t, c, "goes on")
	expect(t, accepted, "goes on")
	require.NoError(t, c.Close())
	assert.NoError(t, <-done)
	assert.Equal(t, io.EOF, second(accepted.Read(make([]byte, 10))))

	l = listenIn(t, dgramtest.NewNetwork(1), serverCfg)
	require.NoError(t, l.Shutdown(soon(t)), "nobody there")

	network = dgramtest.NewNetwork(1)
	l = listenIn(t, network, serverCfg)
	c = at(t, network, numbered(1), clientCfg)
	require.NoError(t, c.HandshakeContext(soon(t)))
	_, err = l.Accept()
	require.NoError(t, err)
	short, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, l.Shutdown(short), context.DeadlineExceeded)
	assert.Equal(t, io.EOF, second(c.Read(make([]byte, 10))), "cut short, with close_notify")
}

func TestServe(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	assertError(t, l.Serve(Handler{}), ErrInvalidInputParameters)
	var opened, closed atomic.Int32
	var reasons sync.Map
	served := make(chan error, 1)
	early := at(t, network, numbered(0), clientCfg)
	require.NoError(t, early.HandshakeContext(soon(t)))
	go func() {
		served <- l.Serve(Handler{
			Datagram: func(c *Conn, datagram []byte) {
				if string(datagram) == "bye" {
					_ = c.Close()
					return
				}
				_, _ = c.Write(datagram)
			},
			Opened: func(*Conn) { opened.Add(1) },
			Closed: func(c *Conn, err error) { closed.Add(1); reasons.Store(c.RemoteAddr().String(), err) },
		})
	}()
	echoes(t, early, "early")
	for i := 1; i <= 3; i++ {
		c := at(t, network, numbered(i), clientCfg)
		require.NoError(t, c.HandshakeContext(soon(t)))
		echoes(t, c, "one")
		echoes(t, c, "two")
		switch i {
		case 1:
			require.NoError(t, c.Close())
		case 2:
			say(t, c, "bye")
			assert.Equal(t, io.EOF, second(c.Read(make([]byte, 10))))
		}
	}
	eventually(t, "two are gone", func() bool { return closed.Load() == 2 })
	assertError(t, l.Serve(Handler{Datagram: func(*Conn, []byte) {}}), ErrInvalidOperation)
	require.NoError(t, l.Close())
	assert.ErrorIs(t, <-served, net.ErrClosed)
	eventually(t, "all are gone", func() bool { return closed.Load() == 4 })
	assert.Equal(t, int32(4), opened.Load())
	reason, _ := reasons.Load(numbered(1).String())
	assert.Equal(t, io.EOF, reason)
	for _, i := range []int{2, 3} {
		reason, _ = reasons.Load(numbered(i).String())
		assert.ErrorIs(t, reason.(error), net.ErrClosed)
	}
}

// The socket ends by itself: Accept and Serve tell.
func TestListenerWhoseSocketEnds(t *testing.T) {
	_, serverCfg := connConfigs(t)
	sock := dgramtest.NewNetwork(1).Listen(serverAddr)
	l, err := NewListener(sock, serverCfg)
	require.NoError(t, err)
	defer l.Close()
	require.NoError(t, sock.Close())
	_, err = l.Accept()
	assertError(t, err, ErrUnderlyingSocket)
	assert.ErrorIs(t, l.Serve(Handler{Datagram: func(*Conn, []byte) {}}), net.ErrClosed)
}

// A peer that sends and is not read fills its queue and no more, whatever else it sends.
func TestUnreadDataIsBounded(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	serverCfg.Limits.ReceiveQueue = 10 * smallPacket
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	c := at(t, network, clientAddr, clientCfg)
	require.NoError(t, c.HandshakeContext(soon(t)))
	accepted, err := l.Accept()
	require.NoError(t, err)
	server := accepted.(*Conn)
	payload := strings.Repeat("x", 1000)
	for i := range 1000 {
		say(t, c, payload)
		if i%5 == 0 { // what is handled at once, and has all before it decrypted
			network.Send(clientAddr, serverAddr, []byte{22, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 9, 9, 0, 30, 29: 0, 42: 0})
		}
	}
	eventually(t, "dropped", func() bool { return server.DatagramsDropped() > 900 })
	got := 0
	for {
		require.NoError(t, server.SetReadDeadline(time.Now().Add(20*time.Millisecond)))
		n, err := server.Read(make([]byte, 2000))
		if err != nil {
			requireTimeout(t, err)
			break
		}
		assert.Equal(t, len(payload), n)
		got++
	}
	assert.Greater(t, got, 5)
	assert.Less(t, got, 200, "the last ones may have come while there was room again")
	assert.GreaterOrEqual(t, server.DatagramsDropped(), uint64(1000-got))
	say(t, c, "and on")
	expect(t, server, "and on")
}
