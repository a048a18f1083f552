//go:build !linux

package udpbatch

func refuseTrains(*Conn) {}
