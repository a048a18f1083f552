//go:build !ossldtls_offload_off && !ossldtls_offload_failing

package udpbatch

// offloadMode is what tests can have otherwise by a build tag: see make test-offload.
const offloadMode = offloadOn
