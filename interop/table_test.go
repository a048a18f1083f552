//go:build interop

package interop

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience is how long a case may wait for events, all together.
const patience = 20 * time.Second

// row is one case: a line of the table, and the testing.TB of its checks.
type row struct {
	*testing.T
	peer, us, what string

	ctx       context.Context // ends with the case or its patience
	processes []*process
	tapes     []*tape

	mu   sync.Mutex
	why  strings.Builder
	done bool
}

// check runs a case beside the others of its test. what says what it is about.
func check(t *testing.T, peer, us, what string, f func(r *row)) {
	r := &row{peer: peer, us: us, what: what}
	t.Run(peer+" "+what, func(t *testing.T) {
		r.T = t
		rows.add(r)
		t.Cleanup(func() { rows.finish(r) })
		t.Parallel()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		t.Cleanup(cancel)
		r.ctx = ctx
		f(r)
	})
}

// Errorf keeps the reason for the table.
func (r *row) Errorf(format string, args ...any) {
	r.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	fmt.Fprintf(&r.why, format+"\n", args...)
	r.Fail()
}

// Fatalf is Errorf, and the end of the case.
func (r *row) Fatalf(format string, args ...any) {
	r.Helper()
	r.Errorf(format, args...)
	r.FailNow()
}

func (r *row) print(w io.Writer) {
	verdict := "PASS"
	if r.Failed() {
		verdict = "FAIL"
	}
	fmt.Fprintf(w, "interop: %s  %-33s | %-12s | %s\n", verdict, r.peer, r.us, r.what)
	if !r.Failed() {
		return
	}
	indent(w, "    ", r.why.String())
	for _, p := range r.processes {
		p.print(w)
	}
	for _, t := range r.tapes {
		t.print(w)
	}
}

func indent(w io.Writer, prefix, text string) {
	for line := range strings.Lines(strings.Trim(text, "\n") + "\n") {
		fmt.Fprint(w, prefix, line)
	}
}

// table prints rows in the order of the source, whatever the order in which they end.
type table struct {
	mu      sync.Mutex
	rows    []*row
	printed int
	failed  int
}

var rows table

func (tb *table) add(r *row) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	tb.rows = append(tb.rows, r)
}

func (tb *table) finish(r *row) {
	tb.mu.Lock()
	defer tb.mu.Unlock()
	r.done = true
	if r.Failed() {
		tb.failed++
	}
	for tb.printed < len(tb.rows) && tb.rows[tb.printed].done {
		tb.rows[tb.printed].print(os.Stdout)
		tb.printed++
	}
}

func (tb *table) sum(w io.Writer) {
	fmt.Fprintf(w, "interop: %d cases, %d failed\n", len(tb.rows), tb.failed)
}
