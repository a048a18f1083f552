package dgramtest

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	alice = netip.MustParseAddrPort("192.0.2.1:1001")
	bob   = netip.MustParseAddrPort("[2001:db8::2]:1002")
)

// patientNetwork holds a datagram back until another overtakes it, however slow the test is.
func patientNetwork(seed uint64) *Network {
	n := NewNetwork(seed)
	n.heldFor = time.Hour
	return n
}

// listen closes the socket at the end of the test.
func listen(t *testing.T, n *Network, addr netip.AddrPort) *PacketConn {
	t.Helper()
	c := n.Listen(addr)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func send(t *testing.T, from *PacketConn, to netip.AddrPort, texts ...string) {
	t.Helper()
	for _, text := range texts {
		n, err := from.WriteToUDPAddrPort([]byte(text), to)
		require.NoError(t, err)
		require.Equal(t, len(text), n)
	}
}

// read takes n datagrams, each within 5 seconds.
func read(t *testing.T, c *PacketConn, n int) []string {
	t.Helper()
	texts := []string{}
	b := make([]byte, MaxPayload)
	for range n {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(5*time.Second)))
		size, _, err := c.ReadFromUDPAddrPort(b)
		require.NoError(t, err, "after %q", texts)
		texts = append(texts, string(b[:size]))
	}
	require.NoError(t, c.SetReadDeadline(time.Time{}))
	return texts
}

// waiting returns what a reader would get now.
func waiting(t *testing.T, c *PacketConn) []string {
	t.Helper()
	c.network.mu.Lock()
	n := len(c.queue.waiting)
	c.network.mu.Unlock()
	return read(t, c, n)
}

func numbers(n int) []string {
	texts := make([]string, n)
	for i := range texts {
		texts[i] = fmt.Sprint(i)
	}
	return texts
}

func TestDatagramsArriveOnceAndInOrder(t *testing.T) {
	network := NewNetwork(1)
	a, b := listen(t, network, alice), listen(t, network, bob)
	send(t, a, bob, numbers(100)...)
	send(t, b, alice, "back")
	assert.Equal(t, numbers(100), waiting(t, b))
	assert.Equal(t, []string{"back"}, waiting(t, a))
	assert.Equal(t, Counters{Sent: 101, Delivered: 101}, network.Counters())
}

func TestFaults(t *testing.T) {
	for _, test := range []struct {
		name     string
		faults   Faults
		sent     []string
		arrive   []string
		counters Counters
	}{
		{"lost", Faults{Loss: 1, Duplicate: 1, Reorder: 1}, numbers(3), []string{},
			Counters{Sent: 3, Lost: 3}},
		{"twice", Faults{Duplicate: 1, Reorder: 1}, numbers(2), []string{"0", "0", "1", "1"},
			Counters{Sent: 2, Duplicated: 2, Delivered: 4}},
		{"overtaken", Faults{Reorder: 1}, numbers(4), []string{"1", "0", "3", "2"},
			Counters{Sent: 4, Reordered: 2, Delivered: 4}},
	} {
		t.Run(test.name, func(t *testing.T) {
			network := patientNetwork(1)
			network.SetFaults(test.faults)
			a, b := listen(t, network, alice), listen(t, network, bob)
			send(t, a, bob, test.sent...)
			assert.Equal(t, test.arrive, read(t, b, len(test.arrive)))
			assert.Empty(t, waiting(t, b))
			assert.Equal(t, test.counters, network.Counters())
		})
	}
}

func TestHeldBackInVain(t *testing.T) {
	network := NewNetwork(1)
	network.SetFaults(Faults{Reorder: 1})
	a, b := listen(t, network, alice), listen(t, network, bob)
	send(t, a, bob, "late")
	assert.Equal(t, []string{"late"}, read(t, b, 1))
	assert.Equal(t, Counters{Sent: 1, Delivered: 1}, network.Counters())
}

func TestFaultsChangeAndAreForEachDestination(t *testing.T) {
	network := patientNetwork(1)
	a, b := listen(t, network, alice), listen(t, network, bob)
	network.SetFaults(Faults{Reorder: 1})
	send(t, a, bob, "late")
	network.SetFaults(Faults{})
	send(t, a, alice, "to another")
	send(t, a, bob, "next")
	assert.Equal(t, []string{"to another"}, waiting(t, a))
	assert.Equal(t, []string{"next", "late"}, waiting(t, b))
}

// fates sends 1000 datagrams and says what arrives.
func fates(t *testing.T, seed uint64, faults Faults) ([]string, Counters) {
	t.Helper()
	network := patientNetwork(seed)
	network.SetFaults(faults)
	a, b := listen(t, network, alice), listen(t, network, bob)
	send(t, a, bob, numbers(1000)...)
	network.SetFaults(Faults{})
	send(t, a, bob, "end") // overtakes one that is held back
	return waiting(t, b), network.Counters()
}

func TestTheSeedDecides(t *testing.T) {
	faults := Faults{Loss: 0.1, Duplicate: 0.2, Reorder: 0.05}
	first, counters := fates(t, 7, faults)
	again, _ := fates(t, 7, faults)
	other, _ := fates(t, 8, faults)
	assert.Equal(t, first, again)
	assert.NotEqual(t, first, other)

	assert.InDelta(t, 100, counters.Lost, 40)
	assert.InDelta(t, 180, counters.Duplicated, 50)
	assert.InDelta(t, 36, counters.Reordered, 25)
	assert.Equal(t, 1001-counters.Lost+counters.Duplicated, counters.Delivered)
	assert.Len(t, first, counters.Delivered)
}

