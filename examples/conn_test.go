package examples

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// listening starts a program that serves on a free port, and returns it and its address.
func listening(t *testing.T, name string, flags ...string) (*program, string) {
	t.Helper()
	s := start(t, name, append([]string{"-listen", "127.0.0.1:0"}, flags...)...)
	return s, s.await(`listening on (127\.0\.0\.1:\d+)`, "the server says where it is")
}

// dialing runs a program as a client that has to succeed, and returns what it has said.
func dialing(t *testing.T, name, address string, args ...string) string {
	t.Helper()
	c := start(t, name, append([]string{"-dial", address}, args...)...)
	c.exits(0, "it was answered")
	return c.output()
}

// refused runs a program as a client that has to fail, and awaits its words.
func refused(t *testing.T, why, says, name, address string, args ...string) {
	t.Helper()
	c := start(t, name, append([]string{"-dial", address}, args...)...)
	c.exits(1, why)
	assert.Regexp(t, `(?m)^`+name+`: .*`+says, c.output(), why)
}

func TestEcho(t *testing.T) {
	t.Parallel()
	needsInterrupt(t)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	server, address := listening(t, "echo", "-write-ca", ca)
	fingerprint := server.await(`certificate (SHA-256 [0-9a-f]{64})\n`, "what clients can compare")
	said := dialing(t, "echo", address, "-ca", ca, "hello", "there")
	assert.Contains(t, said, `answer: "hello there"`)
	assert.Contains(t, said, "DTLS 1.2, ECDHE-ECDSA-AES256-GCM-SHA384, certificate "+fingerprint)
	assert.Contains(t, dialing(t, "echo", address, "-insecure"), `answer: "hello"`)
	server.await(`(?s)(?:1 echoed, then closed by the client.*){2}`, "the clients have closed")
	server.interrupt()
	assert.NotContains(t, server.output(), "not every client")
}

func TestEchoTrustsNoOtherServer(t *testing.T) {
	t.Parallel()
	other, _ := certificate(t, "another")
	_, address := listening(t, "echo")
	refused(t, "nobody trusted has signed the certificate", `(?i)self.signed certificate`, "echo", address, "-ca", other)
	refused(t, "nor any authority of the machine's", `(?i)self.signed certificate`, "echo", address)
}

func TestEchoWithACertificate(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, "the server")
	_, address := listening(t, "echo", "-cert", cert, "-key", key)
	assert.Contains(t, dialing(t, "echo", address, "-ca", cert), `answer: "hello"`)
}

