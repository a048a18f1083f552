// The version of a library that only looks like OpenSSL, for the test of the compile-time error.
#define OPENSSL_VERSION_NUMBER 0x20000000L
#define LIBRESSL_VERSION_NUMBER 0x4000000fL
