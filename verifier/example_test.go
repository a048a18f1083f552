package verifier_test

import (
	"errors"
	"fmt"
	"log"
	"net/netip"

	"github.com/ossldtls/ossldtls/openssl"
	"github.com/ossldtls/ossldtls/verifier"
)

// socket stands for a *net.UDPConn.
type socket struct{ sent []byte }

func (s *socket) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	s.sent = append(s.sent[:0], b...)
	return len(b), nil
}

// check ends the example if there is an error.
func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// hellos returns a client's ClientHello and the function that makes the second one,
// with the cookie of a HelloVerifyRequest.
func hellos() (first []byte, second func(helloVerifyRequest []byte) []byte) {
	b, err := openssl.NewCtx(false)
	check(err)
	ctx, err := b.Build()
	check(err)
	ssl, err := openssl.NewSSL(ctx, nil)
	check(err)
	hello := func(datagram []byte) []byte {
		var out openssl.Datagrams
		_, err := ssl.DoHandshake(datagram, &out)
		check(err)
		return append([]byte(nil), out.At(0)...)
	}
	return hello(nil), func(helloVerifyRequest []byte) []byte {
		defer ctx.Close()
		defer ssl.Close()
		return hello(helloVerifyRequest)
	}
}

func ExampleClientVerifier_VerifyClient() {
	v, err := verifier.New()
	check(err)
	defer v.Close()
	var sock socket
	peer := netip.MustParseAddrPort("192.0.2.1:40000")
	first, second := hellos()

	verified, err := v.VerifyClient(&sock, first, peer)
	fmt.Println(verified, err, len(sock.sent), "bytes sent, nothing kept")

	verified, err = v.VerifyClient(&sock, second(sock.sent), peer)
	fmt.Println(verified, err, len(v.VerifiedHello()) > 0)

	_, err = v.VerifyClient(&sock, nil, peer)
	fmt.Println(errors.Is(err, verifier.ErrInvalidInputParameters), v.DTLSError())
	fmt.Println(v.DTLSErrorString())
	// Output:
	// false <nil> 60 bytes sent, nothing kept
	// true <nil> true
	// true invalid input parameters
	// dtls: verify client: invalid input parameters: the datagram is empty
}

// For a server that sends by itself: the answer is returned.
func ExampleClientVerifier_Verify() {
	v, err := verifier.New()
	check(err)
	defer v.Close()
	peer := netip.MustParseAddrPort("[2001:db8::1]:40000")
	first, second := hellos()
	answer := make([]byte, 0, 512)
	answer, verified, err := v.Verify(answer, first, peer)
	fmt.Println(len(answer), verified, err)
	answer, verified, err = v.Verify(answer[:0], second(answer), peer)
	fmt.Println(len(answer), verified, err)
	// Output:
	// 60 false <nil>
	// 0 true <nil>
}

// A secret that is changed from time to time: cookies of the one before stay valid.
func ExampleClientVerifier_SetCookieGeneratorParameters() {
	v, err := verifier.New()
	check(err)
	defer v.Close()
	def, err := verifier.DefaultParameters()
	check(err)
	fmt.Println(def.Hash == verifier.DefaultHash, len(def.Secret))

	params := verifier.GeneratorParameters{Hash: "SHA3-256", Secret: []byte("the first secret")}
	fmt.Println(v.SetCookieGeneratorParameters(params))
	params = params.Clone()
	params.Secret = []byte("the second secret")
	fmt.Println(v.SetCookieGeneratorParameters(params))
	params = v.CookieGeneratorParameters()
	fmt.Printf("%s, %s, before it %s\n", params.Hash, params.Secret, params.PreviousSecret)

	err = v.SetCookieGeneratorParameters(verifier.GeneratorParameters{Hash: "rot13", Secret: []byte("s")})
	fmt.Println(errors.Is(err, verifier.ErrInvalidInputParameters))
	// Output:
	// true 32
	// <nil>
	// <nil>
	// SHA3-256, the second secret, before it the first secret
	// true
}

// The cookie itself, for a server that is not made with this package.
func ExampleGeneratorParameters_CookieKey() {
	key, err := verifier.GeneratorParameters{Hash: "SHA256", Secret: []byte("secret")}.CookieKey()
	check(err)
	defer key.Close()
	shared, err := verifier.DefaultCookieKey()
	check(err)
	peer := netip.MustParseAddrPort("[2001:db8::1]:40000")
	one, _ := key.Cookie(nil, peer)
	other, _ := shared.Cookie(nil, peer)
	fmt.Println(len(one), len(other))
	// Output: 32 32
}

// An error says what failed, and why in OpenSSL's words where OpenSSL knows.
func ExampleError() {
	_, err := verifier.GeneratorParameters{}.CookieKey()
	var e *verifier.Error
	if errors.As(err, &e) {
		var code verifier.ErrorCode = e.Code
		fmt.Println(e.Op, "|", code.String(), "|", e.Text, "|", e.Timeout(), e.Stack() == nil, e.Unwrap())
	}
	for _, code := range []verifier.ErrorCode{
		verifier.NoError, verifier.ErrInvalidInputParameters, verifier.ErrInvalidOperation, verifier.ErrUnderlyingSocket,
		verifier.ErrRemoteClosedConnection, verifier.ErrPeerVerification, verifier.ErrTLSInitialization,
		verifier.ErrTLSFatal, verifier.ErrTLSNonFatal,
	} {
		if errors.Is(err, code) {
			fmt.Println(code)
		}
	}
	var sock verifier.DatagramWriter = &socket{}
	_ = sock
	// Output:
	// cookie generator parameters | invalid input parameters | the secret is empty | false true <nil>
	// invalid input parameters
}
