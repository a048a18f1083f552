//go:build race

package udpbatch

// The race detector allocates.
const race = true
