package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
	"github.com/ossldtls/ossldtls/dtls"
	"github.com/ossldtls/ossldtls/verifier"
)

// Packet by packet: Associations as a program drives them that has a loop of its own, which
// is all that Qt's QDtls is made for. Both ends are in one thread, each with a socket on
// loopback, whoever takes part. What is sent there is to be read when the call returns, so
// that nobody waits, and a row is what the operations and the system calls cost. pion has
// no such interface.

// udpLot is how many datagrams are sent before they are received: few enough for any
// socket's buffer.
const udpLot = 32

// end is one side's socket.
type end struct {
	sock *net.UDPConn
	addr netip.AddrPort
	from netip.AddrPort // of what was received last
	sent int            // and not yet received by the other side
	buf  [2048]byte
}

func newEnd(address string) (*end, error) {
	sock, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.MustParseAddrPort(address)))
	if err != nil {
		return nil, err
	}
	return &end{sock: sock, addr: sock.LocalAddr().(*net.UDPAddr).AddrPort()}, nil
}

// WriteToUDPAddrPort makes an end what an Association sends by.
func (e *end) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	e.sent++
	return e.sock.WriteToUDPAddrPort(b, to)
}

// receive returns a datagram that the other side has sent, good until the next call.
func (e *end) receive(from *end) (b []byte, err error) {
	var n int
	from.sent--
	n, e.from, err = e.sock.ReadFromUDPAddrPort(e.buf[:])
	return e.buf[:n], err
}

// twoEnds are both.
type twoEnds struct{ client, server *end }

func newEnds() (e twoEnds, err error) {
	if e.client, err = newEnd("127.0.0.1:0"); err != nil {
		return e, err
	}
	e.server, err = newEnd("127.0.0.1:0")
	return e, err
}

// within makes a datagram that was lost an error, after all.
func (e twoEnds) within(d time.Duration) error {
	deadline := time.Now().Add(d + 5*time.Second)
	return errors.Join(e.client.sock.SetReadDeadline(deadline), e.server.sock.SetReadDeadline(deadline))
}

func (e twoEnds) close() {
	for _, one := range []*end{e.client, e.server} {
		if one != nil {
			_ = one.sock.Close()
		}
	}
}

// stepper does the steps of a datagram's way.
type stepper interface {
	send(payload []byte) error    // by the client
	receive() (n int, err error)  // by the server
	sendBack() (n int, err error) // by the server, what it has received last; received by the client
	within(d time.Duration) error // the time that all of it may take
	close()
}

// plainSteps is sockets without DTLS.
type plainSteps struct {
	twoEnds
	last []byte
}

func newPlainSteps() (stepper, error) {
	e, err := newEnds()
	return &plainSteps{twoEnds: e}, err
}

func (p *plainSteps) send(payload []byte) error {
	_, err := p.client.WriteToUDPAddrPort(payload, p.server.addr)
	return err
}

func (p *plainSteps) receive() (n int, err error) {
	p.last, err = p.server.receive(p.client)
	return len(p.last), err
}

func (p *plainSteps) sendBack() (int, error) {
	if _, err := p.server.WriteToUDPAddrPort(p.last, p.server.from); err != nil {
		return 0, err
	}
	b, err := p.client.receive(p.server)
	return len(b), err
}

// udpPair is both ends of an association of this library.
type udpPair struct {
	twoEnds
	clientCfg, serverCfg   *dtls.Config
	verify                 *verifier.ClientVerifier
	up, down               *dtls.Association // the client, the server
	last                   []byte
	clientTime, serverTime time.Duration // in shake
}

func newUDPPair(ids *identities, k kind) (*udpPair, error) {
	p := &udpPair{}
	var err error
	if p.clientCfg, p.serverCfg, err = osslConfigs(ids, k); err != nil {
		return nil, err
	}
	if p.verify, err = verifier.New(); err != nil {
		return nil, err
	}
	if p.twoEnds, err = newEnds(); err == nil {
		err = errors.Join(p.within(0), p.shake())
	}
	if err == nil && p.up.SessionCipher().StandardName != k.suite.pion.String() {
		err = fmt.Errorf("the suite is %s", p.up.SessionCipher().StandardName)
	}
	return p, err
}

func (p *udpPair) close() {
	p.drop()
	_ = p.verify.Close()
	p.twoEnds.close()
}

func (p *udpPair) drop() {
	for _, a := range []*dtls.Association{p.up, p.down} {
		if a != nil {
			_ = a.Close()
		}
	}
	p.up, p.down = nil, nil
}

