//go:build interop

package interop

import (
	"fmt"
	"os"
	"testing"

	"github.com/ossldtls/ossldtls/openssl"
)

func TestMain(m *testing.M) {
	code := m.Run()
	rows.sum(os.Stdout)
	if d := openssl.ReadDiagnostics(); d.SSLs != 0 || d.StaleErrors != 0 || d.QueuedError != 0 {
		fmt.Printf("interop: FAIL  something was left behind: %+v\n", d)
		code = max(code, 1)
	}
	os.Exit(code)
}
