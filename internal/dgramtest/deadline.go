package dgramtest

import (
	"sync"
	"time"
)

// deadline closes a channel when a time is reached. Moving it while somebody waits
// moves it for them too.
type deadline struct {
	mu      sync.Mutex
	timer   *time.Timer
	reached chan struct{}
}

func newDeadline() deadline { return deadline{reached: make(chan struct{})} }

// set changes the time; the zero one is never reached.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.reached // its function is under way, and does not need the lock
	}
	d.timer = nil
	if isClosed(d.reached) {
		d.reached = make(chan struct{})
	}
	switch reached := d.reached; {
	case t.IsZero():
	case time.Until(t) <= 0:
		close(reached)
	default:
		d.timer = time.AfterFunc(time.Until(t), func() { close(reached) })
	}
}

// passed returns a channel that is closed once the time is reached, and stays valid
// until then.
func (d *deadline) passed() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.reached
}
