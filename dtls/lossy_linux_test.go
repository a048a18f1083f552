package dtls

import (
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/internal/certtest"
	"github.com/ossldtls/ossldtls/internal/dgramtest"
	"github.com/ossldtls/ossldtls/internal/faketime"
)

// carryWithTimers moves datagrams until both sides are complete and silent. When
// nothing is under way it lets the retransmission timers run out.
func (p *pair) carryWithTimers() {
	p.t.Helper()
	for timeouts := 0; ; {
		clientErr, serverErr := p.carry()
		require.NoError(p.t, clientErr)
		require.NoError(p.t, serverErr)
		if p.client.HandshakeState() == HandshakeComplete && p.server.HandshakeState() == HandshakeComplete {
			return
		}
		timeouts++
		require.Less(p.t, timeouts, 8, "the handshake does not get on")
		p.runTimersOut()
	}
}

// runTimersOut makes both retransmission timers due and handles them.
func (p *pair) runTimersOut() {
	p.t.Helper()
	faketime.Advance(10 * time.Second)
	if p.client.HandshakeState() == HandshakeInProgress {
		_, err := p.client.HandleTimeout(&p.fromClient)
		require.NoError(p.t, err)
	}
	if p.server.HandshakeState() == HandshakeInProgress {
		_, err := p.server.HandleTimeout(&p.fromServer)
		require.NoError(p.t, err)
	}
}

// harms are what a network may do to the datagram number at of one side, RFC 6347 §3.2.
var harms = []struct {
	name  string
	apply func(end *dgramtest.End, at int)
}{
	{"lost", func(end *dgramtest.End, at int) {
		end.Script = func(n int, d []byte) [][]byte {
			if n == at {
				return nil
			}
			return [][]byte{d}
		}
	}},
	{"lost with the next", func(end *dgramtest.End, at int) {
		end.Script = func(n int, d []byte) [][]byte {
			if n == at || n == at+1 {
				return nil
			}
			return [][]byte{d}
		}
	}},
	{"doubled", func(end *dgramtest.End, at int) {
		end.Script = func(n int, d []byte) [][]byte {
			if n == at {
				return [][]byte{d, slices.Clone(d)}
			}
			return [][]byte{d}
		}
	}},
	{"swapped with the next", func(end *dgramtest.End, at int) {
		var held [][]byte
		end.Script = func(n int, d []byte) [][]byte {
			switch n {
			case at:
				held = [][]byte{d}
				return nil
			case at + 1:
				return append([][]byte{d}, held...)
			}
			return [][]byte{d}
		}
	}},
}

// Every single datagram of a handshake, in either direction, is harmed in every way.
func TestHandshakeSurvivesTheNetwork(t *testing.T) {
	certClient, certServer := certConfigs(t)
	longClient, longServer := longFlights(t)
	pskClient, pskServer := pskConfigs()
	for _, kind := range []struct {
		name           string
		client, server *Config
	}{{"certificate", certClient, certServer}, {"long flights", longClient, longServer}, {"psk", pskClient, pskServer}} {
		clean := newPair(t, kind.client, kind.server).mustShake()
		counts := map[string]int{"client": clean.fromClient.Count, "server": clean.fromServer.Count}
		if kind.name == "long flights" {
			require.Greater(t, counts["client"], 4, "the flights are not long")
			require.Greater(t, counts["server"], 4, "the flights are not long")
		}
		for _, h := range harms {
			for side, count := range counts {
				for at := range count {
					t.Run(fmt.Sprintf("%s/%s %d of the %s", kind.name, h.name, at, side), func(t *testing.T) {
						p := newPair(t, kind.client, kind.server)
						end := &p.fromClient
						if side == "server" {
							end = &p.fromServer
						}
						h.apply(end, at)
						require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
						p.carryWithTimers()
						assert.Greater(t, end.Count, at, "the datagram that was to be harmed was never sent")
						p.echo("after the harm")
					})
				}
			}
		}
	}
}

// Every whole flight, in either direction, is lost, doubled, or arrives backwards.
func TestHandshakeSurvivesTheLossOfFlights(t *testing.T) {
	client, server := longFlights(t)
	for name, harm := range map[string]func(flight [][]byte) [][]byte{
		"lost":      func([][]byte) [][]byte { return nil },
		"doubled":   func(flight [][]byte) [][]byte { return append(flight, flight...) },
		"backwards": func(flight [][]byte) [][]byte { slices.Reverse(flight); return flight },
	} {
		for at := 0; ; at++ {
			p := newPair(t, client, server)
			flights := 0
			carry := func(end *dgramtest.End) [][]byte {
				flight := end.Take()
				if len(flight) == 0 {
					return nil
				}
				flights++
				if flights == at+1 {
					return harm(flight)
				}
				return flight
			}
			require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
			for timeouts := 0; p.client.HandshakeState() != HandshakeComplete || p.server.HandshakeState() != HandshakeComplete; {
				before := flights
				clientErr, serverErr := p.deliver(carry(&p.fromClient), carry(&p.fromServer))
				require.NoError(t, errors.Join(clientErr, serverErr), "%s, flight %d", name, at)
				if flights == before {
					timeouts++
					require.Less(t, timeouts, 8, "%s, flight %d: the handshake does not get on", name, at)
					p.runTimersOut()
				}
			}
			p.fromClient.Take()
			p.fromServer.Take()
			p.echo("after the harm")
			if flights <= at {
				require.GreaterOrEqual(t, at, 6, "six flights with the cookie's")
				break
			}
		}
	}
}

