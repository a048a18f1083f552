package main

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// cName is the contender in C on the same libssl.
const cName = "C"

// cProgram is the program in c/, compiled for this run. It is a process of its own for each
// sample, warm before it measures.
type cProgram struct {
	path string
	err  error // why there is none
}

// buildC compiles the program with the compiler and the OpenSSL that the bench was built
// with, as far as the environment tells.
func buildC(dir, source string) *cProgram {
	c := &cProgram{path: filepath.Join(dir, "bench-c")}
	files, err := fs.Glob(os.DirFS(source), "*.c")
	if err != nil || len(files) == 0 {
		c.err = &missingError{"no C files in " + source}
		return c
	}
	pkgConfig := orElse(os.Getenv("PKG_CONFIG"), "pkg-config")
	flags, err := exec.Command(pkgConfig, "--cflags", "--libs", "libssl", "libcrypto").Output()
	if err != nil {
		c.err = &missingError{pkgConfig + " finds no libssl: " + err.Error()}
		return c
	}
	compiler := strings.Fields(orElse(os.Getenv("CC"), "cc"))
	args := append(compiler[1:], "-O2", "-Wall", "-Wextra", "-Werror", "-o", c.path)
	args = append(append(args, files...), strings.Fields(string(flags))...)
	cmd := exec.Command(compiler[0], args...)
	cmd.Dir = source
	if text, err := cmd.CombinedOutput(); err != nil {
		c.err = &missingError{fmt.Sprintf("%v: %s", err, text)}
	}
	return c
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// run returns the numbers that the program prints.
func (c *cProgram) run(args ...string) ([]float64, error) {
	if c.err != nil {
		return nil, c.err
	}
	var complaint bytes.Buffer
	cmd := exec.Command(c.path, args...)
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, complaint.String())
	}
	var values []float64
	for _, word := range strings.Fields(string(out)) {
		v, err := strconv.ParseFloat(word, 64)
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}

// args are those that every measurement has.
func (c *cProgram) args(what string, ids *identities, k kind, d time.Duration) []string {
	name, identity := "ecdsa", "ecdsa.pem"
	switch k.name {
	case byPSK.name:
		name = "psk"
	case byRSA.name:
		name, identity = "rsa", "rsa.pem"
	case resumed.name:
		name = "resumed"
	}
	return []string{what, name, k.suite.openssl, filepath.Join(ids.dir, "root.pem"), filepath.Join(ids.dir, identity),
		strconv.FormatInt(d.Milliseconds(), 10)}
}

func (c *cProgram) handshakes(ids *identities, k kind) (sampler, func(), error) {
	return func(d time.Duration) ([]float64, error) { return c.run(c.args("handshake", ids, k, d)...) }, nil, c.err
}

func (c *cProgram) crypt(ids *identities, s suite, size int) contender {
	return contender{cName, func() (sampler, func(), error) {
		return func(d time.Duration) ([]float64, error) {
			values, err := c.run(append(c.args("crypt", ids, byECDSA.with(s), d), strconv.Itoa(size))...)
			return append(values, none), err // allocations
		}, nil, c.err
	}}
}

func (c *cProgram) listen(ids *identities) (sampler, func(), error) {
	return func(d time.Duration) ([]float64, error) { return c.run(c.args("listen", ids, byECDSA, d)...) }, nil, c.err
}
