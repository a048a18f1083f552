package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/bench/report"
)

// The servers of some measurements are this program once more, here the tests'.
func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == "-role" {
		if err := runRole(os.Args[2], os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// Contenders take turns, in an order that moves on from round to round.
func TestTurns(t *testing.T) {
	var turns []string
	one := func(name string, value float64) contender {
		return contender{name, func() (sampler, func(), error) {
			return func(time.Duration) ([]float64, error) {
				turns = append(turns, name)
				return []float64{value}, nil
			}, nil, nil
		}}
	}
	b := &bencher{topic: "t", rounds: 3, once: true, metrics: []metric{{name: "m", unit: "u"}},
		contenders: []contender{one(report.Ours, 4), one("B", 2), one("C", 1)}}
	rows, err := b.run(func(string, ...any) {}, map[string]string{})
	require.NoError(t, err)
	assert.Equal(t, []string{report.Ours, "B", "C", "B", "C", report.Ours, "C", report.Ours, "B"}, turns)
	assert.Equal(t, map[string]float64{"ossldtls/B": 2, "ossldtls/C": 4}, rows[0].Ratios)
}

// Who cannot take part is named, and only our own failure is one of the bench.
func TestMissing(t *testing.T) {
	failing := func(err error) func() (sampler, func(), error) {
		return func() (sampler, func(), error) { return nil, nil, err }
	}
	fine := func() (sampler, func(), error) {
		return func(time.Duration) ([]float64, error) { return []float64{1}, nil }, nil, nil
	}
	late := func() (sampler, func(), error) {
		n := 0
		return func(time.Duration) ([]float64, error) {
			if n++; n > 2 {
				return nil, errors.New("tired")
			}
			return []float64{1}, nil
		}, nil, nil
	}
	b := &bencher{topic: "t", rounds: 3, metrics: []metric{{name: "m", unit: "u", goals: []report.Goal{report.AtMost(toC, 1)}}},
		contenders: []contender{{report.Ours, fine}, {cName, failing(&missingError{"no compiler"})}, {"late", late}}}
	missing := map[string]string{}
	rows, err := b.run(func(string, ...any) {}, missing)
	require.NoError(t, err)
	assert.Equal(t, map[string]string{cName: "no compiler", "late in: t": "tired"}, missing)
	assert.Len(t, rows[0].Contenders, 1)
	assert.Nil(t, rows[0].Met)

	b.contenders[0].open = failing(errors.New("broken"))
	_, err = b.run(func(string, ...any) {}, missing)
	assert.ErrorContains(t, err, "broken")
}

// The counter takes what comes late for a fault, and what is lost for none.
func TestCounter(t *testing.T) {
	const size = 64
	for name, test := range map[string]struct {
		numbers []uint64
		fault   string
	}{
		"in order":  {[]uint64{0, 1, 2}, ""},
		"lost":      {[]uint64{0, 5, 6}, ""},
		"twice":     {[]uint64{0, 1, 1}, "datagram 1 of connection 0 came after 1"},
		"reordered": {[]uint64{0, 2, 1}, "datagram 1 of connection 0 came after 2"},
	} {
		c := &counter{size: size, received: make([]tally, 1)}
		b := make([]byte, size)
		for _, n := range test.numbers {
			putNumber(b, 0, n)
			c.take(b, nil)
		}
		if err := c.bad.Load(); test.fault == "" {
			assert.Nil(t, err, name)
			assert.Equal(t, uint64(len(test.numbers)), c.total(), name)
		} else {
			require.NotNil(t, err, name)
			assert.EqualError(t, *err, test.fault)
		}
	}
	c := &counter{size: size, received: make([]tally, 1)}
	b := make([]byte, size)
	putNumber(b, 0, 7)
	b[size-1]++
	c.take(b, nil)
	assert.NotNil(t, c.bad.Load(), "changed")
	c = &counter{size: size, received: make([]tally, 1)}
	c.take(b[:size-1], nil)
	assert.NotNil(t, c.bad.Load(), "cut")
}

func TestPipe(t *testing.T) {
	a, b := newPipe()
	_, err := a.WriteTo([]byte("up"), nil)
	require.NoError(t, err)
	buf := make([]byte, 10)
	n, from, err := b.ReadFrom(buf)
	require.NoError(t, err)
	assert.Equal(t, "up", string(buf[:n]))
	assert.Equal(t, a.LocalAddr().String(), from.String())
	require.NoError(t, b.SetReadDeadline(time.Unix(1, 0)))
	_, _, err = b.ReadFrom(buf)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, b.SetReadDeadline(time.Time{}))
	require.NoError(t, a.Close())
	_, _, err = b.ReadFrom(buf)
	assert.ErrorIs(t, err, net.ErrClosed)
}

// Each way to measure does its work once, as short as can be: what it measures does not count.
func TestEverythingWorks(t *testing.T) {
	ids, err := newIdentities(t.TempDir())
	require.NoError(t, err)
	c := buildC(t.TempDir(), "c")
	if c.err != nil {
		t.Log("without C:", c.err)
	}
	missing := map[string]string{}
	qt := buildQt(t.TempDir(), "qt")
	if qt.err != nil {
		t.Log("without Qt:", qt.err)
	}
	for _, b := range cases(false, ids, c, qt) {
		programs(t, b)
		if b.once || b.cores > 0 {
			continue // too large, or another case with fewer cores
		}
		for i := range b.contenders {
			only := *b
			only.rounds, only.each, only.contenders = 1, 2*time.Millisecond, b.contenders[i:i+1]
			if b.contenders[i].name != report.Ours {
				continue
			}
			rows, err := only.run(func(string, ...any) {}, missing)
			require.NoError(t, err, b.topic)
			require.Len(t, rows, len(b.metrics))
		}
	}
}

// programs is for Qt's part and C's of the cases that only work packet by packet.
func programs(t *testing.T, b *bencher) {
	for _, c := range b.contenders {
		if !strings.Contains(b.topic, "packet by packet") || c.name == report.Ours {
			continue
		}
		take, closing, err := c.open()
		if closing != nil {
			defer closing()
		}
		if errors.As(err, new(*missingError)) {
			continue
		}
		require.NoError(t, err, b.topic)
		values, err := take(2 * time.Millisecond)
		require.NoError(t, err, b.topic)
		require.Len(t, values, len(b.metrics), b.topic)
	}
}

func TestWithoutQt(t *testing.T) {
	t.Setenv("PKG_CONFIG", "false")
	qt := buildQt(t.TempDir(), "qt")
	assert.ErrorContains(t, qt.err, "qt6-base-dev")
	assert.Empty(t, qt.version())
	_, err := startServer(serverTask(qtName, byECDSA, &identities{}, qt))
	assert.ErrorAs(t, err, new(*missingError))
}

// What several do side by side is added up.
func TestSideBySide(t *testing.T) {
	closed := 0
	one := contender{"one", func() (sampler, func(), error) {
		return func(time.Duration) ([]float64, error) { return []float64{500, 4}, nil }, func() { closed++ }, nil
	}}
	for name, test := range map[string]struct {
		r    rate
		want float64
	}{"first": {theFirst, 1500}, "second": {theSecond, 12}, "per second": {perSecond, 6e6}} {
		take, closing, err := side(one, 3, test.r).open()
		require.NoError(t, err)
		values, err := take(0)
		require.NoError(t, err)
		assert.InDelta(t, test.want, values[0], 1e-6, name)
		closing()
	}
	assert.Equal(t, 9, closed)
}

func TestServersInTheirProcess(t *testing.T) {
	ids, err := newIdentities(t.TempDir())
	require.NoError(t, err)
	qt := buildQt(t.TempDir(), "qt")
	for _, who := range []string{report.Ours, pagedName, pionName, udpName, qtName} {
		if who == qtName && qt.err != nil {
			continue
		}
		values, err := samplePeers(serverTask(who, byECDSA, ids, qt), 10, 20*time.Millisecond, ids)
		require.NoError(t, err, who)
		assert.Len(t, values, 4)
		assert.Positive(t, values[2], "echoes")
	}
	_, err = startServer(task{Contender: "nobody", Dir: ids.dir})
	assert.ErrorContains(t, err, "nobody")
}

func TestIdentitiesInAnotherProcess(t *testing.T) {
	ids, err := newIdentities(t.TempDir())
	require.NoError(t, err)
	again, err := loadIdentities(ids.dir)
	require.NoError(t, err)
	assert.Equal(t, ids.root.Raw, again.root.Raw)
	assert.Equal(t, ids.ecdsa.Certificate, again.ecdsa.Certificate)
	assert.Equal(t, ids.rsa.Certificate, again.rsa.Certificate)
}

func TestPlots(t *testing.T) {
	dir := t.TempDir()
	row := report.NewRow("r", "µs", map[string][]float64{report.Ours: {1, 2, 3}, "pion": {4, 5, 6}})
	var data []datum
	for i := range 3 {
		data = append(data, place([]point{
			{file: "curve", title: "a curve", x: float64(i), xLabel: "x"},
			{file: "bars", title: "bars", label: fmt.Sprint("group ", i)},
		}, []report.Row{row})...)
	}
	require.NoError(t, drawAll(dir, data))
	for _, name := range []string{"curve.svg", "bars.svg"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		require.NoError(t, err)
		assert.Contains(t, string(text), "<svg")
		assert.Contains(t, string(text), "pion")
	}
}

// The pages show plots that a run writes.
func TestPlotsInPages(t *testing.T) {
	written := map[string]bool{}
	ids, err := newIdentities(t.TempDir())
	require.NoError(t, err)
	for _, b := range cases(false, ids, &cProgram{}, &qtProgram{}) {
		for _, p := range b.plots {
			written["bench/results/"+p.file+".svg"] = true
		}
	}
	link := regexp.MustCompile(`!\[[^]]+\]\((?:\.\./)?(bench/results/[^)]+)\)`)
	for _, page := range []string{"../README.md", "../docs/performance.md"} {
		text, err := os.ReadFile(page)
		require.NoError(t, err)
		links := link.FindAllStringSubmatch(string(text), -1)
		assert.NotEmpty(t, links, page)
		for _, l := range links {
			assert.True(t, written[l[1]], "%s shows %s", page, l[1])
		}
	}
}

func TestTableInAPage(t *testing.T) {
	page := "text\n" + tableBegin + "old\n" + tableEnd + "more\n"
	got, err := between(page, "| new |\n")
	require.NoError(t, err)
	assert.Equal(t, "text\n"+tableBegin+"\n| new |\n\n"+tableEnd+"more\n", got)
	again, err := between(got, "| new |\n")
	require.NoError(t, err)
	assert.Equal(t, got, again)
	_, err = between("no marks", "")
	assert.Error(t, err)
	_, err = between(tableBegin, "")
	assert.Error(t, err)
}
