package dgramtest

import (
	"net/netip"
	"time"
)

type datagram struct {
	from netip.AddrPort
	data []byte
}

// queue is what a PacketConn has for its reader. Methods that say so are called with
// network.mu held.
type queue struct {
	network *Network
	waiting []*datagram
	held    *datagram // back, until another has overtaken it
	timer   *time.Timer

	// Each holds a token when it may be worth looking again. Who has taken one puts one
	// back before it leaves, if there may be something left for others.
	arrived chan struct{} // there is something to read
	room    chan struct{} // the queue is not full
}

func newQueue(n *Network) queue {
	return queue{network: n, arrived: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// full has network.mu held.
func (q *queue) full() bool { return len(q.waiting) >= q.network.capacity() }

func (q *queue) hasRoom() bool {
	q.network.mu.Lock()
	defer q.network.mu.Unlock()
	return !q.full()
}

// pop returns nil if nothing waits.
func (q *queue) pop() *datagram {
	q.network.mu.Lock()
	defer q.network.mu.Unlock()
	if len(q.waiting) == 0 {
		return nil
	}
	d := q.waiting[0]
	q.waiting[0] = nil
	q.waiting = q.waiting[1:]
	if len(q.waiting) > 0 {
		wake(q.arrived)
	}
	wake(q.room)
	return d
}

// take delivers a datagram, perhaps twice, and the one that it has overtaken. It has
// network.mu held.
func (q *queue) take(d *datagram, twice bool) {
	q.deliver(d)
	if twice {
		q.network.counters.Duplicated++
		q.deliver(d)
	}
	if q.held != nil {
		q.network.counters.Reordered++
		q.timer.Stop()
		q.deliverHeld()
	}
}

// hold keeps a datagram back. It has network.mu held, and nothing is held yet.
func (q *queue) hold(d *datagram) {
	q.held = d
	q.timer = time.AfterFunc(q.network.heldFor, func() {
		q.network.mu.Lock()
		defer q.network.mu.Unlock()
		if q.held == d {
			q.deliverHeld()
		}
	})
}

func (q *queue) deliverHeld() {
	d := q.held
	q.held = nil
	q.deliver(d)
}

func (q *queue) deliver(d *datagram) {
	q.network.counters.Delivered++
	q.waiting = append(q.waiting, d)
	wake(q.arrived)
}

// clear has network.mu held.
func (q *queue) clear() {
	q.waiting = nil
	if q.held != nil {
		q.held = nil
		q.timer.Stop()
	}
}

// wake puts a token into a channel that holds one.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
