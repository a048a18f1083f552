package dtls

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/udpbatch"
)

func TestMemoryOfPackets(t *testing.T) {
	for n, want := range map[int]int{
		1: 2048, 2048: 2048, 2049: 4096, 4096: 4096, 4097: 8192, 16384: 16384, 16385: 32768, 32768: 32768, 32769: 65536, 65536: 65536,
	} {
		assert.Equal(t, want, memory(n), n)
		p := keep(&udpbatch.Packet{Data: make([]byte, n), Size: n})
		assert.Equal(t, want, p.memory(), n)
		assert.Len(t, p.data, n)
		p.free()
	}
}

func TestQueueIsBounded(t *testing.T) {
	q := queue{limit: 8 << 10}
	push := func(n, reserve int) bool {
		return q.push(&udpbatch.Packet{Data: make([]byte, n), Size: 1000}, reserve)
	}
	require.True(t, push(3000, 0))
	require.True(t, push(1000, 0))
	require.True(t, push(2000, 0))
	require.False(t, push(1, 0), "it is full")
	require.True(t, push(1, 2<<10), "but for the reserve")
	p := q.pop()
	assert.Equal(t, 3, p.count())
	p.free()
	require.True(t, push(1, 0))
	require.False(t, push(1, 0))
	q.close()
	require.True(t, q.empty())
	require.False(t, push(1, 0), "it is closed")
	// One that is larger than the limit alone would never come through.
	q = queue{limit: 10}
	require.True(t, push(60000, 0))
	require.False(t, push(1, 0))
	q.close()
}
