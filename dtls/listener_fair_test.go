package dtls

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/internal/dgramtest"
)

// As many peers as there are workers send without end, to a handler that takes its time:
// another one gets in and is answered.
func TestServeIsFair(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	go func() {
		_ = l.Serve(Handler{Datagram: func(c *Conn, datagram []byte) {
			if len(datagram) > 100 {
				for start := time.Now(); time.Since(start) < 100*time.Microsecond; {
				}
				return
			}
			_, _ = c.Write(datagram)
		}})
	}()
	stop := make(chan struct{})
	var flooding sync.WaitGroup
	defer flooding.Wait()
	defer close(stop)
	for i := range minWorkers {
		c := at(t, network, numbered(i), clientCfg)
		require.NoError(t, c.HandshakeContext(soon(t)))
		flooding.Add(1)
		go func() {
			defer flooding.Done()
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = c.Write(make([]byte, 200))
				}
			}
		}()
	}
	honest := at(t, network, numbered(99), clientCfg)
	require.NoError(t, honest.HandshakeContext(soon(t)))
	echoes(t, honest, "answered all the same")
}

// With an anonymous cipher suite there is nothing that OpenSSL could object to.
func TestConnWantsTheServersCertificate(t *testing.T) {
	_, serverCfg := connConfigs(t)
	serverCfg.CipherList = "AECDH-AES128-SHA:@SECLEVEL=0"
	client, server, _ := connPair(t, &Config{CipherList: serverCfg.CipherList}, serverCfg)
	clientErr, serverErr := shaken(t, client, server)
	assertError(t, clientErr, ErrPeerVerification)
	var objection VerificationError
	require.ErrorAs(t, clientErr, &objection)
	assert.Equal(t, NoPeerCertificate, objection.Code)
	var alert *AlertError
	require.ErrorAs(t, serverErr, &alert)
	assert.Equal(t, Alert(40), alert.Number)
	insecure := &Config{CipherList: serverCfg.CipherList, InsecureSkipVerify: true}
	mustBeShaken(t, insecure, serverCfg)
}

// lateSocket is a socket that reports an error, once.
type lateSocket struct {
	net.PacketConn
	late chan error
}

func (s *lateSocket) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case err := <-s.late:
		return 0, nil, err
	default:
		return s.PacketConn.ReadFrom(b)
	}
}

func TestLateErrorOfTheSocket(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	echoing(t, l)
	sock := &lateSocket{network.Listen(clientAddr), make(chan error, 1)}
	c, err := Client(sock, l.Addr(), clientCfg)
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.HandshakeContext(soon(t)))
	sock.late <- syscall.ECONNREFUSED
	eventually(t, "told", func() bool { // the read under way ends by an echo, and the next has the error
		_, err = c.Write([]byte("x"))
		return err != nil
	})
	assertError(t, err, ErrUnderlyingSocket)
	assert.ErrorIs(t, err, syscall.ECONNREFUSED)
	say(t, c, "and on")
}

func TestNamesAsPeopleWriteThem(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	clientCfg.ServerName = "localhost."
	client, server, _ := mustBeShaken(t, clientCfg, serverCfg)
	assert.Equal(t, "localhost", server.ConnectionState().ServerName)
	require.NoError(t, client.Close())

	// An address with a zone is verified without it.
	ca := certtest.NewCA(t, "root")
	cfg := &Config{Certificates: []tls.Certificate{ca.Issue(t, certtest.Leaf{IPs: []net.IP{net.ParseIP("fe80::1")}})}}
	network := dgramtest.NewNetwork(1)
	l, err := NewListener(network.Listen(netip.MustParseAddrPort("[fe80::1%x]:4433")), cfg)
	require.NoError(t, err)
	defer l.Close()
	c, err := Client(network.Listen(netip.MustParseAddrPort("[fe80::2%x]:40000")), l.Addr(), &Config{RootCAs: poolOf(ca)})
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.HandshakeContext(soon(t)))
}

