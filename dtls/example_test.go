package dtls_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/ossldtls/ossldtls/dtls"
	"github.com/ossldtls/ossldtls/verifier"
)

// server is a server for any number of clients on one socket.
type server struct {
	sock    *net.UDPConn
	cfg     *dtls.Config
	verify  *verifier.ClientVerifier
	clients map[netip.AddrPort]*dtls.Association
}

// receive handles one datagram.
func (s *server) receive(datagram []byte, peer netip.AddrPort) error {
	a := s.clients[peer]
	if a == nil { // a stranger: nothing is kept until its cookie is right
		ok, err := s.verify.VerifyClient(s.sock, datagram, peer)
		if err != nil || !ok {
			return err
		}
		if a, err = dtls.NewAssociation(dtls.ServerMode, s.cfg); err != nil {
			return err
		}
		s.clients[peer] = a
		_ = a.SetPeer(peer, "")
	}
	if !a.IsConnectionEncrypted() {
		if err := a.DoHandshake(s.sock, datagram); !a.IsConnectionEncrypted() {
			return err
		}
		datagram = nil // there may be data that came with the end of the handshake
	}
	payloads, err := a.DecryptDatagram(s.sock, datagram)
	for _, p := range payloads {
		_, _ = a.WriteDatagramEncrypted(s.sock, fmt.Appendf(nil, "to you: %s", p))
	}
	return err
}

// run receives until the socket is closed. It sends flights again when they are due,
// and forgets clients that have failed or closed.
func (s *server) run() {
	buf := make([]byte, 65535)
	for {
		var due time.Time
		for peer, a := range s.clients {
			if state := a.HandshakeState(); state == dtls.HandshakeNotStarted || state == dtls.PeerVerificationFailed {
				_ = a.Close()
				delete(s.clients, peer)
			} else if t, ok := a.NextTimeout(); ok && (due.IsZero() || t.Before(due)) {
				due = t
			}
		}
		_ = s.sock.SetReadDeadline(due)
		n, peer, err := s.sock.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			for _, a := range s.clients {
				_, _ = a.HandleTimeout(s.sock)
			}
		case err != nil:
			return
		default:
			if err := s.receive(buf[:n], peer); err != nil {
				log.Print(err)
			}
		}
	}
}

// ask shakes hands, sends a question and returns the answer.
func ask(sock *net.UDPConn, a *dtls.Association, question string) (answer string, err error) {
	buf := make([]byte, 65535)
	for err = a.DoHandshake(sock, nil); err == nil && answer == ""; {
		due, ok := a.NextTimeout() // none once the handshake is complete
		if !ok {
			due = time.Now().Add(10 * time.Second)
		}
		_ = sock.SetReadDeadline(due)
		n, _, readErr := sock.ReadFromUDPAddrPort(buf)
		switch {
		case errors.Is(readErr, os.ErrDeadlineExceeded) && ok:
			_, err = a.HandleTimeout(sock) // sends the last flight again
		case readErr != nil:
			err = readErr
		case a.IsConnectionEncrypted():
			var payloads [][]byte
			payloads, err = a.DecryptDatagram(sock, buf[:n])
			for _, p := range payloads {
				answer += string(p)
			}
		default:
			if err = a.DoHandshake(sock, buf[:n]); a.IsConnectionEncrypted() {
				_, err = a.WriteDatagramEncrypted(sock, []byte(question))
			}
		}
	}
	return answer, err
}

// listenUDP returns a socket on a free port of the loopback interface.
func listenUDP() (*net.UDPConn, netip.AddrPort) {
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	check(err)
	return sock, sock.LocalAddr().(*net.UDPAddr).AddrPort()
}

