//go:build ossldtls_offload_off

package udpbatch

// offloadMode is that of a kernel that knows nothing of trains.
const offloadMode = offloadOff