// The cookie is verified once more when the connection begins.
func TestCookieIsVerifiedTwice(t *testing.T) {
	_, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	key, err := GeneratorParameters{Secret: []byte("another")}.CookieKey()
	require.NoError(t, err)
	defer key.Close()
	a, err := NewAssociation(ClientMode, &Config{})
	require.NoError(t, err)
	defer a.Close()
	var end dgramtest.End
	require.NoError(t, a.SetPeer(serverAddr, ""))
	require.NoError(t, a.DoHandshake(&end, nil))
	hello := end.Take()[0]
	h, ok := parseHello(hello)
	require.True(t, ok)
	l.inlets[0].admit(remote{peer: clientAddr}, h, hello, key)
	eventually(t, "refused", func() bool { return l.Stats().HandshakesFailed == 1 })
	assert.Zero(t, l.Stats().HalfOpen)
}

func TestSocketOfAnotherPeer(t *testing.T) {
	clientCfg, _ := connConfigs(t)
	pc, err := net.DialUDP("udp4", nil, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 9})
	require.NoError(t, err)
	defer pc.Close()
	_, err = Client(pc, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 10}, clientCfg)
	assertError(t, err, ErrInvalidInputParameters)
	assert.ErrorContains(t, err, "127.0.0.1:9")
}

func TestAcceptAndServeEndWithShutdown(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	c := at(t, network, clientAddr, clientCfg)
	require.NoError(t, c.HandshakeContext(soon(t)))
	accepted, err := l.Accept()
	require.NoError(t, err)
	defer accepted.Close()
	ended := make(chan error, 2)
	go func() { _, err := l.Accept(); ended <- err }()
	ctx, cancel := context.WithCancel(context.Background())
	shut := make(chan error, 1)
	go func() { shut <- l.Shutdown(ctx) }()
	assert.ErrorIs(t, <-ended, net.ErrClosed)
	assert.ErrorIs(t, l.Serve(Handler{Datagram: func(*Conn, []byte) {}}), net.ErrClosed)
	say(t, c, "goes on")
	expect(t, accepted, "goes on")
	cancel()
	assert.ErrorIs(t, <-shut, context.Canceled)
}

// What Accept has returned stays the program's when Serve is called.
func TestServeAfterAccept(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	first := at(t, network, numbered(1), clientCfg)
	require.NoError(t, first.HandshakeContext(soon(t)))
	accepted, err := l.Accept()
	require.NoError(t, err)
	go func() { _ = l.Serve(Handler{Datagram: func(c *Conn, datagram []byte) { _, _ = c.Write(datagram) }}) }()
	second := at(t, network, numbered(2), clientCfg)
	require.NoError(t, second.HandshakeContext(soon(t)))
	echoes(t, second, "served")
	say(t, first, "read")
	expect(t, accepted, "read")
}

func TestListenerTellsItsLogger(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	var mu sync.Mutex
	var log strings.Builder
	serverCfg.Logger = slog.New(slog.NewTextHandler(writerFunc(func(b []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(b)
	}), &slog.HandlerOptions{Level: slog.LevelDebug}))
	serverCfg.Limits.HalfOpen = 1
	serverCfg.OnConnectionAttempt = func(peer net.Addr) error {
		if peer.String() == numbered(7).String() {
			return errors.New("not welcome")
		}
		return nil
	}
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	require.NoError(t, at(t, network, numbered(1), clientCfg).HandshakeContext(soon(t)))
	for i := 7; i < 9; i++ {
		c := at(t, network, numbered(i), clientCfg)
		c.begin()
	}
	network.Send(numbered(3), serverAddr, []byte("junk"))
	for _, event := range []string{"cookie sent", "connected", "attempt refused", "no place for it", "of nobody known"} {
		eventually(t, event, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(log.String(), event)
		})
	}
	require.NoError(t, l.Close())
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// Secrets rotate while clients connect, and nobody is turned away.
func TestCookieSecretsRotate(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	assertError(t, l.SetCookieGeneratorParameters(GeneratorParameters{}), ErrInvalidInputParameters)
	for i := range 20 {
		require.NoError(t, l.SetCookieGeneratorParameters(GeneratorParameters{Secret: fmt.Appendf(nil, "secret %d", i)}))
		require.NoError(t, at(t, network, numbered(i), clientCfg).HandshakeContext(soon(t)))
	}
	without := serverCfg.Clone()
	without.DisableCookieVerification = true
	l, err := NewListener(dgramtest.NewNetwork(1).Listen(serverAddr), without)
	require.NoError(t, err)
	defer l.Close()
	assertError(t, l.SetCookieGeneratorParameters(GeneratorParameters{Secret: []byte("x")}), ErrInvalidOperation)
}
