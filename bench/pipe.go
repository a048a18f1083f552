package main

import (
	"net"
	"os"
	"sync"
	"time"
)

// pipe is one end of a network in memory: a net.PacketConn with one peer, for what speaks
// to nothing else. A datagram for which there is no room waits.
type pipe struct {
	in, out  chan []byte
	free     *sync.Pool // of *[]byte
	mu       sync.Mutex
	deadline chan struct{} // closed when reading has to stop
	timer    *time.Timer
	closed   chan struct{}
	once     *sync.Once // of both ends
	addr     net.Addr
}

const pipeRoom = 1024

func newPipe() (a, b *pipe) {
	up, down := make(chan []byte, pipeRoom), make(chan []byte, pipeRoom)
	free := &sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}
	closed, once := make(chan struct{}), &sync.Once{}
	a = &pipe{in: down, out: up, free: free, deadline: make(chan struct{}), closed: closed, once: once,
		addr: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}}
	b = &pipe{in: up, out: down, free: free, deadline: make(chan struct{}), closed: closed, once: once,
		addr: &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4433}}
	return a, b
}

func (p *pipe) WriteTo(b []byte, _ net.Addr) (int, error) {
	buf := append((*p.free.Get().(*[]byte))[:0], b...)
	select {
	case p.out <- buf:
		return len(b), nil
	case <-p.closed:
		return 0, net.ErrClosed
	}
}

func (p *pipe) ReadFrom(b []byte) (int, net.Addr, error) {
	p.mu.Lock()
	deadline := p.deadline
	p.mu.Unlock()
	select {
	case buf := <-p.in:
		n := copy(b, buf)
		p.free.Put(&buf)
		return n, p.peer(), nil
	case <-deadline:
		return 0, nil, os.ErrDeadlineExceeded
	case <-p.closed:
		return 0, nil, net.ErrClosed
	}
}

var ends = [2]net.Addr{&net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 40000}, &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 4433}}

func (p *pipe) peer() net.Addr {
	if p.addr.(*net.UDPAddr).Port == 4433 {
		return ends[0]
	}
	return ends[1]
}

// take returns the next datagram that the other end has written, or nil if there is none.
func (p *pipe) take() []byte {
	select {
	case buf := <-p.in:
		return buf
	default:
		return nil
	}
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipe) LocalAddr() net.Addr { return p.addr }

func (p *pipe) SetDeadline(t time.Time) error { return p.SetReadDeadline(t) }

func (p *pipe) SetWriteDeadline(time.Time) error { return nil }

func (p *pipe) SetReadDeadline(t time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	select {
	case <-p.deadline:
		p.deadline = make(chan struct{})
	default:
	}
	if t.IsZero() {
		return nil
	}
	over := p.deadline
	if wait := time.Until(t); wait > 0 {
		p.timer = time.AfterFunc(wait, func() { p.expire(over) })
		return nil
	}
	close(over)
	return nil
}

// expire ends the time of one deadline, unless it is over already.
func (p *pipe) expire(over chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-over:
	default:
		close(over)
	}
}