// A server that ends waits a while for its clients, and then closes them.
func TestEchoEndsItsClients(t *testing.T) {
	t.Parallel()
	needsInterrupt(t)
	server, address := listening(t, "echo")
	conn, err := dtls.Dial("udp", address, &dtls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	defer conn.Close()
	say := func(text string) {
		t.Helper()
		_, err := conn.Write([]byte(text))
		require.NoError(t, err)
		require.NoError(t, conn.SetReadDeadline(time.Now().Add(limit)))
		buf := make([]byte, 100)
		n, err := conn.Read(buf)
		require.NoError(t, err)
		require.Equal(t, text, string(buf[:n]))
	}
	say("before")
	require.NoError(t, server.cmd.Process.Signal(os.Interrupt))
	say("a client may finish what it does")
	_, err = conn.Read(make([]byte, 100))
	assert.ErrorContains(t, err, "EOF", "closed by the server, in the end")
	server.exits(0, "a good end")
	assert.Contains(t, server.output(), "not every client has closed by itself")
}

func TestPsk(t *testing.T) {
	t.Parallel()
	needsInterrupt(t)
	server, address := listening(t, "psk", "-identity", "device 7", "-key", "0123abcd")
	said := dialing(t, "psk", address, "-identity", "device 7", "-key", "0123abcd", "hello", "there")
	assert.Contains(t, said, `answer: "device 7: hello there"`)
	assert.Contains(t, said, `the server's hint: "the psk example"`)
	assert.Regexp(t, `identity "device 7", \S*DHE-PSK-\S*`, said)
	server.await(`127\.0\.0\.1:\d+: identity "device 7", \S*DHE-PSK-\S*\n`, "who the client is")
	server.await(`closed by the client`, "its end")

	refused(t, "the keys differ", `took longer than 300ms.*is the key right`,
		"psk", address, "-identity", "device 7", "-key", "0123abce", "-handshake-timeout", "300ms")
	refused(t, "the server does not know the identity", `unknown_psk_identity`, "psk", address, "-identity", "device 8", "-key", "0123abcd")
	server.interrupt()
	assert.Equal(t, 1, strings.Count(server.output(), "identity"), "nobody else was let in")
}

func TestMutual(t *testing.T) {
	t.Parallel()
	needsInterrupt(t)
	folder := filepath.Join(t.TempDir(), "pki")
	pki := func(who string) []string {
		return []string{"-ca", filepath.Join(folder, "ca.pem"),
			"-cert", filepath.Join(folder, who+".pem"), "-key", filepath.Join(folder, who+"-key.pem")}
	}
	made := start(t, "mutual", "-make", folder)
	made.exits(0, "certificates")
	again := start(t, "mutual", "-make", folder)
	again.exits(1, "no file is replaced")
	again.await(`mutual: .*exists`, "why")

	server, address := listening(t, "mutual", append(pki("server"), "-allow", "nobody,client")...)
	said := dialing(t, "mutual", address, append(pki("client"), "hello", "there")...)
	assert.Contains(t, said, `answer: "client: hello there"`)
	assert.Contains(t, said, "server: CN=server")
	server.await(`127\.0\.0\.1:\d+: client\n`, "who the client is")

	// From the same authority, but not on the list.
	refused(t, "not on the list", "the server refuses: alert bad_certificate", "mutual", address, pki("other")...)
	server.await(`handshake failed.*\\"other\\" is not on the list`, "why, in the server's log")

	server.interrupt()
	assert.Len(t, regexp.MustCompile(`: client\n`).FindAllString(server.output(), -1), 1, "nobody else was let in")
}

// A client whose certificate is another authority's, a client without one, and a server
// whose certificate is another authority's.
func TestMutualStrangers(t *testing.T) {
	t.Parallel()
	folder := filepath.Join(t.TempDir(), "pki")
	file := func(name string) string { return filepath.Join(folder, name) }
	start(t, "mutual", "-make", folder).exits(0, "certificates")
	_, address := listening(t, "mutual", "-ca", file("ca.pem"), "-cert", file("server.pem"), "-key", file("server-key.pem"))
	_, err := dtls.Dial("udp", address, &dtls.Config{InsecureSkipVerify: true})
	var alert *dtls.AlertError
	require.ErrorAs(t, err, &alert, "no certificate")
	assert.True(t, alert.Received)

	stranger, key := certificate(t, "client")
	refused(t, "another authority", "the server refuses: alert unknown_ca", "mutual", address,
		"-ca", file("ca.pem"), "-cert", stranger, "-key", key)
	refused(t, "the server is another authority's", "the server's certificate is not accepted", "mutual", address,
		"-ca", stranger, "-cert", file("client.pem"), "-key", file("client-key.pem"))
}

func TestConnFlags(t *testing.T) {
	t.Parallel()
	cert, key := certificate(t, "somebody")
	tests := []struct {
		flags string
		code  int
		says  string
	}{
		{"echo", 1, "either -listen ADDRESS or -dial ADDRESS"},
		{"echo -nonsense", 2, "-nonsense"},
		{"echo -listen 127.0.0.1:0 -dial 127.0.0.1:1", 1, "either -listen"},
		{"echo -listen nowhere", 1, "missing port"},
		{"echo -listen 127.0.0.1:0 -cert " + cert, 1, "-cert and -key belong together"},
		{"echo -listen 127.0.0.1:0 -cert " + cert + " -key " + key + " -write-ca x.pem", 1, "-write-ca"},
		{"echo -dial nowhere", 1, "missing port"},
		{"echo -dial 127.0.0.1:1 -ca " + key, 1, "(?i)certificate"},
		{"psk -listen 127.0.0.1:0", 1, "-key is needed"},
		{"psk -key xyz -dial 127.0.0.1:1", 1, "-key is needed"},
		{"psk -key 00", 1, "either -listen"},
		{"mutual", 1, "one of -make FOLDER, -listen ADDRESS and -dial ADDRESS"},
		{"mutual -make x -listen 127.0.0.1:0", 1, "one of -make"},
		{"mutual -dial 127.0.0.1:1", 1, "-ca, -cert and -key are needed"},
		{"mutual -dial 127.0.0.1:1 -ca " + key + " -cert " + cert + " -key " + key, 1, "(?i)certificate"},
	}
	for _, test := range tests {
		name, flags, _ := strings.Cut(test.flags, " ")
		t.Run(strings.ReplaceAll(test.flags, os.TempDir(), ""), func(t *testing.T) {
			t.Parallel()
			p := start(t, name, strings.Fields(flags)...)
			p.exits(test.code, "the command line is wrong")
			assert.Regexp(t, test.says, p.output())
		})
	}
}
