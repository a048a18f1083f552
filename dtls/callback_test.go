package dtls

import (
	"bytes"
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/dgramtest"
)

// waiting is a function of the program's that waits until the test ends.
type waiting struct {
	entered, release chan struct{}
	once             sync.Once
}

func newWaiting(t *testing.T) *waiting {
	w := &waiting{make(chan struct{}, 100), make(chan struct{}), sync.Once{}}
	t.Cleanup(w.end)
	return w
}

// end lets all of the functions return.
func (w *waiting) end() { w.once.Do(func() { close(w.release) }) }

func (w *waiting) wait() {
	w.entered <- struct{}{}
	<-w.release
}

// slowClients are clients with a function that takes its time.
func slowClients(t *testing.T) map[string]func(*waiting) (client, server *Config) {
	return map[string]func(*waiting) (client, server *Config){
		"VerifyConnection": func(w *waiting) (client, server *Config) {
			client, server = connConfigs(t)
			client.VerifyConnection = func(ConnectionState) error { w.wait(); return nil }
			return client, server
		},
		"PSK": func(w *waiting) (client, server *Config) {
			client, server = pskConfigs()
			client.PSK = func(*PSK) error { w.wait(); return errors.New("too late") }
			return client, server
		},
	}
}

// While the program's function takes its time, deadlines, contexts and Close hold.
func TestSlowCallbackOfAClient(t *testing.T) {
	for name, configs := range slowClients(t) {
		t.Run(name, func(t *testing.T) {
			w := newWaiting(t)
			clientCfg, serverCfg := configs(w)
			network := dgramtest.NewNetwork(1)
			listenIn(t, network, serverCfg)
			start := func(i int) *Conn {
				c := at(t, network, numbered(i), clientCfg)
				c.begin()
				<-w.entered
				return c
			}
			c := start(1)
			for name, op := range map[string]func() error{
				"Handshake": c.Handshake,
				"Read":      func() error { return second(c.Read(make([]byte, 1))) },
				"Write":     func() error { return second(c.Write([]byte("x"))) },
			} {
				require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Millisecond)))
				within(t, name, func() { requireTimeout(t, op()) })
			}
			require.NoError(t, c.SetDeadline(time.Time{}))
			within(t, "the state", func() {
				assert.False(t, c.ConnectionState().HandshakeComplete)
				assert.Zero(t, c.MaxDatagramSize())
			})
			ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
			defer cancel()
			within(t, "HandshakeContext", func() { assert.ErrorIs(t, c.HandshakeContext(ctx), context.DeadlineExceeded) })

			c = start(2)
			done := make(chan error, 1)
			go func() { done <- c.Handshake() }()
			within(t, "Close", func() { assert.NoError(t, c.Close()) })
			assert.ErrorIs(t, <-done, net.ErrClosed)

			clientCfg = clientCfg.Clone()
			clientCfg.HandshakeTimeout = 50 * time.Millisecond
			c = start(3)
			within(t, "HandshakeTimeout", func() { requireTimeout(t, c.Handshake()) })
		})
	}
}

const slow = "slow.example"

// slowListeners let a function of theirs take its time with clients that ask for slow.
func slowListeners() map[string]func(cfg *Config, w *waiting) {
	return map[string]func(cfg *Config, w *waiting){
		"VerifyConnection": func(cfg *Config, w *waiting) {
			cfg.VerifyConnection = func(state ConnectionState) error {
				if state.ServerName == slow {
					w.wait()
				}
				return nil
			}
		},
		"GetConfigForClient": func(cfg *Config, w *waiting) {
			cfg.GetConfigForClient = func(info *ClientHelloInfo) (*Config, error) {
				if info.ServerName == slow {
					w.wait()
				}
				return nil, nil
			}
		},
	}
}

// More slow functions than there are goroutines: other peers are served, and Close does
// not wait.
func TestSlowCallbacksOfAListener(t *testing.T) {
	for name, set := range slowListeners() {
		t.Run(name, func(t *testing.T) {
			w := newWaiting(t)
			clientCfg, serverCfg := connConfigs(t)
			set(serverCfg, w)
			slowCfg := clientCfg.Clone()
			slowCfg.ServerName, slowCfg.InsecureSkipVerify = slow, true
			network := dgramtest.NewNetwork(1)
			l := listenIn(t, network, serverCfg)
			const peers = 20
			for i := range peers {
				at(t, network, numbered(i), slowCfg).begin()
			}
			for range peers {
				<-w.entered
			}
			c, accepted := connected(t, network, l, numbered(100), clientCfg)
			say(t, c, "not slow")
			expect(t, accepted, "not slow")
			assert.Equal(t, peers, l.Stats().HalfOpen)
			within(t, "Close", func() { assert.NoError(t, l.Close()) })
			assert.Equal(t, peers, l.Stats().HalfOpen, "they hold what the limits are for")
			w.end()
			eventually(t, "all are gone", func() bool { return l.Stats().HalfOpen == 0 })
		})
	}
}

