package dtls

import (
	"container/list"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/ossldtls/ossldtls/openssl"
)

// ClientSession is what a client needs to resume a session. It never changes.
type ClientSession = openssl.Session

// ClientSessionCache keeps sessions for clients, for [Config.ClientSessionCache]. It is
// used by associations concurrently. Corresponds to tls.ClientSessionCache and, with
// QSslConfiguration::sessionTicket, to what Qt leaves to the program.
type ClientSessionCache interface {
	// Get returns the session kept under the key, and whether there is one.
	Get(key string) (session *ClientSession, ok bool)
	// Put keeps a session under a key, in place of the one before. nil takes that away.
	Put(key string, session *ClientSession)
}

// DefaultClientSessions is how many sessions a cache keeps unless told otherwise.
const DefaultClientSessions = 64

// NewLRUClientSessionCache returns a cache that keeps the capacity sessions that were
// used last; less than 1 means [DefaultClientSessions]. What has expired is not
// returned.
func NewLRUClientSessionCache(capacity int) ClientSessionCache {
	if capacity < 1 {
		capacity = DefaultClientSessions
	}
	return &lruSessions{capacity: capacity, byKey: map[string]*list.Element{}, byUse: list.New()}
}

type lruSessions struct {
	mu       sync.Mutex
	capacity int
	byKey    map[string]*list.Element
	byUse    *list.List // of keptSession, the last used first
}

type keptSession struct {
	key     string
	session *ClientSession
}

func (c *lruSessions) Get(key string) (*ClientSession, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil, false
	}
	session := e.Value.(keptSession).session
	if !time.Now().Before(session.Expires()) {
		c.remove(e)
		return nil, false
	}
	c.byUse.MoveToFront(e)
	return session, true
}

func (c *lruSessions) Put(key string, session *ClientSession) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.remove(e)
	}
	if session == nil {
		return
	}
	c.byKey[key] = c.byUse.PushFront(keptSession{key, session})
	if len(c.byKey) > c.capacity {
		c.remove(c.byUse.Back())
	}
}

func (c *lruSessions) remove(e *list.Element) {
	delete(c.byKey, e.Value.(keptSession).key)
	c.byUse.Remove(e)
}

// SessionResumed reports whether the handshake has resumed a session, so that the
// certificates and pre-shared keys are those of the handshake before it. A server then
// knows only the client's own certificate, without its chain. Corresponds to
// SSL_session_reused.
func (a *Association) SessionResumed() bool {
	return a.ssl != nil && a.ssl.SessionReused()
}

// resumer offers, keeps and forgets the sessions of one client.
type resumer struct {
	cache   ClientSessionCache // nil: nothing is resumed
	key     string
	session *ClientSession // that is offered
}

// newResumer looks a session up. The name is the one to verify.
func newResumer(mode Mode, cfg *Config, name string, peer netip.AddrPort) (r resumer) {
	if mode != ClientMode || !cfg.ticketsEnabled(mode) {
		return r
	}
	r.cache, r.key = cfg.ClientSessionCache, net.JoinHostPort(name, strconv.Itoa(int(peer.Port())))
	if session, ok := r.cache.Get(r.key); ok && session != nil && time.Now().Before(session.Expires()) {
		r.session = session
	}
	return r
}

// offer offers the session to the server. What cannot be offered, a session of another
// Config for one, costs a full handshake and nothing else.
func (r *resumer) offer(ssl *openssl.SSL) {
	if r.session != nil && ssl.SetSession(r.session) != nil {
		r.session = nil
	}
}

// keep keeps what the server has given. An offer that was turned down is not made
// again.
func (r *resumer) keep(ssl *openssl.SSL) {
	if r.cache == nil {
		return
	}
	if session, _ := ssl.Session(); session != nil {
		r.cache.Put(r.key, session)
	} else if !ssl.SessionReused() {
		r.forget()
	}
}

// forget is for a handshake that has failed: the next one is a full one, unless another
// association has kept a newer session.
func (r *resumer) forget() {
	if r.session == nil {
		return
	}
	if current, ok := r.cache.Get(r.key); ok && current == r.session {
		r.cache.Put(r.key, nil)
	}
	r.session = nil
}
