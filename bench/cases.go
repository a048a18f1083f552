package main

import (
	"slices"
	"time"

	"github.com/ossldtls/ossldtls/bench/report"
)

// What is compared with what, in the rows that have a goal.
const (
	toPion = report.Ours + "/" + pionName
	toUDP  = report.Ours + "/" + udpName
	toC    = report.Ours + "/" + cName
)

// cases lists what is measured.
func cases(quick bool, ids *identities, c *cProgram, qt *qtProgram) []*bencher {
	s := &selection{quick: quick, ids: ids, c: c, qt: qt, qtServer: qt, rounds: 5, each: 600 * time.Millisecond}
	if quick {
		s.rounds, s.each = 3, 250*time.Millisecond
		s.qtServer = nil // its many connections would take a sixth of the minute
	}
	s.oneWay()
	s.echo()
	s.counts()
	s.crypt()
	s.handshakes()
	s.verifier()
	s.packets()
	s.cores()
	s.peers()
	s.flood()
	return s.list
}

// selection collects the cases.
type selection struct {
	quick bool
	ids   *identities
	c     *cProgram
	qt    *qtProgram
	// qtServer is the same for the cases of servers; nil: without Qt.
	qtServer *qtProgram
	rounds   int
	each     time.Duration
	list     []*bencher
}

func (s *selection) add(b *bencher) { s.list = append(s.list, b) }

// networks are those that can do what is asked of sockets.
func (s *selection) networks() []*network {
	ours, err := osslNetwork(s.ids, byECDSA)
	if err != nil { // not possible with Configs that are right
		ours = &network{name: report.Ours, listen: func(handler) (string, func(), error) { return "", nil, err }}
	}
	return []*network{ours, pionNetwork(s.ids, byECDSA), plainUDP()}
}

func (s *selection) oneWay() {
	nets := s.networks()
	batch, err := osslBatch(s.ids)
	sockets, socketsErr := osslSockets(s.ids)
	if err != nil || socketsErr != nil { // not possible with Configs that are right
		return
	}
	both := append(slices.Clone(nets), batch)
	s.add(oneWay(1200, 1, 0, s.rounds, s.each, both, report.AtLeast(toPion, 15)))
	s.add(oneWay(64, 1, 0, s.rounds, s.each, both, report.AtLeast(toPion, 12)))
	if s.quick {
		return
	}
	for _, size := range []int{64, 256, 1200} {
		for _, conns := range []int{1, 2, 4, 8} {
			for _, cores := range []int{1, 2} {
				if conns == 1 || conns == 8 || (size == 1200 && cores == 2) {
					who := nets
					if conns > 1 && cores > 1 {
						who = append(slices.Clone(nets), sockets)
					}
					s.add(oneWay(size, conns, cores, 3, s.each*2/3, who))
				}
			}
		}
	}
}

func (s *selection) echo() {
	s.add(echo(echoCase{size: echoSize, conns: 1}, s.rounds, s.each, s.networks(), report.AtMost(toUDP, 1.25), report.AtMost(toPion, 0.6)))
	if s.quick {
		return
	}
	s.add(echo(echoCase{size: echoSize, conns: 1, loaded: true}, s.rounds, s.each, s.networks()))
	for _, what := range []echoCase{
		{size: 64, conns: 1}, {size: 1200, conns: 1}, {size: echoSize, conns: 2}, {size: echoSize, conns: 8},
		{size: echoSize, conns: 1, cores: 1},
	} {
		s.add(echo(what, 3, s.each/2, s.networks()))
	}
}

// counts are the cases that say what the kernel and C are asked for.
func (s *selection) counts() {
	if s.quick {
		return
	}
	for _, size := range []int{64, 1200} {
		s.add(countedOneWay(size, 3, s.each/2, s.networks()))
	}
	s.add(countedEcho(3, s.each/2, s.networks()))
}

