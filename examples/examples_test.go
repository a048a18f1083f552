// Package examples holds programs that show how the packages are used. Its tests run
// them as a person would.
package examples

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// limit is how long anything may take before a test gives it up.
const limit = 20 * time.Second

// programs is the folder with the examples, built once.
var programs string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		folder, err := os.MkdirTemp("", "ossldtls-examples")
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(folder)
		out, err := exec.Command("go", "build", "-o", folder+string(filepath.Separator), "./...").CombinedOutput()
		if err != nil {
			fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
			return 1
		}
		programs = folder
		return m.Run()
	}())
}

// program is one run of an example.
type program struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	ended chan struct{}

	mu   sync.Mutex
	text bytes.Buffer
	more chan struct{} // closed and replaced when there is more text
}

// start runs an example. It is killed when the test ends.
func start(t *testing.T, name string, flags ...string) *program {
	t.Helper()
	if runtime.GOOS == "windows" {
		name += ".exe"
	}
	p := &program{t: t, name: name, ended: make(chan struct{}), more: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(programs, name), flags...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	require.NoError(t, p.cmd.Start())
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // ProcessState has the exit code
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // an error if it has ended
		<-p.ended
		if t.Failed() {
			t.Logf("%s %s:\n%s", name, strings.Join(flags, " "), p.output())
		}
	})
	return p
}

// Write takes what the program prints.
func (p *program) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.text.Write(b)
}

func (p *program) output() string {
	text, _ := p.printed()
	return text
}

func (p *program) printed() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String(), p.more
}

// await waits until the program has printed the pattern, and returns its last group.
func (p *program) await(pattern, why string) string {
	p.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(limit)
	for ended := false; ; {
		text, more := p.printed()
		if found := re.FindStringSubmatch(text); found != nil {
			return found[len(found)-1]
		}
		if ended {
			require.FailNow(p.t, p.name+" ended without what was awaited", "%s: %s", why, pattern)
		}
		select {
		case <-more:
		case <-p.ended:
			ended = true
		case <-deadline:
			require.FailNow(p.t, p.name+" did not print what was awaited", "%s: %s", why, pattern)
		}
	}
}

// exits waits for the end of the program and asserts its exit code.
func (p *program) exits(code int, why string) {
	p.t.Helper()
	select {
	case <-p.ended:
		require.Equal(p.t, code, p.cmd.ProcessState.ExitCode(), why)
	case <-time.After(limit):
		require.FailNow(p.t, p.name+" did not end", why)
	}
}

// interrupt is Ctrl-C, after which the program has to end well.
func (p *program) interrupt() {
	p.t.Helper()
	require.NoError(p.t, p.cmd.Process.Signal(os.Interrupt))
	p.exits(0, "Ctrl-C is a good end")
}

// startServer returns a server and its address.
func startServer(t *testing.T, flags ...string) (*program, string) {
	t.Helper()
	s := start(t, "server", append([]string{"-listen", "127.0.0.1:0"}, flags...)...)
	return s, s.await(`listening on (127\.0\.0\.1:\d+)`, "the server says where it is")
}

// startClient returns a client that hurries.
func startClient(t *testing.T, server string, flags ...string) *program {
	t.Helper()
	return start(t, "client", append([]string{"-connect", server, "-interval", "10ms"}, flags...)...)
}

// certificate writes a certificate for 127.0.0.1 and localhost that signs itself, and
// its key.
func certificate(t *testing.T, name string) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: name},
		DNSNames:     []string{"localhost"},
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
		IsCA:         true, BasicConstraintsValid: true,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	write := func(file, kind string, der []byte) string {
		file = filepath.Join(t.TempDir(), file)
		require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
		return file
	}
	return write("cert.pem", "CERTIFICATE", cert), write("key.pem", "PRIVATE KEY", pkcs8)
}

func needsInterrupt(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("a program cannot send another one Ctrl-C here")
	}
}

