package openssl

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

var clientAddr = netip.MustParseAddrPort("192.0.2.1:40000")

func withALPN(protos ...string) func(*CtxBuilder) error {
	return func(b *CtxBuilder) error { return b.SetALPNProtos(protos) }
}

// manyProtos is enough for a ClientHello to need fragments at the smallest MTU.
func manyProtos() (protos []string) {
	for i := range 30 {
		protos = append(protos, fmt.Sprintf("a protocol with a long name, number %d", i))
	}
	return protos
}

// hello returns the datagrams of a client's ClientHello; with a key, those of the second
// one, whose cookie the server's Listen then finds right.
func hello(t testing.TB, client *SSL, key *CookieKey) Datagrams {
	t.Helper()
	var hello1, answer, hello2 Datagrams
	require.NoError(t, second(client.DoHandshake(nil, &hello1)))
	if key == nil {
		return hello1
	}
	listener := sslOf(t, ctxOf(t, true), nil)
	verified, err := listener.Listen(key, clientAddr, hello1.At(0), &answer)
	require.NoError(t, err)
	require.False(t, verified)
	require.NoError(t, second(client.DoHandshake(answer.At(0), &hello2)))
	return hello2
}

// feed hands the datagrams of a ClientHello to a server, the first one by Listen if there is a key.
func feed(t testing.TB, server *SSL, key *CookieKey, hello Datagrams, out *Datagrams) error {
	t.Helper()
	for i := range hello.Len() {
		datagram := hello.At(i)
		if i == 0 && key != nil {
			verified, err := server.Listen(key, clientAddr, datagram, out)
			require.NoError(t, err)
			require.True(t, verified)
			datagram = nil
		}
		if _, err := server.DoHandshake(datagram, out); err != nil {
			return err
		}
	}
	return nil
}

// carry goes on with a handshake from what the two sides have sent.
func carry(client, server *SSL, toServer, toClient Datagrams) error {
	for toServer.Len()+toClient.Len() > 0 {
		var up, down Datagrams
		for d := range toServer.All() {
			if _, err := server.DoHandshake(d, &down); err != nil {
				return err
			}
		}
		for d := range toClient.All() {
			if _, err := client.DoHandshake(d, &up); err != nil {
				return err
			}
		}
		toServer, toClient = up, down
	}
	return nil
}

