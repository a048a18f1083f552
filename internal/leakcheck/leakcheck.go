// Package leakcheck proves, at the end of a package's tests, that nothing is left of
// them: no goroutine, no object in C, no error in an OpenSSL queue.
package leakcheck

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ossldtls/ossldtls/openssl"
)

// Main runs the tests and ends the process: with their exit code, or with 1 if they
// passed and left something behind. For use in TestMain.
func Main(m *testing.M) {
	code := m.Run()
	if code == 0 {
		if left := Left(); left != "" {
			fmt.Fprintln(os.Stderr, "left behind by the tests:", left)
			code = 1
		}
	}
	os.Exit(code)
}

// Left says what is left, "" if nothing is. Goroutines that are about to end, and
// objects that only the garbage collector frees, get a few seconds for it; an SSL
// that nobody has closed gets none.
func Left() string {
	if n := openssl.ReadDiagnostics().SSLs; n != 0 {
		return fmt.Sprintf("%d SSLs that were not closed", n)
	}
	var left string
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		if left = look(); left == "" {
			return ""
		}
		runtime.GC()
		runtime.Gosched()
	}
	return left
}

func look() string {
	d := openssl.ReadDiagnostics()
	var left []string
	add := func(n int64, what string) {
		if n > 0 {
			left = append(left, fmt.Sprintf("%d %s", n, what))
		}
	}
	add(d.Ctxs-1, "contexts")          // that of a nil Config stays
	add(d.CookieKeys-1, "cookie keys") // the process's default one stays
	add(d.Certificates, "certificates")
	add(d.PrivateKeys, "private keys")
	add(d.Sessions, "sessions")
	add(d.StaleErrors, "errors left in a queue by an operation")
	if d.QueuedError != 0 {
		left = append(left, fmt.Sprintf("error %#x in the queue of this thread", d.QueuedError))
	}
	for _, g := range goroutines() {
		left = append(left, "goroutine:\n"+g)
	}
	return strings.Join(left, ", ")
}

// goroutines returns the stacks of those that belong to neither the runtime nor this call.
func goroutines() []string {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	var found []string
	for i, g := range strings.Split(string(buf), "\n\n") {
		if i == 0 || strings.Contains(g, "testing.(*M).") || strings.Contains(g, "os/signal.") ||
			strings.Contains(g, "runtime.ensureSigM") || strings.Contains(g, "runtime/trace") {
			continue
		}
		found = append(found, g)
	}
	return found
}
