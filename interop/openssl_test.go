//go:build interop

package interop

import (
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"net/netip"
	"os/exec"
	"strconv"
	"strings"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// startOpenSSL runs a command of the openssl program.
func startOpenSSL(r *row, command string, flags ...string) *process {
	r.Helper()
	path, err := exec.LookPath("openssl")
	if err != nil {
		r.Fatalf("the openssl command is missing: %v", err)
	}
	return start(r, path, command, flags...)
}

// opensslName returns the name of a peer for the table, with the scenario's version.
func (s scenario) opensslName(name string) string {
	if s.dtls10 {
		return strings.Replace(name, "-dtls1_2", "-dtls1", 1)
	}
	return name
}

// opensslFlags returns the flags that s_server and s_client have in common.
func (s scenario) opensslFlags() []string {
	flags := []string{"-state"} // names the alerts
	if s.dtls10 {
		flags = append(flags, "-dtls1")
	} else {
		flags = append(flags, "-dtls1_2")
	}
	if list := s.cipherList(); list != "" {
		flags = append(flags, "-cipher", list)
	}
	if s.mtu > 0 {
		flags = append(flags, "-mtu", strconv.Itoa(s.mtu))
	}
	if s.psk {
		flags = append(flags, "-psk", pskHex(), "-psk_identity", pskIdentity)
	}
	return flags
}

func showFlags(id identity) []string {
	flags := []string{"-cert", id.certFile, "-key", id.keyFile}
	if len(id.Certificate.Certificate) > 1 {
		flags = append(flags, "-cert_chain", id.chainFile)
	}
	return flags
}

func (s scenario) sServerFlags(p *pki) []string {
	flags := s.opensslFlags()
	if s.psk {
		flags = append(flags, "-nocert", "-psk_hint", pskHint)
	} else {
		flags = append(flags, showFlags(s.serverIdentity(p))...)
	}
	if s.client {
		flags = append(flags, "-CAfile", p.ca.file, "-Verify", "3", "-verify_return_error")
	}
	if s.alpn {
		flags = append(flags, "-alpn", strings.Join(serverProtos, ","))
	}
	return flags
}

func (s scenario) sClientFlags(p *pki) []string {
	flags := s.opensslFlags()
	if !s.psk {
		flags = append(flags, "-CAfile", p.ca.file, "-verify", "3", "-verify_return_error",
			"-servername", "localhost", "-verify_hostname", "localhost")
	}
	if s.client {
		flags = append(flags, showFlags(s.clientIdentity(p))...)
	}
	if s.alpn {
		flags = append(flags, "-alpn", strings.Join(clientProtos, ","))
	}
	return flags
}

// sServer runs openssl s_server on a port of its own, for one client unless the flags
// say otherwise.
func sServer(r *row, loopback netip.Addr, flags ...string) (*process, netip.AddrPort) {
	r.Helper()
	addr := freePort(r, loopback)
	server := startOpenSSL(r, "s_server", append([]string{"-accept", addr.String(), "-naccept", "1"}, flags...)...)
	server.await(`^ACCEPT`)
	return server, addr
}

// sClient runs openssl s_client.
func sClient(r *row, server netip.AddrPort, flags ...string) *process {
	r.Helper()
	return startOpenSSL(r, "s_client", append([]string{"-connect", server.String()}, flags...)...)
}

// sServerSession returns the version and the cipher suite that s_server reports. It
// has no words for the version, but prints the session: an SSL_SESSION of OpenSSL's.
func sServerSession(p *process) (version, suite string) {
	p.r.Helper()
	suite = p.await(`^CIPHER is (\S+)$`)[1]
	block, _ := pem.Decode([]byte(p.await(`(?s)^(-----BEGIN SSL SESSION PARAMETERS-----$.*^-----END SSL SESSION PARAMETERS-----\n)`)[1]))
	require.NotNil(p.r, block)
	var session struct {
		Format, Version int
		Suite           []byte
	}
	_, err := asn1.Unmarshal(block.Bytes, &session)
	require.NoError(p.r, err)
	switch session.Version {
	case dtls.VersionDTLS10:
		return "DTLSv1", suite
	case dtls.VersionDTLS12:
		return "DTLSv1.2", suite
	}
	return fmt.Sprintf("%#x", session.Version), suite
}

// sClientSession returns the version and the cipher suite that s_client reports.
func sClientSession(p *process) (version, suite string) {
	p.r.Helper()
	version = p.await(`^ *Protocol *: (\S+)$`)[1]
	return version, p.await(`^ *Cipher *: (\S+)$`)[1]
}

// converse sends lines both ways between our side and an s_server or s_client: short
// ones and, from us, one that fills a datagram.
func converse(e side, p *process) {
	p.r.Helper()
	for _, line := range []string{"one from us", "two from us", strings.Repeat("x", e.fill()-1)} {
		e.send(line + "\n")
		p.await("^" + line + "$")
	}
	for _, line := range []string{"one from the peer", "two from the peer"} {
		p.say(line)
		e.expect(line + "\n")
	}
}
