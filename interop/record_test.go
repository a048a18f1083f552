//go:build interop

package interop

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// Content types and handshake types: RFC 5246 §6.2.1 and §7.4, RFC 6347 §4.3.2.
const (
	typeAlert     = 21
	typeHandshake = 22

	clientHello        = 1
	helloVerifyRequest = 3
	certificate        = 11
	serverHelloDone    = 14
)

var contentNames = map[uint8]string{20: "ChangeCipherSpec", typeAlert: "alert", typeHandshake: "handshake", 23: "data"}

var messageNames = map[uint8]string{
	0: "HelloRequest", clientHello: "ClientHello", 2: "ServerHello", helloVerifyRequest: "HelloVerifyRequest",
	4: "NewSessionTicket", certificate: "Certificate", 12: "ServerKeyExchange", 13: "CertificateRequest",
	serverHelloDone: "ServerHelloDone", 15: "CertificateVerify", 16: "ClientKeyExchange", 20: "Finished",
}

// record is a record of the record layer: RFC 6347 §4.1.
type record struct {
	contentType uint8
	epoch       uint16
	body        []byte
}

// message is the header of a handshake message or fragment: RFC 6347 §4.2.2.
type message struct {
	messageType              uint8
	sequence                 uint16
	length, offset, fragment int
}

const recordHeader, messageHeader = 13, 12

// parseRecords returns the whole records of a datagram.
func parseRecords(datagram []byte) (all []record) {
	for len(datagram) >= recordHeader {
		end := recordHeader + int(binary.BigEndian.Uint16(datagram[11:]))
		if end > len(datagram) {
			break
		}
		all = append(all, record{datagram[0], binary.BigEndian.Uint16(datagram[3:]), datagram[recordHeader:end]})
		datagram = datagram[end:]
	}
	return all
}

// handshake returns the header of the message in a record that is not encrypted.
func (rec record) handshake() (message, bool) {
	if rec.contentType != typeHandshake || rec.epoch != 0 || len(rec.body) < messageHeader {
		return message{}, false
	}
	uint24 := func(b []byte) int { return int(b[0])<<16 | int(b[1])<<8 | int(b[2]) }
	return message{
		messageType: rec.body[0],
		length:      uint24(rec.body[1:]),
		sequence:    binary.BigEndian.Uint16(rec.body[4:]),
		offset:      uint24(rec.body[6:]),
		fragment:    uint24(rec.body[9:]),
	}, true
}

// describe says what is in a datagram.
func describe(datagram []byte) string {
	var text strings.Builder
	for _, rec := range parseRecords(datagram) {
		name := contentNames[rec.contentType]
		if m, ok := rec.handshake(); ok {
			name = messageNames[m.messageType]
			if m.fragment != m.length {
				name += fmt.Sprintf(" %d-%d of %d", m.offset, m.offset+m.fragment, m.length)
			}
		} else if rec.contentType == typeAlert && rec.epoch == 0 && len(rec.body) == 2 {
			name += fmt.Sprintf(" %d", rec.body[1])
		}
		if rec.epoch > 0 {
			name += " (encrypted)"
		}
		text.WriteString(" [" + name + "]")
	}
	return text.String()
}

// helloCookie returns the cookie of the ClientHello or HelloVerifyRequest that a
// datagram starts with. RFC 6347 §4.2.1: a hello has version, random and session ID
// before the cookie, a request only the version.
func helloCookie(datagram []byte) (messageType uint8, cookie []byte) {
	all := parseRecords(datagram)
	if len(all) == 0 {
		return 0, nil
	}
	m, ok := all[0].handshake()
	if !ok {
		return 0, nil
	}
	body := all[0].body[messageHeader:]
	at := 2
	if m.messageType == clientHello {
		at += 32
		if at < len(body) {
			at += 1 + int(body[at])
		}
	}
	if at >= len(body) || at+1+int(body[at]) > len(body) {
		return m.messageType, nil
	}
	return m.messageType, body[at+1 : at+1+int(body[at])]
}

// encryptedAlert reports whether a datagram is an alert of a complete handshake,
// which in these cases is close_notify.
func encryptedAlert(datagram []byte) bool {
	all := parseRecords(datagram)
	return len(all) == 1 && all[0].contentType == typeAlert && all[0].epoch == 1
}
