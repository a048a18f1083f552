package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
)

// qtName is the contender in C++ by Qt's QDtls and QDtlsClientVerifier.
const qtName = "Qt"

// qtProgram is the program in qt/, called as the C program is. QDtls sends by a QUdpSocket:
// it takes part where sockets are part of the work.
type qtProgram struct{ cProgram }

// buildQt compiles the program, if Qt's headers are there.
func buildQt(dir, source string) *qtProgram {
	qt := &qtProgram{cProgram{path: filepath.Join(dir, "bench-qt")}}
	pkgConfig := orElse(os.Getenv("PKG_CONFIG"), "pkg-config")
	flags, err := exec.Command(pkgConfig, "--cflags", "--libs", "Qt6Network").Output()
	if err != nil {
		qt.err = &missingError{pkgConfig + " finds no Qt6Network; on Debian and Ubuntu: apt-get install qt6-base-dev g++"}
		return qt
	}
	all := qt.path + ".cpp"
	if err := writeIncludes(all, source); err != nil {
		qt.err = &missingError{err.Error()}
		return qt
	}
	compiler := strings.Fields(orElse(os.Getenv("CXX"), "c++"))
	args := append(compiler[1:], "-std=c++17", "-O2", "-fPIC", "-Wall", "-Wextra", "-Werror", "-I", source, "-o", qt.path, all)
	for _, flag := range strings.Fields(string(flags)) {
		// Qt's headers count as the system's: only our own code is to be warned of.
		if dir, ok := strings.CutPrefix(flag, "-I"); ok {
			args = append(args, "-isystem", dir)
		} else {
			args = append(args, flag)
		}
	}
	if text, err := exec.Command(compiler[0], args...).CombinedOutput(); err != nil {
		qt.err = &missingError{fmt.Sprintf("%v: %s", err, text)}
	}
	return qt
}

// writeIncludes makes one file of all: Qt's headers take longer than the rest, and are so
// compiled once.
func writeIncludes(path, source string) error {
	files, err := fs.Glob(os.DirFS(source), "*.cpp")
	if err != nil || len(files) == 0 {
		return errors.Join(errors.New("no C++ files in "+source), err)
	}
	var text bytes.Buffer
	for _, file := range files {
		fmt.Fprintf(&text, "#include %q\n", file)
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// version returns which Qt that is, and on which OpenSSL; "" without Qt.
func (qt *qtProgram) version() string {
	if qt.err != nil {
		return ""
	}
	return output(qt.path, "version")
}

// server returns the task of a server of Qt's.
func (qt *qtProgram) server(ids *identities, k kind) task {
	return task{Contender: qtName, Kind: k.name, Dir: ids.dir, command: append([]string{qt.path}, qt.args("server", ids, k, 0)...), err: qt.err}
}

// byProgram is a contender that is a program, called for each sample.
func byProgram(name string, c *cProgram, what string, ids *identities, k kind, more ...string) contender {
	return contender{name, func() (sampler, func(), error) {
		return func(d time.Duration) ([]float64, error) {
			return c.run(append(c.args(what, ids, k, d), more...)...)
		}, nil, c.err
	}}
}

// echoByProgram is the same for a program that prints the time of each round trip.
func echoByProgram(name string, c *cProgram, ids *identities) contender {
	each := byProgram(name, c, "udp-echo", ids, byECDSA, strconv.Itoa(echoSize))
	return contender{name, func() (sampler, func(), error) {
		take, closing, err := each.open()
		return func(d time.Duration) ([]float64, error) {
			times, err := take(d)
			slices.Sort(times)
			return []float64{report.Quantile(times, 0.5), report.Quantile(times, 0.99), report.Quantile(times, 0.999)}, err
		}, closing, err
	}}
}
