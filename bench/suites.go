package main

import (
	"github.com/pion/dtls/v3"
)

// suite is a cipher suite under the names of each side.
type suite struct {
	name, openssl string
	pion          dtls.CipherSuiteID
}

// The first is what every measurement is made with that does not say otherwise.
var suites = []suite{
	{"AES-128-GCM", "ECDHE-ECDSA-AES128-GCM-SHA256", dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
	{"AES-256-GCM", "ECDHE-ECDSA-AES256-GCM-SHA384", dtls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384},
	{"ChaCha20-Poly1305", "ECDHE-ECDSA-CHACHA20-POLY1305", dtls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256},
	{"AES-128-CCM8", "ECDHE-ECDSA-AES128-CCM8:@SECLEVEL=0", dtls.TLS_ECDHE_ECDSA_WITH_AES_128_CCM_8},
}

// kind is how the two sides prove who they are.
type kind struct {
	name  string
	suite suite
}

var (
	byECDSA = kind{"ECDSA P-256", suites[0]}
	byRSA   = kind{"RSA-2048", suite{"AES-128-GCM", "ECDHE-RSA-AES128-GCM-SHA256", dtls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256}}
	byPSK   = kind{"PSK", suite{"AES-128-GCM", "PSK-AES128-GCM-SHA256", dtls.TLS_PSK_WITH_AES_128_GCM_SHA256}}
	resumed = kind{"resumed", suites[0]}
)

var kinds = []kind{byECDSA, byRSA, byPSK, resumed}

// with returns the kind with another suite.
func (k kind) with(s suite) kind {
	k.suite = s
	return k
}
