package udpbatch

import (
	"net/netip"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// refuseTrains makes a socket behave as one whose kernel or card cannot split.
func refuseTrains(c *Conn) {
	if s, ok := c.socket.(*offload); ok {
		s.refused.Store(true)
	}
}

// needsTrains skips a test where the build has said that there are none.
func needsTrains(t *testing.T) {
	t.Helper()
	if offloadMode != offloadOn {
		t.Skip("trains are switched off by a build tag")
	}
}

// The kernel joins what comes together: else nothing of this would be tested.
func TestTrainsAreTrains(t *testing.T) {
	needsTrains(t)
	a := newConn(t, listenUDP(t, "udp4", "127.0.0.1:0"))
	b := newConn(t, dialUDP(t, "udp4", addrOf(a.pc, "127.0.0.1")))
	peer, _ := b.Remote()
	data, ends := numberedBatch(slicesOf(1000, 30))
	require.NoError(t, b.WriteBatch(data, ends, peer, netip.Addr{}))
	packets := make([]Packet, 64)
	n, err := a.ReadBatch(packets)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	assert.Equal(t, 30, packets[0].Count(), "in one read")
	assert.False(t, b.socket.(*offload).refused.Load())
}

// What waits from several peers comes in few calls, and a socket that is empty holds no
// memory for what may come.
func TestReadsInOneCall(t *testing.T) {
	a := newConn(t, listenUDP(t, "udp4", "127.0.0.1:0"))
	const peers = 100
	for i := range peers {
		peer := listenUDP(t, "udp4", "127.0.0.1:0")
		writeUDP(t, peer, addrOf(a.pc, ""), strconv.Itoa(i))
	}
	s := a.socket.(*offload)
	packets, calls := make([]Packet, peers), 0
	for i := 0; i < peers; calls++ {
		n, err := a.ReadBatch(packets)
		require.NoError(t, err)
		for _, p := range packets[:n] {
			assert.Equal(t, strconv.Itoa(i), string(p.Data))
			i++
		}
	}
	assert.LessOrEqual(t, calls, 11, "1, 1, 2, 4, 8, 16 …")
	require.NoError(t, a.SetReadDeadline(time.Now().Add(time.Millisecond)))
	_, err := a.ReadBatch(packets)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	assert.Nil(t, s.in)
}

// A datagram that is larger than the path's MTU may be no segment of a train; it is sent
// all the same.
func TestTrainThatThePathRefuses(t *testing.T) {
	needsTrains(t)
	a := newConn(t, listenUDP(t, "udp4", "127.0.0.1:0"))
	b := newConn(t, dialUDP(t, "udp4", addrOf(a.pc, "127.0.0.1")))
	s := b.socket.(*offload)
	err := s.writeTrain(make([]byte, 70000), 35000, s.peer, netip.Addr{})
	require.Error(t, err)
	assert.NotErrorIs(t, err, errRefused, "one train, and not all of them")
	assert.False(t, s.refused.Load())
	data, ends := numberedBatch([]int32{30000, 30000, 4})
	require.NoError(t, b.WriteBatch(data, ends, s.peer, netip.Addr{}))
	requireBatch(t, a, data, ends)
}

// A card that cannot split says EIO: the datagrams go out one by one, none is lost, and
// somebody hears of it, once.
func TestCardThatRefusesTrains(t *testing.T) {
	if offloadMode != offloadFailing {
		t.Skip("needs the build tag ossldtls_offload_failing: make test-offload")
	}
	a := newConn(t, listenUDP(t, "udp4", "127.0.0.1:0"))
	b := newConn(t, dialUDP(t, "udp4", addrOf(a.pc, "127.0.0.1")))
	told := 0
	b.OnRefusal(func() { told++ })
	peer, _ := b.Remote()
	data, ends := numberedBatch(slicesOf(1000, 30))
	for range 6 {
		require.NoError(t, b.WriteBatch(data, ends, peer, netip.Addr{}))
		requireBatch(t, a, data, ends)
	}
	assert.Equal(t, 1, told)
}

// What More has promised may be empty datagrams alone: then ReadBatch says so, and does not
// wait for others.
func TestEmptyDatagramsAreNoReasonToWait(t *testing.T) {
	udp, peer := listenUDP(t, "udp4", "127.0.0.1:0"), listenUDP(t, "udp4", "127.0.0.1:0")
	c := newConn(t, udp)
	for range 20 { // so many that a call reads several
		writeUDP(t, peer, addrOf(udp, ""), "x")
	}
	for range 3 {
		writeUDP(t, peer, addrOf(udp, ""), "")
	}
	p, got := make([]Packet, 2), 0
	for got < 20 || c.More() {
		n, err := c.ReadBatch(p)
		require.NoError(t, err)
		got += n
	}
	assert.Equal(t, 20, got)
}

// Whoever asks for the file of a socket makes it one that waits: deadlines hold all the same.
func TestDescriptorThatWaits(t *testing.T) {
	udp := listenUDP(t, "udp4", "127.0.0.1:0")
	c := newConn(t, udp)
	file, err := udp.File()
	require.NoError(t, err)
	defer file.Close()
	_ = file.Fd()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Millisecond)))
	_, err = c.ReadBatch(make([]Packet, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
}

// ICMP says of an earlier datagram what a kernel without trains would say of one: anybody can
// forge that.
func TestWhatRefusesTrains(t *testing.T) {
	assert.True(t, refusesTrains(unix.EIO))
	for _, err := range []error{unix.ENOPROTOOPT, unix.EOPNOTSUPP, unix.ECONNREFUSED, unix.EMSGSIZE, nil} {
		assert.False(t, refusesTrains(err), err)
	}
	assert.Equal(t, unix.ECONNREFUSED, earlier(unix.ECONNREFUSED), "the system tells it only once")
	for _, err := range []error{unix.EMSGSIZE, unix.EINVAL, errRefused, nil} {
		assert.NoError(t, earlier(err))
	}
}

// Trains of different sizes go out in one call, to peers of both families.
func TestSeveralTrainsInOneCall(t *testing.T) {
	for _, test := range exchanges {
		t.Run(test.name, func(t *testing.T) {
			udp, peer, to := test.open(t)
			a, b := newConn(t, udp), newConn(t, peer)
			writeUDP(t, peer, to, "here I am")
			from := readPacket(t, a)
			data, ends := numberedBatch([]int32{300, 300, 100, 700, 50, 60})
			trains := []train{{0, 700, 300}, {700, 1450, 700}, {1450, 1510, 60}}
			if offloadMode == offloadFailing {
				t.Skip("the card of the build tag refuses trains")
			}
			if offloadMode == offloadOff {
				trains = []train{{0, 300, 300}, {300, 600, 300}, {600, 700, 100}, {700, 1400, 700}, {1400, 1450, 50}, {1450, 1510, 60}}
			}
			n, err := a.socket.(*offload).writeTrains(data, trains, from.Peer, from.Local)
			require.NoError(t, err)
			require.Equal(t, len(trains), n)
			requireBatch(t, b, data, ends)
		})
	}
}

func TestAddressesForTrains(t *testing.T) {
	four, both := &offload{}, &offload{ipv6: true}
	for _, test := range []struct {
		socket *offload
		peer   string
		want   uint32
	}{
		{four, "192.0.2.1:9", unix.SizeofSockaddrInet4},
		{both, "192.0.2.1:9", unix.SizeofSockaddrInet6},
		{both, "[2001:db8::1]:9", unix.SizeofSockaddrInet6},
		{four, "[2001:db8::1]:9", 0},
		{both, "[fe80::1%eth0]:9", 0}, // its interface has to be looked up
	} {
		var name unix.RawSockaddrInet6
		peer := netip.MustParseAddrPort(test.peer)
		n, ok := test.socket.putName(&name, peer)
		assert.Equal(t, test.want, n, test.peer)
		assert.Equal(t, test.want > 0, ok, test.peer)
		if ok {
			assert.Equal(t, peer, test.socket.source(&name))
		}
	}
	connected := &offload{peer: netip.MustParseAddrPort("192.0.2.1:9")}
	_, ok := connected.putName(new(unix.RawSockaddrInet6), netip.MustParseAddrPort("192.0.2.2:9"))
	assert.False(t, ok, "another peer")
}
