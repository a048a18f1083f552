package dtls

import (
	"errors"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ossldtls/ossldtls/internal/udpbatch"
)

// pump reads a socket, that of a listener or of one connection, and hands on what comes.
// One goroutine at a time has the socket: one of the pump's own, or that of a Read which
// waits. What comes for that Read takes no way over another goroutine, which costs more than
// all of the cryptography. When it has returned, nobody has the socket for a moment; usually
// the next Read takes it. If none comes, the pump's own goroutine does, and the more often
// that has happened, the longer it keeps the socket.
type pump struct {
	sock   *udpbatch.Conn
	handle func(p *udpbatch.Packet)
	passed func(err error) // an error of the socket's that is not its end
	failed func(err error) // its end
	work   *workers        // that handlers are called by; nil: there are none

	mu      sync.Mutex // the innermost lock
	holder  socketHolder
	left    uint64      // how often a Read has left the socket
	watched uint64      // the same, when the timer was set
	timer   *time.Timer // set whenever nobody has the socket
	set     bool
	kicked  bool // the Read that has the socket is called back
	running sync.WaitGroup

	reader  atomic.Pointer[Conn] // whose Read has the socket
	asleep  atomic.Bool          // that Read has looked at everything, or is about to, and waits
	woken   atomic.Bool          // a Read that waited for somebody else has got something
	vacancy time.Duration        // of the timer
	good    int                  // how often the socket was left and somebody came for it in time
	stay    int                  // how many more times the pump's own goroutine does not leave the socket
	penalty int                  // how many times it did not, when it had left for nothing
	packets [2]udpbatch.Packet   // of who has the socket
}

type socketHolder uint8

const (
	heldByNobody socketHolder = iota
	heldByPump
	heldByRead
	heldNoMore // it is closed
)

// vacancy is how long nobody may have the socket; the system's timers make up to a
// millisecond of it. Where Reads come and go reliably it becomes maxVacancy: a timer that
// fires in between costs more than what they do.
const (
	vacancy    = 500 * time.Microsecond
	maxVacancy = 4 * time.Millisecond
)

// maxStay bounds how seldom the pump tries to leave the socket to a Read that is slow, and
// goodTimes is how often that has to go well for each half of its penalty.
const (
	maxStay   = 1 << 10
	goodTimes = 256
)

// start has a goroutine of the pump's own read the socket.
func (p *pump) start() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holder == heldByNobody {
		p.take()
		go p.run()
	}
}

// take makes the pump's own goroutine, which is about to run, the holder. It is called
// with mu held.
func (p *pump) take() {
	p.holder = heldByPump
	p.running.Add(1)
}

func (p *pump) run() {
	defer p.running.Done()
	for p.turn() {
		switch {
		case p.helps():
			if !p.resume() {
				return
			}
		case p.leaves():
			return
		default:
			runtime.Gosched() // to those for whom there was something
		}
	}
}

// helps calls handlers itself for what it has just read: to wake another goroutine for
// that costs more than most of them take. Nobody has the socket meanwhile. A handler that
// takes long is found out by the timer, and then the pump leaves handlers to the workers.
func (p *pump) helps() bool {
	if p.work == nil {
		return false
	}
	waiting := p.work.quiet()
	if waiting == 0 {
		return false
	}
	if p.stay > 0 || !p.vacate() {
		p.stay = max(p.stay-1, 0)
		p.work.call(waiting)
		return false
	}
	p.work.call(waiting - 1) // several may go on at the same time
	p.work.help(waiting)
	return true
}

// callWorkers has others call the handlers: the goroutine of a Read must not.
func (p *pump) callWorkers() {
	if p.work != nil {
		p.work.call(p.work.quiet())
	}
}

// vacate lets the socket go for a moment.
func (p *pump) vacate() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holder != heldByPump {
		return false
	}
	p.holder = heldByNobody
	p.watch()
	return true
}

// resume has the socket again, unless somebody else has it now.
func (p *pump) resume() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left++
	if p.holder != heldByNobody {
		return false
	}
	p.holder = heldByPump
	p.inTime()
	return true
}

