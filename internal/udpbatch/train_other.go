//go:build !linux

package udpbatch

func aboutTrain(error) bool { return false }
