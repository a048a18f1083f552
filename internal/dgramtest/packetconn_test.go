package dgramtest

import (
	"net"
	"net/netip"
	"os"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var _ net.PacketConn = (*PacketConn)(nil)

func requireTimeout(t *testing.T, err error) {
	t.Helper()
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.True(t, ne.Timeout())
}

// started runs f on a goroutine and returns where its error arrives. The calls that
// are tested so have the same result whether or not they wait already.
func started(f func() error) <-chan error {
	done := make(chan error, 1)
	go func() { done <- f() }()
	return done
}

func result(t *testing.T, done <-chan error) error {
	t.Helper()
	select {
	case err := <-done:
		return err
	case <-time.After(5 * time.Second):
		require.FailNow(t, "the call does not return")
		return nil
	}
}

func readOne(c *PacketConn) error {
	_, _, err := c.ReadFrom(make([]byte, 10))
	return err
}

func TestAddressesAreUDPAddr(t *testing.T) {
	network := NewNetwork(1)
	a, b := listen(t, network, alice), listen(t, network, bob)
	assert.Equal(t, net.UDPAddrFromAddrPort(alice), a.LocalAddr())
	n, err := a.WriteTo([]byte("long text"), b.LocalAddr())
	require.NoError(t, err)
	assert.Equal(t, 9, n)
	buf := make([]byte, 4)
	n, from, err := b.ReadFrom(buf)
	require.NoError(t, err)
	assert.Equal(t, "long", string(buf[:n]), "cut as UDP does")
	assert.Equal(t, a.LocalAddr(), from)

	// A 16-byte slice is an IPv4 address too.
	_, err = b.WriteTo(nil, &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1001})
	require.NoError(t, err)
	assert.Equal(t, []string{""}, waiting(t, a), "a datagram may be empty")
}

func TestWriteToRefuses(t *testing.T) {
	network := NewNetwork(1)
	a := listen(t, network, alice)
	_, err := a.WriteTo(nil, &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1001})
	assert.ErrorIs(t, err, syscall.EINVAL)
	_, err = a.WriteTo(nil, nil)
	assert.ErrorIs(t, err, syscall.EINVAL)
	_, err = a.WriteTo(nil, (*net.UDPAddr)(nil))
	assert.ErrorIs(t, err, syscall.EINVAL)
	_, err = a.WriteToUDPAddrPort(nil, netip.AddrPort{})
	assert.ErrorContains(t, err, "missing address")
	_, err = a.WriteToUDPAddrPort(make([]byte, MaxPayload+1), bob)
	assert.ErrorIs(t, err, syscall.EMSGSIZE)
	assert.Zero(t, network.Counters())
}

func TestReadDeadline(t *testing.T) {
	network := NewNetwork(1)
	a := listen(t, network, alice)
	send(t, a, alice, "there")

	require.NoError(t, a.SetDeadline(time.Unix(1, 0)))
	requireTimeout(t, readOne(a)) // though there is something to read
	_, err := a.WriteToUDPAddrPort(nil, alice)
	requireTimeout(t, err)
	require.NoError(t, a.SetDeadline(time.Time{}))
	require.NoError(t, readOne(a))

	done := started(func() error { return readOne(a) })
	require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Hour)))
	require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Millisecond)))
	requireTimeout(t, result(t, done))
	requireTimeout(t, readOne(a))
	require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Hour)))
	send(t, a, alice, "later")
	require.NoError(t, readOne(a))
}

func TestWriterWaitsForRoom(t *testing.T) {
	network := NewNetwork(1)
	network.Queue = 1
	for _, test := range []struct {
		name string
		act  func(t *testing.T, a, b *PacketConn)
		want error
	}{
		{"reader", func(t *testing.T, _, b *PacketConn) { require.NoError(t, readOne(b)) }, nil},
		{"deadline", func(t *testing.T, a, _ *PacketConn) {
			require.NoError(t, a.SetWriteDeadline(time.Now().Add(time.Millisecond)))
		}, os.ErrDeadlineExceeded},
		{"close of the writer", func(t *testing.T, a, _ *PacketConn) { require.NoError(t, a.Close()) }, net.ErrClosed},
		{"close of the receiver", func(t *testing.T, _, b *PacketConn) { require.NoError(t, b.Close()) }, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			a, b := listen(t, network, alice), listen(t, network, bob)
			send(t, a, bob, "fills the queue")
			done := started(func() error {
				_, err := a.WriteToUDPAddrPort([]byte("waits"), bob)
				return err
			})
			select {
			case err := <-done:
				require.FailNow(t, "the writer does not wait", "%v", err)
			case <-time.After(time.Millisecond): // it may also not have begun yet
			}
			test.act(t, a, b)
			require.ErrorIs(t, result(t, done), test.want)
		})
	}
}

// Each of many waiting writers is woken, though others give up.
func TestEveryWriterGetsRoom(t *testing.T) {
	network := NewNetwork(1)
	network.Queue = 1
	b := listen(t, network, bob)
	const patient = 10
	var hasty, waits []<-chan error
	for i := range 2 * patient {
		c := listen(t, network, netip.AddrPortFrom(alice.Addr(), 0))
		write := started(func() error {
			_, err := c.WriteToUDPAddrPort([]byte("text"), bob)
			return err
		})
		if i%2 == 0 {
			require.NoError(t, c.SetWriteDeadline(time.Now().Add(time.Millisecond)))
			hasty = append(hasty, write)
		} else {
			waits = append(waits, write)
		}
	}
	stopped := started(func() error {
		for {
			if err := readOne(b); err != nil {
				return err
			}
		}
	})
	for _, done := range waits {
		require.NoError(t, result(t, done))
	}
	for _, done := range hasty {
		if err := result(t, done); err != nil {
			requireTimeout(t, err)
		}
	}
	require.NoError(t, b.Close())
	require.ErrorIs(t, result(t, stopped), net.ErrClosed)
}

func TestClose(t *testing.T) {
	network := NewNetwork(1)
	a := listen(t, network, alice)
	require.NoError(t, a.SetDeadline(time.Now().Add(time.Hour)))
	readers := []<-chan error{
		started(func() error { return readOne(a) }),
		started(func() error { return readOne(a) }),
	}
	require.NoError(t, a.Close())
	for _, done := range readers {
		require.ErrorIs(t, result(t, done), net.ErrClosed)
	}
	_, err := a.WriteToUDPAddrPort(nil, bob)
	require.ErrorIs(t, err, net.ErrClosed)
	var ne net.Error
	require.ErrorAs(t, err, &ne)
	require.False(t, ne.Timeout())
	require.ErrorIs(t, a.SetDeadline(time.Time{}), net.ErrClosed)
	require.ErrorIs(t, a.Close(), net.ErrClosed)
}

func TestCloseDiscards(t *testing.T) {
	network := patientNetwork(1)
	a := listen(t, network, alice)
	send(t, a, alice, "unread")
	network.SetFaults(Faults{Reorder: 1})
	send(t, a, alice, "held back")
	require.NoError(t, a.Close())
	assert.False(t, a.queue.timer.Stop(), "the timer is stopped")
	again := listen(t, network, alice)
	assert.Empty(t, waiting(t, again))
	assert.Nil(t, again.queue.held)
}