func TestPauseAtClientHello(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	cookieKey, err := NewCookieKey("SHA256", []byte("secret"), nil)
	require.NoError(t, err)
	defer cookieKey.Close()
	tickets := (*CtxBuilder).EnableSessionTickets
	serverCtx := ctxOf(t, true, tickets, (*CtxBuilder).PauseAtClientHello, withCertificate(t, ca, certtest.Leaf{}), withALPN(manyProtos()[7]))
	clientCtx := ctxOf(t, false, tickets, withRoot(t, ca, VerifyStrict), withALPN(manyProtos()...))
	var session *Session
	for _, fragments := range []bool{false, true} {
		for name, key := range map[string]*CookieKey{"listen": cookieKey, "no cookie": nil} {
			for _, then := range []string{"nothing", "the hello again", "junk"} {
				for _, resumed := range []bool{false, true} {
					t.Run(fmt.Sprintf("fragments %v/%s/%s/resumed %v", fragments, name, then, resumed), func(t *testing.T) {
						client, server := sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)
						client.SetMTU(4000, 0, 28)
						if fragments {
							client.SetMTU(228, 0, 28)
						}
						require.NoError(t, client.SetPeerName("localhost"))
						if resumed {
							require.NoError(t, client.SetSession(session))
						}
						datagrams := hello(t, client, key)
						require.Equal(t, fragments, datagrams.Len() > 2)
						var out Datagrams
						require.NoError(t, feed(t, server, key, datagrams, &out))
						assert.Zero(t, out.Len(), "nothing is said before it goes on")
						assert.False(t, server.HandshakeDone())
						for range 2 { // to be asked as often as one likes
							asked, paused := server.ClientHello()
							require.True(t, paused)
							assert.Equal(t, ClientHello{"localhost", manyProtos()}, asked)
						}
						assert.Equal(t, "localhost", server.ServerName())
						_, running := server.Timeout()
						assert.False(t, running, "nothing that could be sent again")
						due, err := server.HandleTimeout(&out)
						require.NoError(t, err)
						assert.False(t, due)
						assert.Zero(t, out.Len())
						_, paused := server.ClientHello()
						assert.True(t, paused, "a timer changes nothing")
						require.NoError(t, server.Shutdown(&out), "in mid-handshake")
						assert.Zero(t, out.Len())

						var datagram []byte
						switch then {
						case "the hello again":
							datagram = datagrams.At(0)
						case "junk":
							datagram = []byte("no record at all")
						}
						require.NoError(t, second(server.DoHandshake(datagram, &out)))
						assert.NotZero(t, out.Len(), "the server's flight")
						_, paused = server.ClientHello()
						assert.False(t, paused)
						due2, running := server.Timeout()
						assert.True(t, running)
						assert.WithinDuration(t, time.Now().Add(time.Second), due2, 500*time.Millisecond, "the timer begins now")
						if then == "the hello again" { // what is left of it, and once more
							for d := range datagrams.All() {
								require.NoError(t, second(server.DoHandshake(d, &out)))
							}
						}
						require.NoError(t, carry(client, server, Datagrams{}, out))
						require.True(t, client.HandshakeDone())
						require.True(t, server.HandshakeDone())
						assert.Equal(t, manyProtos()[7], client.ALPNSelected())
						assert.Equal(t, resumed, server.SessionReused())
						assert.Equal(t, "localhost", server.ServerName())
						_, paused = server.ClientHello()
						assert.False(t, paused)
						if !resumed {
							session, err = client.Session()
							require.NoError(t, err)
						}
					})
				}
			}
		}
	}
}

// Configurations by name: the first SSL only tells what is asked for; one of the chosen
// context gets the same datagrams.
func TestContextChosenByServerName(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	key, err := NewCookieKey("SHA256", []byte("secret"), nil)
	require.NoError(t, err)
	defer key.Close()
	front := ctxOf(t, true, (*CtxBuilder).PauseAtClientHello)
	byName := map[string]*Ctx{}
	for _, name := range []string{"one.example", "two.example"} {
		byName[name] = ctxOf(t, true, withCertificate(t, ca, certtest.Leaf{Name: name, Names: []string{name}}))
	}
	clientCtx := ctxOf(t, false, withRoot(t, ca, VerifyStrict), withALPN(manyProtos()...))
	for name := range byName {
		for _, mtu := range []int{228, 4000} {
			for _, key := range []*CookieKey{nil, key} {
				client, look := sslOf(t, clientCtx, nil), sslOf(t, front, nil)
				client.SetMTU(mtu, 0, 28)
				require.NoError(t, client.SetPeerName(name))
				datagrams := hello(t, client, key)
				var out Datagrams
				require.NoError(t, feed(t, look, key, datagrams, &out))
				asked, paused := look.ClientHello()
				require.True(t, paused)
				server := sslOf(t, byName[asked.ServerName], nil)
				look.Close()
				require.NoError(t, feed(t, server, key, datagrams, &out))
				require.NoError(t, carry(client, server, Datagrams{}, out))
				assert.True(t, client.HandshakeDone())
			}
		}
	}
}

// What fails after the pause is an error with its reason, as without a pause.
func TestFailureAfterThePause(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	server := sslOf(t, ctxOf(t, true, (*CtxBuilder).PauseAtClientHello, withCertificate(t, ca, certtest.Leaf{})), nil)
	client := sslOf(t, ctxOf(t, false, withCiphers("ECDHE-RSA-AES128-GCM-SHA256")), nil)
	var out Datagrams
	require.NoError(t, feed(t, server, nil, hello(t, client, nil), &out))
	asked, paused := server.ClientHello()
	require.True(t, paused)
	assert.Equal(t, ClientHello{}, asked)
	assert.ErrorContains(t, second(server.DoHandshake(nil, &out)), "no shared cipher")
	_, paused = server.ClientHello()
	assert.False(t, paused)
	assert.ErrorContains(t, carry(client, server, Datagrams{}, out), "handshake failure")
}

