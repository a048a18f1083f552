//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"
)

// tape is a record of the datagrams between our side and its peer.
type tape struct {
	r     *row
	title string

	mu        sync.Mutex
	crossings []crossing
	more      chan struct{} // closed and replaced when there are more
}

// crossing is a datagram that was sent or has arrived.
type crossing struct {
	out      bool
	peer     netip.AddrPort
	datagram []byte
	at       time.Time
}

func newTape(r *row, title string) *tape {
	t := &tape{r: r, title: title, more: make(chan struct{})}
	r.tapes = append(r.tapes, t)
	return t
}

func (t *tape) add(out bool, peer netip.AddrPort, datagram []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.crossings = append(t.crossings, crossing{out, peer, bytes.Clone(datagram), time.Now()})
	close(t.more)
	t.more = make(chan struct{})
}

// crossed returns what has crossed so far, and what tells that there is more.
func (t *tape) crossed() ([]crossing, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.crossings, t.more
}

// awaitClose waits until our side has sent close_notify, or the peer's has arrived.
func (t *tape) awaitClose(out bool) {
	t.r.Helper()
	for {
		crossings, more := t.crossed()
		if slices.ContainsFunc(crossings, func(c crossing) bool { return c.out == out && encryptedAlert(c.datagram) }) {
			return
		}
		select {
		case <-more:
		case <-t.r.ctx.Done():
			t.r.Fatalf("no close_notify in time, out=%v", out)
		}
	}
}

// handshake returns how many handshake messages of a type were sent or have arrived,
// counting each fragment of a message. What was sent again counts once.
func (t *tape) handshake(out bool, messageType uint8) int {
	seen := map[message]bool{}
	crossings, _ := t.crossed()
	for _, c := range crossings {
		if c.out != out {
			continue
		}
		for _, rec := range parseRecords(c.datagram) {
			if m, ok := rec.handshake(); ok && m.messageType == messageType {
				seen[m] = true
			}
		}
	}
	return len(seen)
}

// largest returns the size of the largest datagram that was sent.
func (t *tape) largest() (size int) {
	crossings, _ := t.crossed()
	for _, c := range crossings {
		if c.out {
			size = max(size, len(c.datagram))
		}
	}
	return size
}

func (t *tape) print(out io.Writer) {
	fmt.Fprintf(out, "    %s\n", t.title)
	crossings, _ := t.crossed()
	for _, c := range crossings {
		arrow := "<-"
		if c.out {
			arrow = "->"
		}
		since := c.at.Sub(crossings[0].at).Seconds()
		fmt.Fprintf(out, "    %6.3f s %s %s %d bytes:%s\n", since, arrow, c.peer, len(c.datagram), describe(c.datagram))
	}
}
