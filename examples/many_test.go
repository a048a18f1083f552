package examples

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Every peer connects, is echoed and closes; the server needs no goroutine for it.
func TestMany(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"psk": nil, "certificate": {"-cert"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := start(t, "many", append([]string{"-peers", "200", "-rounds", "2"}, flags...)...)
			p.exits(0, "all have come and gone")
			p.await(`connected: +200 of 200 in [\d.]+ s, \d+/s; 200 open at a time`, "the handshakes")
			p.await(`echoes: +600 `, "one at first, and two rounds")
			p.await(`closed: +\d+ by the clients, 0 left open`, "the end")
			p.await(`0 open, 0 half open, 200 cookies sent, 200 handshakes, 0 failed, 600 echoes, 0 dropped`, "the counters")
			without, err := strconv.Atoi(p.await(`goroutines: +(\d+) without peers`, "goroutines"))
			require.NoError(t, err)
			with, err := strconv.Atoi(p.await(`goroutines: +\d+ without peers, (\d+) with`, "goroutines"))
			require.NoError(t, err)
			assert.Less(t, with-without, 20, "none for each peer")
			if runtime.GOOS == "linux" {
				p.await(`memory: +[\d.]+ MB resident without peers, [\d.]+ MB with all of them: [\d.]+ KB each`, "the memory")
			}
			assert.NotContains(t, p.output(), "\r", "no terminal")
		})
	}
}

// Where a process may have few files open, there are fewer peers.
func TestManyWithFewFiles(t *testing.T) {
	t.Parallel()
	if runtime.GOOS == "windows" {
		t.Skip("there is no ulimit")
	}
	few := func(files int) (string, error) {
		out, err := exec.Command("sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" -peers 200`, files), filepath.Join(programs, "many")).CombinedOutput()
		return string(out), err
	}
	out, err := few(100)
	require.NoError(t, err, out)
	assert.Contains(t, out, "only 68 clients: each needs a socket, and a process may have 100 files open here")
	assert.Regexp(t, `connected: +68 of 68`, out)
	out, err = few(30)
	assert.Error(t, err)
	assert.Contains(t, out, "no more than 30 files open here")
}

// The clients end with the server, however it ends.
func TestManyThatIsKilled(t *testing.T) {
	t.Parallel()
	p := start(t, "many", "-peers", "200", "-limit", "1ns")
	p.exits(1, "the time is over")
	p.await(`many: not done after 1ns`, "why")

	clients := exec.Command(filepath.Join(programs, "many"), "-role", "clients")
	in, err := clients.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, clients.Start())
	sock := listen(t) // that answers nothing
	_, err = fmt.Fprintf(in, `{"Address":%q,"Peers":3,"Rounds":1,"Parallel":3,"Key":"AAAA"}`+"\n", sock.LocalAddr())
	require.NoError(t, err)
	_, _, err = sock.ReadFromUDPAddrPort(make([]byte, 2048))
	require.NoError(t, err, "they connect")
	require.NoError(t, in.Close())
	ended := make(chan error, 1)
	go func() { ended <- clients.Wait() }()
	t.Cleanup(func() { _ = clients.Process.Signal(os.Kill) })
	select {
	case err := <-ended:
		assert.Error(t, err)
	case <-time.After(limit):
		require.FailNow(t, "the clients go on")
	}
	assert.Equal(t, 1, clients.ProcessState.ExitCode())
}

func TestManyFlags(t *testing.T) {
	t.Parallel()
	for flags, says := range map[string]string{"more": "unexpected argument", "-peers 0": "-peers", "-parallel 1000": "-parallel", "-role x": "-h"} {
		p := start(t, "many", strings.Fields(flags)...)
		p.exits(1, "the command line is wrong")
		assert.Regexp(t, `^many: .*`+says, p.output())
	}
}