// The handshake's limit holds while the program's function takes its time.
func TestHandshakeTimeoutWhileACallbackWaits(t *testing.T) {
	for name, set := range slowListeners() {
		t.Run(name, func(t *testing.T) {
			w := newWaiting(t)
			clientCfg, serverCfg := connConfigs(t)
			set(serverCfg, w)
			serverCfg.HandshakeTimeout = 100 * time.Millisecond
			clientCfg.ServerName, clientCfg.InsecureSkipVerify = slow, true
			network := dgramtest.NewNetwork(1)
			l := listenIn(t, network, serverCfg)
			at(t, network, clientAddr, clientCfg).begin()
			<-w.entered
			eventually(t, "given up", func() bool { return l.Stats().HandshakesFailed == 1 })
			assert.Equal(t, 1, l.Stats().HalfOpen, "its place is not free yet")
			w.end()
			eventually(t, "free", func() bool { return l.Stats().HalfOpen == 0 })
		})
	}
}

// inFragments returns a ClientHello in fragments of at most so many bytes; the first has
// enough for the random and the cookie's length.
func inFragments(hello []byte, size int) (fragments [][]byte) {
	body := hello[recordHeader+messageHeader:]
	for offset := 0; offset < len(body); {
		n := min(size, len(body)-offset)
		if offset == 0 {
			n = min(max(size, 40), len(body))
		}
		d := bytes.Clone(hello[:recordHeader+messageHeader])
		d[10] = byte(len(fragments)) // the record's number
		d[11], d[12] = byte((n+messageHeader)>>8), byte(n+messageHeader)
		m := d[recordHeader:]
		m[6], m[7], m[8] = 0, byte(offset>>8), byte(offset)
		m[9], m[10], m[11] = 0, byte(n>>8), byte(n)
		fragments = append(fragments, append(d, body[offset:offset+n]...))
		offset += n
	}
	return fragments
}

// renumbered gives the records in the clear numbers that the fragments have not used.
func renumbered(datagram []byte) []byte {
	datagram = bytes.Clone(datagram)
	for rest := datagram; ; rest = rest[recordHeader+int(rest[11])<<8+int(rest[12]):] {
		_, epoch, ok := record(rest)
		if !ok {
			return datagram
		}
		if epoch == 0 {
			rest[10] += 100
		}
	}
}

// A hello in fragments, where cookies are not verified: the question comes once, and the Config
// that is chosen sees all of the hello and answers once.
func TestGetConfigForClientOfAHelloInFragments(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	clientCfg.ServerName = "localhost"
	serverCfg.DisableCookieVerification = true
	for _, size := range []int{1 << 14, 64, 24, 12, 4} {
		chosen, first := serverCfg.Clone(), serverCfg.Clone()
		asked := make(chan ClientHelloInfo, 10)
		first.GetConfigForClient = func(info *ClientHelloInfo) (*Config, error) {
			asked <- *info
			return chosen, nil
		}
		network := dgramtest.NewNetwork(1)
		l := listenIn(t, network, first)
		c := byHandAt(t, network, clientAddr, clientCfg)
		require.NoError(t, c.a.DoHandshake(&c.out, nil))
		c.send(inFragments(c.out.Take()[0], size)...)
		for _, datagram := range c.flight() {
			c.send(renumbered(datagram))
		}
		c.complete()
		accepted := accept(t, l)
		c.send(c.data("in pieces"))
		expect(t, accepted, "in pieces")
		assert.Same(t, chosen, accepted.config)
		require.Len(t, asked, 1)
		assert.Equal(t, "localhost", (<-asked).ServerName)
	}
}

