//go:build !race && !asan && !msan

package udpbatch

const race = false
