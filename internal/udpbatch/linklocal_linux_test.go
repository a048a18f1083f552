package udpbatch

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/raceon"
)

// inNamespace is set for the copy of this program that runs in a network namespace of
// its own.
const inNamespace = "UDPBATCH_TEST_NAMESPACE"

// rerunInNamespace runs the test again, alone, where it may set up interfaces. It skips
// the test where that is not allowed.
func rerunInNamespace(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET}
	if uid := os.Getuid(); uid != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Skipf("no network namespace for us: %v", err)
	}
	require.NoError(t, err, "%s", out)
	if strings.Contains(string(out), "--- SKIP") {
		t.Skipf("%s", out)
	}
}

// link sets up two interfaces that are each other's cable.
func link(t *testing.T) {
	t.Helper()
	for _, args := range []string{
		"link set lo up",
		"link add near type veth peer name far",
		"link set near addrgenmode none", "link set far addrgenmode none",
		"link set near up", "link set far up",
		"addr add fe80::1/64 dev near nodad", "addr add fe80::2/64 dev far nodad",
		"addr add fd00::1/64 dev near nodad",
	} {
		if out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput(); err != nil {
			t.Skipf("ip %s: %v: %s", args, err, out)
		}
	}
}

func TestLinkLocal(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		rerunInNamespace(t)
		return
	}
	link(t)
	udp := listenUDP(t, "udp", ":0")
	c := newConn(t, udp)
	port := addrOf(udp, "::1").Port()
	to := netip.AddrPortFrom(netip.MustParseAddr("fe80::2%near"), port)
	far := netip.MustParseAddr("fe80::2%far")

	t.Run("both", func(t *testing.T) {
		peer, err := net.DialUDP("udp6", &net.UDPAddr{IP: net.ParseIP("fe80::1"), Zone: "near"}, net.UDPAddrFromAddrPort(to))
		require.NoError(t, err)
		defer func() { require.NoError(t, peer.Close()) }()
		require.NoError(t, peer.SetDeadline(time.Now().Add(patience)))
		_, err = peer.Write([]byte("question"))
		require.NoError(t, err)

		p := readPacket(t, c)
		from := netip.AddrPortFrom(netip.MustParseAddr("fe80::1%far"), addrOf(peer, "").Port())
		assert.Equal(t, Packet{Data: []byte("question"), Peer: from, Local: far}, p)
		require.NoError(t, c.WriteTo([]byte("answer"), p.Peer, p.Local))
		text, source := readUDP(t, peer)
		assert.Equal(t, "answer", text)
		assert.Equal(t, to, source)

		if !raceon.Enabled {
			data, peer, local := []byte("text"), p.Peer, p.Local
			assert.Zero(t, testing.AllocsPerRun(100, func() {
				if err := c.WriteTo(data, peer, local); err != nil {
					t.Error(err)
				}
			}))
		}
	})

	// The peer's address says nothing about the interface.
	t.Run("asked from a global address", func(t *testing.T) {
		peer := listenUDP(t, "udp6", "[fd00::1]:0")
		writeUDP(t, peer, to, "question")
		p := readPacket(t, c)
		assert.Equal(t, Packet{Data: []byte("question"), Peer: addrOf(peer, ""), Local: far}, p)
		require.NoError(t, c.WriteTo([]byte("answer"), p.Peer, p.Local))
		text, source := readUDP(t, peer)
		assert.Equal(t, "answer", text)
		assert.Equal(t, netip.MustParseAddr("fe80::2"), source.Addr().WithZone(""))
	})

	t.Run("multicast", func(t *testing.T) {
		group := netip.MustParseAddr("ff02::1%near")
		peer := listenUDP(t, "udp6", "[fe80::1%near]:0")
		writeUDP(t, peer, netip.AddrPortFrom(group, port), "all")
		p := readPacket(t, c)
		assert.Equal(t, "all", string(p.Data))
		assert.Equal(t, netip.Addr{}, p.Local)
	})
}