func TestPreSharedKey(t *testing.T) {
	t.Parallel()
	needsInterrupt(t)
	server, address := startServer(t, "-psk", "0123abcd", "-identity", "me", "-hint", "you?")
	client := startClient(t, address, "-psk", "0123abcd", "-identity", "me", "-n", "3", "-count", "2")
	client.exits(0, "every message was answered")
	client.await(`handshake complete: DTLS 1\.2, \S*PSK\S*, identity "me"`, "version, cipher and identity")
	client.await(`plain text: "to 127\.0\.0\.1:\d+: ACK"`, "the answer")
	client.await(`summary: 3 connections, 0 failed; 6 messages sent, 6 answered`, "the summary")
	server.await(`(?s)(?:closed by the client.*){3}`, "three times close_notify")
	server.interrupt()
	said := server.output()
	for _, line := range []string{
		`info .* ClientHello without cookie: answered and forgotten`,
		`info .* cookie accepted`,
		`info .* handshake complete: DTLS 1\.2, \S*PSK\S*, identity "me"`,
		`message .* received \d+ bytes: 17fefd[0-9a-f]+`,
		`message .* plain text: "message 2"`,
	} {
		assert.GreaterOrEqual(t, len(regexp.MustCompile(line).FindAllString(said, -1)), 3, line)
	}
	assert.Contains(t, said, "server  stopped")
	assert.NotContains(t, said, "\x1b", "colours are for terminals")
	assert.NotContains(t, said, " error ")
}

func TestDefaultsFitEachOther(t *testing.T) {
	t.Parallel()
	server, address := startServer(t)
	startClient(t, address, "-count", "1").exits(0, "both use the key of the examples")
	server.await(`warning .*everybody knows`, "a warning about that key")
}

func TestCertificate(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, "the server")
	_, address := startServer(t, "-cert", cert, "-key", key)
	port := address[strings.LastIndex(address, ":"):]
	tests := []struct {
		why, connect string
		flags        []string
		code         int
		says         string
	}{
		{"the address is in the certificate", address, nil, 0, `certificate "CN=the server"`},
		{"the name is given", address, []string{"-name", "localhost"}, 0, `, 0 failed`},
		{"the name is the host's", "localhost" + port, nil, 0, `, 0 failed`},
		{"another name", address, []string{"-name", "example.org"}, 1, `(?i)error .*hostname mismatch`},
		{"another name, insecurely", address, []string{"-name", "example.org", "-insecure"}, 0, `(?i)warning .*hostname mismatch`},
	}
	for _, test := range tests {
		t.Run(test.why, func(t *testing.T) {
			t.Parallel()
			client := startClient(t, test.connect, append([]string{"-ca", cert, "-count", "1"}, test.flags...)...)
			client.exits(test.code, test.why)
			client.await(test.says, test.why)
		})
	}
}

func TestInsecure(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, "the server")
	_, address := startServer(t, "-cert", cert, "-key", key)
	other, _ := certificate(t, "another")

	client := startClient(t, address, "-ca", other, "-count", "1")
	client.exits(1, "nobody trusted has signed the certificate")
	client.await(`(?i)error .*self.signed certificate`, "what is wrong with it")
	client.await(`error .*the server's certificate is not accepted`, "that it ends here")

	client = startClient(t, address, "-ca", other, "-count", "1", "-insecure")
	client.exits(0, "told to go on")
	client.await(`(?i)warning .*self.signed certificate`, "what is wrong with it")
	client.await(`warning .*-insecure`, "a warning")
	client.await(`plain text: ".*ACK"`, "the answer")
}

func TestClientCertificate(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, "the server")
	mine, myKey := certificate(t, "the client")
	server, address := startServer(t, "-cert", cert, "-key", key, "-ca", mine)

	startClient(t, address, "-ca", cert, "-count", "1").exits(1, "no certificate to show")
	server.await(`error .*the peer has shown no certificate`, "why the client was refused")

	startClient(t, address, "-ca", cert, "-count", "1", "-cert", mine, "-key", myKey).exits(0, "a certificate that is trusted")
	server.await(`handshake complete: .*certificate "CN=the client"`, "who the client is")
}

func TestWrongKey(t *testing.T) {
	t.Parallel()
	server, address := startServer(t, "-psk", "00ff")
	client := startClient(t, address, "-psk", "00fe", "-handshake-timeout", "800ms")
	client.exits(1, "the keys differ")
	client.await(`error .*took longer than 800ms.*wrong pre-shared key`, "what a time-out may mean")
	client.await(`1 connections, 1 failed; 0 messages sent`, "the summary")
	assert.NotContains(t, server.output(), "handshake complete")
}

func TestWrongIdentity(t *testing.T) {
	t.Parallel()
	server, address := startServer(t)
	startClient(t, address, "-identity", "nobody").exits(1, "the server has no key for the identity")
	server.await(`error .*no pre-shared key for identity "nobody"`, "why the client was refused")
}

func TestNobodyThere(t *testing.T) {
	t.Parallel()
	sock := listen(t) // never read, and nothing else gets the port meanwhile
	client := startClient(t, sock.LocalAddr().String(), "-handshake-timeout", "100ms")
	client.exits(1, "no answer at all")
	client.await(`error .*nothing came from .*is the server there`, "what a time-out may mean")
}