// A server that does not want the client says so.
func TestAbortWhilePaused(t *testing.T) {
	key, err := NewCookieKey("SHA256", []byte("secret"), nil)
	require.NoError(t, err)
	defer key.Close()
	for _, key := range []*CookieKey{nil, key} {
		server := sslOf(t, ctxOf(t, true, (*CtxBuilder).PauseAtClientHello), nil)
		client := sslOf(t, ctxOf(t, false), nil)
		var out Datagrams
		require.NoError(t, feed(t, server, key, hello(t, client, key), &out))
		require.NoError(t, server.Abort(112, false, &out))
		assert.Error(t, carry(client, server, Datagrams{}, out))
		requireAlert(t, client, 112)
	}
}

// Read goes on as DoHandshake does. Another Listen is not possible.
func TestReadEndsThePause(t *testing.T) {
	key, err := NewCookieKey("SHA256", []byte("secret"), nil)
	require.NoError(t, err)
	defer key.Close()
	ca := certtest.NewCA(t, "root")
	server := sslOf(t, ctxOf(t, true, (*CtxBuilder).PauseAtClientHello, withCertificate(t, ca, certtest.Leaf{})), nil)
	client := sslOf(t, ctxOf(t, false, withRoot(t, ca, VerifyNone)), nil)
	datagrams := hello(t, client, key)
	var out, plain Datagrams
	require.NoError(t, feed(t, server, key, datagrams, &out))
	assert.ErrorContains(t, second(server.Listen(key, clientAddr, datagrams.At(0), &out)), "pauses at a ClientHello")
	_, paused := server.ClientHello()
	assert.True(t, paused)
	require.NoError(t, server.Read(nil, &plain, &out))
	_, paused = server.ClientHello()
	assert.False(t, paused)
	require.NoError(t, carry(client, server, Datagrams{}, out))
	assert.True(t, server.HandshakeDone())
	server.Close()
	_, paused = server.ClientHello()
	assert.False(t, paused)
}

// What one Listen has let in, the next one forgets.
func TestListenForgetsTheHelloBefore(t *testing.T) {
	key, err := NewCookieKey("SHA256", []byte("secret"), nil)
	require.NoError(t, err)
	defer key.Close()
	server := sslOf(t, ctxOf(t, true, (*CtxBuilder).PauseAtClientHello), nil)
	clientCtx := ctxOf(t, false, withALPN(manyProtos()...))
	for i := range 3 {
		client := sslOf(t, clientCtx, nil)
		client.SetMTU(4000-i*1900, 0, 28) // the last one needs fragments
		name := fmt.Sprintf("number%d.example", i)
		require.NoError(t, client.SetPeerName(name))
		datagrams := hello(t, client, key)
		var out Datagrams
		verified, err := server.Listen(key, clientAddr, datagrams.At(0), &out)
		require.NoError(t, err)
		require.True(t, verified)
		assert.Empty(t, server.ServerName())
		if i == 2 {
			require.NoError(t, feed(t, server, key, datagrams, &out))
			asked, paused := server.ClientHello()
			require.True(t, paused)
			assert.Equal(t, ClientHello{name, manyProtos()}, asked)
		}
	}
}

func TestPauseIsForServers(t *testing.T) {
	b, err := NewCtx(false)
	require.NoError(t, err)
	assert.ErrorContains(t, b.PauseAtClientHello(), "a client gets none")
	b.Discard()
	assert.ErrorIs(t, b.PauseAtClientHello(), ErrClosed)
}

