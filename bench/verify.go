package main

import (
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
	"github.com/ossldtls/ossldtls/dtls"
	"github.com/ossldtls/ossldtls/verifier"
)

// hellos measures how many ClientHellos without a cookie are answered, without a socket, by
// one goroutine and by one for each core.
func hellos(parallel, rounds int, each time.Duration, ids *identities, c *cProgram, goals ...report.Goal) *bencher {
	name := "verifier, hellos without cookie, no socket, " + plural(parallel, "goroutine")
	b := &bencher{
		topic: name, rounds: rounds, each: each,
		metrics:    []metric{{name: name, unit: "hellos/s", goals: goals}},
		contenders: []contender{{report.Ours, func() (sampler, func(), error) { return openVerifier(ids, parallel) }}},
		plots:      []point{{file: "verifier", title: "verifier, hellos without cookie", label: plural(parallel, "goroutine")}},
	}
	if parallel == 1 {
		b.contenders = append(b.contenders, contender{cName, func() (sampler, func(), error) { return c.listen(ids) }})
	}
	return b
}

// clientHello returns a ClientHello without a cookie, as a client of this library says it.
func clientHello(ids *identities) ([]byte, error) {
	cfg, _, err := osslConfigs(ids, byECDSA)
	if err != nil {
		return nil, err
	}
	a, err := dtls.NewAssociation(dtls.ClientMode, cfg)
	if err != nil {
		return nil, err
	}
	defer a.Close()
	if err := a.SetPeer(serverAddr, serverName); err != nil {
		return nil, err
	}
	var w wire
	if err := a.DoHandshake(&w, nil); err != nil || w.Len() != 1 {
		return nil, fmt.Errorf("%d datagrams: %w", w.Len(), err)
	}
	return append([]byte(nil), w.At(0)...), nil
}

func openVerifier(ids *identities, parallel int) (sampler, func(), error) {
	hello, err := clientHello(ids)
	if err != nil {
		return nil, nil, err
	}
	v, err := verifier.New()
	if err != nil {
		return nil, nil, err
	}
	one := func(d time.Duration, first byte) (float64, error) {
		var reply []byte
		var i uint32
		n, took, err := until(d, 64, func() error {
			i++ // another peer each time
			peer := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, first, byte(i >> 8), byte(i)}), 40000)
			var err error
			if reply, _, err = v.Verify(reply[:0], hello, peer); err == nil && len(reply) == 0 {
				err = fmt.Errorf("no answer")
			}
			return err
		})
		return float64(n) / took.Seconds(), err
	}
	return func(d time.Duration) ([]float64, error) {
		sum := 0.0
		var failure error
		var mu sync.Mutex
		var wg sync.WaitGroup
		for i := range parallel {
			wg.Add(1)
			go func() {
				defer wg.Done()
				rate, err := one(d, byte(i))
				mu.Lock()
				defer mu.Unlock()
				sum += rate
				if err != nil {
					failure = err
				}
			}()
		}
		wg.Wait()
		return []float64{sum}, failure
	}, func() { _ = v.Close() }, nil
}
