//go:build cgo

package udpbatch

import (
	"testing"

	"github.com/ossldtls/ossldtls/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }
