package dtls

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"
)

// holder is a socket that keeps the last datagram.
type holder struct{ datagram []byte }

func (h *holder) WriteToUDPAddrPort(b []byte, _ netip.AddrPort) (int, error) {
	h.datagram = append(h.datagram[:0], b...)
	return len(b), nil
}

// One datagram is encrypted by the client and decrypted by the server.
func BenchmarkAssociation(b *testing.B) {
	for _, size := range []int{64, 256, 1200} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			client, server := certConfigs(b)
			client.CipherList = "ECDHE-ECDSA-AES128-GCM-SHA256"
			p := newPair(b, client, server).mustShake()
			payload := make([]byte, size)
			var sock holder
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				if _, err := p.client.WriteDatagramEncrypted(&sock, payload); err != nil {
					b.Fatal(err)
				}
				got, err := p.server.DecryptDatagram(&sock, sock.datagram)
				if err != nil || len(got) != 1 {
					b.Fatal(err, len(got))
				}
			}
		})
	}
}

// A whole handshake of both ends, the cookie included.
func BenchmarkHandshake(b *testing.B) {
	certClient, certServer := certConfigs(b)
	pskClient, pskServer := pskConfigs()
	pskClient.CipherList = "PSK-AES128-GCM-SHA256"
	for _, test := range []struct {
		name           string
		client, server *Config
	}{{"ECDSA P-256", certClient, certServer}, {"PSK", pskClient, pskServer}} {
		b.Run(test.name, func(b *testing.B) {
			p := newPair(b, test.client, test.server)
			b.ReportAllocs()
			for b.Loop() {
				p.mustShake()
				require.NoError(b, p.client.Shutdown(&p.fromClient))
				require.NoError(b, p.server.Shutdown(&p.fromServer))
				p.fromClient.Take()
				p.fromServer.Take()
			}
		})
	}
}