// check ends the example if there is an error.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// selfSigned returns a certificate for localhost and a pool that trusts it.
func selfSigned() (tls.Certificate, *dtls.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	check(err)
	cert, err := x509.ParseCertificate(der)
	check(err)
	pool := dtls.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// A server for any number of clients on one socket, and a client, both with real
// sockets. The server keeps nothing for a client whose cookie it has not seen.
func Example() {
	cert, pool := selfSigned()
	verify, err := verifier.New()
	check(err)
	defer verify.Close()
	log.SetOutput(io.Discard)
	defer log.SetOutput(os.Stderr)

	sock, addr := listenUDP()
	s := &server{sock, &dtls.Config{Certificates: []tls.Certificate{cert}}, verify, map[netip.AddrPort]*dtls.Association{}}
	done := make(chan struct{})
	go func() { s.run(); close(done) }()

	client, _ := listenUDP()
	a, err := dtls.NewAssociation(dtls.ClientMode, &dtls.Config{RootCAs: pool})
	check(err)
	check(a.SetPeer(addr, "localhost"))
	fmt.Println(ask(client, a, "hello"))
	check(a.Shutdown(client))
	check(a.Close())
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, _, _ = client.ReadFromUDPAddrPort(make([]byte, 2048)) // the server's close_notify

	_ = client.Close()
	_ = sock.Close()
	<-done
	// Output: to you: hello <nil>
}

// A pre-shared key on both sides, instead of certificates.
func ExampleConfig_pSK() {
	key := []byte{0x1a, 0x2b, 0x3c, 0x4d, 0x5e, 0x6f, 0x70, 0x81}
	serverCfg := &dtls.Config{
		PSKIdentityHint: "example",
		PSK: func(psk *dtls.PSK) error {
			if string(psk.Identity) == "device 7" {
				psk.PreSharedKey = key
			}
			return nil
		},
	}
	clientCfg := &dtls.Config{
		PSK: func(psk *dtls.PSK) error {
			fmt.Printf("hint %q\n", psk.IdentityHint)
			psk.Identity, psk.PreSharedKey = []byte("device 7"), key
			return nil
		},
	}
	client, server := connect(clientCfg, serverCfg)
	defer client.Close()
	defer server.Close()
	fmt.Printf("%s %s\n", server.PSKIdentity(), server.SessionCipher().Name)
	// Output:
	// hint "example"
	// device 7 ECDHE-PSK-CHACHA20-POLY1305
}

// pipe is a socket in memory: what one association sends is kept for the other.
type pipe struct{ datagrams [][]byte }

func (p *pipe) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	p.datagrams = append(p.datagrams, append([]byte(nil), b...))
	return len(b), nil
}

// take returns the datagrams sent so far and forgets them.
func (p *pipe) take() [][]byte {
	sent := p.datagrams
	p.datagrams = nil
	return sent
}

// connect returns two associations in memory that have shaken hands, or tried to.
func connect(clientCfg, serverCfg *dtls.Config) (client, server *dtls.Association) {
	serverCfg.DisableCookieVerification = true // nobody can spoof an address in memory
	client, err := dtls.NewAssociation(dtls.ClientMode, clientCfg)
	check(err)
	server, err = dtls.NewAssociation(dtls.ServerMode, serverCfg)
	check(err)
	check(client.SetPeer(netip.MustParseAddrPort("192.0.2.2:4433"), "localhost"))
	check(server.SetPeer(netip.MustParseAddrPort("192.0.2.1:40000"), ""))
	var up, down pipe
	check(client.DoHandshake(&up, nil))
	for len(up.datagrams)+len(down.datagrams) > 0 {
		for _, d := range up.take() {
			if err := server.DoHandshake(&down, d); err != nil {
				return client, server
			}
		}
		for _, d := range down.take() {
			if err := client.DoHandshake(&up, d); err != nil {
				return client, server
			}
		}
	}
	return client, server
}

// Everything that a Config can say.
func ExampleConfig() {
	cert, pool := selfSigned()
	cfg := &dtls.Config{
		Certificates:          []tls.Certificate{cert},
		RootCAs:               pool,
		ClientCAs:             pool,
		PeerVerifyMode:        dtls.VerifyPeer, // or AutoVerifyPeer, QueryPeer, VerifyNone
		PeerVerifyDepth:       3,
		ServerName:            "localhost",
		NextProtos:            []string{"coap"},
		MinVersion:            dtls.VersionDTLS12,
		MaxVersion:            dtls.VersionDTLS12,
		CipherList:            dtls.DefaultCipherList,
		HandshakeTimeout:      10 * time.Second, // dtls.DefaultHandshakeTimeout is 30 s
		RetransmissionTimeout: 200 * time.Millisecond,
	}
	other := cfg.Clone() // a Config in use is not changed: its copy is
	other.NextProtos = nil
	client, server := connect(other, cfg)
	defer client.Close()
	defer server.Close()
	fmt.Println(dtls.VersionName(client.SessionProtocol()), client.SessionCipher().Name)
	fmt.Println(server.PeerCertificate().Subject(), len(server.PeerCertificateChain()))
	fmt.Printf("%q\n", client.NegotiatedProtocol())
	fmt.Println(dtls.MinRetransmissionTimeout < dtls.DefaultRetransmissionTimeout, dtls.DefaultHandshakeTimeout)

	cfg = &dtls.Config{MinVersion: dtls.VersionDTLS10, CipherList: "NO-SUCH-CIPHER"}
	fmt.Println(errors.Is(cfg.Validate(dtls.ClientMode), dtls.ErrTLSInitialization))
	cfg = &dtls.Config{
		Certificates: []tls.Certificate{cert},
		ClientCAs:    pool,
		ClientAuth:   tls.VerifyClientCertIfGiven, // crypto/tls's word, in place of PeerVerifyMode
	}
	fmt.Println(cfg.Validate(dtls.ServerMode))
	// Output:
	// DTLS 1.2 ECDHE-ECDSA-AES256-GCM-SHA384
	// CN=localhost 1
	// ""
	// true 30s
	// true
	// <nil>
}

