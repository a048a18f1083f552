package openssl

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
)

// epochs returns the epochs of all records.
func epochs(datagrams Datagrams) (all []int) {
	for d := range datagrams.All() {
		for len(d) > 0 {
			all = append(all, int(binary.BigEndian.Uint16(d[3:])))
			d = d[13+int(binary.BigEndian.Uint16(d[11:])):]
		}
	}
	return all
}

// Each side, in full handshakes and in resumed ones, looks at its peer when its own first
// record of epoch 1 is there and nothing of it has been sent yet: it knows the cipher suite and
// the certificate, and can go on, or give up with an alert that the peer understands.
func TestDecisionBeforeFinished(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	tickets := (*CtxBuilder).EnableSessionTickets
	clientCtx := ctxOf(t, false, tickets, withRoot(t, ca, VerifyStrict), withCertificate(t, ca, certtest.Leaf{Name: "client"}))
	serverCtx := ctxOf(t, true, tickets, withCertificate(t, ca, certtest.Leaf{}), withRoot(t, ca, VerifyRequire))
	var session *Session
	for _, resumed := range []bool{false, true} {
		for _, decider := range []string{"client", "server"} {
			for _, accepted := range []bool{true, false} {
				name := fmt.Sprintf("resumed %v, %s, accepted %v", resumed, decider, accepted)
				ends := map[string]*SSL{"client": sslOf(t, clientCtx, nil), "server": sslOf(t, serverCtx, nil)}
				if resumed {
					require.NoError(t, ends["client"].SetSession(session))
				}
				sent := map[string]*Datagrams{"client": {}, "server": {}}
				decided := false
				step := func(who string, datagram []byte) error {
					s, out := ends[who], &Datagrams{}
					before := s.Protected()
					_, err := s.DoHandshake(datagram, out)
					if !before && s.Protected() && who == decider {
						decided = true
						assert.Contains(t, epochs(*out), 1, name)
						cipher, ok := s.CurrentCipher()
						assert.True(t, ok, name)
						assert.Equal(t, "ECDHE-ECDSA-AES256-GCM-SHA384", cipher.Name, name)
						assert.NotEmpty(t, s.PeerCertificateChain(), name)
						assert.True(t, s.PeerAuthenticated(), name)
						assert.Equal(t, resumed, s.SessionReused(), name)
						assert.Equal(t, (decider == "client") == resumed, s.HandshakeDone(), name)
						if !accepted {
							out.Reset()
							require.NoError(t, s.Abort(AlertBadCertificate, true, out))
							assert.Equal(t, []int{0}, epochs(*out), name)
						}
					} else if !s.Protected() {
						assert.NotContains(t, epochs(*out), 1, name)
					}
					for d := range out.All() {
						sent[who].Append(d)
					}
					return err
				}
				errs := map[string]error{"client": step("client", nil)}
				other := map[string]string{"client": "server", "server": "client"}
				for sent["client"].Len()+sent["server"].Len() > 0 {
					for from, to := range other {
						datagrams := sent[from]
						sent[from] = &Datagrams{}
						for d := range datagrams.All() {
							if errs[to] == nil && (accepted || to != decider || !decided) {
								errs[to] = step(to, d)
							}
						}
					}
				}
				require.True(t, decided, name)
				require.NoError(t, errs[decider], name)
				peer := ends[other[decider]]
				assert.Equal(t, accepted, peer.HandshakeDone(), name)
				if accepted {
					require.NoError(t, errs[other[decider]], name)
					assert.True(t, peer.Protected())
				} else {
					assert.ErrorContains(t, errs[other[decider]], "bad certificate", name)
					requireAlert(t, peer, AlertBadCertificate)
				}
				if session == nil {
					var err error
					session, err = ends["client"].Session()
					require.NoError(t, err)
				}
			}
		}
	}
}

// The cipher suite of a session that is only offered is none that is in use.
func TestCipherInMidHandshake(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	tickets := (*CtxBuilder).EnableSessionTickets
	clientCtx := ctxOf(t, false, tickets, withRoot(t, ca, VerifyStrict))
	serverCtx := ctxOf(t, true, tickets, withCertificate(t, ca, certtest.Leaf{}))
	first, server := sslOf(t, clientCtx, nil), sslOf(t, serverCtx, nil)
	var up, down Datagrams
	cipher := func(s *SSL) string {
		c, _ := s.CurrentCipher()
		return c.Name
	}
	require.NoError(t, second(first.DoHandshake(nil, &up)))
	assert.Empty(t, cipher(first))
	assert.Empty(t, cipher(server))
	require.NoError(t, second(server.DoHandshake(up.At(0), &down)))
	assert.Equal(t, "ECDHE-ECDSA-AES256-GCM-SHA384", cipher(server))
	assert.False(t, server.Protected())
	require.NoError(t, carry(first, server, Datagrams{}, down))
	assert.True(t, server.Protected())
	session, err := first.Session()
	require.NoError(t, err)

	again := sslOf(t, clientCtx, nil)
	require.NoError(t, again.SetSession(session))
	up.Reset()
	require.NoError(t, second(again.DoHandshake(nil, &up)))
	assert.Empty(t, cipher(again))
	assert.False(t, again.Protected())
	_, known := again.CurrentCipher()
	assert.False(t, known)
}
