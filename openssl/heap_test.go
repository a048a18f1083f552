package openssl

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/internal/opensslheap"
)

// mostHeap is what an idle connection may hold in C's heap, in bytes: what it does, and
// room for another patch of OpenSSL.
func mostHeap(server bool) int64 {
	most := func(ofServer, ofClient int64) int64 {
		if server {
			return ofServer
		}
		return ofClient
	}
	switch v, _ := RuntimeVersion(); {
	case v < 0x30000000:
		return most(69_500, 73_000)
	case v < 0x30200000:
		return most(70_500, 75_000)
	case v>>20 == 0x305:
		return most(74_000, 65_000)
	}
	return 90_000 // not looked at yet
}

// cookied makes a handshake as a listener does it: the server listens first.
func cookied(t testing.TB, client, server *SSL, key *CookieKey) {
	t.Helper()
	var up, down, none Datagrams
	require.NoError(t, second(client.DoHandshake(nil, &up)))
	require.NoError(t, second(server.Listen(key, clientAddr, up.At(0), &down)))
	up.Reset()
	require.NoError(t, second(client.DoHandshake(down.At(0), &up)))
	verified, err := server.Listen(key, clientAddr, up.At(0), &none)
	require.NoError(t, err)
	require.True(t, verified)
	up.Reset()
	down.Reset()
	require.NoError(t, second(server.DoHandshake(nil, &down)))
	for down.Len() > 0 {
		for d := range down.All() {
			require.NoError(t, second(client.DoHandshake(d, &up)))
		}
		down.Reset()
		for d := range up.All() {
			require.NoError(t, second(server.DoHandshake(d, &down)))
		}
		up.Reset()
	}
	require.True(t, client.HandshakeDone())
	require.True(t, server.HandshakeDone())
}

// echoOnce has both sides write and read once: buffers that are made for the first record
// count too.
func echoOnce(t testing.TB, client, server *SSL) {
	t.Helper()
	for _, ends := range [][2]*SSL{{client, server}, {server, client}} {
		var wire, plain, out Datagrams
		require.NoError(t, ends[0].Write(make([]byte, 200), &wire))
		require.NoError(t, ends[1].Read(wire.At(0), &plain, &out))
		require.Equal(t, 1, plain.Len())
	}
}

// What a connection holds when nothing happens, to the byte. With -v it prints the tables
// of docs/memory.md.
func TestIdleHeap(t *testing.T) {
	require.True(t, opensslheap.Counting())
	key, err := NewCookieKey("SHA256", []byte("secret"), nil)
	require.NoError(t, err)
	defer key.Close()
	ca := certtest.NewCA(t, "root")
	clientCtx := ctxOf(t, false, withRoot(t, ca, VerifyStrict))
	serverCtx := ctxOf(t, true, withCertificate(t, ca, certtest.Leaf{}))
	const n = 20
	for _, side := range []string{"server", "client"} {
		t.Run(side, func(t *testing.T) {
			runtime.LockOSThread() // OpenSSL keeps a random generator for each thread
			defer runtime.UnlockOSThread()
			var before map[opensslheap.Site]opensslheap.Held
			for i := range n + 1 {
				if i == 1 { // the first one has made what all of them share
					before = opensslheap.Read()
				}
				client, server := sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)
				cookied(t, client, server, key)
				echoOnce(t, client, server)
				map[string]*SSL{"server": client, "client": server}[side].Close()
			}
			table, each := opensslheap.Table(opensslheap.ByOwner(opensslheap.Since(before)), n)
			_, version := RuntimeVersion()
			t.Logf("idle %s, %s:\n%s", side, version, table)
			assert.LessOrEqual(t, each, mostHeap(side == "server"), fmt.Sprintf("an idle %s holds more:\n%s", side, table))
		})
	}
}

// Nothing of a connection is left once it is closed.
func TestClosedHeap(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	clientCtx := ctxOf(t, false, withRoot(t, ca, VerifyStrict))
	serverCtx := ctxOf(t, true, withCertificate(t, ca, certtest.Leaf{}))
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const n = 100
	var before map[opensslheap.Site]opensslheap.Held
	for i := range n + 1 {
		if i == 1 {
			before = opensslheap.Read()
		}
		client, server := sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)
		clientErr, serverErr := shake(client, server)
		require.NoError(t, clientErr)
		require.NoError(t, serverErr)
		client.Close()
		server.Close()
	}
	table, each := opensslheap.Table(opensslheap.ByOwner(opensslheap.Since(before)), n)
	assert.Less(t, each, int64(10), table) // what all share may grow once
}
