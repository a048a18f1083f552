package dtls

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/internal/dgramtest"
)

// patience is how long a test waits for what is sure to come.
const patience = 20 * time.Second

// soon ends a test that waits for what does not come.
func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// within runs f and requires that it ends in time.
func within(t testing.TB, why string, f func()) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
	case <-time.After(patience):
		require.FailNow(t, "it takes too long", why)
	}
}

// connConfigs returns a client that trusts the server's certificate, and the server.
func connConfigs(t testing.TB) (client, server *Config) {
	t.Helper()
	ca := certtest.NewCA(t, "root")
	leaf := certtest.Leaf{Names: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback, net.ParseIP("192.0.2.2")}}
	server = &Config{Certificates: []tls.Certificate{ca.Issue(t, leaf)}}
	return &Config{RootCAs: poolOf(ca)}, server
}

// connPair returns the two ends of a connection through a network in memory, without
// the handshake.
func connPair(t testing.TB, clientCfg, serverCfg *Config) (client, server *Conn, network *dgramtest.Network) {
	t.Helper()
	network = dgramtest.NewNetwork(1)
	clientSock, serverSock := network.Listen(clientAddr), network.Listen(serverAddr)
	client, err := Client(clientSock, serverSock.LocalAddr(), clientCfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = client.Close() })
	server, err = Server(serverSock, clientSock.LocalAddr(), serverCfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close() })
	return client, server, network
}

// shaken makes the handshake of both ends.
func shaken(t testing.TB, client, server *Conn) (clientErr, serverErr error) {
	t.Helper()
	ctx := soon(t)
	done := make(chan error)
	go func() { done <- server.HandshakeContext(ctx) }()
	clientErr = client.HandshakeContext(ctx)
	if clientErr != nil {
		_ = client.Close()
	}
	select {
	case serverErr = <-done:
	case <-time.After(patience):
		require.FailNow(t, "the server does not come back")
	}
	return clientErr, serverErr
}

func mustBeShaken(t testing.TB, clientCfg, serverCfg *Config) (client, server *Conn, network *dgramtest.Network) {
	t.Helper()
	client, server, network = connPair(t, clientCfg, serverCfg)
	clientErr, serverErr := shaken(t, client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	return client, server, network
}

// expect reads a datagram and requires that it is the text.
func expect(t testing.TB, c net.Conn, text string) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	buf := make([]byte, 2048)
	n, err := c.Read(buf)
	require.NoError(t, err)
	require.Equal(t, text, string(buf[:n]))
}

func say(t testing.TB, c net.Conn, text string) {
	t.Helper()
	n, err := c.Write([]byte(text))
	require.NoError(t, err)
	require.Equal(t, len(text), n)
}

func TestConn(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	client, server, _ := connPair(t, clientCfg, serverCfg)
	assert.Equal(t, ConnectionState{}, client.ConnectionState())
	assert.Zero(t, client.MaxDatagramSize())
	_, err := client.ExportKeyingMaterial("EXPERIMENTAL test", nil, 32)
	assertError(t, err, ErrInvalidOperation)
	clientErr, serverErr := shaken(t, client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)

	say(t, client, "one")
	say(t, client, "two")
	expect(t, server, "one")
	expect(t, server, "two")
	say(t, server, "three")
	expect(t, client, "three")

	assert.Equal(t, "192.0.2.1:40000", client.LocalAddr().String())
	assert.Equal(t, "192.0.2.2:4433", client.RemoteAddr().String())
	assert.Greater(t, client.MaxDatagramSize(), 1150)
	state := client.ConnectionState()
	assert.True(t, state.HandshakeComplete)
	assert.Equal(t, uint16(VersionDTLS12), state.Version)
	assert.Equal(t, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, state.CipherSuite)
	assert.Equal(t, "ECDHE-ECDSA-AES256-GCM-SHA384", state.Cipher.Name)
	require.Len(t, state.PeerCertificates, len(serverCfg.Certificates[0].Certificate))
	assert.Equal(t, serverCfg.Certificates[0].Certificate[0], state.PeerCertificates[0].Raw)
	assert.Equal(t, serverCfg.Certificates[0].Certificate, state.RawPeerCertificates)
	assert.False(t, state.DidResume)
	one, err := client.ExportKeyingMaterial("EXPERIMENTAL test", nil, 32)
	require.NoError(t, err)
	other, err := server.ExportKeyingMaterial("EXPERIMENTAL test", nil, 32)
	require.NoError(t, err)
	assert.Equal(t, one, other)
	_, err = client.ExportKeyingMaterial("EXPERIMENTAL test", nil, -1)
	assertError(t, err, ErrInvalidInputParameters)

	require.NoError(t, client.Close())
	assert.Equal(t, state, client.ConnectionState(), "also after the end")
	assert.ErrorIs(t, client.Close(), net.ErrClosed)
	_, err = server.Read(make([]byte, 10))
	assert.Equal(t, io.EOF, err)
	_, err = server.Write([]byte("x"))
	assertError(t, err, ErrRemoteClosedConnection)
	assert.ErrorIs(t, err, syscall.EPIPE)
	_, err = server.ExportKeyingMaterial("EXPERIMENTAL test", nil, 32)
	assert.Error(t, err)
}

