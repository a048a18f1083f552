// The version of an OpenSSL below the floor, for the test of the compile-time error.
#define OPENSSL_VERSION_NUMBER 0x100020ffL
