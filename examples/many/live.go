package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// live shows the listener's counters: on a terminal in one line that changes, elsewhere
// in a line each second.
type live struct {
	s        *server
	terminal bool
	start    time.Time
	quit     chan struct{}
	done     chan struct{}
	once     sync.Once
}

func startLive(s *server) *live {
	info, err := os.Stdout.Stat()
	l := &live{s: s, start: time.Now(), quit: make(chan struct{}), done: make(chan struct{})}
	l.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	go l.run()
	return l
}

func (l *live) run() {
	defer close(l.done)
	interval := time.Second
	if l.terminal {
		interval /= 5
	}
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			l.show()
		case <-l.quit:
			l.show()
			if l.terminal {
				fmt.Println()
			}
			return
		}
	}
}

func (l *live) show() {
	stats := l.s.Stats()
	line := fmt.Sprintf("%5.1f s: %d open, %d half open, %d cookies sent, %d handshakes, %d failed, %d echoes, %d dropped",
		time.Since(l.start).Seconds(), stats.Open, stats.HalfOpen, stats.CookiesSent, stats.HandshakesCompleted,
		stats.HandshakesFailed, l.s.echoes.Load(), stats.DroppedLimit+stats.DroppedQueue+stats.DroppedUnknown)
	if l.terminal {
		fmt.Printf("\r%-110s", line)
		return
	}
	fmt.Println(line)
}

// stop shows the last counters and waits until they are there. It may be called again.
func (l *live) stop() {
	l.once.Do(func() { close(l.quit) })
	<-l.done
}
