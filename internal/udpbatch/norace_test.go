//go:build !race

package udpbatch

const race = false
