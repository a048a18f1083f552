//go:build interop

package interop

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"
)

// qtPeer is where "make -C interop/qt" leaves the program, seen from this package.
const qtPeer = "./qt/build/qtpeer"

// startQt runs a command of the Qt peer.
func startQt(r *row, command string, flags ...string) *process {
	r.Helper()
	if _, err := os.Stat(qtPeer); err != nil {
		r.Fatalf("the Qt peer is missing, make -C interop/qt builds it: %v", err)
	}
	return start(r, qtPeer, command, flags...)
}

// qtServer runs the Qt server for one client on a port of its own.
func qtServer(r *row, loopback netip.Addr, flags ...string) (*process, netip.AddrPort) {
	r.Helper()
	server := startQt(r, "server", append([]string{"--address", loopback.String()}, flags...)...)
	port, err := strconv.ParseUint(server.await(`^LISTENING .*port=(\d+)$`)[1], 10, 16)
	require.NoError(r, err)
	return server, netip.AddrPortFrom(loopback, uint16(port))
}

// qtClient runs the Qt client.
func qtClient(r *row, server netip.AddrPort, flags ...string) *process {
	r.Helper()
	return startQt(r, "client", append(qtAddressFlags(server), flags...)...)
}

func qtAddressFlags(peer netip.AddrPort) []string {
	return []string{"--address", peer.Addr().String(), "--port", strconv.Itoa(int(peer.Port()))}
}

func (s scenario) qtFlags() []string {
	var flags []string
	if s.dtls10 {
		flags = append(flags, "--min-version", "1.0")
	}
	if list := s.cipherList(); list != "" {
		flags = append(flags, "--ciphers", list)
	}
	if s.mtu > 0 {
		flags = append(flags, "--mtu", strconv.Itoa(s.mtu))
	}
	if s.psk {
		flags = append(flags, "--psk", pskHex(), "--identity", pskIdentity)
	}
	return flags
}

func qtShowFlags(id identity) []string {
	return []string{"--cert", id.certFile, "--key", id.keyFile}
}

func (s scenario) qtServerFlags(p *pki) []string {
	flags := s.qtFlags()
	if s.psk {
		flags = append(flags, "--hint", pskHint)
	} else {
		flags = append(flags, qtShowFlags(s.serverIdentity(p))...)
	}
	if s.client {
		flags = append(flags, "--verify", "peer", "--ca", p.ca.file)
	}
	if !s.cookie {
		flags = append(flags, "--no-cookies")
	}
	return flags
}

func (s scenario) qtClientFlags(p *pki) []string {
	flags := s.qtFlags()
	if !s.psk {
		flags = append(flags, "--verify", "peer", "--ca", p.ca.file, "--name", "localhost")
	}
	if s.client {
		flags = append(flags, qtShowFlags(s.clientIdentity(p))...)
	}
	return flags
}

// qtSession returns the version, by OpenSSL's name, and the cipher suite that the Qt
// peer reports.
func qtSession(p *process) (version, suite string) {
	p.r.Helper()
	found := p.await(`^CONNECTED peer=\S+ protocol=(\S+) cipher=(\S+)$`)
	return strings.TrimSuffix(found[1], ".0"), found[2]
}

// awaitCertificate waits for the Qt peer's report of the certificate it was shown.
func awaitCertificate(p *process, id identity) {
	p.r.Helper()
	digest := sha256.Sum256(id.Certificate.Certificate[0])
	p.await(fmt.Sprintf(`^CERTIFICATE peer=\S+ sha256=%x cn="%s"$`, digest, id.Leaf.Subject.CommonName))
}

// awaitMessage waits for the Qt peer's report of a message from us.
func awaitMessage(p *process, text string) {
	p.r.Helper()
	p.await(`^MESSAGE peer=\S+ hex=` + hex.EncodeToString([]byte(text)) + `$`)
}

// awaitHello checks what Qt's verifier says to the first datagram, which is peer's.
func awaitHello(p *process, peer netip.AddrPort, verified bool) {
	p.r.Helper()
	found := p.await(`^HELLO peer=(\S+) verified=(\S+)$`)
	require.Equal(p.r, []string{peer.String(), strconv.FormatBool(verified)}, found[1:], "what Qt's verifier says first")
}

// qtErrors matches the Qt peer's reports of errors.
const qtErrors = `^(VERIFY-)?ERROR.*`

// awaitVerifyError waits until the Qt peer objects to our certificate.
func awaitVerifyError(p *process, text string) {
	p.r.Helper()
	p.await(`^VERIFY-ERROR peer=\S+ code=\d+ text=".*` + regexp.QuoteMeta(text) + `.*"$`)
}
