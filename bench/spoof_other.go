//go:build !linux

package main

func fromAddress([4]byte) []byte { return nil }
