package dtls

import (
	"context"
	"log/slog"
	"net/netip"
	"sync/atomic"
)

// Stats is what a listener has counted since it was made. Fields that end in Open are
// of this moment.
type Stats struct {
	HalfOpen int // in their handshake, or complete and not accepted yet
	Open     int // complete, accepted or not

	CookiesSent     uint64 // HelloVerifyRequests
	CookiesRejected uint64 // ClientHellos with a cookie that was not right

	HandshakesCompleted uint64 // also of those that have ended since
	HandshakesFailed    uint64 // but for those that Close or the peer's starting anew has ended
	Replaced            uint64 // connections whose peer came back on the same port

	AttemptsRefused uint64 // by OnConnectionAttempt
	DroppedLimit    uint64 // verified ClientHellos for which Limits had no place
	DroppedQueue    uint64 // datagrams whose connection's queue was full
	DroppedUnknown  uint64 // datagrams that were no DTLS, or no ClientHello and not of a known peer
}

type counts struct {
	cookiesSent, cookiesRejected, completed, failed, replaced atomic.Uint64
	refused, droppedLimit, droppedQueue, droppedUnknown       atomic.Uint64
}

// Stats returns the counts of this moment.
func (l *Listener) Stats() Stats {
	l.mu.Lock()
	half, open := l.half, l.open
	l.mu.Unlock()
	return Stats{
		HalfOpen: half, Open: open,
		CookiesSent: l.counts.cookiesSent.Load(), CookiesRejected: l.counts.cookiesRejected.Load(),
		HandshakesCompleted: l.counts.completed.Load(), HandshakesFailed: l.counts.failed.Load(), Replaced: l.counts.replaced.Load(),
		AttemptsRefused: l.counts.refused.Load(), DroppedLimit: l.counts.droppedLimit.Load(),
		DroppedQueue: l.counts.droppedQueue.Load(), DroppedUnknown: l.counts.droppedUnknown.Load(),
	}
}

// log tells the logger of an event; at Debug, since peers decide how often it happens.
func (l *Listener) log(c *Conn, event string, attrs ...slog.Attr) {
	logger := l.config.Logger
	if logger == nil || !logger.Enabled(context.Background(), slog.LevelDebug) {
		return
	}
	logger.LogAttrs(context.Background(), slog.LevelDebug, event, append(attrs, slog.String("peer", c.peer.String()))...)
}

// logRefusal tells the logger that datagrams go out one by one, which takes more of the
// machine's time.
func logRefusal(cfg *Config) {
	if cfg.Logger != nil {
		cfg.Logger.Info("dtls: the system does not send datagrams together; each is sent by itself")
	}
}

// note tells the logger of something that concerns no connection.
func (l *Listener) note(peer netip.AddrPort, event string) {
	if logger := l.config.Logger; logger != nil && logger.Enabled(context.Background(), slog.LevelDebug) {
		logger.LogAttrs(context.Background(), slog.LevelDebug, event, slog.String("peer", peer.String()))
	}
}

func (l *Listener) dropUnknown(peer netip.AddrPort) {
	l.counts.droppedUnknown.Add(1)
	l.note(peer, "dtls: datagram dropped: of nobody known")
}

func (l *Listener) logError(c *Conn, event string, err error) {
	l.log(c, event, slog.Any("error", err))
}