// A client that comes back resumes its session: fewer messages, and no certificate
// sent and verified again.
func ExampleClientSessionCache() {
	cert, pool := selfSigned()
	var cache dtls.ClientSessionCache = dtls.NewLRUClientSessionCache(dtls.DefaultClientSessions)
	clientCfg := &dtls.Config{RootCAs: pool, ClientSessionCache: cache}
	serverCfg := &dtls.Config{Certificates: []tls.Certificate{cert}, SessionTicketsDisabled: false}
	for range 2 {
		client, server := connect(clientCfg, serverCfg)
		fmt.Println(client.SessionResumed(), server.SessionResumed())
		client.Close()
		server.Close()
	}
	var session *dtls.ClientSession
	session, ok := cache.Get("localhost:4433")
	fmt.Println(ok, time.Until(session.Expires()) > time.Hour)
	cache.Put("localhost:4433", nil) // forgotten
	// Output:
	// false false
	// true true
	// true true
}

// Keying material for another protocol, SRTP's profile, and a key log for Wireshark.
func ExampleAssociation_ExportKeyingMaterial() {
	cert, pool := selfSigned()
	var log bytes.Buffer
	client, server := connect(
		&dtls.Config{RootCAs: pool, SRTPProfiles: []string{"SRTP_AEAD_AES_128_GCM"}, KeyLogWriter: &log},
		&dtls.Config{Certificates: []tls.Certificate{cert}, SRTPProfiles: []string{"SRTP_AEAD_AES_128_GCM"}},
	)
	defer client.Close()
	defer server.Close()
	one, err := client.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 56)
	check(err)
	other, err := server.ExportKeyingMaterial("EXTRACTOR-dtls_srtp", nil, 56)
	check(err)
	fmt.Println(client.SRTPProfile(), bytes.Equal(one, other), bytes.HasPrefix(log.Bytes(), []byte("CLIENT_RANDOM ")))
	// Output: SRTP_AEAD_AES_128_GCM true true
}

// A peer whose certificate OpenSSL objects to: the handshake waits for a decision.
func ExampleAssociation_ResumeHandshake() {
	cert, _ := selfSigned()
	client, server := connect(&dtls.Config{RootCAs: dtls.SystemCertPool()}, &dtls.Config{Certificates: []tls.Certificate{cert}})
	defer client.Close()
	defer server.Close()
	fmt.Println(client.HandshakeState() == dtls.PeerVerificationFailed, client.DTLSError() == dtls.ErrPeerVerification)
	var objections []dtls.VerificationError = client.PeerVerificationErrors()
	fmt.Println(objections[0].Depth, objections[0].Certificate.Subject())
	var sock pipe
	if objections[0].Code == dtls.NoPeerCertificate {
		_ = client.AbortHandshake(&sock) // tells the server by an alert
	}
	client.IgnoreVerificationErrors(objections...)
	fmt.Println(client.ResumeHandshake(&sock), client.HandshakeState())
	// Output:
	// true true
	// 0 CN=localhost
	// <nil> HandshakeInProgress
}

