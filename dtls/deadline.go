package dtls

import (
	"sync"
	"sync/atomic"
	"time"
)

// deadline tells when the time that was set has come. The zero value is none.
type deadline struct {
	mu     sync.Mutex
	passed chan struct{} // closed when it has; nil until somebody waits or it passes
	over   atomic.Bool   // passed is closed
	timer  *time.Timer
	due    time.Time // zero: none, or it is over
	reader *Conn     // whose Read has to look as it passes; nil: nobody's
}

// set sets the time; zero means none. Whoever waits goes by it at once.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	wait := t.Sub(now)
	d.due = time.Time{}
	if d.timer != nil {
		d.timer.Stop()
	}
	if d.over.Load() {
		d.passed = nil
		d.over.Store(false)
	}
	switch {
	case t.IsZero():
	case wait <= 0:
		d.pass()
	default:
		d.due = now.Add(wait) // by the clock that timers go by
		if d.timer == nil {
			d.timer = time.AfterFunc(wait, d.onTimer)
		} else {
			d.timer.Reset(wait)
		}
	}
}

func (d *deadline) onTimer() {
	d.mu.Lock()
	defer d.mu.Unlock()
	// Another time may have been set as this one came: the timer has been, too.
	if !d.due.IsZero() && !time.Now().Before(d.due) {
		d.pass()
	}
}

// stop takes away a time that has not come: its timer would keep the connection in memory.
func (d *deadline) stop() {
	if !d.expired() {
		d.set(time.Time{})
	}
}

// pass is called with the lock held.
func (d *deadline) pass() {
	d.due = time.Time{}
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	close(d.passed)
	d.over.Store(true)
	if d.reader != nil {
		d.reader.kick()
	}
}

// wait returns a channel that is closed when the time has come.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.passed == nil {
		d.passed = make(chan struct{})
	}
	return d.passed
}

// expired reports whether the time has come.
func (d *deadline) expired() bool { return d.over.Load() }
