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
	silent  int // entries of the queue that nobody has been called for
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
	if w.enqueue(c) {
		w.hire() // if one was lent and nothing was to be done then
		w.some.Signal()
	}
}

// addQuietly is add for the goroutine that reads the socket, which sees to it afterwards
// that somebody looks.
func (w *workers) addQuietly(c *Conn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.enqueue(c) {
		w.silent++
	}
}

// enqueue reports whether a connection is new in the queue. It is called with mu held.
func (w *workers) enqueue(c *Conn) bool {
	switch {
	case w.stopped || c.task.queued:
	case c.task.running:
		c.task.again = true
	default:
		c.task.queued = true
		w.queue = append(w.queue, c)
		return true
	}
	return false
}

// quiet returns how many connections have been added quietly, and forgets it.
func (w *workers) quiet() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := w.silent
	w.silent = 0
	return n
}

// call has up to n goroutines look into the queue.
func (w *workers) call(n int) {
	if n <= 0 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hire()
	for range min(n, w.alive) {
		w.some.Signal()
	}
}

// help gives up to n connections their turn, on the caller's goroutine.
func (w *workers) help(n int) {
	for range n {
		c := w.next()
		if c == nil {
			return
		}
		w.put(c, c.serve())
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 { // for one, its turn was too short
		w.some.Signal()
	}
}

// next takes a connection out of the queue, if there is one.
func (w *workers) next() *Conn {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil
	}
	return w.pop()
}

// pop is called with mu held.
func (w *workers) pop() *Conn {
	c := w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	c.task = task{running: true}
	return c
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
	return w.pop()
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
