package main

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
	"github.com/ossldtls/ossldtls/dtls"
	"github.com/ossldtls/ossldtls/openssl"
)

// crypter is both ends of a connection in memory.
type crypter interface {
	encrypt(payload []byte) error // appends a datagram to what is on its way
	decrypt() error               // takes the first from there, and checks its length
	close()
}

// lot is how many datagrams are encrypted before they are decrypted: few enough to stay in
// the processor's cache.
const lot = 128

// crypt measures encryption and decryption without a socket: each alone, and both in turn.
func crypt(s suite, size, rounds int, each time.Duration, all []contender, goals, allocGoals []report.Goal) *bencher {
	what := fmt.Sprintf("%d B, %s, in memory", size, s.name)
	return &bencher{
		topic: "encrypt, decrypt, " + what, rounds: rounds, each: each, contenders: all,
		metrics: []metric{
			{name: "encrypt + decrypt, " + what, unit: "ns/datagram", goals: goals},
			{name: "encrypt, " + what, unit: "ns/datagram"},
			{name: "decrypt, " + what, unit: "ns/datagram"},
			{name: "encrypt + decrypt, " + what + ": allocations", unit: "/datagram", goals: allocGoals},
		},
		plots: []point{{file: "crypt-" + s.name, title: "encrypt + decrypt in memory, " + s.name, x: float64(size), xLabel: "bytes of payload"}},
	}
}

func cryptContender(name string, size int, open func() (crypter, error)) contender {
	return contender{name, func() (sampler, func(), error) {
		c, err := open()
		if err != nil {
			return nil, nil, err
		}
		payload := make([]byte, size)
		return func(d time.Duration) ([]float64, error) { return sampleCrypt(c, payload, d) }, c.close, nil
	}}
}

func sampleCrypt(c crypter, payload []byte, d time.Duration) ([]float64, error) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	n, took, err := until(d/2, 64, func() error {
		if err := c.encrypt(payload); err != nil {
			return err
		}
		return c.decrypt()
	})
	if err != nil {
		return nil, err
	}
	runtime.ReadMemStats(&after)
	var encrypting, decrypting time.Duration
	lots, _, err := until(d/2, 1, func() error {
		start := time.Now()
		for range lot {
			if err := c.encrypt(payload); err != nil {
				return err
			}
		}
		middle := time.Now()
		for range lot {
			if err := c.decrypt(); err != nil {
				return err
			}
		}
		encrypting += middle.Sub(start)
		decrypting += time.Since(middle)
		return nil
	})
	if err != nil {
		return nil, err
	}
	each := func(d time.Duration, n int) float64 { return float64(d.Nanoseconds()) / float64(n) }
	// What happens once in a while, beside the datagrams, does not count as one each.
	allocs := float64(int((after.Mallocs-before.Mallocs)*100/uint64(n))) / 100
	return []float64{each(took, n), each(encrypting, lots*lot), each(decrypting, lots*lot), allocs}, nil
}

// associations are two dtls.Associations.
type associations struct {
	p    *pair
	size int
	next int // of p.up
}

func newAssociations(ids *identities, k kind, size int) (crypter, error) {
	p, err := newPair(ids, k)
	if err != nil {
		return nil, err
	}
	if err := p.shake(); err != nil {
		p.close()
		return nil, err
	}
	p.up.Reset()
	return &associations{p: p, size: size}, p.checkSuite(k)
}

func (a *associations) encrypt(payload []byte) error {
	_, err := a.p.client.WriteDatagramEncrypted(&a.p.up, payload)
	return err
}

func (a *associations) decrypt() error {
	payloads, err := a.p.server.DecryptDatagram(&a.p.down, a.p.up.At(a.next))
	if a.next++; a.next == a.p.up.Len() {
		a.next = 0
		a.p.up.Reset()
	}
	if err != nil || len(payloads) != 1 || len(payloads[0]) != a.size {
		return fmt.Errorf("%d payloads: %w", len(payloads), err)
	}
	return nil
}

func (a *associations) close() { a.p.close() }

// conns are two net.Conns over a network in memory.
type conns struct {
	client, server net.Conn
	size           int
	buf            []byte
}

func (c *conns) encrypt(payload []byte) error {
	_, err := c.client.Write(payload)
	return err
}

func (c *conns) decrypt() error {
	n, err := c.server.Read(c.buf)
	if err == nil && n != c.size {
		return fmt.Errorf("%d bytes instead of %d", n, c.size)
	}
	return err
}

func (c *conns) close() {
	_ = c.client.Close()
	_ = c.server.Close()
}

type handshaker interface {
	net.Conn
	Handshake() error
}

// shakeBoth makes the handshake of two ends that wait for each other.
func shakeBoth(client, server handshaker) error {
	done := make(chan error, 1)
	go func() { done <- server.Handshake() }()
	err := client.Handshake()
	if err != nil {
		_ = server.Close()
	}
	return errors.Join(err, <-done)
}

// osslConns returns two connections of this library, like pion's but for the Config.
func osslConns(ids *identities, k kind, size int) (crypter, error) {
	clientCfg, serverCfg, err := osslConfigs(ids, k)
	if err != nil {
		return nil, err
	}
	a, b := newPipe()
	client, err := dtls.Client(a, a.peer(), clientCfg)
	if err != nil {
		return nil, err
	}
	server, err := dtls.Server(b, b.peer(), serverCfg)
	if err != nil {
		return nil, err
	}
	return &conns{client, server, size, make([]byte, 2048)}, shakeBoth(client, server)
}

func pionConns(ids *identities, k kind, size int) (crypter, error) {
	client, server, err := newPionPair(ids, k)
	if err != nil {
		return nil, err
	}
	return &conns{client, server, size, make([]byte, 2048)}, shakeBoth(client, server)
}

// wrappers are two openssl.SSLs, without what package dtls adds.
type wrappers struct {
	client, server   *openssl.SSL
	ctxs             [2]*openssl.Ctx
	wire, plain, out openssl.Datagrams
	size, next       int
}

func newWrappers(ids *identities, s suite, size int) (crypter, error) {
	w := &wrappers{size: size}
	var err error
	if w.client, w.server, err = sslPair(ids, s, &w.ctxs); err != nil {
		return nil, err
	}
	var up, down, moving openssl.Datagrams
	if _, err := w.client.DoHandshake(nil, &up); err != nil {
		return nil, err
	}
	for up.Len()+down.Len() > 0 {
		moving, up = up, moving
		up.Reset()
		for d := range moving.All() {
			if _, err := w.server.DoHandshake(d, &down); err != nil {
				return nil, err
			}
		}
		moving, down = down, moving
		down.Reset()
		for d := range moving.All() {
			if _, err := w.client.DoHandshake(d, &up); err != nil {
				return nil, err
			}
		}
	}
	if !w.client.HandshakeDone() || !w.server.HandshakeDone() {
		return nil, errors.New("the handshake is not complete")
	}
	return w, nil
}

func (w *wrappers) encrypt(payload []byte) error { return w.client.Write(payload, &w.wire) }

func (w *wrappers) decrypt() error {
	w.plain.Reset()
	err := w.server.Read(w.wire.At(w.next), &w.plain, &w.out)
	if w.next++; w.next == w.wire.Len() {
		w.next = 0
		w.wire.Reset()
	}
	if err != nil || w.plain.Len() != 1 || len(w.plain.At(0)) != w.size {
		return fmt.Errorf("%d payloads: %w", w.plain.Len(), err)
	}
	return nil
}

func (w *wrappers) close() {
	w.client.Close()
	w.server.Close()
	for _, ctx := range w.ctxs {
		ctx.Close()
	}
}
