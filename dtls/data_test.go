package dtls

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

func TestSeveralRecordsInOneDatagram(t *testing.T) {
	p := newCertPair(t).mustShake()
	var datagram []byte
	large := make([]byte, MaxPayload)
	large[0] = 7
	for _, payload := range [][]byte{[]byte("one"), large, large, large, []byte("five")} {
		_, err := p.client.WriteDatagramEncrypted(&p.fromClient, payload)
		require.NoError(t, err)
		datagram = append(datagram, p.fromClient.Take()[0]...)
	}
	got, err := p.server.DecryptDatagram(&p.fromServer, datagram)
	require.NoError(t, err)
	require.Len(t, got, 5)
	assert.Equal(t, "one", string(got[0]))
	for _, payload := range got[1:4] {
		assert.Equal(t, large, payload)
	}
	assert.Equal(t, "five", string(got[4]))
	// The answer to each may be sent while the others are still to be read.
	_, err = p.server.WriteDatagramEncrypted(&p.fromServer, got[0])
	require.NoError(t, err)
	assert.Equal(t, "five", string(got[4]))

	got, err = p.server.DecryptDatagram(&p.fromServer, datagram)
	require.NoError(t, err)
	assert.Empty(t, got, "a repeated datagram is not delivered twice")
}

// What comes in one datagram with the end of the handshake is not lost.
func TestDataInTheLastDatagramOfTheHandshake(t *testing.T) {
	p := newCertPair(t)
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	for p.server.HandshakeState() != HandshakeComplete {
		_, _ = p.deliver(p.fromClient.Take(), nil)
		if p.server.HandshakeState() != HandshakeComplete {
			_, _ = p.deliver(nil, p.fromServer.Take())
		}
	}
	_, err := p.server.WriteDatagramEncrypted(&p.fromServer, []byte("early"))
	require.NoError(t, err)
	var last []byte
	for _, d := range p.fromServer.Take() {
		last = append(last, d...)
	}
	require.NoError(t, p.client.DoHandshake(&p.fromClient, last))
	require.Equal(t, HandshakeComplete, p.client.HandshakeState())
	got, err := p.client.DecryptDatagram(&p.fromClient, nil)
	require.NoError(t, err)
	require.Len(t, got, 1)
	assert.Equal(t, "early", string(got[0]))
	got, err = p.client.DecryptDatagram(&p.fromClient, nil)
	require.NoError(t, err)
	assert.Empty(t, got)
}

func TestHandshakeDatagramsKeepToTheMTU(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	inner := ca.Intermediate(t, "intermediate", 6000)
	for _, suite := range []string{"ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES256-SHA384", "ECDHE-ECDSA-CHACHA20-POLY1305"} {
		client := &Config{RootCAs: poolOf(ca), CipherList: suite}
		server := &Config{ClientCAs: poolOf(ca), PeerVerifyMode: VerifyPeer, CipherList: suite, DisableCookieVerification: true}
		client.Certificates = append(client.Certificates, inner.Issue(t, certtest.Leaf{Name: "client"}))
		server.Certificates = append(server.Certificates, inner.Issue(t, certtest.Leaf{}))
		for _, mtu := range []int{1, 320, 400, 576, 1280, 1500, 4000, 9000} {
			for headers, addr := range map[int]string{28: "192.0.2.9:1", 48: "[2001:db8::9]:1"} {
				p := newPair(t, client, server)
				for _, a := range []*Association{p.client, p.server} {
					require.NoError(t, a.SetPeer(netip.MustParseAddrPort(addr), a.PeerVerificationName()))
					a.SetMTUHint(mtu)
				}
				p.mustShake()
				limit := min(max(mtu, 320), 4096+48) - headers
				assert.LessOrEqual(t, p.fromClient.Max, limit, "client, MTU %d, %s", mtu, suite)
				assert.LessOrEqual(t, p.fromServer.Max, limit, "server, MTU %d, %s", mtu, suite)
				// MaxDatagramSize fits, and a byte more does not.
				packet := max(mtu, 320) - headers
				for more, fits := range map[int]bool{0: true, 1: false} {
					sent := p.fromClient.Bytes
					_, err := p.client.WriteDatagramEncrypted(&p.fromClient, make([]byte, p.client.MaxDatagramSize()+more))
					require.NoError(t, err)
					assert.Equal(t, fits, p.fromClient.Bytes-sent <= packet, "%d more, MTU %d, %s", more, mtu, suite)
				}
			}
		}
	}
}