// The settings and the questions of an association that has not started yet.
func ExampleAssociation() {
	a, err := dtls.NewAssociation(dtls.ServerMode, &dtls.Config{PSK: func(*dtls.PSK) error { return nil }})
	check(err)
	defer a.Close()
	check(a.SetPeer(netip.MustParseAddrPort("192.0.2.1:40000"), ""))
	check(a.SetPeerVerificationName("client.example.org"))
	a.SetMTUHint(dtls.DefaultMTUHint)
	check(a.SetCookieGeneratorParameters(dtls.GeneratorParameters{Hash: "SHA384", Secret: []byte("of the verifier")}))
	check(a.SetDTLSConfiguration(&dtls.Config{PSK: a.DTLSConfiguration().PSK, PSKIdentityHint: "other"}))
	due := make(chan struct{}, 1)
	a.SetHandshakeTimeoutFunc(func() { due <- struct{}{} })

	fmt.Println(a.Mode(), a.PeerAddress(), a.PeerPort(), a.PeerVerificationName(), a.MTUHint())
	fmt.Println(a.CookieGeneratorParameters().Hash, a.HandshakeState(), a.MaxDatagramSize())
	var sock dtls.DatagramWriter = &pipe{}
	_, err = a.WriteDatagramEncrypted(sock, make([]byte, dtls.MaxPayload))
	fmt.Println(errors.Is(err, dtls.ErrInvalidOperation))
	fmt.Println(a.DTLSErrorString())
	// Output:
	// server 192.0.2.1 40000 client.example.org 1280
	// SHA384 HandshakeNotStarted 0
	// true
	// dtls: write datagram: invalid operation: not possible in state HandshakeNotStarted
}

// What the kinds of errors ask for.
func ExampleError() {
	next := func(err error) string {
		var e *dtls.Error
		if !errors.As(err, &e) {
			return "go on"
		}
		switch e.Code {
		case dtls.NoError:
			return "go on"
		case dtls.ErrInvalidInputParameters, dtls.ErrInvalidOperation, dtls.ErrTLSInitialization:
			return "mend the program or its configuration"
		case dtls.ErrUnderlyingSocket, dtls.ErrTLSNonFatal:
			return "go on: as if the network had lost a datagram"
		case dtls.ErrRemoteClosedConnection:
			return "forget the association: the peer has closed it"
		case dtls.ErrPeerVerification:
			return "resume or abort"
		case dtls.ErrTLSFatal:
			for _, entry := range e.Stack() {
				fmt.Println(entry.Library, entry.Reason)
			}
		}
		return "forget the association: it has failed"
	}
	a, err := dtls.NewAssociation(dtls.ClientMode, nil)
	check(err)
	defer a.Close()
	err = a.Shutdown(&pipe{})
	fmt.Println(errors.Is(err, dtls.ErrInvalidOperation), next(err))
	var code dtls.ErrorCode = a.DTLSError()
	fmt.Println(code)
	// Output:
	// true mend the program or its configuration
	// invalid operation
}

// A pool of one's own authorities, or the machine's with one more.
func ExampleCertPool() {
	pool := dtls.SystemCertPool()
	fmt.Println(pool.AppendCertsFromPEM([]byte("junk")) != nil, pool.AppendCertsFromDER([]byte("junk")) != nil)
	cert, _ := selfSigned()
	fmt.Println(pool.AppendCertsFromDER(cert.Certificate[0]))
	// Output:
	// true true
	// <nil>
}

// The states that an association goes through, and the zero values.
func ExampleHandshakeState() {
	for _, s := range []dtls.HandshakeState{
		dtls.HandshakeNotStarted, dtls.HandshakeInProgress, dtls.PeerVerificationFailed, dtls.HandshakeComplete,
	} {
		fmt.Println(s)
	}
	for _, m := range []dtls.VerifyMode{dtls.AutoVerifyPeer, dtls.VerifyNone, dtls.QueryPeer, dtls.VerifyPeer} {
		fmt.Print(int(m), " ")
	}
	var cipher dtls.Cipher // of an association without a session
	var answer dtls.PSKFunc
	var mode dtls.Mode
	fmt.Println(cipher.Name == "", answer == nil, mode)
	// Output:
	// HandshakeNotStarted
	// HandshakeInProgress
	// PeerVerificationFailed
	// HandshakeComplete
	// 0 1 2 3 true true client
}

// listen returns a server that sends back what its clients say, until it is closed.
func listen(address string, cert tls.Certificate) (*dtls.Listener, error) {
	listener, err := dtls.Listen("udp", address, &dtls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return nil, err
	}
	go func() {
		for {
			conn, err := listener.Accept() // its handshake is complete
			if err != nil {
				return // the listener is closed
			}
			go echo(conn)
		}
	}()
	return listener, nil
}