func TestConnKeepsWhatCameBeforeTheEnd(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	client, server, _ := mustBeShaken(t, clientCfg, serverCfg)
	for _, text := range []string{"one", "two", "three"} {
		say(t, client, text)
	}
	require.NoError(t, client.Close())
	<-server.ended
	for _, text := range []string{"one", "two", "three"} {
		expect(t, server, text)
	}
	_, err := server.Read(make([]byte, 10))
	assert.Equal(t, io.EOF, err)
}

func TestShortBuffer(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	client, server, _ := mustBeShaken(t, clientCfg, serverCfg)
	say(t, client, "too long for it")
	say(t, client, "next")
	buf := make([]byte, 3)
	n, err := server.Read(buf)
	assert.Equal(t, "too", string(buf[:n]))
	var short *ShortBufferError
	require.ErrorAs(t, err, &short)
	assert.Equal(t, ShortBufferError{Length: 15, Buffer: 3}, *short)
	assert.ErrorIs(t, err, io.ErrShortBuffer)
	assert.ErrorContains(t, err, "15 bytes")
	expect(t, server, "next")
}

func TestConnInvalidInput(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	client, server, _ := mustBeShaken(t, clientCfg, serverCfg)
	for _, size := range []int{0, MaxPayload + 1} {
		n, err := client.Write(make([]byte, size))
		assert.Zero(t, n)
		assertError(t, err, ErrInvalidInputParameters)
	}
	big := bytes.Repeat([]byte("x"), MaxPayload)
	say(t, client, string(big))
	buf := make([]byte, MaxPayload)
	n, err := server.Read(buf)
	require.NoError(t, err)
	assert.Equal(t, big, buf[:n])

	_, err = Client(nil, client.RemoteAddr(), clientCfg)
	assertError(t, err, ErrInvalidInputParameters)
	sock := dgramtest.NewNetwork(1).Listen(clientAddr)
	defer sock.Close()
	_, err = Client(sock, &net.UnixAddr{Name: "x"}, clientCfg)
	assertError(t, err, ErrInvalidInputParameters)
	_, err = Client(sock, nil, clientCfg)
	assertError(t, err, ErrInvalidInputParameters)
	_, err = Server(sock, client.RemoteAddr(), nil)
	assertError(t, err, ErrTLSInitialization)
	_, err = NewListener(nil, serverCfg)
	assertError(t, err, ErrInvalidInputParameters)
	_, err = NewListener(sock, nil)
	assertError(t, err, ErrTLSInitialization)
	for _, network := range []string{"tcp", ""} {
		_, err = Dial(network, "127.0.0.1:1", clientCfg)
		assert.ErrorContains(t, err, "unknown network")
		_, err = Listen(network, "127.0.0.1:0", serverCfg)
		assert.ErrorContains(t, err, "unknown network")
	}
	_, err = Dial("udp", "no port", clientCfg)
	assert.Error(t, err)
	_, err = Dial("udp", "127.0.0.1:1", &Config{CipherList: "NO-SUCH"})
	assertError(t, err, ErrTLSInitialization)
	_, err = Listen("udp", "127.0.0.1:0", &Config{})
	assertError(t, err, ErrTLSInitialization)
	_, err = Listen("udp", "192.0.2.77:0", serverCfg)
	assert.Error(t, err)
}

