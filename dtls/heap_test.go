package dtls

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/dgramtest"
	"github.com/ossldtls/ossldtls/internal/raceon"
)

// mostGoHeap is what an idle connection of a listener may hold in Go's heap, in bytes: what
// it does, and a little for maps that grow in steps and what the test network keeps.
const mostGoHeap = 2000

// goHeap returns the bytes of live objects in Go's heap.
func goHeap() int64 {
	var m runtime.MemStats
	for range 3 { // what pools hold goes with the second
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// liveByFunction returns what is live for each function of this module that has allocated
// it, or had it allocated.
func liveByFunction() map[string]int64 {
	records := make([]runtime.MemProfileRecord, 1<<14)
	n, ok := runtime.MemProfile(records, false)
	if !ok {
		return nil
	}
	live := map[string]int64{}
	for _, r := range records[:n] {
		frames := runtime.CallersFrames(r.Stack())
		for {
			f, more := frames.Next()
			if name, ours := strings.CutPrefix(f.Function, "github.com/ossldtls/ossldtls/"); ours || !more {
				live[name] += r.InUseBytes()
				break
			}
		}
	}
	return live
}

// What a connection of a listener holds in Go's heap when nothing happens. With -v it
// prints by what.
func TestIdleGoHeap(t *testing.T) {
	clientCfg, serverCfg := certConfigs(t)
	clientCfg.PeerVerifyMode = VerifyNone
	network := dgramtest.NewNetwork(1)
	l := listenIn(t, network, serverCfg)
	go func() {
		_ = l.Serve(Handler{Datagram: func(c *Conn, datagram []byte) { _, _ = c.Write(datagram) }})
	}()
	rate := runtime.MemProfileRate
	if testing.Verbose() {
		runtime.MemProfileRate = 1
		defer func() { runtime.MemProfileRate = rate }()
	}
	connect := func(from, to int) { // and go, without a word, so that only the server's side stays
		t.Run(fmt.Sprintf("clients %d to %d", from, to-1), func(t *testing.T) {
			for i := from; i < to; i++ {
				client := byHandAt(t, network, numbered(i), clientCfg).shake()
				client.send(client.data("ping"))
				client.expect("ping")
			}
		})
	}
	const n = 512
	connect(0, 1)
	before, functions := goHeap(), liveByFunction()
	connect(1, n+1)
	each := (goHeap() - before) / n
	require.Equal(t, n+1, l.Stats().Open)
	t.Logf("%d bytes of Go's heap for each idle connection", each)
	if testing.Verbose() {
		type line struct {
			name  string
			bytes int64
		}
		var lines []line
		for name, bytes := range liveByFunction() {
			if each := (bytes - functions[name]) / n; each != 0 {
				lines = append(lines, line{name, each})
			}
		}
		slices.SortFunc(lines, func(a, b line) int { return cmp.Compare(b.bytes, a.bytes) })
		text := "| function | bytes |\n|---|---|\n"
		for _, l := range lines {
			text += fmt.Sprintf("| %s | %d |\n", l.name, l.bytes)
		}
		t.Log("\n" + text)
	}
	if !raceon.Enabled {
		assert.LessOrEqual(t, each, int64(mostGoHeap))
	}
}