// shake makes new associations and their handshake, cookie and all.
func (p *udpPair) shake() error {
	p.drop()
	start := time.Now()
	err := p.begin()
	p.clientTime += time.Since(start)
	for err == nil && p.client.sent > 0 {
		start = time.Now()
		err = p.serverTurn()
		middle := time.Now()
		p.serverTime += middle.Sub(start)
		for err == nil && p.server.sent > 0 {
			var d []byte
			if d, err = p.client.receive(p.server); err == nil {
				err = p.up.DoHandshake(p.client, d)
			}
		}
		p.clientTime += time.Since(middle)
	}
	if err == nil && (p.down == nil || !p.up.IsConnectionEncrypted() || !p.down.IsConnectionEncrypted()) {
		return errors.New("the handshake is not complete")
	}
	return err
}

func (p *udpPair) begin() (err error) {
	if p.up, err = dtls.NewAssociation(dtls.ClientMode, p.clientCfg); err != nil {
		return err
	}
	if err := p.up.SetPeer(p.server.addr, serverName); err != nil {
		return err
	}
	return p.up.DoHandshake(p.client, nil)
}

func (p *udpPair) serverTurn() error {
	for p.client.sent > 0 {
		d, err := p.server.receive(p.client)
		if err != nil {
			return err
		}
		if p.down == nil {
			verified, err := p.verify.VerifyClient(p.server, d, p.server.from)
			if err != nil {
				return err
			}
			if !verified {
				continue
			}
			if p.down, err = dtls.NewAssociation(dtls.ServerMode, p.serverCfg); err != nil {
				return err
			}
			if err := p.down.SetPeer(p.server.from, ""); err != nil {
				return err
			}
		}
		if err := p.down.DoHandshake(p.server, d); err != nil {
			return err
		}
	}
	return nil
}

func (p *udpPair) send(payload []byte) error {
	_, err := p.up.WriteDatagramEncrypted(p.client, payload)
	return err
}

func (p *udpPair) receive() (n int, err error) {
	p.last, err = decryptOne(p.down, p.server, p.client)
	return len(p.last), err
}

func (p *udpPair) sendBack() (int, error) {
	if _, err := p.down.WriteDatagramEncrypted(p.server, p.last); err != nil {
		return 0, err
	}
	b, err := decryptOne(p.up, p.client, p.server)
	return len(b), err
}

func decryptOne(a *dtls.Association, at, from *end) ([]byte, error) {
	d, err := at.receive(from)
	if err != nil {
		return nil, err
	}
	payloads, err := a.DecryptDatagram(at, d)
	if err != nil || len(payloads) != 1 {
		return nil, fmt.Errorf("%d payloads: %w", len(payloads), err)
	}
	return payloads[0], nil
}

// udpHandshakes measures whole handshakes, packet by packet.
func udpHandshakes(k kind, rounds int, each time.Duration, ids *identities, c *cProgram, qt *qtProgram) *bencher {
	name := "handshake packet by packet over loopback, " + k.name
	return &bencher{
		topic: name, rounds: rounds, each: each,
		metrics: []metric{
			{name: name + ", CPU of both ends", unit: "µs"},
			{name: name, unit: "handshakes/s"},
			{name: name + ", client side", unit: "µs"},
			{name: name + ", server side", unit: "µs"},
		},
		contenders: []contender{
			{report.Ours, func() (sampler, func(), error) { return openUDPHandshakes(ids, k) }},
			byProgram(qtName, &qt.cProgram, "udp-handshake", ids, k),
			byProgram(cName, c, "udp-handshake", ids, k),
		},
		plots: []point{{file: "handshake-packets", title: "handshake packet by packet over loopback, CPU of both ends", label: k.name}},
	}
}

func openUDPHandshakes(ids *identities, k kind) (sampler, func(), error) {
	p, err := newUDPPair(ids, k)
	if err != nil {
		return nil, nil, err
	}
	return func(d time.Duration) ([]float64, error) {
		if err := p.within(d); err != nil {
			return nil, err
		}
		p.clientTime, p.serverTime = 0, 0
		cpu := cpuTime()
		n, took, err := until(d, 1, p.shake)
		if err != nil {
			return nil, err
		}
		return []float64{micros(cpuTime()-cpu, n), float64(n) / took.Seconds(), micros(p.clientTime, n), micros(p.serverTime, n)}, nil
	}, p.close, nil
}