// requireTimeout requires an error that programs know as a time-out in all the ways that
// they look for one.
func requireTimeout(t testing.TB, err error) {
	t.Helper()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var netErr net.Error
	require.ErrorAs(t, err, &netErr)
	require.True(t, netErr.Timeout())
}

func TestDeadlines(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	client, server, _ := mustBeShaken(t, clientCfg, serverCfg)
	past, short := time.Unix(1, 0), 10*time.Millisecond
	require.NoError(t, client.SetDeadline(past))
	_, err := client.Read(make([]byte, 10))
	requireTimeout(t, err)
	_, err = client.Write([]byte("x"))
	requireTimeout(t, err)
	require.NoError(t, client.SetDeadline(time.Time{}))
	say(t, client, "again")
	expect(t, server, "again")

	require.NoError(t, client.SetReadDeadline(time.Now().Add(short)))
	_, err = client.Read(make([]byte, 10))
	requireTimeout(t, err)

	// A Read under way goes by a deadline that is set, moved and taken away.
	require.NoError(t, client.SetReadDeadline(time.Time{}))
	done := make(chan error)
	go func() {
		_, err := client.Read(make([]byte, 10))
		done <- err
	}()
	require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Hour)))
	require.NoError(t, client.SetReadDeadline(past))
	requireTimeout(t, <-done)
	require.NoError(t, client.Close())
	assert.ErrorIs(t, client.SetDeadline(past), net.ErrClosed)
}

// A peer that does not answer: contexts, deadlines and the handshake's own limit.
func TestHandshakeIsBounded(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	silent := func() *Conn { client, _, _ := connPair(t, clientCfg, serverCfg); return client }
	for name, op := range map[string]func(*Conn) error{
		"Handshake": (*Conn).Handshake,
		"Read":      func(c *Conn) error { return second(c.Read(make([]byte, 1))) },
		"Write":     func(c *Conn) error { return second(c.Write([]byte("x"))) },
	} {
		c := silent()
		require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Millisecond)))
		within(t, name, func() { requireTimeout(t, op(c)) })
		requireTimeout(t, op(c))
	}
	c := silent()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	err := c.HandshakeContext(ctx)
	assert.ErrorIs(t, err, context.Canceled)
	ctx, cancel = context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	err = c.HandshakeContext(ctx)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	var netErr net.Error
	require.ErrorAs(t, err, &netErr)
	assert.True(t, netErr.Timeout())
	assert.ErrorIs(t, c.Handshake(), context.DeadlineExceeded, "it has failed for good")

	clientCfg = clientCfg.Clone()
	clientCfg.HandshakeTimeout = 20 * time.Millisecond
	c = silent()
	err = c.Handshake()
	requireTimeout(t, err)
	assertError(t, err, ErrTLSFatal)
	assert.ErrorContains(t, err, "longer than 20ms")
}

// A deadline passes in mid-handshake, and the handshake goes on in the background.
func TestHandshakeGoesOnAfterADeadline(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	client, server, _ := connPair(t, clientCfg, serverCfg)
	require.NoError(t, client.SetReadDeadline(time.Now().Add(time.Millisecond)))
	requireTimeout(t, second(client.Read(make([]byte, 10))))
	require.NoError(t, client.SetReadDeadline(time.Time{}))
	clientErr, serverErr := shaken(t, client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
}

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	client, server, _ := mustBeShaken(t, clientCfg, serverCfg)
	done := make(chan error)
	go func() { done <- second(client.Read(make([]byte, 10))) }()
	require.NoError(t, client.Close())
	assert.ErrorIs(t, <-done, net.ErrClosed)
	assert.ErrorIs(t, second(client.Read(make([]byte, 10))), net.ErrClosed)
	assert.ErrorIs(t, second(client.Write([]byte("x"))), net.ErrClosed)
	within(t, "the other side", func() { assert.Equal(t, io.EOF, second(server.Read(make([]byte, 10)))) })

	client, server, _ = connPair(t, clientCfg, serverCfg)
	go func() { done <- client.Handshake() }()
	go func() { time.AfterFunc(0, func() { _ = client.Close() }) }()
	err := <-done
	if err != nil {
		assert.ErrorIs(t, err, net.ErrClosed)
	}
	_ = server.Close()
	assert.ErrorIs(t, server.Handshake(), net.ErrClosed)
}

