// Bench measures this library beside others that do the same work: pion/dtls, plain UDP in
// Go, a C program on the same libssl, and Qt's QDtls. What each row means is in docs/performance.md.
//
//	make bench         everything; writes bench/results
//	make bench-quick   the rows that have a goal, in a minute
//
// From its own folder, also with a choice of what is measured:
//
//	go run . -out results
//	go run . -quick -run 'one-way|echo'
//	go run . -run 'one-way.*64 B.*1 connection$' -contenders ossldtls -cpuprofile cpu.prof
//
// The contenders take turns within each round. A row has the medians of the rounds, the
// lowest and the highest, and the medians of the ratios within each round.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
)

func main() {
	quick := flag.Bool("quick", false, "only the rows that have a goal, with short samples")
	out := flag.String("out", "", "`folder` for latest.json and the plots; empty: only the table is printed")
	only := flag.String("run", "", "measure only what matches this regular `expression`")
	docs := flag.String("docs", "", "`page` whose table is to be that of this run")
	who := flag.String("contenders", "", "let only those take part that match this regular `expression`")
	profile := flag.String("cpuprofile", "", "`file` for a profile of this process")
	source := flag.String("c", "c", "`folder` of the C program")
	qtSource := flag.String("qt", "qt", "`folder` of the Qt program")
	limit := flag.Duration("limit", 12*time.Minute, "give up after this `time`")
	role := flag.String("role", "", "what this process is: the bench starts its servers so")
	flag.Parse()
	var err error
	if *role != "" {
		err = runRole(*role, os.Stdin, os.Stdout)
	} else {
		time.AfterFunc(*limit, func() {
			fmt.Fprintf(os.Stderr, "bench: not done after %v\n", *limit)
			os.Exit(1) // the servers end with this process
		})
		err = run(options{*quick, *out, *docs, *only, *who, *profile, *source, *qtSource})
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "bench: %v\n", err)
		os.Exit(1)
	}
}

type options struct {
	quick                                           bool
	out, docs, only, who, profile, source, qtSource string
}

func run(o options) error {
	filter, err := regexp.Compile(o.only)
	if err != nil {
		return err
	}
	takesPart, err := regexp.Compile(o.who)
	if err != nil {
		return err
	}
	if o.profile != "" {
		stop, err := profileTo(o.profile)
		if err != nil {
			return err
		}
		defer stop()
	}
	dir, err := os.MkdirTemp("", "ossldtls-bench.")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ids, err := newIdentities(dir)
	if err != nil {
		return err
	}
	start := time.Now()
	command := "make bench"
	if o.quick {
		command = "make bench-quick"
	}
	if o.only+o.who != "" {
		command = "bench " + strings.Join(os.Args[1:], " ")
	}
	result := report.Report{Env: environment(command)}
	if load, err := strconv.ParseFloat(result.Env.Load, 64); err == nil && load > 1 {
		fmt.Fprintf(os.Stderr, "bench: this machine is busy (load %s): most figures will be worse, and some ratios wrong\n", result.Env.Load)
	}
	if why := noSystemCalls(); why != "" {
		result.Env.Missing["system calls"] = why
	}
	qt := buildQt(dir, o.qtSource)
	result.Env.Qt = qt.version()
	list := cases(o.quick, ids, buildC(dir, o.source), qt)
	say := func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
	var data []datum
	var failures error
	for _, b := range list {
		if !filter.MatchString(b.topic) {
			continue
		}
		b.contenders = slices.DeleteFunc(b.contenders, func(c contender) bool { return !takesPart.MatchString(c.name) })
		began := time.Now()
		rows, err := b.run(say, result.Env.Missing)
		say("  %.1f s", time.Since(began).Seconds())
		failures = errors.Join(failures, err)
		result.Rows = append(result.Rows, rows...)
		data = append(data, place(b.plots, rows)...)
	}
	result.Env.Seconds = float64(time.Since(start).Round(time.Second).Seconds())
	if err := write(result, data, o.out, o.quick, os.Stdout); err != nil {
		return err
	}
	if o.docs != "" {
		failures = errors.Join(failures, updatePage(o.docs, result))
	}
	return failures
}

func profileTo(path string) (stop func(), err error) {
	f, err := os.Create(path)
	if err != nil {
		return nil, err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		_ = f.Close()
		return nil, err
	}
	return func() {
		pprof.StopCPUProfile()
		_ = f.Close()
	}, nil
}

func headline(env report.Env) string {
	qt := env.Qt
	if qt != "" {
		qt += ", "
	}
	return fmt.Sprintf("%s, %s, %s, %s, pion/dtls %s, %s%s", env.CPU, plural(env.Cores, "core"), env.Go, env.OpenSSL, env.Pion, qt, env.Kernel)
}

// write prints the table and keeps the results.
func write(result report.Report, data []datum, out string, quick bool, table io.Writer) error {
	env := result.Env
	fmt.Fprintf(table, "%s\n\n", headline(env))
	if err := result.Table(table); err != nil {
		return err
	}
	fmt.Fprintf(table, "\n%.0f s\n", env.Seconds)
	if out == "" {
		return nil
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	text, err := result.JSON()
	if err != nil {
		return err
	}
	name := "latest.json"
	if quick {
		name = "quick.json"
	}
	if err := os.WriteFile(filepath.Join(out, name), text, 0o644); err != nil {
		return err
	}
	if quick {
		return nil
	}
	return drawAll(out, data)
}