// The first datagram from the client is lost, and then one of the server's first flight:
// both are sent again.
func TestLostDatagrams(t *testing.T) {
	t.Parallel()
	_, address := startServer(t)
	lossy := startRelay(t, address, func(toServer bool, n int, datagram []byte) [][]byte {
		if toServer && n == 0 || !toServer && n == 1 {
			return nil
		}
		return [][]byte{datagram}
	})
	client := startClient(t, lossy, "-count", "1")
	client.exits(0, "the datagrams are sent again")
	client.await(`the last flight is sent again`, "the timer")
	client.await(`1 messages sent, 1 answered; [1-9]\d* handshake flights sent again`, "the summary")
}

// startRelay returns the address of a relay between one client and the server. What
// becomes of the n-th datagram of each direction, deal says: it returns what is sent in
// its place. It is called by one goroutine for each direction.
func startRelay(t *testing.T, server string, deal func(toServer bool, n int, datagram []byte) [][]byte) string {
	t.Helper()
	front, back := listen(t), listen(t) // the client's side, the server's side
	var client atomic.Pointer[netip.AddrPort]
	target := netip.MustParseAddrPort(server)
	var wg sync.WaitGroup
	wg.Add(2)
	carry := func(from *net.UDPConn, each func(n int, datagram []byte, peer netip.AddrPort)) {
		defer wg.Done()
		buf := make([]byte, 1<<16)
		for n := 0; ; n++ {
			size, peer, err := from.ReadFromUDPAddrPort(buf)
			if err != nil {
				return // closed
			}
			each(n, buf[:size], peer)
		}
	}
	// What cannot be sent is as lost as any other datagram.
	go carry(front, func(n int, datagram []byte, peer netip.AddrPort) {
		client.Store(&peer)
		for _, d := range deal(true, n, datagram) {
			_, _ = back.WriteToUDPAddrPort(d, target)
		}
	})
	go carry(back, func(n int, datagram []byte, _ netip.AddrPort) {
		for _, d := range deal(false, n, datagram) {
			_, _ = front.WriteToUDPAddrPort(d, *client.Load())
		}
	})
	t.Cleanup(func() {
		front.Close()
		back.Close()
		wg.Wait()
	})
	return front.LocalAddr().String()
}

// listen returns a socket on the loopback interface, open until the test ends.
func listen(t *testing.T) *net.UDPConn {
	t.Helper()
	sock, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	require.NoError(t, err)
	t.Cleanup(func() { sock.Close() })
	return sock
}

// A server that ends takes its clients with it, and an interrupted client says goodbye.
func TestInterrupt(t *testing.T) {
	t.Parallel()
	needsInterrupt(t)
	server, address := startServer(t)
	first := startClient(t, address, "-count", "0", "-n", "2")
	second := startClient(t, address, "-count", "0", "-n", "2")
	for _, client := range []*program{first, second} {
		client.await(`#1 .*plain text: ".*ACK"`, "the first connection is in use")
		client.await(`#2 .*plain text: ".*ACK"`, "the second connection is in use")
	}
	first.interrupt()
	assert.Contains(t, first.output(), "summary: 2 connections, 0 failed")
	server.await(`(?s)closed by the client.*closed by the client`, "both connections of the first client have ended")

	server.interrupt()
	assert.Regexp(t, `(?s)stopping: 2 connections to close.* closed\n.* closed\n.*server  stopped\n$`, server.output())
	second.exits(1, "the server has closed what was to go on until Ctrl-C")
	second.await(`error .*the peer closed the connection`, "who has closed")
}

func TestInterruptInHandshake(t *testing.T) {
	t.Parallel()
	needsInterrupt(t)
	sock := listen(t)
	client := startClient(t, sock.LocalAddr().String())
	client.await(`handshake starts`, "under way")
	client.interrupt()
}

// The association of a known peer survives what means nothing, and so does the server.
func TestJunk(t *testing.T) {
	t.Parallel()
	server, address := startServer(t, "-idle", "0")
	sock := listen(t)
	for _, junk := range [][]byte{nil, {0}, []byte("hello"), bytes.Repeat([]byte{22}, 1000)} {
		_, err := sock.WriteToUDPAddrPort(junk, netip.MustParseAddrPort(address))
		require.NoError(t, err)
	}
	server.await(`warning .*dropped 0 bytes: .*the datagram is empty`, "the empty datagram")
	server.await(`dropped 5 bytes: no ClientHello`, "hello is no ClientHello")
	server.await(`dropped 1000 bytes`, "the long one")

	// Junk before each datagram, from the address of the client and from the server's.
	noisy := startRelay(t, address, func(_ bool, _ int, datagram []byte) [][]byte {
		return [][]byte{nil, []byte("hello"), datagram}
	})
	client := startClient(t, noisy, "-count", "3")
	client.exits(0, "junk does no harm")
	client.await(`3 messages sent, 3 answered; 0 handshake flights sent again`, "the summary")
	server.await(`warning .*a datagram is needed to go on`, "the empty datagram in the handshake")
	assert.NotContains(t, server.output(), " error ")
}