// reshape returns the ClientHello of one datagram with another body of an extension that it has.
func reshape(hello []byte, extension uint16, body []byte) []byte {
	const record, message = 13, 12
	at := record + message + 2 + 32                // version, random
	at += 1 + int(hello[at])                       // session id
	at += 1 + int(hello[at])                       // cookie
	at += 2 + int(hello[at])<<8 + int(hello[at+1]) // cipher suites
	at += 1 + int(hello[at])                       // compression methods
	extensions := at
	for at += 2; binary.BigEndian.Uint16(hello[at:]) != extension; {
		at += 4 + int(binary.BigEndian.Uint16(hello[at+2:]))
	}
	old := int(binary.BigEndian.Uint16(hello[at+2:]))
	out := append(bytes.Clone(hello[:at+4]), body...)
	out = append(out, hello[at+4+old:]...)
	binary.BigEndian.PutUint16(out[at+2:], uint16(len(body)))
	binary.BigEndian.PutUint16(out[extensions:], uint16(len(out)-extensions-2))
	binary.BigEndian.PutUint16(out[record-2:], uint16(len(out)-record))
	for _, length := range []int{record + 1, record + 9} { // the message's, the fragment's
		binary.BigEndian.PutUint16(out[length+1:], uint16(len(out)-record-message))
	}
	return out
}

const extServerName, extALPN = 0, 16

// nameOf and protosOf say what OpenSSL takes the extensions for, if it takes them.
func nameOf(ext []byte) string {
	if len(ext) < 5 {
		return ""
	}
	return string(ext[5:])
}

func protosOf(ext []byte) (protos []string) {
	for list := ext[2:]; len(list) > 0; list = list[1+int(list[0]):] {
		protos = append(protos, string(list[1:1+int(list[0])]))
	}
	return protos
}

// pausedAt has a server look at a hello with these extensions, and returns what it saw and
// OpenSSL's verdict.
func pausedAt(t testing.TB, client, server *Ctx, name, alpn []byte) (asked ClientHello, verdict error) {
	t.Helper()
	c := sslOf(t, client, nil)
	defer c.Close()
	c.SetMTU(4000, 0, 28)
	require.NoError(t, c.SetPeerName("localhost"))
	s := sslOf(t, server, nil)
	defer s.Close()
	var out Datagrams
	datagrams := hello(t, c, nil)
	require.Equal(t, 1, datagrams.Len())
	shaped := reshape(reshape(datagrams.At(0), extServerName, name), extALPN, alpn)
	require.NoError(t, second(s.DoHandshake(shaped, &out)))
	asked, paused := s.ClientHello()
	require.True(t, paused)
	_, verdict = s.DoHandshake(nil, &out)
	return asked, verdict
}

