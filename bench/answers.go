package main

import (
	"errors"
	"net"
	"net/netip"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
	"github.com/ossldtls/ossldtls/verifier"
)

// answers measures how many ClientHellos without a cookie are answered by a socket: the
// hello is at hand, and the HelloVerifyRequest goes to another peer of 127.0.0.0/8 each
// time, where nobody reads it. Qt's and C's are as many processes as there are goroutines
// here.
func answers(parallel, rounds int, each time.Duration, ids *identities, c *cProgram, qt *qtProgram) *bencher {
	name := "verifier, hellos without cookie, the answer sent by a socket, " + plural(parallel, "goroutine")
	return &bencher{
		topic: name, rounds: rounds, each: each,
		metrics: []metric{{name: name, unit: "hellos/s"}},
		contenders: []contender{
			{report.Ours, func() (sampler, func(), error) { return openAnswers(ids, parallel) }},
			side(byProgram(qtName, &qt.cProgram, "udp-hellos", ids, byECDSA), parallel, theFirst),
			side(byProgram(cName, c, "udp-hellos", ids, byECDSA), parallel, theFirst),
		},
		plots: []point{{file: "verifier-socket", title: "verifier, hellos without cookie, answered by a socket", label: plural(parallel, "goroutine")}},
	}
}

func openAnswers(ids *identities, parallel int) (sampler, func(), error) {
	hello, err := clientHello(ids)
	if err != nil {
		return nil, nil, err
	}
	v, err := verifier.New()
	if err != nil {
		return nil, nil, err
	}
	one := contender{report.Ours, func() (sampler, func(), error) { return openAnswerer(v, hello) }}
	take, closing, err := side(one, parallel, theFirst).open()
	return take, func() {
		closing()
		_ = v.Close()
	}, err
}

// openAnswerer is one goroutine's part, with a socket of its own.
func openAnswerer(v *verifier.ClientVerifier, hello []byte) (sampler, func(), error) {
	sock, err := newEnd("127.0.0.1:0")
	if err != nil {
		return nil, nil, err
	}
	sink, err := net.ListenUDP("udp4", nil)
	if err != nil {
		return nil, nil, errors.Join(err, sock.sock.Close())
	}
	port := sink.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	var i uint32
	return func(d time.Duration) ([]float64, error) {
			n, took, err := until(d, 64, func() error {
				i++
				peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 1, byte(i >> 8), byte(i)}), port)
				_, err := v.VerifyClient(sock.sock, hello, peer)
				return err
			})
			return []float64{float64(n) / took.Seconds()}, err
		}, func() {
			_ = sock.sock.Close()
			_ = sink.Close()
		}, nil
}
