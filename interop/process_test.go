//go:build interop

package interop

import (
	"bytes"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/stretchr/testify/require"
)

// process is a peer's program. It is killed when its case ends.
type process struct {
	r     *row
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	ended chan struct{}

	mu   sync.Mutex
	text bytes.Buffer  // standard output and standard error, as they came
	old  int           // how much of text is forgotten
	more chan struct{} // closed and replaced when there is more text
}

// start runs a command of a program.
func start(r *row, program, command string, flags ...string) *process {
	r.Helper()
	p := &process{r: r, ended: make(chan struct{}), more: make(chan struct{})}
	p.name = filepath.Base(program) + " " + command
	p.cmd = exec.CommandContext(r.ctx, program, append([]string{command}, flags...)...)
	p.cmd.WaitDelay = time.Second
	p.cmd.Stdout, p.cmd.Stderr = p, p
	var err error
	p.stdin, err = p.cmd.StdinPipe()
	require.NoError(r, err)
	require.NoError(r, p.cmd.Start())
	r.processes = append(r.processes, p)
	go func() {
		defer close(p.ended)
		_ = p.cmd.Wait() // ProcessState has the exit code
	}()
	r.Cleanup(func() { <-p.ended })
	return p
}

// Write takes what the program prints.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.text.Write(b)
}

// printed returns what the program has printed so far and is not forgotten, and what
// tells that there is more.
func (p *process) printed() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()[p.old:], p.more
}

// forget has await and never look only at what the program prints from now on.
func (p *process) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.old = p.text.Len()
}

// await waits until the program has printed lines that match, and returns the
// submatches of the first. Only a pattern that ends with an open end, "…", matches a
// line that has not ended yet.
func (p *process) await(pattern string) []string {
	p.r.Helper()
	pattern, open := strings.CutSuffix(pattern, "…")
	re := regexp.MustCompile("(?m)" + pattern)
	for ended := false; ; {
		text, more := p.printed()
		if !open {
			text = text[:strings.LastIndexByte(text, '\n')+1]
		}
		if found := re.FindStringSubmatch(text); found != nil {
			return found
		}
		if ended {
			p.r.Fatalf("%s has ended (%s) without printing %s", p.name, p.cmd.ProcessState, pattern)
		}
		select {
		case <-more:
		case <-p.ended:
			ended = true
		case <-p.r.ctx.Done():
			p.r.Fatalf("%s has not printed %s in time", p.name, pattern)
		}
	}
}

// never fails the case if the program has printed a line that matches.
func (p *process) never(pattern string) {
	p.r.Helper()
	text, _ := p.printed()
	require.NotRegexp(p.r, "(?m)"+pattern, text)
}

// say gives the program a line to read.
func (p *process) say(line string) {
	p.r.Helper()
	_, err := io.WriteString(p.stdin, line+"\n")
	require.NoError(p.r, err, "writing to %s", p.name)
}

// exit waits for the program's end and returns its exit code.
func (p *process) exit() int {
	p.r.Helper()
	select {
	case <-p.ended:
	case <-p.r.ctx.Done():
		p.r.Fatalf("%s has not ended in time", p.name)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) print(w io.Writer) {
	fmt.Fprintf(w, "    $ %s\n", strings.Join(p.cmd.Args, " "))
	p.mu.Lock()
	defer p.mu.Unlock()
	indent(w, "    > ", p.text.String())
}
