package dtls

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/ossldtls/ossldtls/internal/dgramtest"
	"github.com/ossldtls/ossldtls/internal/raceon"
	"github.com/ossldtls/ossldtls/openssl"
)

// residentKB returns the process's resident memory.
func residentKB(t testing.TB) int {
	t.Helper()
	statm, err := os.ReadFile("/proc/self/statm")
	require.NoError(t, err)
	var size, resident int
	_, err = fmt.Sscan(string(statm), &size, &resident)
	require.NoError(t, err)
	return resident * os.Getpagesize() / 1024
}

// sendFrom sends a datagram from an address of the loopback range.
func sendFrom(source [4]byte, port int, datagram []byte) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: source}); err != nil {
		return err
	}
	return unix.Sendto(fd, datagram, 0, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}, Port: port})
}

// A hundred thousand hellos from as many addresses that nobody is at, while a hundred
// real clients connect: all of them get in, and the server keeps nothing of the others.
func TestFloodOfHellos(t *testing.T) {
	hellos, clients := 100000, 100
	if raceon.Enabled || testing.Short() {
		hellos = 5000
	}
	clientCfg, serverCfg := connConfigs(t)
	clientCfg.ServerName = "localhost"
	clientCfg.RetransmissionTimeout = 50 * time.Millisecond // the flood fills the socket's buffer
	serverCfg.IdleTimeout = 2 * time.Second                 // also a close_notify may be lost
	l, err := Listen("udp4", "127.0.0.1:0", serverCfg)
	require.NoError(t, err)
	echoing(t, l)
	port := l.Addr().(*net.UDPAddr).Port

	a, err := NewAssociation(ClientMode, clientCfg)
	require.NoError(t, err)
	defer a.Close()
	var end dgramtest.End
	require.NoError(t, a.SetPeer(serverAddr, ""))
	require.NoError(t, a.DoHandshake(&end, nil))
	hello := end.Take()[0]

	flood := func(n int) {
		for i := range n { // one sender: two would leave the server no processor
			// Not 127.0.0.x, where the real ones are.
			source := [4]byte{127, byte(1 + i>>16), byte(i >> 8), byte(i)}
			h := bytes.Clone(hello)
			h[recordHeader+messageHeader+2] = byte(i) // another random
			if !assert.NoError(t, sendFrom(source, port, h)) {
				return
			}
		}
	}
	// ask repeats its question: the flood fills the socket's buffer too.
	ask := func(c net.Conn, text string) {
		buf := make([]byte, 100)
		for give := time.Now().Add(patience); ; {
			require.True(t, time.Now().Before(give), text)
			say(t, c, text)
			require.NoError(t, c.SetReadDeadline(time.Now().Add(100*time.Millisecond)))
			n, err := c.Read(buf)
			if err == nil {
				require.Equal(t, text, string(buf[:n]))
				return
			}
			requireTimeout(t, err)
		}
	}
	connect := func(n int) {
		for i := range n {
			c, err := DialContext(soon(t), "udp4", l.Addr().String(), clientCfg)
			require.NoError(t, err, "client %d", i)
			ask(c, fmt.Sprint("client ", i))
			require.NoError(t, c.Close())
		}
	}
	resident := func() int {
		eventually(t, "all are gone", func() bool { return l.Stats().Open == 0 })
		debug.FreeOSMemory()
		return residentKB(t)
	}
	flood(1000) // what the process needs anyway
	connect(clients)
	before, sslsBefore := resident(), openssl.ReadDiagnostics().SSLs
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		flood(hellos)
	}()
	connect(clients)
	wg.Wait()
	after := resident()
	stats := l.Stats()
	assert.Equal(t, uint64(2*clients), stats.HandshakesCompleted)
	assert.Zero(t, stats.HalfOpen)
	assert.Zero(t, stats.HandshakesFailed)
	assert.Greater(t, stats.CookiesSent, uint64(hellos/20), "what the socket's buffer had room for was answered")
	assert.LessOrEqual(t, openssl.ReadDiagnostics().SSLs, sslsBefore)
	t.Logf("%d hellos: resident memory %d KB before, %d KB after; cookies sent %d", hellos, before, after, stats.CookiesSent)
	if !raceon.Enabled {
		assert.Less(t, after-before, hellos*32/1024, "not even 32 bytes for each, in KB")
	}
}
