package dgramtest

import (
	"testing"

	"github.com/ossldtls/ossldtls/internal/leakcheck"
)

func TestMain(m *testing.M) { leakcheck.Main(m) }
