package dtls

import (
	"encoding/binary"
	"slices"

	"github.com/ossldtls/ossldtls/internal/udpbatch"
)

// What the demultiplexer looks at in a record, RFC 6347 §4.1, and in a ClientHello,
// §4.2.1. Nothing here is authenticated: it only says who looks at the datagram next.
const (
	recordHeader  = 13
	messageHeader = 12
	randomSize    = 32

	typeAlert     = 21
	typeHandshake = 22
	typeData      = 23

	typeClientHello = 1
)

// record returns the type and the epoch of a datagram's first record; ok is false if
// it holds none.
func record(datagram []byte) (contentType byte, epoch uint16, ok bool) {
	if len(datagram) < recordHeader || datagram[1] != 0xfe {
		return 0, 0, false
	}
	if int(binary.BigEndian.Uint16(datagram[11:])) > len(datagram)-recordHeader {
		return 0, 0, false
	}
	return datagram[0], binary.BigEndian.Uint16(datagram[3:]), true
}

// isData reports whether a datagram starts with protected application data.
func isData(datagram []byte) bool {
	contentType, epoch, ok := record(datagram)
	return ok && contentType == typeData && epoch > 0
}

// allData reports whether all that has arrived together is protected application data.
func allData(p *udpbatch.Packet) bool {
	for datagram := range slices.Chunk(p.Data, p.Size) {
		if !isData(datagram) {
			return false
		}
	}
	return true
}

// hello is what a ClientHello, or its first fragment, says in its first bytes.
type hello struct {
	random    [randomSize]byte
	hasCookie bool
}

// parseHello returns the hello that a datagram starts with; ok is false if it starts
// with anything else.
func parseHello(datagram []byte) (h hello, ok bool) {
	contentType, epoch, ok := record(datagram)
	if !ok || contentType != typeHandshake || epoch != 0 {
		return h, false
	}
	body := datagram[recordHeader : recordHeader+int(binary.BigEndian.Uint16(datagram[11:]))]
	// The fragment's offset has to be 0, or the random is not here.
	if len(body) < messageHeader || body[0] != typeClientHello || body[6]|body[7]|body[8] != 0 {
		return h, false
	}
	body = body[messageHeader:]
	if len(body) < 2+randomSize+1 {
		return h, false
	}
	copy(h.random[:], body[2:])
	session := int(body[2+randomSize])
	cookie := 2 + randomSize + 1 + session
	h.hasCookie = cookie < len(body) && body[cookie] > 0
	return h, true
}