func TestConnResumes(t *testing.T) {
	clientCfg, serverCfg := connConfigs(t)
	clientCfg.ClientSessionCache = NewLRUClientSessionCache(0)
	for _, resumed := range []bool{false, true, true} {
		client, server, _ := mustBeShaken(t, clientCfg, serverCfg)
		assert.Equal(t, resumed, client.ConnectionState().DidResume)
		assert.Equal(t, resumed, server.ConnectionState().DidResume)
		say(t, client, "hello")
		expect(t, server, "hello")
	}
}

func TestConnWithPSK(t *testing.T) {
	clientCfg, serverCfg := pskConfigs()
	client, server, _ := mustBeShaken(t, clientCfg, serverCfg)
	assert.Equal(t, "device 7", string(server.ConnectionState().PSKIdentity))
	say(t, client, "hello")
	expect(t, server, "hello")
}

// What the network does to handshakes and data: all of it up to a fifth, both ways.
func TestConnThroughABadNetwork(t *testing.T) {
	clientCfg, serverCfg := longFlights(t)
	clientCfg.ServerName = "localhost"
	for _, cfg := range []*Config{clientCfg, serverCfg} {
		cfg.RetransmissionTimeout = MinRetransmissionTimeout
	}
	var wg sync.WaitGroup
	for seed := range uint64(20) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			network := dgramtest.NewNetwork(seed)
			network.SetFaults(dgramtest.Faults{Loss: 0.2, Duplicate: 0.2, Reorder: 0.2})
			assert.NoError(t, throughABadNetwork(t, network, seed%2 == 0, clientCfg, serverCfg), "seed %d", seed)
		}()
	}
	wg.Wait()
}

// throughABadNetwork makes a handshake and sends two hundred datagrams, to a listener or
// to a server with a socket of its own.
func throughABadNetwork(t *testing.T, network *dgramtest.Network, listener bool, clientCfg, serverCfg *Config) error {
	clientSock, serverSock := network.Listen(clientAddr), network.Listen(serverAddr)
	client, err := Client(clientSock, serverSock.LocalAddr(), clientCfg)
	if err != nil {
		return err
	}
	defer client.Close()
	accept := func() (net.Conn, error) {
		server, err := Server(serverSock, clientSock.LocalAddr(), serverCfg)
		if err != nil {
			return nil, err
		}
		return server, server.Handshake()
	}
	if listener {
		l, err := NewListener(serverSock, serverCfg)
		if err != nil {
			return err
		}
		defer l.Close()
		accept = l.Accept
	}
	heard := make(chan error, 1)
	go func() {
		server, err := accept()
		if err == nil {
			err = hearNothingTwice(server)
			_ = server.Close()
		}
		heard <- err
	}()
	if err := client.Handshake(); err != nil {
		return err
	}
	for i := 0; ; i++ {
		text := "end"
		if i < 200 {
			text = fmt.Sprint(i)
		}
		_, err := client.Write([]byte(text))
		select {
		case err := <-heard:
			return err
		default:
			if err != nil && !errors.Is(err, ErrRemoteClosedConnection) {
				return err
			}
		}
	}
}

func hearNothingTwice(server net.Conn) error {
	if err := server.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	seen := map[string]bool{}
	for buf := make([]byte, 10); ; {
		n, err := server.Read(buf)
		text := string(buf[:n])
		switch {
		case err != nil:
			return err
		case text == "end" && len(seen) > 50:
			return nil
		case text == "end":
			return fmt.Errorf("only %d datagrams have arrived", len(seen))
		case seen[text]:
			return fmt.Errorf("%q is delivered twice", text)
		}
		seen[text] = true
	}
}

func TestDialErrors(t *testing.T) {
	clientCfg, _ := connConfigs(t)
	// Nobody listens: the kernel says so, the handshake waits for its limit.
	pc, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	address := pc.LocalAddr().String()
	require.NoError(t, pc.Close())
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	_, err = DialContext(ctx, "udp", address, clientCfg)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	_, err = DialContext(ctx, "udp", address, clientCfg)
	assert.Error(t, err)
	clientCfg = clientCfg.Clone()
	clientCfg.HandshakeTimeout = 50 * time.Millisecond
	_, err = Dial("udp", address, clientCfg)
	requireTimeout(t, err)
	assert.ErrorContains(t, err, "refused", "the socket's error is told")
}
