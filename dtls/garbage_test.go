package dtls

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// junk returns datagrams that a stranger may send: random bytes, records with random
// bodies, what was cut on the way, what came before, and what belongs to another
// association.
func junk(rng *rand.Rand, real []byte, seen, foreign [][]byte) [][]byte {
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	var all [][]byte
	for _, n := range []int{1, 12, 13, 14, 25, 60, 300, 1500, 9000} {
		all = append(all, random(n))
	}
	for range 40 {
		body := random(rng.IntN(80))
		epoch := byte(rng.IntN(3))
		contentType := byte(rng.IntN(256))
		if rng.IntN(2) == 0 {
			contentType = byte(20 + rng.IntN(5))
		}
		if epoch == 0 && (contentType == 21 || contentType == 22) {
			continue // may be valid, and nobody can tell: epoch 0 is not authenticated
		}
		header := []byte{contentType, 0xfe, 0xfd, 0, epoch, 0, 0, 0, 0, 0, byte(rng.IntN(20)), 0, byte(len(body))}
		all = append(all, append(header, body...))
	}
	// Malformed handshake messages, alerts and others of epoch 0.
	epoch0 := func(contentType byte, body ...byte) []byte {
		return append([]byte{contentType, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, byte(len(body))}, body...)
	}
	all = append(all,
		epoch0(22, 1, 2, 3),
		epoch0(22, 2, 0, 0, 9, 0, 2, 0, 0, 8, 0, 0, 8),
		epoch0(21, 2),
		epoch0(21, 9, 40),
		epoch0(21, 1, 112), // a warning: unrecognized_name
		epoch0(21, 1, 0),   // close_notify
		epoch0(20, 1, 1),
		epoch0(23, 1, 1),
		epoch0(24, 1, 0, 200),
	)
	for range 5 {
		if cut := real[:rng.IntN(len(real))]; len(cut) > 0 {
			all = append(all, cut)
		}
	}
	all = append(all, seen...)
	return append(all, foreign...)
}

// At every step of a handshake, and after it, each side gets all of that before what
// the peer has really sent. The handshake completes, and the association works.
func TestJunkAtEveryStep(t *testing.T) {
	foreign := newCertPair(t).mustShake()
	for range 3 {
		_, err := foreign.client.WriteDatagramEncrypted(&foreign.fromClient, []byte("foreign"))
		require.NoError(t, err)
	}
	require.NoError(t, foreign.client.Shutdown(&foreign.fromClient))
	encrypted := foreign.fromClient.Take() // of another association

	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			p := newCertPair(t)
			if seed%2 == 1 {
				p = newPSKPair(t)
			}
			var up, down [][]byte
			require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
			for {
				u, d := p.fromClient.Take(), p.fromServer.Take()
				if len(u)+len(d) == 0 {
					break
				}
				for _, datagram := range u {
					for _, j := range junk(rng, datagram, up, encrypted) {
						require.NoError(t, p.toServer(j), "%x", j)
					}
					require.NoError(t, p.toServer(datagram))
					up = append(up, datagram)
				}
				for _, datagram := range d {
					for _, j := range junk(rng, datagram, down, encrypted) {
						require.NoError(t, p.toClient(j), "%x", j)
					}
					require.NoError(t, p.toClient(datagram))
					down = append(down, datagram)
				}
				require.Less(t, p.fromClient.Count+p.fromServer.Count, 2000, "an answer to every piece of junk")
			}
			require.Equal(t, HandshakeComplete, p.client.HandshakeState())
			require.Equal(t, HandshakeComplete, p.server.HandshakeState())
			p.echo("after the junk")
			p.everythingOfAnother(rng, append(up, down...), encrypted)
		})
	}
}

// everythingOfAnother gives both sides of a good association all that another one has
// ever sent, and forged alerts.
func (p *pair) everythingOfAnother(rng *rand.Rand, seen, encrypted [][]byte) {
	p.t.Helper()
	whole := newCertPair(p.t)
	require.NoError(p.t, whole.client.DoHandshake(&whole.fromClient, nil))
	theirs := append([][]byte{
		{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, 9, 0, 2, 2, 40}, // a fatal alert
		{21, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 9, 10, 0, 2, 1, 0}, // close_notify
	}, encrypted...)
	for u, d := whole.fromClient.Take(), whole.fromServer.Take(); len(u)+len(d) > 0; u, d = whole.fromClient.Take(), whole.fromServer.Take() {
		theirs = append(append(theirs, u...), d...)
		_, _ = whole.deliver(u, d)
	}
	for _, j := range junk(rng, theirs[len(theirs)-1], seen, theirs) {
		for _, a := range []*Association{p.client, p.server} {
			got, err := a.DecryptDatagram(&p.fromClient, j)
			require.NoError(p.t, err, "%x", j)
			assert.Empty(p.t, got)
		}
	}
	p.fromClient.Take()
	p.echo("a good association goes on")
}

// FuzzDatagram gives arbitrary datagrams to both sides at a step that the first byte
// chooses: no crash, no hang, and the operation's outcome fits the state.
func FuzzDatagram(f *testing.F) {
	p := newCertPair(f)
	require.NoError(f, p.client.DoHandshake(&p.fromClient, nil))
	step := byte(0)
	for u, d := p.fromClient.Take(), p.fromServer.Take(); len(u)+len(d) > 0; u, d = p.fromClient.Take(), p.fromServer.Take() {
		for _, datagram := range append(u, d...) {
			f.Add(step, datagram)
		}
		_, _ = p.deliver(u, d)
		step++
	}
	client, server := certConfigs(f)
	f.Fuzz(func(t *testing.T, step byte, datagram []byte) {
		p := newPair(t, client, server)
		require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
		for range step % 8 {
			_, _ = p.deliver(p.fromClient.Take(), p.fromServer.Take())
		}
		for _, a := range []*Association{p.client, p.server} {
			before := a.HandshakeState()
			var err error
			switch {
			case len(datagram) == 0:
				continue
			case before == HandshakeComplete:
				_, err = a.DecryptDatagram(&p.fromClient, datagram)
				require.NoError(t, err, "nothing that is not authenticated ends an association")
			case before == HandshakeInProgress || a.Mode() == ServerMode:
				err = a.DoHandshake(&p.fromClient, datagram)
			}
			if err != nil {
				want := HandshakeNotStarted
				if errors.Is(err, ErrPeerVerification) {
					want = PeerVerificationFailed // a whole flight of another server
				}
				require.Equal(t, want, a.HandshakeState(), err.Error())
			}
		}
	})
}
