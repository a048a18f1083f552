package dtls

import (
	"runtime"
	"sync"
)

// task is a connection's place in the workers' queue; their mu guards it.
type task struct {
	queued, running, again bool
}

// workers make the handshakes of a listener and serve the datagrams of a handler, a
// connection at a time each, and each connection by one of them at a time.
type workers struct {
	mu      sync.Mutex
	some    sync.Cond
	queue   []*Conn
	stopped bool
	running sync.WaitGroup
}

// minWorkers keeps a callback that takes its time from stopping everybody on a small
// machine.
const minWorkers = 4

func (w *workers) start() {
	w.some.L = &w.mu
	for range max(minWorkers, runtime.GOMAXPROCS(0)) {
		w.running.Add(1)
		go w.run()
	}
}

// add has a connection looked at, soon.
func (w *workers) add(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.stopped || c.task.queued:
	case c.task.running:
		c.task.again = true
	default:
		c.task.queued = true
		w.queue = append(w.queue, c)
		w.some.Signal()
	}
}

func (w *workers) run() {
	defer w.running.Done()
	w.mu.Lock()
	defer w.mu.Unlock()
	for {
		for len(w.queue) == 0 && !w.stopped {
			w.some.Wait()
		}
		if len(w.queue) == 0 {
			return
		}
		c := w.queue[0]
		w.queue[0] = nil
		w.queue = w.queue[1:]
		c.task = task{running: true}
		w.mu.Unlock()
		c.serve()
		w.mu.Lock()
		again := c.task.again
		c.task = task{queued: again}
		if again {
			w.queue = append(w.queue, c)
		}
	}
}

// stop lets nothing in any more; what is in the queue is still done.
func (w *workers) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.some.Broadcast()
}

func (w *workers) wait() { w.running.Wait() }
