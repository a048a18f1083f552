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
	alive   int // of the goroutines
	wanted  int
	stopped bool
	running sync.WaitGroup
}

// minWorkers keeps a callback that takes its time from stopping everybody on a small
// machine.
const minWorkers = 4

func (w *workers) start() {
	w.some.L = &w.mu
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted = max(minWorkers, runtime.GOMAXPROCS(0))
	w.hire()
}

// hire starts the goroutines that are missing. It is called with mu held.
func (w *workers) hire() {
	for w.alive < w.wanted {
		w.alive++
		w.running.Add(1)
		go w.run()
	}
}

// lend tells that a worker is going to call a function of the program's in the middle of
// a handshake, which may take its time: another takes its place.
func (w *workers) lend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted++
	if !w.stopped && len(w.queue) > 0 {
		w.hire()
	}
}

func (w *workers) giveBack() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.wanted--
	if w.alive > w.wanted {
		w.some.Signal()
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
		w.hire() // if one was lent and nothing was to be done then
		w.some.Signal()
	}
}

func (w *workers) run() {
	defer w.running.Done()
	for {
		c := w.take()
		if c == nil {
			return
		}
		more := c.serve()
		w.put(c, more)
	}
}

// take waits for a connection; nil means that this goroutine is not wanted any more.
func (w *workers) take() *Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) == 0 && !w.stopped && w.alive <= w.wanted {
		w.some.Wait()
	}
	if len(w.queue) == 0 || w.alive > w.wanted {
		w.alive--
		w.some.Signal() // there may be something for another one
		return nil
	}
	c := w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	c.task = task{running: true}
	return c
}

// put ends a turn with a connection.
func (w *workers) put(c *Conn, more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	again := more || c.task.again
	c.task = task{queued: again}
	if again {
		w.queue = append(w.queue, c)
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
