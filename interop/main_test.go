//go:build interop

package interop

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/ossldtls/ossldtls/openssl"
)

// beside is how many cases run at a time unless -parallel says otherwise. They wait
// most of their time: for processes to start and to end, and some for a time-out.
const beside = "8"

func TestMain(m *testing.M) {
	if err := flag.Set("test.parallel", beside); err != nil {
		panic(err)
	}
	code := m.Run()
	rows.sum(os.Stdout)
	if d := openssl.ReadDiagnostics(); d.SSLs != 0 || d.StaleErrors != 0 || d.QueuedError != 0 {
		fmt.Printf("interop: FAIL  something was left behind: %+v\n", d)
		code = max(code, 1)
	}
	os.Exit(code)
}
