//go:build !race && !asan && !msan

// Package raceon tells tests whether the race detector or a sanitizer is on, which cost
// time and memory.
package raceon

// Enabled is true with one of them.
const Enabled = false
