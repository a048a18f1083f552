package verifier

import (
	"encoding/binary"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/openssl"
)

func BenchmarkVerify(b *testing.B) {
	v := newVerifier(b)
	client := newVisitor(b)
	first := client.hello(nil)
	reply, _, err := v.Verify(nil, first, peer)
	require.NoError(b, err)
	second := client.hello(reply)
	for _, test := range []struct {
		name     string
		datagram []byte
	}{{"without cookie", first}, {"with cookie", second}, {"junk", []byte("no hello at all, but long enough for one")}} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				reply, _, err = v.Verify(reply[:0], test.datagram, peer)
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMillionHellos sends 1,000,000 hellos from as many peers and reports the
// resident memory before and after, and the SSLs that are left.
func BenchmarkMillionHellos(b *testing.B) {
	v := newVerifier(b)
	hello := newVisitor(b).hello(nil)
	reply := make([]byte, 0, 512)
	send := func(n int) {
		for i := range n {
			var addr [4]byte
			binary.BigEndian.PutUint32(addr[:], uint32(10<<24+i/60000))
			var err error
			reply, _, err = v.Verify(reply[:0], hello, netip.AddrPortFrom(netip.AddrFrom4(addr), uint16(1024+i%60000)))
			if err != nil || len(reply) == 0 {
				b.Fatal(err)
			}
		}
	}
	send(1000) // what is needed once for all
	before, ssls := residentKB(b), openssl.ReadDiagnostics().SSLs
	for b.Loop() {
		send(1_000_000)
	}
	b.ReportMetric(before, "KB-before")
	b.ReportMetric(residentKB(b), "KB-after")
	b.ReportMetric(float64(openssl.ReadDiagnostics().SSLs-ssls), "SSLs-left")
}

// residentKB returns the resident memory of this process, 0 where it cannot be told.
func residentKB(tb testing.TB) float64 {
	tb.Helper()
	status, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	pages, err := strconv.Atoi(strings.Fields(string(status))[1])
	require.NoError(tb, err)
	return float64(pages*os.Getpagesize()) / 1024
}
