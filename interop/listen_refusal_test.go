//go:build interop

package interop

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ossldtls/ossldtls/dtls"
)

// TestListenOpenSSLRefusals has openssl s_client and our Listen disagree.
func TestListenOpenSSLRefusals(t *testing.T) {
	p := newPKI(t)
	refusal := func(what string, f func(r *row)) { check(t, sClientName, listenName, what, f) }
	// refuse has an s_client fail, and then another come in. It returns why the first has failed.
	refuse := func(r *row, s scenario, alert string, flags ...string) error {
		r.Helper()
		l := open(r, s.loopback(), s.listenConfig(r, p))
		accepted := l.acceptSoon()
		client := sClient(r, l.tap().addr(), flags...)
		err := l.failure()
		if alert != "" {
			awaitAlert(client, alert)
		}
		sClientFails(client)
		l.requireCounts(0, 1)
		s.welcome(l, accepted, p)
		return err
	}

	refusal("untrusted server: alert unknown_ca", func(r *row) {
		err := refuse(r, ecdsaOnly, "", append(ecdsaOnly.sClientFlags(p), "-CAfile", p.stranger.file)...)
		requireAlertError(r, err, "unknown_ca", true)
	})
	refusal("another server's name: alert bad_certificate", func(r *row) {
		err := refuse(r, ecdsaOnly, "", append(ecdsaOnly.sClientFlags(p), "-verify_hostname", "elsewhere.example")...)
		requireAlertError(r, err, "bad_certificate", true)
	})
	refusal("no client certificate: we send handshake_failure", func(r *row) {
		err := refuse(r, clientToo, "handshake failure", ecdsaOnly.sClientFlags(p)...)
		requireAlertError(r, err, "handshake_failure", false)
	})
	refusal("untrusted client: we send unknown_ca", func(r *row) {
		err := refuse(r, clientToo, "unknown CA", append(ecdsaOnly.sClientFlags(p), showFlags(p.foreign)...)...)
		requireRefusal(r, err, unknownIssuer, "unknown_ca")
	})
	refusal("expired client: we send certificate_expired", func(r *row) {
		err := refuse(r, clientToo, "certificate expired", append(ecdsaOnly.sClientFlags(p), showFlags(p.expired)...)...)
		requireRefusal(r, err, hasExpired, "certificate_expired")
	})
	refusal("no shared cipher: we send handshake_failure", func(r *row) {
		err := refuse(r, ecdsaOnly, "handshake failure", append(ecdsaOnly.sClientFlags(p), "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384")...)
		requireAlertError(r, err, "handshake_failure", false)
	})
	refusal("no shared protocol: we send no_application_protocol", func(r *row) {
		err := refuse(r, withALPN, "no application protocol", append(ecdsaOnly.sClientFlags(p), "-alpn", "other")...)
		requireAlertError(r, err, "no_application_protocol", false)
	})
	refusal("unknown psk identity: we send unknown_psk_identity", func(r *row) {
		refused := errors.New("nobody of that name")
		cfg := pskOnly.listenConfig(r, p)
		cfg.PSK = func(*dtls.PSK) error { return refused }
		l := open(r, pskOnly.loopback(), cfg)
		client := sClient(r, l.tap().addr(), pskOnly.sClientFlags(p)...)
		err := l.failure()
		requireAlertError(r, err, "unknown_psk_identity", false)
		require.ErrorIs(r, err, refused)
		awaitAlert(client, "unknown PSK identity")
		sClientFails(client)
		l.requireCounts(0, 1)
	})
	refusal("wrong psk: we give up and say so", func(r *row) {
		cfg := pskOnly.listenConfig(r, p)
		haveWrongKey(cfg)
		l := open(r, pskOnly.loopback(), cfg)
		client := sClient(r, l.tap().addr(), pskOnly.sClientFlags(p)...)
		requireTooLong(r, l.failure())
		awaitAlert(client, "user canceled")
		sClientFails(client)
		l.requireCounts(0, 1)
	})
}

// welcome has an s_client come to our Listen that nothing is wrong with. After one that was
// refused it is the first that Accept, called before both, hears of.
func (s scenario) welcome(l *service, accepted <-chan *dtls.Conn, p *pki) {
	l.r.Helper()
	f := l.tap()
	client := sClient(l.r, f.addr(), s.sClientFlags(p)...)
	c := l.admitted(accepted, f)
	converse(c, client)
	client.say("Q")
	c.expectClose()
	require.Zero(l.r, client.exit())
	l.requireCounts(1, 1)
}

// TestListenQtRefusals has a client of QDtls and our Listen disagree.
func TestListenQtRefusals(t *testing.T) {
	p := newPKI(t)
	refusal := func(what string, f func(r *row)) { check(t, qtClientName, listenName, what, f) }
	refuse := func(r *row, cfg *dtls.Config, flags ...string) error {
		r.Helper()
		l := open(r, ecdsaOnly.loopback(), cfg)
		client := qtClient(r, l.tap().addr(), flags...)
		err := l.failure()
		client.await(qtFatal)
		require.Equal(r, qtFailed, client.exit())
		client.never(`^CONNECTED`)
		l.requireCounts(0, 1)
		return err
	}

	// QDtls looks at certificates after the handshake, and then sends no alert.
	refusal("untrusted server: QDtls objects", func(r *row) {
		l := open(r, ecdsaOnly.loopback(), ecdsaOnly.listenConfig(r, p))
		f := l.tap()
		client := qtClient(r, f.addr(), append(ecdsaOnly.qtClientFlags(p), "--ca", p.stranger.file)...)
		l.accept(f)
		require.Equal(r, qtUnverified, client.exit())
		awaitVerifyError(client, "issuer")
		client.never(`^CONNECTED`)
	})
	refusal("no client certificate: we send handshake_failure", func(r *row) {
		err := refuse(r, clientToo.listenConfig(r, p), ecdsaOnly.qtClientFlags(p)...)
		requireAlertError(r, err, "handshake_failure", false)
	})
	refusal("untrusted client: we send unknown_ca", func(r *row) {
		err := refuse(r, clientToo.listenConfig(r, p), append(ecdsaOnly.qtClientFlags(p), qtShowFlags(p.foreign)...)...)
		requireRefusal(r, err, unknownIssuer, "unknown_ca")
	})
	refusal("wrong psk: we give up and say so", func(r *row) {
		cfg := pskOnly.listenConfig(r, p)
		haveWrongKey(cfg)
		err := refuse(r, cfg, pskOnly.qtClientFlags(p)...)
		requireTooLong(r, err)
	})
}
