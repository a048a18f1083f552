//go:build interop

package interop

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/netip"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// service is our Listen.
type service struct {
	*dtls.Listener
	r     *row
	diary diary
}

// open has us listen.
func open(r *row, loopback netip.Addr, cfg *dtls.Config) *service {
	r.Helper()
	d := make(diary, 100)
	cfg.Logger = slog.New(d)
	l, err := dtls.Listen("udp", netip.AddrPortFrom(loopback, 0).String(), cfg)
	require.NoError(r, err)
	r.Cleanup(func() { l.Close() })
	return &service{l, r, d}
}

// listenConfig is serverConfig for Listen, where ClientAuth says what clients have to show.
func (s scenario) listenConfig(r *row, p *pki) *dtls.Config {
	cfg := s.serverConfig(r, p)
	cfg.MTU = s.mtu
	cfg.PeerVerifyMode = dtls.AutoVerifyPeer
	if s.client {
		cfg.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return cfg
}

func (l *service) addr() netip.AddrPort { return l.Addr().(*net.UDPAddr).AddrPort() }

// tap returns a tap for a client.
func (l *service) tap() *front {
	l.r.Helper()
	return newTap(l.r, l.addr(), dtls.ServerMode)
}

// acceptSoon calls Accept, on another goroutine.
func (l *service) acceptSoon() <-chan *dtls.Conn {
	accepted := make(chan *dtls.Conn, 1)
	go func() {
		defer close(accepted)
		if c, err := l.Accept(); err == nil {
			accepted <- c.(*dtls.Conn)
		}
	}()
	return accepted
}

// accept returns the next connection. With a tap, it is that of the tap's client.
func (l *service) accept(f *front) *connection {
	l.r.Helper()
	return l.admitted(l.acceptSoon(), f)
}

// admitted waits for what acceptSoon gets.
func (l *service) admitted(conns <-chan *dtls.Conn, f *front) *connection {
	r := l.r
	r.Helper()
	c := next(r, conns, "a connection")
	require.NotNil(r, c, "Accept has failed")
	if f == nil {
		return newConnection(r, dtls.ServerMode, c, nil)
	}
	require.Equal(r, f.peer().String(), c.RemoteAddr().String())
	return newConnection(r, dtls.ServerMode, c, f.tape.Load())
}

// requireCounts checks how many handshakes there were.
func (l *service) requireCounts(completed, failed int) {
	l.r.Helper()
	stats := l.Stats()
	require.EqualValues(l.r, completed, stats.HandshakesCompleted, "handshakes completed")
	require.EqualValues(l.r, failed, stats.HandshakesFailed, "handshakes failed")
}

// failure waits until a handshake has failed, and returns why.
func (l *service) failure() error {
	l.r.Helper()
	for {
		switch e := next(l.r, l.diary, "a handshake that fails"); e.what {
		case "dtls: handshake failed":
			return e.err
		case "dtls: connected":
			l.r.Fatalf("a client has got in")
		}
	}
}

// next receives from a channel.
func next[T any](r *row, from <-chan T, what string) (v T) {
	r.Helper()
	select {
	case v = <-from:
	case <-r.ctx.Done():
		r.Fatalf("not in time: %s", what)
	}
	return v
}

// diary is a slog.Handler that keeps what a listener has to say.
type diary chan event

type event struct {
	what string
	err  error
}

func (d diary) Enabled(context.Context, slog.Level) bool { return true }
func (d diary) WithAttrs([]slog.Attr) slog.Handler       { return d }
func (d diary) WithGroup(string) slog.Handler            { return d }

// Handle never waits: it is called in the middle of everything.
func (d diary) Handle(_ context.Context, line slog.Record) error {
	e := event{what: line.Message}
	line.Attrs(func(a slog.Attr) bool {
		if err, ok := a.Value.Any().(error); ok {
			e.err = err
		}
		return true
	})
	select {
	case d <- e:
	default:
	}
	return nil
}
