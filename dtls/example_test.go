package dtls_test

import (
	"bytes"
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
