package dtls

import (
	"sync"

	"github.com/ossldtls/ossldtls/openssl"
)

// packet is a datagram in a buffer of its own, in a queue.
type packet struct {
	buf  []byte // all of it: what the queue counts
	data []byte
	next *packet
}

// Two sizes: nearly every datagram fits the first.
const (
	smallPacket = 2048
	largePacket = 1 << 16
)

var (
	smallPackets = sync.Pool{New: func() any { return &packet{buf: make([]byte, smallPacket)} }}
	largePackets = sync.Pool{New: func() any { return &packet{buf: make([]byte, largePacket)} }}
)

func newPacket(datagram []byte) *packet {
	pool := &smallPackets
	if len(datagram) > smallPacket {
		pool = &largePackets
	}
	p := pool.Get().(*packet)
	p.data = p.buf[:copy(p.buf, datagram)]
	return p
}

// free gives the packet's buffer back; nothing of it may be used any more.
func (p *packet) free() {
	p.data, p.next = nil, nil
	if len(p.buf) == smallPacket {
		smallPackets.Put(p)
	} else {
		largePackets.Put(p)
	}
}

// queue holds the datagrams of a connection that have arrived and are not decrypted
// yet, up to a limit of memory. Its methods may be called concurrently.
type queue struct {
	mu          sync.Mutex
	first, last *packet
	size, limit int // bytes of buffers
	closed      bool
}

// push keeps a copy of a datagram, and reports false if there is no room for it within
// the limit and the reserve, in bytes.
func (q *queue) push(datagram []byte, reserve int) bool {
	size := smallPacket
	if len(datagram) > smallPacket {
		size = largePacket
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || len(datagram) > largePacket || q.first != nil && q.size+size > q.limit+reserve {
		return false
	}
	p := newPacket(datagram)
	if q.last == nil {
		q.first = p
	} else {
		q.last.next = p
	}
	q.last = p
	q.size += size
	return true
}

// pop returns the oldest datagram, which the caller then owns; nil if there is none.
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
	}
	q.size -= len(p.buf)
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

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.first == nil
}

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
}

// outgoing has buffers for what an operation sends, decrypted buffers for what it reads.
var outgoing, decrypted = sync.Pool{New: newDatagrams}, sync.Pool{New: newDatagrams}

func newDatagrams() any { return new(openssl.Datagrams) }

func takeDatagrams(pool *sync.Pool) *openssl.Datagrams {
	d := pool.Get().(*openssl.Datagrams)
	d.Reset()
	return d
}
