// Package interop tests the library against real peers over loopback: the openssl
// command, and Qt's QDtls and QDtlsClientVerifier through the program in the folder
// qt. It prints one row for each case, and after a row that fails the reason, what
// the peers said and what was on the wire.
//
//	make -C interop/qt
//	go -C interop test -count=1 -tags interop
//
// A peer that is missing fails its cases.
package interop