// turn waits for datagrams and hands them on. It reports false at the end of the socket.
func (p *pump) turn() bool {
	for more := true; more; more = p.sock.More() {
		n, err := p.sock.ReadBatch(p.packets[:])
		p.asleep.Store(false)
		switch {
		case err == nil:
		case !udpbatch.Passing(err):
			p.stop()
			p.failed(err)
			return false
		case errors.Is(err, os.ErrDeadlineExceeded): // a kick, or somebody has set one on the socket
			p.calm()
			return true
		default:
			p.passed(err)
		}
		for i := range p.packets[:n] {
			p.handle(&p.packets[i])
			p.packets[i] = udpbatch.Packet{} // its memory is for others
		}
	}
	return true
}

// leaves lets the socket go if a Read has just got something, and is likely to be back
// soon.
func (p *pump) leaves() bool {
	if !p.woken.Swap(false) || !p.sock.Interruptible() {
		return false
	}
	if p.stay > 0 {
		p.stay--
		return false
	}
	p.vacate()
	return true
}

// watch sees to it that the socket does not go without a holder for long. It is called
// with mu held.
func (p *pump) watch() {
	p.watched = p.left
	switch {
	case p.set:
		return
	case p.timer == nil:
		p.vacancy = vacancy
		p.timer = time.AfterFunc(p.vacancy, p.onTimer)
	default:
		p.timer.Reset(p.vacancy)
	}
	p.set = true
}

// inTime notes that somebody has come for a socket that was left. It is called with mu held.
func (p *pump) inTime() {
	if p.good++; p.good == goodTimes {
		p.good = 0
		p.penalty /= 2
	}
}

func (p *pump) onTimer() {
	p.mu.Lock()
	p.set = false
	if p.left != p.watched {
		p.vacancy = min(2*p.vacancy, maxVacancy)
	}
	switch {
	case p.holder != heldByNobody:
		p.mu.Unlock()
	case p.left != p.watched: // they come and go
		p.watch()
		p.mu.Unlock()
	default:
		p.vacancy = vacancy
		p.penalty = min(2*p.penalty+1, maxStay)
		p.stay = p.penalty
		p.take()
		p.mu.Unlock()
		p.run()
	}
}

// lend gives the socket to a Read of c's, if nobody has it.
func (p *pump) lend(c *Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.holder != heldByNobody || !p.sock.Interruptible() {
		return false
	}
	p.holder = heldByRead
	p.inTime()
	p.reader.Store(c)
	return true
}

// giveBack ends that.
func (p *pump) giveBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.reader.Store(nil)
	p.asleep.Store(false)
	p.left++
	if p.holder != heldByRead {
		return
	}
	if p.kicked {
		p.undo()
	}
	p.holder = heldByNobody
	p.watch()
}

// kick calls a Read of c's back that has the socket, because there is something that it
// has to look at. While it hands on what has come it looks afterwards anyway.
func (p *pump) kick(c *Conn) {
	if p.reader.Load() != c || !p.asleep.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.reader.Load() == c {
		p.kicked = true
		_ = p.sock.SetReadDeadline(longAgo)
		// A program that sets a deadline on its socket at this moment takes the kick back.
		time.AfterFunc(kickAgain, func() { p.insist(c) })
	}
}

const kickAgain = 10 * time.Millisecond

// insist kicks again, if that has not been heard.
func (p *pump) insist(c *Conn) {
	p.mu.Lock()
	still := p.kicked && p.reader.Load() == c
	p.mu.Unlock()
	if still {
		p.kick(c)
	}
}

var longAgo = time.Unix(1, 0)

// calm takes a kick, or a deadline that somebody has set on the socket, back.
func (p *pump) calm() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.undo()
}

func (p *pump) undo() {
	p.kicked = false
	_ = p.sock.SetReadDeadline(time.Time{})
}

// stop says that the socket has been closed, or is about to be.
func (p *pump) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holder = heldNoMore
	if p.timer != nil {
		p.timer.Stop()
	}
}
