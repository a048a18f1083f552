package dtls

import (
	"container/list"
	"net"
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

func (a *Association) sessions() ClientSessionCache {
	if a.mode != ClientMode || a.config.SessionTicketsDisabled {
		return nil
	}
	return a.config.ClientSessionCache
}

func (a *Association) sessionKey() string {
	return net.JoinHostPort(a.nameToVerify(), strconv.Itoa(int(a.peer.Port())))
}

// offerSession offers the server what the cache has of it. What cannot be offered, a
// session of another Config for one, costs a full handshake and nothing else.
func (a *Association) offerSession() {
	if cache := a.sessions(); cache != nil {
		if session, ok := cache.Get(a.sessionKey()); ok && session != nil && time.Now().Before(session.Expires()) {
			a.offered = a.ssl.SetSession(session) == nil
		}
	}
}

// keepSession keeps what the server has given. An offer that was turned down is not
// made again.
func (a *Association) keepSession() {
	cache := a.sessions()
	if cache == nil {
		return
	}
	session, _ := a.ssl.Session()
	if session != nil || a.offered && !a.ssl.SessionReused() {
		cache.Put(a.sessionKey(), session)
	}
}

// forgetSession is for a handshake that has failed: the next one is a full one.
func (a *Association) forgetSession() {
	if a.offered && a.state == HandshakeInProgress {
		a.sessions().Put(a.sessionKey(), nil)
	}
}
