package openssl

import (
	"os"
	"os/exec"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/internal/opensslheap"
)

// The heap has to be there before OpenSSL is used, so that its tests run in a process of
// their own, in which OpenSSL's allocations are not counted.
func TestPagedHeap(t *testing.T) {
	if os.Getenv(opensslheap.Off) != "" {
		t.Skip("in its own process TestPagedHeap would start another one")
	}
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run", "^TestInPagedHeap")
	cmd.Env = append(os.Environ(), opensslheap.Off+"=1")
	output, err := cmd.CombinedOutput()
	require.NoError(t, err, string(output))
}

// needsPagedHeap skips a test in the process where OpenSSL has been used already.
func needsPagedHeap(t *testing.T) {
	t.Helper()
	if os.Getenv(opensslheap.Off) == "" {
		t.Skip("TestPagedHeap runs it in a process of its own")
	}
	if os.Getpagesize() != 4096 {
		t.Skip("UsePagedHeap is for pages of 4096 bytes")
	}
}

func TestInPagedHeap(t *testing.T) {
	needsPagedHeap(t)
	require.NoError(t, UsePagedHeap())
	assert.ErrorContains(t, UsePagedHeap(), "too late")
	key, err := NewCookieKey("SHA256", []byte("secret"), nil)
	require.NoError(t, err)
	defer key.Close()
	ca := certtest.NewCA(t, "root")
	clientCtx := ctxOf(t, false, withRoot(t, ca, VerifyStrict))
	serverCtx := ctxOf(t, true, withCertificate(t, ca, certtest.Leaf{}))
	const n = 50
	for range 2 { // the second time in memory that the first has given back
		before := readPagedHeap()
		pairs := make([][2]*SSL, n)
		for i := range pairs {
			pairs[i] = [2]*SSL{sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)}
			cookied(t, pairs[i][0], pairs[i][1], key)
		}
		for range 3 {
			for _, pair := range pairs {
				echoOnce(t, pair[0], pair[1])
			}
		}
		full := readPagedHeap()
		slots, pages := full.slots-before.slots, full.pages-before.pages
		assert.GreaterOrEqual(t, slots, 2*n, "at least that of the handshake's buffer, for each end")
		// One for each buffer, and one more where the SSL is before it.
		assert.LessOrEqual(t, pages, slots*5/3, "each has its first page, and few a second one")
		large := make([]byte, MaxPlaintext)
		large[0], large[MaxPlaintext-1] = 1, 2
		for _, pair := range pairs {
			var wire, plain, out Datagrams
			require.NoError(t, pair[1].Write(large, &wire))
			require.NoError(t, pair[0].Read(wire.At(0), &plain, &out))
			require.Equal(t, large, plain.At(0))
			pair[0].Close()
			pair[1].Close()
		}
		left := readPagedHeap()
		assert.Equal(t, before.slots, left.slots)
		assert.LessOrEqual(t, left.pages, before.pages+6, "nothing that was closed takes up memory")
	}
}

// A long chain needs more than the handshake's buffer has at first.
func TestInPagedHeapLongChain(t *testing.T) {
	needsPagedHeap(t)
	ca := certtest.NewCA(t, "root")
	inner := ca.Intermediate(t, "intermediate", 20000)
	client := sslOf(t, ctxOf(t, false, withRoot(t, ca, VerifyStrict)), nil)
	server := sslOf(t, ctxOf(t, true, withCertificate(t, inner, certtest.Leaf{})), nil)
	clientErr, serverErr := shake(client, server)
	require.NoError(t, clientErr)
	require.NoError(t, serverErr)
	require.True(t, client.HandshakeDone() && server.HandshakeDone())
	echoOnce(t, client, server)
}
