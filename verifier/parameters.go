package verifier

import (
	"bytes"
	"crypto/rand"
	"strings"
	"sync"

	"github.com/ossldtls/ossldtls/openssl"
)

// GeneratorParameters is what cookies are made with. Verifiers and associations,
// also those of Qt, with the same hash and secret accept each other's cookies.
// Corresponds to QDtlsClientVerifier::GeneratorParameters.
type GeneratorParameters struct {
	// Hash is OpenSSL's name of a digest: "SHA256", "SHA3-256", "SM3" … The zero value
	// means SHA256. Its HMAC is the cookie; some clients drop cookies of more than 32
	// bytes, and a HelloVerifyRequest that would be larger than the ClientHello is not
	// sent.
	Hash string
	// Secret is the key of the HMAC. It must not be empty; 32 random bytes are a good
	// choice.
	Secret []byte
	// PreviousSecret is accepted too, with the same hash, but not used for new cookies.
	// Where it is empty, SetCookieGeneratorParameters puts the secret that it replaces
	// here, so that clients which are just about to return are still known. Two changes
	// while one client is on its way back are one too many: OpenSSL's clients do not listen
	// to a second HelloVerifyRequest.
	PreviousSecret []byte
}

// DefaultHash is the hash of the zero [GeneratorParameters].
const DefaultHash = "SHA256"

// Clone returns a copy that shares no memory with p.
func (p GeneratorParameters) Clone() GeneratorParameters {
	p.Secret = bytes.Clone(p.Secret)
	p.PreviousSecret = bytes.Clone(p.PreviousSecret)
	return p
}

// CookieKey returns the key that cookies with these parameters are made and checked
// with. The error is [ErrInvalidInputParameters]: the secret is empty, or OpenSSL
// does not have the hash.
func (p GeneratorParameters) CookieKey() (*openssl.CookieKey, error) {
	const op = "cookie generator parameters"
	if len(p.Secret) == 0 {
		return nil, invalidInput(op, "the secret is empty")
	}
	hash := p.Hash
	if hash == "" {
		hash = DefaultHash
	}
	key, err := openssl.NewCookieKey(hash, p.Secret, p.PreviousSecret)
	if err != nil {
		return nil, &Error{Code: ErrInvalidInputParameters, Op: op, Err: err}
	}
	return key, nil
}

// keyed is a set of parameters and the key made of it.
type keyed struct {
	params GeneratorParameters
	key    *openssl.CookieKey
}

var defaultKeyed = sync.OnceValues(func() (*keyed, error) {
	p := GeneratorParameters{Hash: DefaultHash, Secret: make([]byte, 32)}
	if _, err := rand.Read(p.Secret); err != nil {
		return nil, err
	}
	key, err := p.CookieKey()
	return &keyed{p, key}, err
})

// DefaultParameters returns the parameters that verifiers and associations start
// with: SHA256, and a secret of 32 random bytes made once for the process.
func DefaultParameters() (GeneratorParameters, error) {
	k, err := defaultKeyed()
	if err != nil {
		return GeneratorParameters{}, &Error{Code: ErrTLSInitialization, Op: "default cookie parameters", Err: err}
	}
	return k.params.Clone(), nil
}

// DefaultCookieKey returns the key of [DefaultParameters]. It belongs to the
// process: do not close it.
func DefaultCookieKey() (*openssl.CookieKey, error) {
	k, err := defaultKeyed()
	if err != nil {
		return nil, &Error{Code: ErrTLSInitialization, Op: "default cookie parameters", Err: err}
	}
	return k.key, nil
}

// SetCookieGeneratorParameters sets what cookies are made with from now on. The
// secret that was in use is still accepted if the hash stays the same and params
// names no other previous secret; setting the same secret again keeps the one before
// it. If params are refused, with
// [ErrInvalidInputParameters], the old ones stay. The slices are copied.
//
// Corresponds to QDtlsClientVerifier::setCookieGeneratorParameters.
func (v *ClientVerifier) SetCookieGeneratorParameters(params GeneratorParameters) error {
	v.params.Lock()
	defer v.params.Unlock()
	params = params.Clone()
	if params.Hash == "" {
		params.Hash = DefaultHash
	}
	if old := v.key.Load().params; len(params.PreviousSecret) == 0 && strings.EqualFold(old.Hash, params.Hash) {
		params.PreviousSecret = old.Secret
		if bytes.Equal(old.Secret, params.Secret) {
			params.PreviousSecret = old.PreviousSecret // a reload is no rotation
		}
	}
	key, err := params.CookieKey()
	if err != nil {
		v.last.Store(err.(*Error))
		return err
	}
	v.last.Store(nil)
	// The old key is freed when the calls that still use it have ended.
	v.key.Store(&keyed{params, key})
	return nil
}

// CookieKey returns the key in use, for the association that a verified hello starts.
// It belongs to the verifier: do not close it. It stays good when the parameters change.
func (v *ClientVerifier) CookieKey() *openssl.CookieKey { return v.key.Load().key }

// CookieGeneratorParameters returns a copy of the parameters in use. Corresponds to
// QDtlsClientVerifier::cookieGeneratorParameters.
func (v *ClientVerifier) CookieGeneratorParameters() GeneratorParameters {
	return v.key.Load().params.Clone()
}
