package openssl_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"log"
	"math/big"
	"net/netip"
	"time"

	"github.com/ossldtls/ossldtls/openssl"
)

// check ends the example if there is an error.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// At the beginning of the main function of a server with very many peers.
func ExampleUsePagedHeap() {
	if err := openssl.UsePagedHeap(); err != nil {
		log.Print(err) // it goes on, and needs more memory
	}
	// Output:
}

// pemPair returns a self-signed certificate for localhost and its key, both in PEM.
func pemPair() (cert, key []byte) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	check(err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	check(err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// contexts returns a client's and a server's context with everything that a builder can set.
func contexts() (client, server *openssl.Ctx) {
	certPEM, keyPEM := pemPair()
	cert, err := openssl.LoadCertificateFromPEM(certPEM)
	check(err)
	defer cert.Close()
	key, err := openssl.LoadPrivateKeyFromPEM(keyPEM)
	check(err)
	defer key.Close()

	b, err := openssl.NewCtx(true)
	check(err)
	check(b.SetVersions(openssl.VersionDTLS12, openssl.VersionDTLS12))
	check(b.SetCipherList("ECDHE+AESGCM"))
	check(b.UseCertificate(cert, key))
	check(b.AddClientCA(cert))
	check(b.UsePSK("a hint"))
	check(b.EnableSessionTickets())
	check(b.PauseAtClientHello())
	b.SetVerify(openssl.VerifyNone, 0) // or VerifyCollect, VerifyRequire
	server, err = b.Build()
	check(err)

	b, err = openssl.NewCtx(false)
	check(err)
	b.SetVerify(openssl.VerifyStrict, 5)
	check(b.AddRoot(cert))
	check(b.AddSystemRoots())
	check(b.SetALPNProtos([]string{"coap"}))
	check(b.SetSRTPProfiles([]string{"SRTP_AEAD_AES_128_GCM"}))
	check(b.EnableKeyLog())
	check(b.EnableSessionTickets())
	client, err = b.Build()
	check(err)
	return client, server
}

// Two connections in memory, from the first ClientHello to close_notify.
func Example() {
	clientCtx, serverCtx := contexts()
	defer clientCtx.Close()
	defer serverCtx.Close()
	key, err := openssl.NewCookieKey("SHA256", []byte("secret"), nil)
	check(err)
	defer key.Close()
	client, err := openssl.NewSSL(clientCtx, nil)
	check(err)
	defer client.Close()
	server, err := openssl.NewSSL(serverCtx, func(*openssl.PSK) error { return nil })
	check(err)
	defer server.Close()
	client.SetMTU(1252, 548, 28)
	client.SetRetransmissionTimeout(time.Minute)
	check(client.SetPeerName("localhost"))

	var up, down openssl.Datagrams // what is sent, by each side
	_, err = client.DoHandshake(nil, &up)
	check(err)
	_, armed := client.Timeout()
	due, err := client.HandleTimeout(&up)
	check(err)
	fmt.Println("timer", armed, due)

	peer := netip.MustParseAddrPort("192.0.2.1:40000")
	verified, err := server.Listen(key, peer, up.At(0), &down)
	check(err)
	fmt.Println("verified", verified, down.Len())
	up.Reset()
	_, err = client.DoHandshake(down.At(0), &up)
	check(err)
	down.Reset()
	verified, err = server.Listen(key, peer, up.At(0), &down)
	check(err)
	fmt.Println("verified", verified)

	_, err = server.DoHandshake(nil, &down)
	check(err)
	hello, paused := server.ClientHello()
	fmt.Println("paused", paused, hello.ServerName, hello.ALPNProtos)
	_, err = server.DoHandshake(nil, &down)
	check(err)
	up.Reset()
	for d := range down.All() {
		_, err = client.DoHandshake(d, &up)
		check(err)
	}
	down.Reset()
	for d := range up.All() {
		_, err = server.DoHandshake(d, &down)
		check(err)
	}
	up.Reset()
	for d := range down.All() {
		_, err = client.DoHandshake(d, &up)
		check(err)
	}
	fmt.Println("done", client.HandshakeDone(), server.HandshakeDone(), client.Protected(), client.Server(), serverCtx.Server())
	cipher, _ := client.CurrentCipher()
	fmt.Println(cipher.Name, client.Version() == openssl.VersionDTLS12, client.DataMTU(1252) > 1000, client.PeerAuthenticated())
	fmt.Println(client.PeerCertificateChain()[0].Subject(), client.VerifyErrorCount(), len(client.VerifyErrors()))
	fmt.Println(len(client.PeerCertificatesDER()), "in DER")
	fmt.Printf("%q %q %q\n", client.ALPNSelected(), server.PSKIdentity(), server.ServerName())
	material, err := client.ExportKeyingMaterial("EXPERIMENTAL example", nil, 32)
	check(err)
	fmt.Printf("%d %q %.13s\n", len(material), client.SRTPProfile(), client.TakeKeyLog())

	session, err := client.Session() // for the next connection to this server
	check(err)
	next, err := openssl.NewSSL(clientCtx, nil)
	check(err)
	defer next.Close()
	check(next.SetPeerName("localhost"))
	check(next.SetSession(session))
	fmt.Println("resumed", client.SessionReused(), session.Expires().After(time.Now()))

	var plain openssl.Datagrams
	up.Reset()
	check(client.Write([]byte("hello"), &up))
	check(server.Read(up.At(0), &plain, &down))
	fmt.Printf("%s, at most %d\n", plain.At(0), openssl.MaxPlaintext)
	up.Reset()
	check(client.Write([]byte("several"), &up))
	check(client.Write([]byte("at once"), &up))
	check(server.ReadTrain(up.Bytes(), len(up.At(0)), &plain, &down))
	fmt.Printf("%s %s\n", plain.At(1), plain.At(2))
	up.Reset()
	check(client.Shutdown(&up))
	err = server.Read(up.At(0), &plain, &down)
	fmt.Println(errors.Is(err, openssl.ErrZeroReturn))
	alert, fatal, _ := server.AlertReceived()
	fmt.Println(alert == openssl.AlertCloseNotify, alert, fatal)
	_, _, sent := server.AlertSent()
	fmt.Println(sent)
	// Output:
	// timer true false
	// verified false 1
	// verified true
	// paused true localhost [coap]
	// done true true true false true
	// ECDHE-ECDSA-AES256-GCM-SHA384 true true true
	// CN=localhost 0 0
	// 1 in DER
	// "" "" "localhost"
	// 32 "" CLIENT_RANDOM
	// resumed false true
	// hello, at most 16384
	// several at once
	// true
	// true close_notify false
	// false
}

// Certificates and keys in their forms.
func ExampleCertificate() {
	certPEM, keyPEM := pemPair()
	chain, err := openssl.LoadCertificatesFromPEM(certPEM)
	check(err)
	cert := chain[0]
	defer cert.Close()
	same, err := openssl.LoadCertificateFromDER(cert.MarshalDER())
	check(err)
	defer same.Close()
	parsed, err := cert.X509()
	check(err)
	key, err := openssl.LoadPrivateKeyFromPEMWithPassword(keyPEM, "for an encrypted one")
	check(err)
	defer key.Close()
	block, _ := pem.Decode(keyPEM)
	again, err := openssl.LoadPrivateKeyFromDER(block.Bytes)
	check(err)
	defer again.Close()
	_, isECDSA := key.Public().(*ecdsa.PublicKey)
	fmt.Println(cert.Subject(), parsed.Subject, cert.Equal(same), len(cert.MarshalPEM()) > 0)
	fmt.Println(key.Matches(cert), key.Bits(), key.Type() != "", isECDSA)
	// Output:
	// CN=localhost CN=localhost true true
	// true 256 true true
}

// A builder refuses what is wrong, by name; a handshake that is given up says so.
func ExampleCtxBuilder() {
	b, err := openssl.NewCtx(false)
	check(err)
	err = b.SetCipherList("ECDHE+AESGCM:TYPO")
	var e *openssl.Error
	fmt.Println(errors.As(err, &e), e.Op, e.Code == openssl.ErrorInvalidUsage, errors.Is(err, openssl.ErrClosed), e.Unwrap())
	fmt.Println(openssl.ErrorNone, openssl.ErrorSSL, openssl.ErrorWantRead, openssl.ErrorWantWrite, openssl.ErrorWantX509, openssl.ErrorSyscall, openssl.ErrorZeroReturn)
	check(b.SetVersions(openssl.VersionDTLS10, openssl.VersionDTLS12))
	b.SetVerify(openssl.VerifyCollect, 0)
	fmt.Println(b.AddCRL([]byte("no list in DER")) != nil)
	for _, mode := range []openssl.VerifyMode{openssl.VerifyRequire, openssl.VerifyRequest, openssl.VerifyRequireAny} {
		b.SetVerify(mode, 0) // on a server
	}
	b.Discard()

	client, server := contexts()
	defer client.Close()
	defer server.Close()
	ssl, err := openssl.NewSSL(client, nil)
	check(err)
	defer ssl.Close()
	ssl.SetRetransmissionTimeout(openssl.MinRetransmissionTimeout)
	var out openssl.Datagrams
	out.Grow(2000, 2)
	_, err = ssl.DoHandshake(nil, &out)
	check(err)
	check(ssl.Abort(openssl.AlertUserCanceled, false, &out))
	fmt.Println(out.Len(), len(out.Bytes()) == int(out.Ends()[1]), openssl.AlertHandshakeFailure, openssl.AlertBadCertificate)
	out.Reset()
	out.Append([]byte("a datagram of one's own"))
	// Output:
	// true cipher list true false <nil>
	// SSL_ERROR_NONE SSL_ERROR_SSL SSL_ERROR_WANT_READ SSL_ERROR_WANT_WRITE SSL_ERROR_WANT_X509_LOOKUP SSL_ERROR_SYSCALL SSL_ERROR_ZERO_RETURN
	// true
	// 2 true handshake_failure bad_certificate
}

// The cookie of a peer, as this package's and Qt's verifiers make it.
func ExampleCookieKey() {
	key, err := openssl.NewCookieKey("SHA256", []byte("secret"), []byte("the one before"))
	check(err)
	defer key.Close()
	cookie, err := key.Cookie(nil, netip.MustParseAddrPort("[2001:db8::1]:40000"))
	fmt.Println(len(cookie), err)
	// Output: 32 <nil>
}

// What OpenSSL says against a certificate, by code.
func ExampleVerifyErrorText() {
	const certificateHasExpired = 10 // X509_V_ERR_CERT_HAS_EXPIRED
	objection := openssl.VerifyError{Code: certificateHasExpired, Text: openssl.VerifyErrorText(certificateHasExpired)}
	fmt.Println(objection.Text, "|", openssl.VerifyErrorAlert(objection.Code))
	// Output: certificate has expired | certificate_expired
}

// An entry of OpenSSL's error queue.
func ExampleStackEntry() {
	entry := openssl.StackEntry{Library: "SSL routines", Reason: "no shared cipher", Code: 193}
	fmt.Println(entry)
	fmt.Println(entry.ReasonCode())
	// Output:
	// no shared cipher (SSL routines)
	// 193
}

// A callback for pre-shared keys, and the limits that it is told of.
func ExamplePSKFunc() {
	var answer openssl.PSKFunc = func(psk *openssl.PSK) error {
		if len("device 7") > psk.MaximumIdentityLength {
			return errors.New("no room for the identity")
		}
		psk.Identity, psk.PreSharedKey = []byte("device 7"), []byte{1, 2, 3, 4}
		return nil
	}
	psk := openssl.PSK{MaximumIdentityLength: 128, MaximumPreSharedKeyLength: 256}
	fmt.Println(answer(&psk), len(psk.PreSharedKey))
	// Output: <nil> 4
}

// Versions, and what is alive.
func ExampleRuntimeVersion() {
	compiled, _ := openssl.CompileVersion()
	running, _ := openssl.RuntimeVersion()
	fmt.Println(running.Major() == compiled.Major(), running.Minor() >= 0)
	fmt.Println(openssl.ReadDiagnostics().StaleErrors)
	var d openssl.Diagnostics
	var v openssl.Version = running
	var mode openssl.VerifyMode = openssl.VerifyNone
	var cipher openssl.Cipher
	var code openssl.ErrorCode
	var alert openssl.Alert
	fmt.Println(d.SSLs, v == running, mode, cipher.Bits, code, alert)
	// Output:
	// true true
	// 0
	// 0 true 0 0 SSL_ERROR_NONE close_notify
}