// A datagram that does not come from the server's address does not reach the client.
func TestStranger(t *testing.T) {
	t.Parallel()
	sock, stranger := listen(t), listen(t)
	client := startClient(t, sock.LocalAddr().String(), "-handshake-timeout", "200ms")
	require.NoError(t, sock.SetReadDeadline(time.Now().Add(limit)))
	_, peer, err := sock.ReadFromUDPAddrPort(make([]byte, 2048))
	require.NoError(t, err)
	_, err = stranger.WriteToUDPAddrPort([]byte{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 2, 40}, peer) // a fatal alert
	require.NoError(t, err)
	client.exits(1, "no answer at all")
	client.await(`error .*nothing came from`, "the alert does not count")
}

func TestMax(t *testing.T) {
	t.Parallel()
	needsInterrupt(t)
	server, address := startServer(t, "-max", "1")
	first := startClient(t, address, "-count", "0")
	first.await(`plain text: ".*ACK"`, "the only connection is taken")
	second := startClient(t, address)
	server.await(`warning .*there are 1 connections already`, "there is room for one")
	second.interrupt()
	first.interrupt()
	server.await(`closed by the client`, "the end of the first")
	startClient(t, address, "-count", "1").exits(0, "there is room again")
}

func TestIdle(t *testing.T) {
	t.Parallel()
	server, address := startServer(t, "-idle", "100ms")
	client := startClient(t, address, "-count", "2", "-interval", "1h")
	server.await(`closing: silent for 100ms`, "nothing came")
	client.exits(1, "closed before its second message")
	client.await(`error .*the peer closed the connection`, "who has closed")
}

func TestFlags(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, "the server")
	_, otherKey := certificate(t, "another")
	tests := []struct {
		program, flags, says string
	}{
		{"server", "-nonsense", "-nonsense"},
		{"server", "more", `unexpected argument "more"`},
		{"server", "-listen nowhere", "-listen"},
		{"server", "-psk xyz", "-psk: .*hexadecimal"},
		{"server", "-cert " + cert, "-cert and -key belong together"},
		{"server", "-cert " + cert + " -key " + otherKey, "-cert, -key: "},
		{"server", "-cert " + cert + " -key " + key + " -hint x", "-psk"},
		{"server", "-cert " + cert + " -key " + key + " -ca /nowhere.pem", "-ca: .*nowhere"},
		{"server", "-cert " + cert + " -key " + key + " -ca " + key, "-ca: "},
		{"server", "-ca " + cert, "-cert and -key"},
		{"server", "-ciphers NONSENSE", "NONSENSE"},
		{"server", "-idle -1s", "-idle"},
		{"server", "-max 0", "-max"},
		{"server", "-handshake-timeout 0s", "-handshake-timeout"},
		{"client", "more", `unexpected argument "more"`},
		{"client", "-connect nowhere", "-connect"},
		{"client", "-connect :1", "-connect: .*a host and a port"},
		{"client", "-psk 1", "-psk: .*hexadecimal"},
		{"client", "-key " + key, "-cert and -key belong together"},
		{"client", "-ca " + cert + " -identity x", "-psk"},
		{"client", "-ca /nowhere.pem", "-ca: .*nowhere"},
		{"client", "-n 0", "-n "},
		{"client", "-count -1", "-count"},
		{"client", "-interval 0s", "-interval"},
	}
	for _, test := range tests {
		t.Run(test.program+" "+strings.ReplaceAll(test.flags, os.TempDir(), ""), func(t *testing.T) {
			t.Parallel()
			p := start(t, test.program, strings.Fields(test.flags)...)
			p.exits(2, "the command line is wrong")
			assert.Regexp(t, `^`+test.program+`: .*`+test.says, p.output())
			assert.Equal(t, 1, strings.Count(p.output(), "\n"), "one line says it")
		})
	}
	for _, name := range []string{"server", "client"} {
		help := start(t, name, "-h")
		help.exits(0, "asked for")
		help.await(`(?s)-psk hex.*-handshake-timeout|-handshake-timeout.*-psk hex`, "the flags")
	}
}
