package openssl

import (
	"fmt"
	"testing"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

func BenchmarkEncryptDecrypt(b *testing.B) {
	for _, size := range []int{64, 256, 1200} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			client, server := certPair(b, "ECDHE-ECDSA-AES128-GCM-SHA256")
			payload := make([]byte, size)
			var wire, plain, out Datagrams
			b.ReportAllocs()
			b.SetBytes(int64(size))
			for b.Loop() {
				wire.Reset()
				plain.Reset()
				if err := client.Write(payload, &wire); err != nil {
					b.Fatal(err)
				}
				if err := server.Read(wire.At(0), &plain, &out); err != nil || plain.Len() != 1 {
					b.Fatal(err, plain.Len())
				}
			}
		})
	}
}

func BenchmarkHandshake(b *testing.B) {
	ca := certtest.NewCA(b, "root")
	for _, test := range []struct {
		name string
		leaf certtest.Leaf
	}{{"ECDSA P-256", certtest.Leaf{}}, {"RSA-2048", certtest.Leaf{RSA: true}}} {
		b.Run(test.name, func(b *testing.B) {
			clientCtx := ctxOf(b, false, withRoot(b, ca, VerifyStrict))
			serverCtx := ctxOf(b, true, withCertificate(b, ca, test.leaf))
			b.ReportAllocs()
			for b.Loop() {
				client, err := NewSSL(clientCtx, nil)
				if err != nil {
					b.Fatal(err)
				}
				server, err := NewSSL(serverCtx, nil)
				if err != nil {
					b.Fatal(err)
				}
				clientErr, serverErr := shake(client, server)
				if clientErr != nil || serverErr != nil || !client.HandshakeDone() || !server.HandshakeDone() {
					b.Fatal(clientErr, serverErr)
				}
				client.Close()
				server.Close()
			}
		})
	}
}
