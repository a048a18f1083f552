package dtls

import (
	"iter"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ossldtls/ossldtls/internal/udpbatch"
	"github.com/ossldtls/ossldtls/openssl"
)

// packet is a datagram, or a train of them, in a queue.
type packet struct {
	room  []byte           // its memory, or
	taken *udpbatch.Buffer // what it came in
	data  []byte
	size  int // of each datagram in data but the last
	next  *packet
}

// Nearly every datagram fits the smallest packet; a long train stays where it is.
const (
	smallPacket = 2 << 10
	longTrain   = 32 << 10
	largePacket = udpbatch.BufferSize
)

// packetPools keep packets by the size of their memory: smallPacket and its doubles up to
// largePacket. Those whose memory is what they came in are in takenPackets.
var packetPools, takenPackets = func() (pools []*sync.Pool) {
	for size := smallPacket; size <= largePacket; size *= 2 {
		pools = append(pools, packetsOf(size))
	}
	return pools
}(), packetsOf(0)

func packetsOf(size int) *sync.Pool {
	return &sync.Pool{New: func() any { return &packet{room: make([]byte, size)} }}
}

// class returns which of packetPools has room for n bytes.
func class(n int) int { return max(bits.Len(uint(n-1)), smallPacketBits) - smallPacketBits }

const smallPacketBits = 11

// memory returns how many bytes of memory n bytes of datagrams are kept in.
func memory(n int) int {
	if n > longTrain {
		return largePacket
	}
	return smallPacket << class(n)
}

// keep returns a packet with what has arrived: a copy, or, of a long train, itself.
func keep(p *udpbatch.Packet) *packet {
	size := memory(len(p.Data))
	if size == largePacket {
		if buf := p.Take(); buf != nil {
			k := takenPackets.Get().(*packet)
			k.taken, k.data, k.size = buf, p.Data, p.Size
			return k
		}
	}
	k := packetPools[class(size)].Get().(*packet)
	k.data, k.size = k.room[:copy(k.room, p.Data)], p.Size
	return k
}

// datagrams returns what is in a packet, one after the other.
func (p *packet) datagrams() iter.Seq[[]byte] { return slices.Chunk(p.data, p.size) }

func (p *packet) count() int { return (len(p.data) + p.size - 1) / p.size }

// memory returns what a packet counts with.
func (p *packet) memory() int {
	if p.taken != nil {
		return largePacket
	}
	return len(p.room)
}

// free gives the packet's memory back; nothing of it may be used any more.
func (p *packet) free() {
	taken := p.taken
	p.taken, p.data, p.next = nil, nil, nil
	if taken != nil {
		taken.Free()
		takenPackets.Put(p)
		return
	}
	packetPools[class(len(p.room))].Put(p)
}

// queue holds the datagrams of a connection that have arrived and are not decrypted
// yet, up to a limit of memory. Its methods may be called concurrently.
type queue struct {
	mu          sync.Mutex
	first, last *packet
	size, limit int // bytes of memory
	some        atomic.Bool
	closed      bool
}

// push keeps what has arrived, and reports false if there is no room for it within the
// limit and the reserve, in bytes.
func (q *queue) push(p *udpbatch.Packet, reserve int) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(p.Data) > largePacket || q.first != nil && q.size+memory(len(p.Data)) > q.limit+reserve {
		return false
	}
	k := keep(p)
	if q.last == nil {
		q.first = k
		q.some.Store(true)
	} else {
		q.last.next = k
	}
	q.last = k
	q.size += k.memory()
	return true
}

// pop returns the oldest packet, which the caller then owns; nil if there is none.
func (q *queue) pop() *packet {
	q.mu.Lock()
	defer q.mu.Unlock()
	p := q.first
	if p == nil {
		return nil
	}
	q.first = p.next
	if q.first == nil {
		q.last = nil
		q.some.Store(false)
	}
	q.size -= p.memory()
	p.next = nil
	return p
}

func (q *queue) setLimit(limit int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = limit
}

func (q *queue) capacity() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limit
}

func (q *queue) empty() bool { return !q.some.Load() }

// close frees what is left and lets nothing in any more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	for q.first != nil {
		p := q.first
		q.first = p.next
		p.free()
	}
	q.last, q.size = nil, 0
	q.some.Store(false)
}

// outgoing has buffers for what an operation sends, decrypted buffers for what it reads.
var outgoing, decrypted = sync.Pool{New: newDatagrams}, sync.Pool{New: newDatagrams}

func newDatagrams() any { return new(openssl.Datagrams) }

func takeDatagrams(pool *sync.Pool) *openssl.Datagrams {
	d := pool.Get().(*openssl.Datagrams)
	d.Reset()
	return d
}
