package dtls

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestExportKeyingMaterial(t *testing.T) {
	p := newCertPair(t)
	_, err := p.client.ExportKeyingMaterial("EXPERIMENTAL test", nil, 32)
	assertError(t, err, ErrInvalidOperation)
	p.mustShake()
	seen := map[string]bool{}
	for _, label := range []string{"EXPERIMENTAL test", "EXPERIMENTAL other"} {
		for _, context := range [][]byte{nil, {}, []byte("context")} {
			client, err := p.client.ExportKeyingMaterial(label, context, 60)
			require.NoError(t, err)
			server, err := p.server.ExportKeyingMaterial(label, context, 60)
			require.NoError(t, err)
			assert.Equal(t, client, server)
			assert.Len(t, client, 60)
			assert.False(t, seen[string(client)], "%q %q: its own", label, context)
			seen[string(client)] = true
		}
	}
	for _, length := range []int{0, -1, 1 << 20} {
		_, err = p.client.ExportKeyingMaterial("EXPERIMENTAL test", nil, length)
		assertError(t, err, ErrInvalidInputParameters)
	}
	_, err = p.client.ExportKeyingMaterial("master secret", nil, 32)
	assertError(t, err, ErrInvalidInputParameters) // reserved: RFC 5705 §4
	p.echo("still there")
}

func TestSRTP(t *testing.T) {
	client, server := certConfigs(t)
	client.SRTPProfiles = []string{"SRTP_AES128_CM_SHA1_80", "SRTP_AEAD_AES_128_GCM"}
	server.SRTPProfiles = []string{"SRTP_AEAD_AES_128_GCM"}
	p := newPair(t, client, server)
	assert.Empty(t, p.client.SRTPProfile())
	p.mustShake()
	assert.Equal(t, "SRTP_AEAD_AES_128_GCM", p.client.SRTPProfile())
	assert.Equal(t, "SRTP_AEAD_AES_128_GCM", p.server.SRTPProfile())
	p = newCertPair(t).mustShake()
	assert.Empty(t, p.client.SRTPProfile())
}

// The secret in the log is the session's: it decrypts nothing here, but it is the same on
// both sides, and it is there once.
func TestKeyLog(t *testing.T) {
	client, server := certConfigs(t)
	var clientLog, serverLog bytes.Buffer
	client.KeyLogWriter, server.KeyLogWriter = &clientLog, &serverLog
	newPair(t, client, server).mustShake().echo("in the clear for whoever has the log")
	assert.Regexp(t, regexp.MustCompile(`^CLIENT_RANDOM [0-9a-fA-F]{64} [0-9a-fA-F]{96}\n$`), clientLog.String())
	assert.Equal(t, clientLog.String(), serverLog.String())
	var random, secret string
	_, err := fmt.Sscanf(clientLog.String(), "CLIENT_RANDOM %s %s", &random, &secret)
	require.NoError(t, err)
	master, err := hex.DecodeString(secret)
	require.NoError(t, err)
	assert.NotEqual(t, make([]byte, 48), master)
}
