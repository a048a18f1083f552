//go:build race || asan || msan

package udpbatch

// The race detector allocates.
const race = true
