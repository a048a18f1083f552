// Package ossldtls is OpenSSL's DTLS for Go: the cipher suites, policy and
// hardware of the libssl that a machine already trusts, driven datagram by
// datagram from Go.
//
// The package itself holds no API. It states, once for the whole module, how
// programs link with OpenSSL and which OpenSSL is the oldest one:
//
//   - By default the flags come from pkg-config (libssl and libcrypto), so
//     PKG_CONFIG_PATH selects another OpenSSL than the system's.
//   - With the build tag openssl_static, libssl.a and libcrypto.a are linked into
//     the program; what they need themselves (dl, and zlib or zstd in some builds)
//     comes from pkg-config too.
//   - OpenSSL 1.1.1 is the floor. Older versions, and libraries that only look
//     like OpenSSL, are refused by the C compiler with a sentence that says so.
//
// The packages to use:
//
//   - [github.com/ossldtls/ossldtls/dtls]: associations in the shape of Qt's QDtls.
//   - [github.com/ossldtls/ossldtls/verifier]: stateless cookies in the shape of
//     Qt's QDtlsClientVerifier.
//   - [github.com/ossldtls/ossldtls/openssl]: the thin wrappers under both.
package ossldtls

/*
#cgo !openssl_static pkg-config: libssl libcrypto
// The archives first; pkg-config then names what they need themselves, and the shared
// libraries once more, of which nothing is needed any longer.
#cgo openssl_static,linux LDFLAGS: -Wl,-Bstatic -lssl -lcrypto -Wl,-Bdynamic -Wl,--as-needed
#cgo openssl_static pkg-config: --static libssl libcrypto

#if !defined(__has_include) || __has_include(<openssl/opensslv.h>)
#include <openssl/opensslv.h>
#else
#error "ossldtls needs the headers of OpenSSL 1.1.1 or later (Debian: libssl-dev, Fedora: openssl-devel, Alpine: openssl-dev, Homebrew: openssl@3)"
#endif

#if defined(LIBRESSL_VERSION_NUMBER) || defined(OPENSSL_IS_BORINGSSL)
#error "ossldtls needs OpenSSL itself, 1.1.1 or later: LibreSSL and BoringSSL are not supported"
#elif OPENSSL_VERSION_NUMBER < 0x10101000L
#error "ossldtls needs OpenSSL 1.1.1 or later: the headers found are older"
#endif
*/
import "C"