// A path that carries nothing larger than 576 bytes: RFC 6347 §4.1.1.1.
func TestSmallerFragmentsAfterTwoTimeouts(t *testing.T) {
	client, server := longFlights(t)
	p := newPair(t, client, server)
	small := func(_ int, d []byte) [][]byte {
		if len(d) > 548 {
			return nil
		}
		return [][]byte{d}
	}
	p.fromClient.Script, p.fromServer.Script = small, small
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	p.carryWithTimers()
	p.echo("through the small path")
}

func TestTimerSendsTheFlightAgain(t *testing.T) {
	p := newCertPair(t)
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	require.Len(t, p.fromClient.Take(), 1)
	again, err := p.client.HandleTimeout(&p.fromClient)
	require.NoError(t, err)
	assert.False(t, again, "not due yet")
	assert.Empty(t, p.fromClient.Take())

	faketime.Advance(1100 * time.Millisecond)
	again, err = p.client.HandleTimeout(&p.fromClient)
	require.NoError(t, err)
	assert.True(t, again)
	assert.Len(t, p.fromClient.Take(), 1)
}

// OpenSSL gives up at the 13th timeout, and Qt does not notice.
func TestTooManyTimeoutsAreFatal(t *testing.T) {
	client, server := certConfigs(t)
	client.HandshakeTimeout = -1
	p := newPair(t, client, server)
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	var err error
	for n := 0; err == nil; n++ {
		require.Less(t, n, 20, "OpenSSL never gives up")
		faketime.Advance(61 * time.Second)
		_, err = p.client.HandleTimeout(&p.fromClient)
	}
	assertError(t, err, ErrTLSFatal)
	assert.Contains(t, err.Error(), "read timeout expired")
	assert.Equal(t, HandshakeNotStarted, p.client.HandshakeState())
}

func TestRetransmissionTimeoutDoubles(t *testing.T) {
	client, server := certConfigs(t)
	client.RetransmissionTimeout = 10 * time.Minute // as long as it can be: a minute
	client.HandshakeTimeout = -1
	p := newPair(t, client, server)
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	again, err := p.client.HandleTimeout(&p.fromClient)
	require.NoError(t, err)
	assert.False(t, again)
	faketime.Advance(time.Minute)
	again, err = p.client.HandleTimeout(&p.fromClient)
	require.NoError(t, err)
	assert.True(t, again)

	client = client.Clone()
	client.RetransmissionTimeout = 20 * time.Second
	p = newPair(t, client, server)
	require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
	// 20 s, 40 s, and then never more than 60 s: 10 s less is too early each time.
	for _, wait := range []time.Duration{20 * time.Second, 40 * time.Second, time.Minute, time.Minute} {
		faketime.Advance(wait - 10*time.Second)
		again, err = p.client.HandleTimeout(&p.fromClient)
		require.NoError(t, err)
		assert.False(t, again, "%v", wait)
		faketime.Advance(10 * time.Second)
		again, err = p.client.HandleTimeout(&p.fromClient)
		require.NoError(t, err)
		assert.True(t, again, "%v", wait)
	}
}

// Every datagram of an abbreviated handshake, whose last flight is the client's.
func TestResumptionSurvivesTheNetwork(t *testing.T) {
	client, server := withCache(longFlights(t))
	newPair(t, client, server).mustShake()
	clean := requireResumed(t, client, server, true, "clean")
	counts := map[string]int{"client": 3, "server": 2}
	require.GreaterOrEqual(t, clean.fromClient.Count, counts["client"])
	require.GreaterOrEqual(t, clean.fromServer.Count, counts["server"])
	for _, h := range harms {
		for side, count := range counts {
			for at := range count {
				t.Run(fmt.Sprintf("%s %d of the %s", h.name, at, side), func(t *testing.T) {
					p := newPair(t, client, server)
					end := &p.fromClient
					if side == "server" {
						end = &p.fromServer
					}
					h.apply(end, at)
					require.NoError(t, p.client.DoHandshake(&p.fromClient, nil))
					p.carryWithTimers()
					assert.True(t, p.client.SessionResumed())
					assert.True(t, p.server.SessionResumed())
					p.fromClient.Script, p.fromServer.Script = nil, nil
					p.echo("after the harm")
				})
			}
		}
	}
}

// A certificate that was good when the session was made, and has expired since, is
// looked at again, by both sides.
func TestExpiredSinceIsNotResumed(t *testing.T) {
	ca := certtest.NewCA(t, "root")
	leaf := certtest.Leaf{Name: "localhost", Valid: time.Hour}
	inner := ca.ShortLived(t, "intermediate", time.Hour)
	for _, test := range []struct {
		side    string
		expires tls.Certificate
	}{
		{"client", ca.Issue(t, leaf)}, {"client", inner.Issue(t, certtest.Leaf{})},
		{"server", ca.Issue(t, leaf)}, {"server", inner.Issue(t, certtest.Leaf{})},
	} {
		client, server := withCache(mutual(t, ca))
		if test.side == "client" {
			client.Certificates = []tls.Certificate{test.expires}
		} else {
			server.Certificates = []tls.Certificate{test.expires}
		}
		newPair(t, client, server).mustShake()
		requireResumed(t, client, server, true, "while it is valid")
		func() {
			faketime.TurnCalendar(61 * time.Minute)
			defer faketime.TurnCalendar(-61 * time.Minute)
			p := newPair(t, client, server)
			clientErr, serverErr := p.shake()
			if test.side == "client" {
				require.NoError(t, clientErr)
				assertError(t, serverErr, ErrPeerVerification)
				assert.Equal(t, []int{codeExpired}, codesOf(p.server.PeerVerificationErrors()))
			} else {
				require.NoError(t, serverErr)
				assertError(t, clientErr, ErrPeerVerification)
				assert.Equal(t, []int{codeExpired}, codesOf(p.client.PeerVerificationErrors()))
			}
		}()
	}
}