// udpDatagrams measures what a datagram's way costs, packet by packet.
func udpDatagrams(size, rounds int, each time.Duration, ids *identities, c *cProgram, qt *qtProgram) *bencher {
	name := fmt.Sprintf("datagram packet by packet over loopback, %d B", size)
	text := strconv.Itoa(size)
	const file, title = "packets", "datagram packet by packet over loopback, encrypted to decrypted"
	return &bencher{
		topic: name, rounds: rounds, each: each,
		metrics: []metric{
			{name: name + ", encrypted to decrypted", unit: "ns/datagram"},
			{name: name + ", encrypt and send", unit: "ns/datagram"},
			{name: name + ", receive and decrypt", unit: "ns/datagram"},
		},
		contenders: []contender{
			udpSteps(report.Ours, size, func() (stepper, error) { return newUDPPair(ids, byECDSA) }),
			byProgram(qtName, &qt.cProgram, "udp-datagrams", ids, byECDSA, text),
			byProgram(cName, c, "udp-datagrams", ids, byECDSA, text),
			udpSteps(udpName, size, newPlainSteps),
		},
		plots: []point{{file: file, title: title, x: float64(size), xLabel: "bytes of payload"}},
	}
}

func udpSteps(name string, size int, open func() (stepper, error)) contender {
	return contender{name, func() (sampler, func(), error) {
		s, err := open()
		if err != nil {
			return nil, nil, err
		}
		payload := make([]byte, size)
		return func(d time.Duration) ([]float64, error) { return sampleSteps(s, payload, d) }, s.close, nil
	}}
}

func sampleSteps(s stepper, payload []byte, d time.Duration) ([]float64, error) {
	if err := s.within(d); err != nil {
		return nil, err
	}
	receive := func() error {
		n, err := s.receive()
		return checkSize(n, len(payload), err)
	}
	n, took, err := until(d/2, udpLot, func() error { return errors.Join(s.send(payload), receive()) })
	if err != nil {
		return nil, err
	}
	var sending, receiving time.Duration
	apart := 0
	for ; sending+receiving < d/2; apart += udpLot {
		start := time.Now()
		for range udpLot {
			if err := s.send(payload); err != nil {
				return nil, err
			}
		}
		middle := time.Now()
		for range udpLot {
			if err := receive(); err != nil {
				return nil, err
			}
		}
		sending += middle.Sub(start)
		receiving += time.Since(middle)
	}
	each := func(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / float64(n) }
	return []float64{each(took, n), each(sending, apart), each(receiving, apart)}, nil
}

func checkSize(n, want int, err error) error {
	if err == nil && n != want {
		return fmt.Errorf("%d bytes instead of %d", n, want)
	}
	return err
}

// udpEcho measures round trips, packet by packet: nobody waits for anybody.
func udpEcho(rounds int, each time.Duration, ids *identities, c *cProgram, qt *qtProgram) *bencher {
	name := fmt.Sprintf("echo packet by packet over loopback, %d B", echoSize)
	b := &bencher{
		topic: name, rounds: rounds, each: each,
		metrics: []metric{{name: name + ", p50", unit: "µs"}, {name: name + ", p99", unit: "µs"}, {name: name + ", p99.9", unit: "µs"}},
		contenders: []contender{
			udpEchoes(report.Ours, func() (stepper, error) { return newUDPPair(ids, byECDSA) }),
			echoByProgram(qtName, &qt.cProgram, ids),
			echoByProgram(cName, c, ids),
			udpEchoes(udpName, newPlainSteps),
		},
	}
	for i, label := range []string{"p50", "p99", "p99.9"} {
		b.plots = append(b.plots, point{metric: i, file: "echo-packets", title: name, label: label})
	}
	return b
}

func udpEchoes(name string, open func() (stepper, error)) contender {
	return contender{name, func() (sampler, func(), error) {
		s, err := open()
		if err != nil {
			return nil, nil, err
		}
		payload := make([]byte, echoSize)
		var times []float64
		return func(d time.Duration) ([]float64, error) {
			times = times[:0]
			if err := s.within(d); err != nil {
				return nil, err
			}
			start := time.Now()
			_, _, err := until(d, 1, func() error {
				err := echoStep(s, payload)
				now := time.Now()
				times = append(times, float64(now.Sub(start))/float64(time.Microsecond))
				start = time.Now()
				return err
			})
			slices.Sort(times)
			return []float64{report.Quantile(times, 0.5), report.Quantile(times, 0.99), report.Quantile(times, 0.999)}, err
		}, s.close, nil
	}}
}

func echoStep(s stepper, payload []byte) error {
	if err := s.send(payload); err != nil {
		return err
	}
	if n, err := s.receive(); err != nil || n != len(payload) {
		return checkSize(n, len(payload), err)
	}
	n, err := s.sendBack()
	return checkSize(n, len(payload), err)
}