// echo serves one client.
func echo(conn net.Conn) {
	defer conn.Close()
	buf := make([]byte, dtls.MaxPayload)
	for {
		n, err := conn.Read(buf) // one datagram
		if err != nil {
			return // io.EOF: the client has closed
		}
		_, _ = conn.Write(buf[:n])
	}
}

// dial connects to a server, says something and returns the answer.
func dial(address string, roots *dtls.CertPool, text string) (string, error) {
	conn, err := dtls.Dial("udp", address, &dtls.Config{
		RootCAs:    roots,
		ServerName: "localhost", // not needed where the address has the name
	})
	if err != nil {
		return "", err
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(text)); err != nil {
		return "", err
	}
	// A datagram may be lost: who needs the answer asks again.
	if err := conn.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		return "", err
	}
	buf := make([]byte, dtls.MaxPayload)
	n, err := conn.Read(buf)
	return string(buf[:n]), err
}

// A server for any number of clients, and a client.
func ExampleListen() {
	cert, roots := selfSigned()
	listener, err := listen("127.0.0.1:0", cert)
	check(err)
	defer listener.Close() // with close_notify for every client
	fmt.Println(dial(listener.Addr().String(), roots, "hello"))
	// Output: hello <nil>
}

// A client with a bound for everything until the handshake is complete, and what it then
// knows of the connection.
func ExampleDialContext() {
	cert, roots := selfSigned()
	listener, err := listen("127.0.0.1:0", cert)
	check(err)
	defer listener.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	cfg := &dtls.Config{RootCAs: roots, ServerName: "localhost"}
	conn, err := dtls.DialContext(ctx, "udp", listener.Addr().String(), cfg)
	check(err)
	defer conn.Close()
	var state dtls.ConnectionState = conn.ConnectionState()
	fmt.Println(state.HandshakeComplete, dtls.VersionName(state.Version), state.Cipher.Name)
	fmt.Printf("%#04x %v %q\n", state.CipherSuite, state.DidResume, state.NegotiatedProtocol)
	fmt.Println(state.PeerCertificates[0].Subject, len(state.RawPeerCertificates), len(state.VerificationErrors))
	fmt.Println(state.ServerName, state.PSKIdentity == nil, state.SRTPProfile == "")
	// Output:
	// true DTLS 1.2 ECDHE-ECDSA-AES256-GCM-SHA384
	// 0xc02c false ""
	// CN=localhost 1 0
	// localhost true true
}

// Datagrams straight to a function, without a goroutine for each connection.
func ExampleListener_Serve() {
	cert, roots := selfSigned()
	listener, err := dtls.Listen("udp", "127.0.0.1:0", &dtls.Config{
		Certificates: []tls.Certificate{cert},
		IdleTimeout:  5 * time.Minute, // dtls.DefaultIdleTimeout is an hour
		Limits:       dtls.Limits{Connections: 100000},
	})
	check(err)
	served, closed := make(chan error, 1), make(chan error, 1)
	go func() {
		served <- listener.Serve(dtls.Handler{
			Opened:   func(c *dtls.Conn) { fmt.Println("opened by a client of", c.ConnectionState().ServerName) },
			Datagram: func(c *dtls.Conn, datagram []byte) { _, _ = c.Write(bytes.ToUpper(datagram)) },
			Closed:   func(c *dtls.Conn, err error) { closed <- err },
		})
	}()
	fmt.Println(dial(listener.Addr().String(), roots, "hello"))
	fmt.Println("closed:", <-closed)

	var stats dtls.Stats = listener.Stats()
	fmt.Println(stats.CookiesSent, stats.HandshakesCompleted, stats.HandshakesFailed, stats.Open, stats.HalfOpen)
	fmt.Println(stats.CookiesRejected+stats.AttemptsRefused+stats.Replaced, stats.DroppedLimit+stats.DroppedQueue+stats.DroppedUnknown)
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	check(listener.Shutdown(ctx)) // waits for connections and handlers
	fmt.Println(errors.Is(<-served, net.ErrClosed))
	// Output:
	// opened by a client of localhost
	// HELLO <nil>
	// closed: EOF
	// 1 1 0 0 0
	// 0 0
	// true
}