// An error, and a Config that cannot be used, end the handshake with internal_error, of a
// listener and of a server with a socket of its own; nil means the same Config.
func TestGetConfigForClientAnswers(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	refused := errors.New("nobody is welcome")
	for name, test := range map[string]struct {
		cfg *Config
		err error
	}{
		"error":             {nil, refused},
		"error with Config": {serverCfg, refused},
		"unusable":          {&Config{}, nil}, // without a certificate
	} {
		t.Run(name, func(t *testing.T) {
			cfg := serverCfg.Clone()
			cfg.GetConfigForClient = func(*ClientHelloInfo) (*Config, error) { return test.cfg, test.err }
			client, server, _ := connPair(t, clientCfg, cfg)
			clientErr, serverErr := shaken(t, client, server)
			var alert *AlertError
			require.ErrorAs(t, clientErr, &alert)
			assert.Equal(t, Alert(80), alert.Number)
			assert.True(t, alert.Received)
			require.ErrorAs(t, serverErr, &alert)
			assert.Equal(t, Alert(80), alert.Number)
			assert.False(t, alert.Received)
			assert.ErrorContains(t, serverErr, "GetConfigForClient")
			if test.err != nil {
				assert.ErrorIs(t, serverErr, test.err)
			}

			network := dgramtest.NewNetwork(1)
			l := listenIn(t, network, cfg)
			err := at(t, network, clientAddr, clientCfg).HandshakeContext(soon(t))
			require.ErrorAs(t, err, &alert)
			assert.Equal(t, Alert(80), alert.Number)
			eventually(t, "counted", func() bool { return l.Stats().HandshakesFailed == 1 && l.Stats().HalfOpen == 0 })
		})
	}
	cfg := serverCfg.Clone()
	asked := 0
	cfg.GetConfigForClient = func(*ClientHelloInfo) (*Config, error) { asked++; return cfg, nil }
	mustBeShaken(t, clientCfg, cfg)
	cfg.GetConfigForClient = func(*ClientHelloInfo) (*Config, error) { asked++; return nil, nil }
	mustBeShaken(t, clientCfg, cfg)
	assert.Equal(t, 2, asked)
}

// Of the chosen Config the cryptography counts, and who is welcome; limits, times and
// what is asked before remain the listener's.
func TestWhatOfTheChosenConfigCounts(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	clientCfg.NextProtos = []string{"coap"}
	refused := errors.New("not this one")
	chosen := serverCfg.Clone()
	chosen.Limits.ReceiveQueue, chosen.Limits.Connections = 2*smallPacket, 1
	chosen.HandshakeTimeout, chosen.IdleTimeout = time.Nanosecond, time.Nanosecond
	chosen.OnConnectionAttempt = func(net.Addr) error { return refused }
	chosen.DisableCookieVerification = true
	chosen.GetConfigForClient = func(*ClientHelloInfo) (*Config, error) { return nil, refused }
	chosen.NextProtos = []string{"coap"}
	var verdict error
	chosen.VerifyConnection = func(ConnectionState) error { return verdict }
	first := serverCfg.Clone()
	first.Limits.ReceiveQueue = 7 * smallPacket
	first.GetConfigForClient = func(*ClientHelloInfo) (*Config, error) { return chosen, nil }
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, first)
	for i := range 2 {
		c, accepted := connected(t, network, l, numbered(i), clientCfg)
		assert.Equal(t, "coap", c.ConnectionState().NegotiatedProtocol)
		assert.Equal(t, first.Limits.ReceiveQueue, accepted.in.capacity())
		say(t, c, "hello")
		expect(t, accepted, "hello")
		require.NoError(t, c.Close())
		<-accepted.ended
		assert.NotErrorIs(t, accepted.err, ErrIdle)
	}
	assert.Equal(t, uint64(2), l.Stats().CookiesSent)
	verdict = refused
	var alert *AlertError
	require.ErrorAs(t, at(t, network, numbered(3), clientCfg).HandshakeContext(soon(t)), &alert)
	assert.Equal(t, Alert(42), alert.Number)
}

// The handshake's limit is the listener's, also once another Config is chosen.
func TestHandshakeTimeoutIsTheListenersOwn(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	chosen, first := serverCfg.Clone(), serverCfg.Clone()
	chosen.HandshakeTimeout = time.Hour
	first.HandshakeTimeout = 50 * time.Millisecond
	first.GetConfigForClient = func(*ClientHelloInfo) (*Config, error) { return chosen, nil }
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, first)
	c := byHandAt(t, network, clientAddr, clientCfg)
	c.send(c.hello())
	eventually(t, "given up", func() bool { return l.Stats().HandshakesFailed == 1 })
	assert.Zero(t, l.Stats().HalfOpen)
}