func (s *selection) crypt() {
	sizes, some := []int{64, 256, 1200}, suites
	each := 200 * time.Millisecond
	if s.quick {
		sizes, some = []int{1200}, suites[:1]
	}
	for _, suite := range some {
		for _, size := range sizes {
			k := byECDSA.with(suite)
			all := []contender{
				cryptContender(report.Ours, size, func() (crypter, error) { return newAssociations(s.ids, k, size) }),
				cryptContender(report.Ours+" Conn", size, func() (crypter, error) { return osslConns(s.ids, k, size) }),
				cryptContender(report.Ours+" openssl", size, func() (crypter, error) { return newWrappers(s.ids, suite, size) }),
				cryptContender(pionName, size, func() (crypter, error) { return pionConns(s.ids, k, size) }),
				s.c.crypt(s.ids, suite, size),
			}
			if suite == suites[0] {
				s.add(crypt(suite, size, s.rounds, each, all,
					[]report.Goal{report.AtMost(toC, 1.25), report.AtMost(toPion, 0.25)}, []report.Goal{report.AtMost(report.Ours, 0)}))
			} else {
				s.add(crypt(suite, size, 3, each, all, nil, nil))
			}
		}
	}
}

func (s *selection) handshakes() {
	some := kinds
	if s.quick {
		some = []kind{byECDSA, byPSK}
	}
	for _, k := range some {
		s.add(handshakes(k, s.rounds, s.each, s.ids, s.c, report.AtMost(toC, 1.05), report.AtMost(toPion, 1)))
	}
}

func (s *selection) verifier() {
	s.add(hellos(1, s.rounds, s.each/2, s.ids, s.c, report.AtLeast(toC, 0.8)))
	if !s.quick {
		s.add(hellos(2, s.rounds, s.each/2, s.ids, s.c))
	}
}

// packets are the cases packet by packet, in which Qt takes part.
func (s *selection) packets() {
	s.add(answers(1, 3, s.each/2, s.ids, s.c, s.qt))
	s.add(udpEcho(3, s.each/2, s.ids, s.c, s.qt))
	if s.quick {
		return
	}
	s.add(answers(2, 3, s.each/2, s.ids, s.c, s.qt))
	for _, size := range []int{64, 256, 1200} {
		s.add(udpDatagrams(size, 3, s.each/2, s.ids, s.c, s.qt))
	}
	for _, k := range []kind{byECDSA, byRSA, byPSK} { // Qt resumes nothing
		s.add(udpHandshakes(k, 3, s.each, s.ids, s.c, s.qt))
	}
}

// cores are the cases that say what another core brings, where others do not.
func (s *selection) cores() {
	if s.quick {
		return
	}
	for _, cores := range []int{1, 2} {
		for _, k := range []kind{byECDSA, byPSK} {
			s.add(handshakesByCores(k, cores, 3, s.each/2, s.ids, s.c))
		}
		for _, size := range []int{64, 1200} {
			s.add(s.cryptByCores(size, cores, 3, s.each/2))
		}
	}
}

func (s *selection) peers() {
	rounds, echoing := 1, 300*time.Millisecond
	if !s.quick {
		rounds, echoing = 3, time.Second
		for _, count := range []int{100, 1000} {
			s.add(peers(count, 0, rounds, echoing, s.ids, s.qtServer, nil, nil))
		}
	}
	s.add(peers(10_000, 0, rounds, echoing, s.ids, s.qtServer, []report.Goal{report.AtMost(toPion, 0.6)}, []report.Goal{report.AtMost(report.Ours, 0)}))
	if s.quick {
		return
	}
	s.add(peers(1000, 1, 2, echoing/2, s.ids, s.qtServer, nil, nil))
	for _, k := range kinds {
		s.add(connecting(k, 3, s.each, s.ids, s.qtServer))
	}
}

func (s *selection) flood() { s.add(flood(s.ids, s.qtServer)) }
