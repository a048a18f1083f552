//go:build race

// Package raceon tells tests whether the race detector is on.
package raceon

// Enabled is true with the race detector.
const Enabled = true