// A listener on a socket of the program's own, with everything that bounds what strangers
// can do.
func ExampleNewListener() {
	key := []byte{0x1a, 0x2b, 0x3c, 0x4d, 0x5e, 0x6f, 0x70, 0x81}
	sock, _ := listenUDP()
	listener, err := dtls.NewListener(sock, &dtls.Config{
		PSK: func(psk *dtls.PSK) error {
			psk.PreSharedKey = key
			return nil
		},
		OnConnectionAttempt: func(peer net.Addr) error {
			if !peer.(*net.UDPAddr).IP.IsLoopback() {
				return errors.New("not from here") // nothing is answered
			}
			return nil
		},
		HandshakeTimeout: 5 * time.Second,
		Limits: dtls.Limits{
			HalfOpen:           100,
			HalfOpenPerAddress: 10,
			Connections:        1000,
			ReceiveQueue:       64 << 10,
		},
		Logger: slog.New(slog.DiscardHandler),
	})
	check(err)
	defer listener.Close()
	// The same secret on every server behind one address.
	check(listener.SetCookieGeneratorParameters(dtls.GeneratorParameters{Secret: []byte("shared by all servers")}))

	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := listener.Accept()
		check(err)
		defer conn.Close()
		fmt.Printf("%s\n", conn.(*dtls.Conn).ConnectionState().PSKIdentity)
	}()
	conn, err := dtls.Dial("udp", listener.Addr().String(), &dtls.Config{PSK: func(psk *dtls.PSK) error {
		psk.Identity, psk.PreSharedKey = []byte("device 7"), key
		return nil
	}})
	check(err)
	<-done
	check(conn.Close())

	fmt.Println(dtls.DefaultHalfOpen, dtls.DefaultHalfOpenPerAddress, dtls.DefaultReceiveQueue, dtls.DefaultIdleTimeout)
	// Output:
	// device 7
	// 1024 128 1048576 1h0m0s
}

// Both ends of a connection over sockets of the program's own, such as those that an ICE
// agent has found.
func ExampleClient() {
	cert, roots := selfSigned()
	clientSock, clientAddr := listenUDP()
	serverSock, serverAddr := listenUDP()
	client, err := dtls.Client(clientSock, net.UDPAddrFromAddrPort(serverAddr), &dtls.Config{RootCAs: roots, ServerName: "localhost"})
	check(err)
	server, err := dtls.Server(serverSock, net.UDPAddrFromAddrPort(clientAddr), &dtls.Config{Certificates: []tls.Certificate{cert}})
	check(err)
	defer server.Close()

	shaken := make(chan error, 1)
	go func() { shaken <- server.Handshake() }() // the first Read or Write would make it too
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	check(client.HandshakeContext(ctx))
	check(<-shaken)
	fmt.Println(client.LocalAddr().String() == clientAddr.String(), client.RemoteAddr().String() == serverAddr.String())

	one, err := client.ExportKeyingMaterial("EXPERIMENTAL example", nil, 32)
	check(err)
	other, err := server.ExportKeyingMaterial("EXPERIMENTAL example", nil, 32)
	check(err)
	fmt.Println(bytes.Equal(one, other))
	check(client.Close())
	_, err = server.Read(make([]byte, 100))
	fmt.Println(err)
	// Output:
	// true true
	// true
	// EOF
}

// Reads and writes of datagrams: boundaries, deadlines and what is lost.
func ExampleConn() {
	cert, roots := selfSigned()
	listener, err := listen("127.0.0.1:0", cert)
	check(err)
	defer listener.Close()
	conn, err := dtls.Dial("udp", listener.Addr().String(), &dtls.Config{RootCAs: roots, ServerName: "localhost", MTU: 1400})
	check(err)
	defer conn.Close()

	check(conn.SetDeadline(time.Now().Add(10 * time.Second))) // reading and writing
	check(conn.SetWriteDeadline(time.Time{}))                 // writing has none
	datagram := make([]byte, conn.MaxDatagramSize())
	n, err := conn.Write(datagram) // fits a packet of 1400 bytes
	fmt.Println(n == len(datagram), n < 1400, err)
	n, err = conn.Read(make([]byte, 100))
	var short *dtls.ShortBufferError
	fmt.Println(n, errors.As(err, &short), errors.Is(err, io.ErrShortBuffer), short.Length == len(datagram), short.Buffer)

	check(conn.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err = conn.Read(make([]byte, 100)) // the rest of the datagram is lost
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded), conn.DatagramsDropped())
	_, err = conn.Write(make([]byte, dtls.MaxPayload+1))
	fmt.Println(errors.Is(err, dtls.ErrInvalidInputParameters))
	// Output:
	// true true <nil>
	// 100 true true true 100
	// true 0
	// true
}

