package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/pion/dtls/v3"

	"github.com/ossldtls/ossldtls/bench/report"
)

// handshakes measures whole handshakes of both ends in memory, the cookie included.
func handshakes(k kind, rounds int, each time.Duration, ids *identities, c *cProgram, goals ...report.Goal) *bencher {
	name := "handshake in memory, " + k.name
	return &bencher{
		topic: name, rounds: rounds, each: each,
		metrics: []metric{
			{name: name + ", CPU of both ends", unit: "µs", goals: goals},
			{name: name, unit: "handshakes/s"},
			{name: name + ", client side", unit: "µs"},
			{name: name + ", server side", unit: "µs"},
		},
		contenders: []contender{
			{report.Ours, func() (sampler, func(), error) { return openPairs(ids, k) }},
			{pionName, func() (sampler, func(), error) { return openPionPairs(ids, k) }},
			{cName, func() (sampler, func(), error) { return c.handshakes(ids, k) }},
		},
		plots: []point{{file: "handshake", title: "handshake in memory, CPU of both ends", label: k.name}},
	}
}

func openPairs(ids *identities, k kind) (sampler, func(), error) {
	p, err := newPair(ids, k)
	if err != nil {
		return nil, nil, err
	}
	if err := errors.Join(p.shake()); err != nil { // and the session for those that are resumed
		return nil, p.close, err
	}
	if err := p.checkSuite(k); err != nil {
		return nil, p.close, err
	}
	return func(d time.Duration) ([]float64, error) {
		p.clientTime, p.serverTime = 0, 0
		cpu := cpuTime()
		n, took, err := until(d, 1, p.shake)
		if err != nil {
			return nil, err
		}
		if p.client.SessionResumed() != (k.name == resumed.name) {
			return nil, errors.New("resumption was not as it should be")
		}
		return []float64{micros(cpuTime()-cpu, n), float64(n) / took.Seconds(), micros(p.clientTime, n), micros(p.serverTime, n)}, nil
	}, p.close, nil
}

func micros(d time.Duration, n int) float64 {
	return float64(d.Nanoseconds()) / 1e3 / float64(n)
}

func newPionPair(ids *identities, k kind) (client, server *dtls.Conn, err error) {
	clientOptions, serverOptions := pionOptions(ids, k)
	return pionPair(clientOptions, serverOptions)
}

func pionPair(clientOptions []dtls.ClientOption, serverOptions []dtls.ServerOption) (client, server *dtls.Conn, err error) {
	a, b := newPipe()
	if client, err = dtls.ClientWithOptions(a, a.peer(), clientOptions...); err != nil {
		return nil, nil, err
	}
	server, err = dtls.ServerWithOptions(b, b.peer(), serverOptions...)
	return client, server, err
}

func openPionPairs(ids *identities, k kind) (sampler, func(), error) {
	clientOptions, serverOptions := pionOptions(ids, k)
	resumptions, last := 0, ""
	shake := func() error {
		client, server, err := pionPair(clientOptions, serverOptions)
		if err != nil {
			return err
		}
		if err := shakeBoth(client, server); err != nil {
			return err
		}
		if k.name == resumed.name { // by the session's ID, which a full handshake makes anew
			state, _ := client.ConnectionState()
			if id := string(state.SessionID); id == last {
				resumptions++
			} else {
				last = id
			}
		}
		return errors.Join(client.Close(), server.Close())
	}
	if err := shake(); err != nil {
		return nil, nil, err
	}
	return func(d time.Duration) ([]float64, error) {
		before := resumptions
		cpu := cpuTime()
		n, took, err := until(d, 1, shake)
		if err != nil {
			return nil, err
		}
		if k.name == resumed.name && resumptions-before != n {
			return nil, fmt.Errorf("only %d of %d were resumed", resumptions-before, n)
		}
		return []float64{micros(cpuTime()-cpu, n), float64(n) / took.Seconds(), none, none}, nil
	}, nil, nil
}