func TestMalformedExtensions(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	client := ctxOf(t, false, withRoot(t, ca, VerifyNone), withALPN("coap"))
	server := ctxOf(t, true, (*CtxBuilder).PauseAtClientHello, withCertificate(t, ca, certtest.Leaf{}))
	nameExt := func(name string) []byte {
		n := len(name)
		return append([]byte{byte((n + 3) >> 8), byte(n + 3), 0, byte(n >> 8), byte(n)}, name...)
	}
	goodName, goodALPN := nameExt("name"), []byte{0, 5, 4, 'c', 'o', 'a', 'p'}
	for why, test := range map[string]struct {
		name, alpn []byte
		want       ClientHello
		good       bool
	}{
		"good":                         {goodName, goodALPN, ClientHello{"name", []string{"coap"}}, true},
		"two protocols":                {goodName, []byte{0, 5, 1, 'a', 2, 'b', 'c'}, ClientHello{"name", []string{"a", "bc"}}, true},
		"255 bytes":                    {nameExt(strings.Repeat("x", 255)), goodALPN, ClientHello{strings.Repeat("x", 255), []string{"coap"}}, true},
		"256 bytes":                    {nameExt(strings.Repeat("x", 256)), goodALPN, ClientHello{"", []string{"coap"}}, false},
		"no name":                      {nil, goodALPN, ClientHello{"", []string{"coap"}}, false},
		"a zero byte":                  {nameExt("a\x00b"), goodALPN, ClientHello{"", []string{"coap"}}, false},
		"another type of name":         {append([]byte{0, 7, 1, 0, 4}, "name"...), goodALPN, ClientHello{"", []string{"coap"}}, false},
		"a list longer than it is":     {append([]byte{0, 8, 0, 0, 4}, "name"...), goodALPN, ClientHello{"", []string{"coap"}}, false},
		"a list shorter than it is":    {append([]byte{0, 6, 0, 0, 4}, "name"...), goodALPN, ClientHello{"", []string{"coap"}}, false},
		"a name longer than it is":     {append([]byte{0, 7, 0, 0, 5}, "name"...), goodALPN, ClientHello{"", []string{"coap"}}, false},
		"a name shorter than it is":    {append([]byte{0, 7, 0, 0, 3}, "name"...), goodALPN, ClientHello{"", []string{"coap"}}, false},
		"two names":                    {[]byte{0, 8, 0, 0, 1, 'a', 0, 0, 1, 'b'}, goodALPN, ClientHello{"", []string{"coap"}}, false},
		"no protocol":                  {goodName, []byte{0, 0}, ClientHello{"name", nil}, false},
		"nothing at all":               {goodName, nil, ClientHello{"name", nil}, false},
		"half a length":                {goodName, []byte{0}, ClientHello{"name", nil}, false},
		"an empty protocol":            {goodName, []byte{0, 3, 0, 1, 'a'}, ClientHello{"name", nil}, false},
		"an empty protocol at the end": {goodName, []byte{0, 3, 1, 'a', 0}, ClientHello{"name", nil}, false},
		"a protocol beyond the end":    {goodName, []byte{0, 2, 2, 'a'}, ClientHello{"name", nil}, false},
		"more than the list":           {goodName, []byte{0, 2, 1, 'a', 1}, ClientHello{"name", nil}, false},
	} {
		asked, verdict := pausedAt(t, client, server, test.name, test.alpn)
		assert.Equal(t, test.want, asked, why)
		assert.Equal(t, test.good, verdict == nil, "%s: %v", why, verdict)
	}
}

// Whatever OpenSSL accepts has been understood as OpenSSL does.
func FuzzClientHelloExtensions(f *testing.F) {
	ca := certtest.NewCA(f, "root")
	client := ctxOf(f, false, withRoot(f, ca, VerifyNone), withALPN("coap"))
	server := ctxOf(f, true, (*CtxBuilder).PauseAtClientHello, withCertificate(f, ca, certtest.Leaf{}))
	f.Add([]byte{0, 7, 0, 0, 4, 'n', 'a', 'm', 'e'}, []byte{0, 5, 4, 'c', 'o', 'a', 'p'})
	f.Add([]byte{0, 3, 0, 0, 0}, []byte{0, 4, 1, 'a', 1, 'b'})
	f.Add([]byte{}, []byte{0})
	f.Fuzz(func(t *testing.T, name, alpn []byte) {
		if len(name)+len(alpn) > 2000 {
			return
		}
		asked, err := pausedAt(t, client, server, name, alpn)
		if err != nil {
			return
		}
		assert.Equal(t, nameOf(name), asked.ServerName)
		assert.Equal(t, protosOf(alpn), asked.ALPNProtos)
	})
}

// Contexts that do not pause are not asked.
func TestNoPauseWithoutAsking(t *testing.T) {
	client, server := certPair(t, "ECDHE+AESGCM")
	for _, s := range []*SSL{client, server} {
		_, paused := s.ClientHello()
		assert.False(t, paused)
	}
	var out Datagrams
	fresh := sslOf(t, ctxOf(t, true), nil)
	require.NoError(t, errors.Join(second(fresh.DoHandshake(nil, &out))))
	_, paused := fresh.ClientHello()
	assert.False(t, paused)
}
