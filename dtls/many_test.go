package dtls

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/dgramtest"
	"github.com/ossldtls/ossldtls/internal/raceon"
	"github.com/ossldtls/ossldtls/openssl"
)

// manyPeers is how many there are in the tests of very many: less where each costs ten
// times as much.
func manyPeers() int {
	if raceon.Enabled || testing.Short() {
		return 500
	}
	return 10000
}

// each runs f for 0 to n-1, a few at a time.
func each(n int, f func(i int)) {
	var wg sync.WaitGroup
	numbers := make(chan int)
	for range 16 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range numbers {
				f(i)
			}
		}()
	}
	for i := range n {
		numbers <- i
	}
	close(numbers)
	wg.Wait()
}

// connectMany connects n clients and has each of them hear what it says.
func connectMany(t *testing.T, network *dgramtest.Network, n int) []*Conn {
	t.Helper()
	clientCfg, _ := pskConfigs()
	clients := make([]*Conn, n)
	var mu sync.Mutex
	var failed error
	each(n, func(i int) {
		err := func() error {
			c, err := Client(network.Listen(numbered(i)), net.UDPAddrFromAddrPort(serverAddr), clientCfg)
			if err != nil {
				return err
			}
			clients[i] = c
			text := fmt.Sprint("client ", i)
			if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
				return err
			}
			if _, err := c.Write([]byte(text)); err != nil {
				return err
			}
			buf := make([]byte, 100)
			if n, err := c.Read(buf); err != nil || string(buf[:n]) != text {
				return fmt.Errorf("%q, not %q: %w", buf[:n], text, err)
			}
			return c.SetDeadline(time.Time{})
		}()
		if err != nil {
			mu.Lock()
			failed = err
			mu.Unlock()
		}
	})
	require.NoError(t, failed)
	return clients
}

// All echo, all close, and nothing is left.
func TestVeryManyConnections(t *testing.T) {
	for _, how := range []string{"Accept", "Serve"} {
		t.Run(how, func(t *testing.T) {
			n := manyPeers()
			if how == "Serve" {
				n /= 5 // examples/many has all of them
			}
			before := openssl.ReadDiagnostics().SSLs
			_, serverCfg := pskConfigs()
			network := dgramtest.NewNetwork(1)
			l := listenIn(t, network, serverCfg)
			served := make(chan error, 1)
			if how == "Serve" {
				go func() {
					served <- l.Serve(Handler{Datagram: func(c *Conn, datagram []byte) { _, _ = c.Write(datagram) }})
				}()
			} else {
				echoing(t, l)
			}
			goroutines := runtime.NumGoroutine()
			clients := connectMany(t, network, n)
			assert.Equal(t, n, l.Stats().Open)
			if how == "Serve" {
				// Each client has one goroutine, that reads its socket.
				assert.LessOrEqual(t, runtime.NumGoroutine()-goroutines-n, 20, "the server has none for each peer")
			}
			each(n, func(i int) { _ = clients[i].Close() })
			eventually(t, "all are gone", func() bool { return l.Stats().Open == 0 })
			assert.Zero(t, l.Stats().HandshakesFailed)
			require.NoError(t, l.Close())
			if how == "Serve" {
				assert.ErrorIs(t, <-served, net.ErrClosed)
			}
			eventually(t, "no SSL is left but what the verifier had", func() bool {
				return openssl.ReadDiagnostics().SSLs <= before
			})
		})
	}
}

// The listener is closed, and its peers hear of it.
func TestVeryManyPeersHearOfTheEnd(t *testing.T) {
	n := manyPeers() / 10
	_, serverCfg := pskConfigs()
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	echoing(t, l)
	clients := connectMany(t, network, n)
	require.NoError(t, l.Close())
	for _, c := range clients {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		require.Equal(t, io.EOF, second(c.Read(make([]byte, 10))))
	}
}
