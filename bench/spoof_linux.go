package main

import "golang.org/x/sys/unix"

// fromAddress returns the control message that has a datagram sent from an address of this
// machine, which all of 127.0.0.0/8 is.
func fromAddress(source [4]byte) []byte {
	return unix.PktInfo4(&unix.Inet4Pktinfo{Spec_dst: source})
}
