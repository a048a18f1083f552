//go:build ossldtls_offload_failing && !ossldtls_offload_off

package udpbatch

// offloadMode is that of a card which refuses trains after a few.
const offloadMode = offloadFailing