func TestWhatIsLostDoesNotDependOnOtherFaults(t *testing.T) {
	_, alone := fates(t, 7, Faults{Loss: 0.3})
	_, among := fates(t, 7, Faults{Loss: 0.3, Duplicate: 0.5, Reorder: 0.5})
	assert.Equal(t, alone.Lost, among.Lost)
}

func TestSendFromAnyAddress(t *testing.T) {
	network := NewNetwork(1)
	network.Queue = 2
	b := listen(t, network, bob)
	nobody := netip.MustParseAddrPort("203.0.113.9:9")
	for range 3 {
		network.Send(nobody, bob, []byte("forged"))
	}
	buf := make([]byte, 10)
	n, from, err := b.ReadFromUDPAddrPort(buf)
	require.NoError(t, err)
	assert.Equal(t, "forged", string(buf[:n]))
	assert.Equal(t, nobody, from)
	send(t, b, nobody, "answer")
	assert.Equal(t, Counters{Sent: 4, Unreachable: 1, Overflowed: 1, Delivered: 2}, network.Counters())
}

func TestSendTakesACopy(t *testing.T) {
	network := NewNetwork(1)
	b := listen(t, network, bob)
	text := []byte("as it was")
	network.Send(alice, bob, text)
	clear(text)
	assert.Equal(t, []string{"as it was"}, waiting(t, b))
}

func TestTapSeesEverything(t *testing.T) {
	network := NewNetwork(1)
	network.SetFaults(Faults{Loss: 1})
	a, b := listen(t, network, alice), listen(t, network, bob)
	var seen []string
	network.Tap(func(from, to netip.AddrPort, b []byte) {
		seen = append(seen, fmt.Sprintf("%v > %v: %s", from, to, b))
		if string(b) == "question" {
			network.SetFaults(Faults{})
			network.Send(to, from, []byte("forged answer"))
		}
	})
	nobody := netip.MustParseAddrPort("203.0.113.9:9")
	send(t, a, bob, "lost", "question")
	send(t, a, nobody, "to nobody")
	network.Tap(nil)
	send(t, a, bob, "unseen")
	assert.Equal(t, []string{
		"192.0.2.1:1001 > [2001:db8::2]:1002: lost",
		"192.0.2.1:1001 > [2001:db8::2]:1002: question",
		"[2001:db8::2]:1002 > 192.0.2.1:1001: forged answer",
		"192.0.2.1:1001 > 203.0.113.9:9: to nobody",
	}, seen)
	assert.Equal(t, []string{"question", "unseen"}, waiting(t, b))
	assert.Equal(t, []string{"forged answer"}, waiting(t, a))
}

func TestListenAddresses(t *testing.T) {
	network := NewNetwork(1)
	for name, addr := range map[string]string{
		"unspecified": "0.0.0.0:1", "unspecified, IPv6": "[::]:1",
	} {
		assert.Panics(t, func() { network.Listen(netip.MustParseAddrPort(addr)) }, name)
	}
	assert.Panics(t, func() { network.Listen(netip.AddrPort{}) })

	a := listen(t, network, netip.MustParseAddrPort("[::ffff:192.0.2.1]:1001"))
	assert.Equal(t, alice, a.LocalAddrPort(), "unmapped")
	assert.Panics(t, func() { network.Listen(alice) }, "in use")
	require.NoError(t, a.Close())
	listen(t, network, alice)

	ports := map[uint16]bool{}
	for range 100 {
		c := listen(t, network, netip.AddrPortFrom(alice.Addr(), 0))
		ports[c.LocalAddrPort().Port()] = true
	}
	assert.Len(t, ports, 100)
	network.lastPort = 65535
	assert.EqualValues(t, 49252, listen(t, network, netip.AddrPortFrom(alice.Addr(), 0)).LocalAddrPort().Port())
	assert.EqualValues(t, 49253, listen(t, network, netip.AddrPortFrom(bob.Addr(), 0)).LocalAddrPort().Port())
}

// Under the race detector, everything at the same time.
func TestConcurrentUse(t *testing.T) {
	network := NewNetwork(1)
	network.Queue = 4
	network.SetFaults(Faults{Duplicate: 0.1, Reorder: 0.1})
	a, b := listen(t, network, alice), listen(t, network, bob)
	const writers, each = 8, 200
	var sent, read sync.WaitGroup
	var mu sync.Mutex
	got := map[string]bool{}
	for range 3 {
		read.Add(1)
		go func() {
			defer read.Done()
			buf := make([]byte, 100)
			for {
				n, _, err := b.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				mu.Lock()
				got[string(buf[:n])] = true
				mu.Unlock()
			}
		}()
	}
	for w := range writers {
		sent.Add(1)
		go func() {
			defer sent.Done()
			for i := range each {
				_, err := a.WriteToUDPAddrPort(fmt.Append(nil, w, i), bob)
				assert.NoError(t, err)
				network.Counters()
			}
		}()
	}
	sent.Wait()
	assert.Eventually(t, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(got) == writers*each
	}, 5*time.Second, time.Millisecond)
	require.NoError(t, b.Close())
	read.Wait()
}
