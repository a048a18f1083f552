package udpbatch

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTrainLength(t *testing.T) {
	for name, test := range map[string]struct {
		sizes []int32
		want  int
	}{
		"one":                                   {[]int32{100}, 1},
		"all of one size":                       {[]int32{100, 100, 100}, 3},
		"the last is shorter, and then no more": {[]int32{100, 100, 7, 100}, 3},
		"a longer one":                          {[]int32{100, 101, 100}, 1},
		"an empty one":                          {[]int32{100, 0, 100}, 1},
		"too many":                              {slicesOf(1, 100), maxSegments},
		"too many bytes":                        {slicesOf(1300, 60), 50},
		"the first is long":                     {[]int32{maxTrain + 1, 10}, 1},
	} {
		assert.Equal(t, test.want, trainLength(7, endsOf(7, test.sizes)), name)
	}
}

func slicesOf(size int32, n int) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = size
	}
	return all
}

func endsOf(start int32, sizes []int32) (ends []int32) {
	for _, size := range sizes {
		start += size
		ends = append(ends, start)
	}
	return ends
}

// numberedBatch returns datagrams of the sizes, each of which begins with its number.
func numberedBatch(sizes []int32) (b []byte, ends []int32) {
	ends = endsOf(0, sizes)
	b = make([]byte, ends[len(ends)-1])
	start := int32(0)
	for i, end := range ends {
		binary.BigEndian.PutUint32(b[start:], uint32(i))
		start = end
	}
	return b, ends
}

// Every datagram arrives, whole, in its order and from where it should, whatever the
// system joins and splits on the way.
func TestWriteBatch(t *testing.T) {
	batches := map[string][]int32{
		"one":               {200},
		"one size":          slicesOf(1200, 50),
		"more than a train": slicesOf(100, 200),
		"mixed":             {100, 100, 40, 100, 300, 300, 4, 5, 6, 1200, 1200, 1200, 8},
	}
	for _, network := range []struct{ name, listen, dial string }{
		{"udp4", "127.0.0.1:0", "udp4"}, {"udp4", "0.0.0.0:0", "udp4"}, {"udp6", "[::1]:0", "udp6"}, {"udp", ":0", "udp4"},
	} {
		for name, sizes := range batches {
			for _, plain := range []bool{false, true} {
				a := newConn(t, listenUDP(t, network.name, network.listen))
				host := "127.0.0.1"
				if network.dial == "udp6" {
					host = "::1"
				}
				udp := dialUDP(t, network.dial, netip.AddrPortFrom(netip.MustParseAddr(host), addrOf(a.pc, host).Port()))
				b := newConn(t, udp)
				if plain {
					refuseTrains(a)
					refuseTrains(b)
				}
				peer, _ := b.Remote()
				data, ends := numberedBatch(sizes)
				require.NoError(t, b.WriteBatch(data, ends, peer, netip.Addr{}))
				from, local := requireBatch(t, a, data, ends)
				require.NoError(t, a.WriteBatch(data, ends, from, local))
				back, _ := requireBatch(t, b, data, ends)
				assert.Equal(t, peer, back, "%s %s", network, name)
			}
		}
	}
}

// requireBatch reads a batch, a few at a time.
func requireBatch(t *testing.T, c *Conn, data []byte, ends []int32) (peer netip.AddrPort, local netip.Addr) {
	t.Helper()
	packets := make([]Packet, 7)
	start := int32(0)
	for i := 0; i < len(ends); {
		n, err := c.ReadBatch(packets)
		require.NoError(t, err)
		for _, p := range packets[:n] {
			require.NotZero(t, p.Count())
			for datagram := range slices.Chunk(p.Data, p.Size) {
				require.True(t, bytes.Equal(data[start:ends[i]], datagram), "datagram %d", i)
				start = ends[i]
				i++
			}
			peer, local = p.Peer, p.Local
		}
	}
	return peer, local
}

// Memory that was taken stays as it is, whatever is read afterwards.
func TestTake(t *testing.T) {
	a := newConn(t, listenUDP(t, "udp4", "127.0.0.1:0"))
	b := dialUDP(t, "udp4", addrOf(a.pc, "127.0.0.1"))
	send := func(text string) {
		_, err := b.Write([]byte(text))
		require.NoError(t, err)
	}
	p := make([]Packet, 1)
	read := func() []byte {
		_, err := a.ReadBatch(p)
		require.NoError(t, err)
		return p[0].Data
	}
	send("first")
	first := read()
	buf := p[0].Take()
	if buf == nil {
		t.Skip("this system's sockets read into memory of their own")
	}
	assert.Nil(t, p[0].Take(), "it is taken already")
	for range 40 {
		send("other")
		assert.Equal(t, "other", string(read()))
	}
	assert.Equal(t, "first", string(first))
	buf.Free()
}