// A certificate for each name that the server has.
func ExampleClientHelloInfo() {
	one, roots := selfSigned()
	other, _ := selfSigned()
	byName := map[string]*dtls.Config{"localhost": {Certificates: []tls.Certificate{one}}}
	listener, err := dtls.Listen("udp", "127.0.0.1:0", &dtls.Config{
		Certificates: []tls.Certificate{other}, // for clients that name nobody
		GetConfigForClient: func(hello *dtls.ClientHelloInfo) (*dtls.Config, error) {
			fmt.Println(hello.ServerName, hello.SupportedProtos, hello.RemoteAddr.Network(), hello.LocalAddr.Network())
			return byName[hello.ServerName], nil // nil: the Config of the listener
		},
	})
	check(err)
	defer listener.Close()
	conn, err := dtls.Dial("udp", listener.Addr().String(), &dtls.Config{RootCAs: roots, ServerName: "localhost", NextProtos: []string{"coap"}})
	check(err)
	defer conn.Close()
	fmt.Println(bytes.Equal(conn.ConnectionState().RawPeerCertificates[0], one.Certificate[0]))
	// Output:
	// localhost [coap] udp udp
	// true
}

// Who is refused hears it by an alert.
func ExampleAlertError() {
	cert, roots := selfSigned()
	listener, err := dtls.Listen("udp", "127.0.0.1:0", &dtls.Config{
		Certificates:     []tls.Certificate{cert},
		VerifyConnection: func(state dtls.ConnectionState) error { return errors.New("not today") },
	})
	check(err)
	defer listener.Close()
	_, err = dial(listener.Addr().String(), roots, "hello")
	var alert *dtls.AlertError
	if errors.As(err, &alert) {
		var number dtls.Alert = alert.Number
		fmt.Println(number, uint8(number), alert.Received, alert.Unwrap() != nil)
	}
	// Output: bad_certificate 42 true true
}

// What the errors of a connection mean, from the outside in.
func ExampleConn_Read() {
	meaning := func(err error) string {
		var e *dtls.Error
		var alert *dtls.AlertError
		var objection dtls.VerificationError
		switch {
		case err == nil:
			return "a datagram"
		case errors.Is(err, io.ErrShortBuffer):
			return "a datagram that was cut: go on"
		case errors.Is(err, io.EOF):
			return "the peer has closed"
		case errors.Is(err, net.ErrClosed):
			return "Close was called"
		case errors.Is(err, dtls.ErrIdle):
			return "the peer has been silent for too long"
		case errors.Is(err, dtls.ErrReplaced):
			return "the peer has started anew, on another connection"
		case errors.As(err, &objection):
			return "the peer's certificate is not accepted: " + objection.Text
		case errors.As(err, &alert) && alert.Received:
			return "the peer ends it: " + alert.Number.String()
		case errors.Is(err, dtls.ErrUnderlyingSocket):
			return "the socket has refused or ended"
		case errors.Is(err, os.ErrDeadlineExceeded) && !errors.As(err, &e):
			return "a deadline has passed: go on"
		}
		return "it has failed"
	}
	cert, roots := selfSigned()
	listener, err := dtls.Listen("udp", "127.0.0.1:0", &dtls.Config{Certificates: []tls.Certificate{cert}, IdleTimeout: 50 * time.Millisecond})
	check(err)
	defer listener.Close()
	client, err := dtls.Dial("udp", listener.Addr().String(), &dtls.Config{RootCAs: roots, ServerName: "localhost"})
	check(err)
	server, err := listener.Accept()
	check(err)

	buf := make([]byte, 100)
	check(server.SetReadDeadline(time.Now()))
	_, err = server.Read(buf)
	fmt.Println(meaning(err))
	check(server.SetReadDeadline(time.Time{}))
	_, err = server.Read(buf)
	fmt.Println(meaning(err))
	_, err = client.Read(buf)
	fmt.Println(meaning(err))
	check(client.Close())
	_, err = client.Read(buf)
	fmt.Println(meaning(err))
	// Output:
	// a deadline has passed: go on
	// the peer has been silent for too long
	// the peer has closed
	// Close was called
}
